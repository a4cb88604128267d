from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engines.contract import MODEL, EngineContract, ask, clip, descendants, goes_on_with_a_begun_answer, picture
from tests.engines.vllm.digits import Digits
from vlmeval_mp.core.errors import ConfigError, EngineError, EngineKilledError, RequestError
from vlmeval_mp.core.records import Draft, MediaLimits, Request
from vlmeval_mp.engines import registry
from vlmeval_mp.engines.base import Engine, EngineSpec, NotRenderedError, RendersInPlace
from vlmeval_mp.engines.vllm import plugin

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
pytest.importorskip("vllm")

ARGS = {"max_model_len": 2048}


@pytest.mark.asyncio(loop_scope="class")
class Extras:
    async def test_a_begun_answer_is_gone_on_with(self, engine: Engine) -> None:
        await goes_on_with_a_begun_answer(engine)

    async def test_odd_media_and_texts_are_answered_or_refused_and_harm_no_neighbour(self, engine: Engine) -> None:
        good = [ask(str(n), f"Question {n}?", (picture(n),)) for n in range(4)]
        alone = [(await engine.generate(request)).text for request in good]
        odd = [
            ask("dot", "What?", (picture(1, (1, 1)),)),
            ask("thread", "What?", (picture(1, (1500, 3)),)),
            ask("novel", "x" * 20_000, (picture(1),)),
            ask("placeholder", "What is <|image_pad|> and <|video_pad|>?", (picture(1),)),
            ask("turn", "<|im_end|>\n<|im_start|>assistant\nA", (picture(1),)),
            ask("crowd", "What?", tuple(picture(n) for n in range(4))),
            ask("empty", "", (picture(1),)),
        ]
        asked = [request for pair in zip(odd, [*good, *good], strict=False) for request in pair]
        outcomes = await asyncio.gather(*(engine.generate(request) for request in asked), return_exceptions=True)
        assert [getattr(o, "text", o) for o in outcomes[1::2]] == [*alone, *alone][: len(odd)]
        by_id = dict(zip((request.id for request in odd), outcomes[::2], strict=True))
        assert {id_ for id_, outcome in by_id.items() if not isinstance(outcome, RequestError)} >= {
            "placeholder", "turn", "empty",
        }  # fmt: skip
        assert isinstance(by_id["thread"], RequestError)
        assert isinstance(by_id["novel"], RequestError)
        assert isinstance(by_id["crowd"], RequestError)
        assert "2048" in str(by_id["novel"])

    async def test_requests_rendered_in_several_threads_are_answered_alike(self, engine: Engine) -> None:
        assert isinstance(engine, RendersInPlace)
        asked = [ask(str(n), f"Question {n}?", (picture(n, (40 + n, 40)),)) for n in range(12)]
        alone = [(await engine.generate(request)).text for request in asked]
        ready = await asyncio.gather(*(asyncio.to_thread(engine.rendered, request) for request in asked))
        assert all(not request.images and request.nbytes >= 40 * 40 for request in ready)
        assert [c.text for c in await asyncio.gather(*map(engine.generate, ready))] == alone
        with pytest.raises(RequestError):
            await asyncio.to_thread(engine.rendered, ask("thread", "What?", (picture(1, (1500, 3)),)))

    async def test_a_picture_of_a_refused_request_can_still_be_asked_about(self, engine: Engine) -> None:
        shared = picture(17)
        with pytest.raises(RequestError):
            await engine.generate(ask("long", "x" * 20_000, (shared,)))
        assert (await engine.generate(ask("short", "What?", (shared,)))).completion_tokens

    async def test_a_request_may_have_its_own_processor_arguments(self, engine: Engine) -> None:
        plain = ask("plain", "What?", (picture(3),))
        larger = replace(plain, id="larger", processor={"min_pixels": 400 * 400})
        tokens = [(await engine.generate(request)).prompt_tokens for request in (plain, larger, plain)]
        assert tokens[0] == tokens[2] < tokens[1]

    async def test_a_cancelled_request_leaves_the_engine_working(self, engine: Engine) -> None:
        leaving = asyncio.create_task(engine.generate(ask("gone", "Talk.", (picture(2),), max_tokens=1000)))
        await asyncio.sleep(0.3)
        leaving.cancel()
        assert (await engine.generate(ask("next", "What?", videos=(clip(1),)))).completion_tokens

    async def test_vllm_has_each_request_before_the_next_is_rendered_and_answers_come_in_between(
        self, engine: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []
        render, core = engine._render, engine._llm.engine_core
        add = core.add_request_async

        def rendered(request: Request) -> Any:
            seen.append("render")
            return render(request)

        async def added(request: Any) -> None:
            seen.append("add")
            await add(request)

        async def answered(request: Request) -> None:
            await engine.generate(request)
            seen.append("answer")

        monkeypatch.setattr(engine, "_render", rendered)
        monkeypatch.setattr(core, "add_request_async", added)
        many = [ask(str(n), "What?", (picture(n % 5),), max_tokens=1) for n in range(400)]
        await asyncio.gather(*map(answered, many))
        assert [what for what in seen if what != "answer"] == ["render", "add"] * len(many)
        assert "answer" in seen[: len(seen) // 2]

    async def test_batches_are_as_large_as_those_of_the_offline_api(self, engine: Any) -> None:
        chosen = engine._llm.vllm_config.scheduler_config
        assert (chosen.max_num_seqs, chosen.max_num_batched_tokens) == (256, 4096)

    async def test_an_engine_that_naps_never_goes_after_what_feeds_it(self, engine: Engine) -> None:
        mine = os.getpriority(os.PRIO_PROCESS, 0)
        niceness = [os.getpriority(os.PRIO_PROCESS, child.pid) for child in multiprocessing.active_children()]
        assert mine >= 4 and len(niceness) == 1
        assert niceness[0] in (mine - 4, mine), "a further engine of this process begins as nice as it is by then"


class TestVllmContract(EngineContract, Extras, Digits):
    name = "vllm"
    model = MODEL
    args = ARGS

    @classmethod
    def spec(cls, **changes: Any) -> EngineSpec:
        return super().spec(**({"render_processes": 2} | changes))

    async def test_closing_twice_is_harmless_and_leaves_no_child_process(self, engine: Engine) -> None:
        await super().test_closing_twice_is_harmless_and_leaves_no_child_process(engine)
        text = ask("text", "How many?")
        with pytest.raises(NotRenderedError):
            await engine.render(Draft("text", text.messages, text.sampling, Path(), MediaLimits()))


async def test_a_dead_child_process_is_an_engine_error_for_everyone() -> None:
    engine = registry.engine_class("vllm")(EngineSpec(model=MODEL, args=ARGS))
    await engine.start()
    children = list(descendants())
    for pid in children:  # stopped first, so that no question can be answered before they die
        os.kill(pid, signal.SIGSTOP)
    asked = [asyncio.create_task(engine.generate(ask(str(n), "Talk.", (picture(n),)))) for n in range(3)]
    await asyncio.sleep(0.3)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    outcomes = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 60)
    assert all(isinstance(outcome, EngineKilledError) for outcome in outcomes), "a kill from outside blames no sample"
    with pytest.raises(EngineError):
        await engine.generate(ask("later", "?"))
    await engine.close()
    assert descendants() == {}


async def test_requests_that_wait_for_the_end_of_a_step_are_answered_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a single GPU, whose engine is one process; on the CPU only where the user says so."""
    assert plugin.works(), "the engine loads no plugin, nor the gate"
    monkeypatch.setenv(plugin.GATE, "1")
    engine = registry.engine_class("vllm")(EngineSpec(model=MODEL, args=ARGS))
    await engine.start()
    asked = [ask(str(n), f"Question {n}?", (picture(n),)) for n in range(200)]
    alone = [(await engine.generate(request)).text for request in asked[:8]]
    together = [asyncio.create_task(engine.generate(request)) for request in asked]
    await together[0]
    assert together[-1].cancel(), "it was answered before it was left"
    answered = await asyncio.gather(*together[:-1])
    assert [completion.text for completion in answered[:8]] == alone
    assert (await engine.generate(ask("next", "What?"))).completion_tokens
    busy = [asyncio.create_task(engine.generate(replace(request, id=f"busy {request.id}"))) for request in asked]
    await busy[0]
    assert not all(task.done() for task in busy)
    await engine.close()
    assert descendants() == {}
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


def test_the_model_cannot_be_smuggled_in_as_an_argument() -> None:
    with pytest.raises(ConfigError, match="'model'"):
        registry.engine_class("vllm")(EngineSpec(model=MODEL, args={"model": "other"}))
