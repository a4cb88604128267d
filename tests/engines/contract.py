"""What every engine promises, as tests; a test class per engine inherits them and says how its engine is built.

One engine is started for a whole class, since a vLLM takes half a minute. Tests that a class adds by a mixin listed
after the contract run before these, and the last test here closes the engine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from vlmeval_mp.core.errors import ConfigError, RequestError
from vlmeval_mp.core.records import Frames, ImagePart, Media, Message, Part, Request, Sampling, TextPart, VideoPart
from vlmeval_mp.engines import registry
from vlmeval_mp.engines.base import CanMeasure, Engine, EngineSpec

MODEL = str(Path(__file__).resolve().parents[2] / "vlmeval_mp" / "demo" / "model")
"""The bundled model, small enough for every test that needs a real one."""


def picture(shade: int, size: tuple[int, int] = (56, 56)) -> Image.Image:
    """A picture that no other shade's equals, even after normalisation."""
    width, height = size
    ramp = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3) * (shade + 1)
    return Image.fromarray((ramp % 251).astype(np.uint8))


def clip(shade: int, frames: int = 4) -> Frames:
    pixels = np.stack([np.asarray(picture(shade + n)) for n in range(frames)])
    return Frames(pixels=pixels, fps=2.0, total=frames, indices=tuple(range(frames)))


def ask(
    id_: str,
    text: str,
    images: tuple[Image.Image, ...] = (),
    videos: tuple[Frames, ...] = (),
    **sampling: Any,
) -> Request:
    parts: tuple[Part, ...] = (
        *(ImagePart(media=Media(kind="image")) for _ in images),
        *(VideoPart(media=Media(kind="video")) for _ in videos),
        TextPart(text=text),
    )
    sampled = Sampling(**({"max_tokens": 8} | sampling))
    return Request(id_, (Message(role="user", parts=parts),), sampled, images, videos)


def descendants() -> dict[int, str]:
    """Command lines of all processes below this one, but for multiprocessing's resource tracker, which ends with us."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    below, edge = set(), {os.getpid()}
    while edge:
        edge = {pid for pid, parent in parents.items() if parent in edge}
        below |= edge
    found = {}
    for pid in below:
        try:
            found[pid] = (Path("/proc") / str(pid) / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if line and "resource_tracker" not in line}


def begun(request: Request, answer: str) -> Request:
    """`request` with the beginning of its answer said already."""
    said = Message(role="assistant", parts=(TextPart(text=answer),))
    return dataclasses.replace(request, messages=(*request.messages, said))


async def goes_on_with_a_begun_answer(engine: Engine) -> None:
    """What was said already is not said again, and no second turn is opened behind it."""
    asked = [ask(f"whole{n}", "Which digit is this? Write a word.", (picture(n),)) for n in range(6)]
    whole = [(await engine.generate(request)).text for request in asked]
    longer = [(request, text) for request, text in zip(asked, whole, strict=True) if len(text) > 1]
    assert longer, "no answer is long enough for its beginning to be given"
    rest = [(await engine.generate(begun(request, text[:1]))).text for request, text in longer]
    assert rest == [text[1:] for _, text in longer]
    system = Message(role="system", parts=(TextPart(text="Be brief."),))
    told = dataclasses.replace(asked[0], messages=(system, *asked[0].messages))
    assert (await engine.generate(told)).prompt_tokens > (await engine.generate(asked[0])).prompt_tokens


@pytest.mark.asyncio(loop_scope="class")
class EngineContract:
    """Inherit, set `name`, `model` and `args`, and override `bad_request` where the default is not refused."""

    name: ClassVar[str]
    model: ClassVar[str]
    args: ClassVar[dict[str, Any]] = {}

    @classmethod
    def spec(cls, **changes: Any) -> EngineSpec:
        return EngineSpec(**({"model": cls.model, "args": cls.args, "max_images": 3, "max_videos": 1} | changes))

    @classmethod
    def build(cls) -> Engine:
        return registry.engine_class(cls.name)(cls.spec())

    @classmethod
    def bad_request(cls) -> Request:
        return ask("bad", "word " * 200_000)

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def engine(cls) -> AsyncIterator[Engine]:
        engine = cls.build()
        await engine.start()
        yield engine
        await engine.close()

    async def test_prompts_are_measured_before_the_start_as_they_are_counted_afterwards(self, engine: Engine) -> None:
        fresh = self.build()
        if not isinstance(fresh, CanMeasure):
            return  # a server or a user's class makes the prompt
        ruler = fresh.ruler()
        for request in (
            ask("t", "How many?"),
            ask("one", "How many?", (picture(1),)),
            ask("two", "Same?", (picture(1), picture(2))),
        ):
            length = ruler.measure(request)
            assert length.tokens == (await engine.generate(request)).prompt_tokens
            assert 0 <= length.media < length.tokens

    async def test_a_request_yields_one_completion_that_counts_its_tokens(self, engine: Engine) -> None:
        done = await engine.generate(ask("one", "Which digit is this?", (picture(1),)))
        assert isinstance(done.text, str)
        assert done.finish_reason in ("stop", "length")
        assert done.prompt_tokens > 0
        assert done.completion_tokens > 0

    async def test_the_same_request_gets_the_same_answer_whoever_is_beside_it(self, engine: Engine) -> None:
        asked = [ask(str(n), f"Question {n}: what is this?", (picture(n),)) for n in range(12)]
        alone = [(await engine.generate(request)).text for request in asked]
        together = await asyncio.gather(*(engine.generate(request) for request in reversed(asked)))
        assert [done.text for done in reversed(together)] == alone
        assert len(set(alone)) > 1, "the answers do not tell the requests apart, so this test shows nothing"

    async def test_text_alone_several_images_and_a_video_are_answered_side_by_side(self, engine: Engine) -> None:
        asked = [
            ask("text", "How many?"),
            ask("images", "How do they differ?", (picture(1), picture(2), picture(3, (84, 56)))),
            ask("video", "What comes last?", videos=(clip(4),)),
        ]
        text, images, video = await asyncio.gather(*(engine.generate(request) for request in asked))
        assert text.completion_tokens and images.completion_tokens and video.completion_tokens

    async def test_max_tokens_ends_an_answer_and_says_so(self, engine: Engine) -> None:
        done = await engine.generate(ask("short", "Tell me a story.", (picture(5),), max_tokens=1))
        assert done.completion_tokens == 1
        assert done.finish_reason == "length"

    async def test_a_bad_request_is_refused_and_its_neighbours_are_unharmed(self, engine: Engine) -> None:
        good = [ask(str(n), f"Question {n}?", (picture(n),)) for n in range(6)]
        alone = [(await engine.generate(request)).text for request in good]
        asked = [*good[:3], self.bad_request(), *good[3:]]
        outcomes = await asyncio.gather(*(engine.generate(request) for request in asked), return_exceptions=True)
        refused = outcomes.pop(3)
        assert isinstance(refused, RequestError)
        assert str(refused)
        assert [getattr(outcome, "text", outcome) for outcome in outcomes] == alone

    async def test_an_unknown_argument_is_refused_with_the_nearest_one(self) -> None:
        known = sorted(self.args)[0]
        with pytest.raises(ConfigError, match=rf"{self.name}.*{known}x.*did you mean '{known}'"):
            registry.engine_class(self.name)(self.spec(args=self.args | {f"{known}x": 1}))

    async def test_closing_twice_is_harmless_and_leaves_no_child_process(self, engine: Engine) -> None:
        await engine.close()
        await engine.close()
        assert descendants() == {}
