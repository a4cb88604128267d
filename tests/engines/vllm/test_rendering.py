"""A render process makes of each kind of sample what the worker makes of it, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.engines.contract import MODEL, picture
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import (
    Draft,
    ImagePart,
    Media,
    MediaLimits,
    Message,
    Part,
    Sampling,
    TextPart,
    VideoPart,
)
from vlmeval_mp.engines.renderpool import RenderPool
from vlmeval_mp.requests import media

pytestmark = pytest.mark.vllm
pytest.importorskip("vllm")

VIDEOS = Path(__file__).resolve().parents[3] / "vlmeval_mp" / "demo" / "data" / "videos"


def configuration() -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    from vlmeval_mp.engines.base import EngineSpec
    from vlmeval_mp.engines.vllm.engine import defaults

    spec = EngineSpec(model=MODEL, max_images=8, max_videos=1)
    args = AsyncEngineArgs(model=MODEL, max_model_len=2048, **defaults(spec))
    return args.create_engine_config(UsageContext.LLM_CLASS)


def drafts(folder: Path) -> Iterator[Draft]:
    """One of each kind, their media in `folder`."""
    for shade in range(3):
        picture(shade, (84, 56 + 28 * shade)).save(folder / f"{shade}.png")
    video = VideoPart(media=Media(kind="video", file=str(VIDEOS / "digits-03.mp4"), digest="v"))
    labelled = VideoPart(media=video.media, label="Frame {}: ")
    images = [ImagePart(media=Media(kind="image", file=f"{n}.png", digest=f"d{n}")) for n in range(3)]
    unnamed = ImagePart(media=Media(kind="image", file="1.png"))
    asked = TextPart(text="Which digit is this?")
    kinds: dict[str, tuple[Part, ...]] = {
        "image": (images[0], asked),
        "the same image again": (images[0], TextPart(text="And now?")),
        "several images": (*images, asked),
        "text between images": (TextPart(text="First:"), images[0], TextPart(text="then <|image_pad|>"), images[1]),
        "image without digest": (unnamed, asked),
        "video": (video, asked),
    }
    for name, parts in kinds.items():
        yield Draft(name, (Message(role="user", parts=parts),), Sampling(), folder, MediaLimits())
    frames = (Message(role="user", parts=(labelled, asked)),)
    yield Draft("video as frames", frames, Sampling(), folder, MediaLimits(), nframe=4, video="images")
    begun = (
        Message(role="system", parts=(TextPart(text="Be brief."),)),
        Message(role="user", parts=(images[2], asked)),
        Message(role="assistant", parts=(TextPart(text="It is"),)),
    )
    yield Draft("begun answer", begun, Sampling(), folder, MediaLimits())
    larger = (Message(role="user", parts=(images[0], asked)),)
    own = {"min_pixels": 400 * 400}
    yield Draft("processor's own arguments", larger, Sampling(), folder, MediaLimits(), processor=own)


def refused(folder: Path) -> Iterator[Draft]:
    """Drafts that nobody can render: a picture that is not there, one of an odd shape, a prompt that is too long."""
    picture(1, (1500, 3)).save(folder / "thread.png")
    for name, text in (("absent.png", "What?"), ("thread.png", "What?"), ("1.png", "x" * 20_000)):
        parts = (ImagePart(media=Media(kind="image", file=name, digest=name)), TextPart(text=text))
        yield Draft(name, (Message(role="user", parts=parts),), Sampling(), folder, MediaLimits())


def leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in an engine input, with its path; tensors as their type, shape and bytes."""
    import torch

    if isinstance(value, torch.Tensor):
        yield where, (str(value.dtype), tuple(value.shape), value.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        for key in sorted(value.keys() - {"arrival_time"}):  # which is when it was rendered
            yield from leaves(value[key], f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        yield where, (type(value).__name__, len(value))
        for place, each in enumerate(value):
            yield from leaves(each, f"{where}[{place}]")
    elif hasattr(value, "__dict__"):
        yield where, type(value).__name__
        yield from leaves(dict(sorted(vars(value).items())), where)
    elif hasattr(type(value), "data") and not isinstance(value, str | bytes | int | float | type(None)):
        yield from leaves(value.data, f"{where}.data")
    else:
        yield where, repr(value)


@pytest.mark.asyncio(loop_scope="module")
class TestRendering:
    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    @classmethod
    async def both(cls) -> Any:
        """The worker's rendering and a pool of one process with the same configuration."""
        import cloudpickle
        from vllm.renderers.registry import renderer_from_config

        from vlmeval_mp.engines.vllm.rendering import Rendering

        config = configuration()
        pool = RenderPool(1, "vlmeval_mp.engines.vllm.rendering:build", cloudpickle.dumps(config))
        pool.start()
        pool.attach()
        yield Rendering(renderer_from_config(config)), pool
        await pool.close()

    async def test_inputs_equal_those_of_the_worker_byte_for_byte(self, both: Any, tmp_path: Path) -> None:
        rendering, pool = both
        asked = list(drafts(tmp_path))
        made = await asyncio.gather(*(pool.render(draft) for draft in asked))
        for draft, request in zip(asked, made, strict=True):
            assert request.rendered is not None
            theirs = list(leaves(request.rendered.take()))
            ours = list(leaves(rendering(media.open_draft(draft))))
            assert theirs == ours, draft.id
            pixels = [leaf for _, leaf in ours if isinstance(leaf, tuple) and leaf[0].startswith("torch.")]
            assert pixels, f"{draft.id}: no tensor was compared"

    async def test_refusals_say_the_same_in_both_places(self, both: Any, tmp_path: Path) -> None:
        rendering, pool = both
        list(drafts(tmp_path))
        for draft in refused(tmp_path):
            with pytest.raises(RequestError) as theirs:
                await pool.render(draft)
            with pytest.raises(RequestError) as ours:
                rendering(media.open_draft(draft))
            assert str(theirs.value) == str(ours.value)
