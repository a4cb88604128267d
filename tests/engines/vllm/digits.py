"""Tests of vLLM with samples of the demo benchmark; a mixin, so that they use the engine of the contract."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.engines.contract import MODEL
from vlmeval_mp.core.records import DataSpec, Draft, MediaLimits, Request, Sampling
from vlmeval_mp.datasets import store as datasets
from vlmeval_mp.engines import registry
from vlmeval_mp.engines.base import Engine, EngineSpec
from vlmeval_mp.requests import media, prompts

DATA = Path(__file__).resolve().parents[3] / "vlmeval_mp" / "demo" / "data"
SETS = ("DigitsMCQ", "DigitsYORN", "DigitsVQA", "DigitsVideo")
SAMPLES = 60
"""Of each set; enough for several full batches of both engines, few enough for a test."""


def drafts(store: Path, *names: str) -> Iterator[Draft]:
    """The first samples of each data set."""
    for name in names:
        dataset = datasets.prepare(DataSpec(name=name, path=str(DATA / f"{name}.tsv")), store)
        for s in dataset.samples(0, SAMPLES - 1):
            yield Draft(f"{name} {s.index}", prompts.build(s), Sampling(max_tokens=16), dataset.folder, MediaLimits())


async def answers(engine: Engine, asked: Sequence[Request]) -> dict[str, str]:
    done = await asyncio.gather(*(engine.generate(request) for request in asked))
    return {request.id: completion.text for request, completion in zip(asked, done, strict=True)}


@pytest.mark.asyncio(loop_scope="class")
class Digits:
    """For an engine with two render processes."""

    async def test_vllm_and_transformers_agree_on_every_sample(self, engine: Engine, tmp_path: Path) -> None:
        """Greedy, float32, batched."""
        asked = [media.open_draft(draft) for draft in drafts(tmp_path, *SETS)]
        assert len(asked) == SAMPLES * len(SETS)
        other = registry.engine_class("transformers")(EngineSpec(model=MODEL, max_images=1, max_videos=1))
        await other.start()
        theirs = await answers(other, asked)
        await other.close()
        ours = await answers(engine, asked)
        assert {id_: (ours[id_], theirs[id_]) for id_ in ours if ours[id_] != theirs[id_]} == {}
        assert len(set(ours.values())) >= 10, "too few different answers for an agreement to mean anything"

    async def test_inputs_that_vllm_has_sent_make_room_for_the_next_ones(
        self, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As vLLM 0.26 does, keep what was sent until more is sent; more is rendered only where there is room."""
        core, sent = engine._llm.engine_core, []
        add = core.add_request_async

        async def added(request: Any) -> None:
            core.free_pending_messages()
            await add(request)
            sent.append(request)

        monkeypatch.setattr(core, "free_pending_messages", sent.clear, raising=False)
        monkeypatch.setattr(core, "add_request_async", added)
        monkeypatch.setattr(engine._pool, "_most_bytes", 0)

        async def answer(draft: Draft) -> str:
            return (await engine.generate(await engine.render(draft))).text

        asked = list(drafts(tmp_path, "DigitsMCQ"))[:6]
        assert all(await asyncio.wait_for(asyncio.gather(*map(answer, asked)), 60))

    async def test_answers_are_those_of_rendering_in_the_worker_while_every_process_is_killed(
        self, engine: Any, tmp_path: Path
    ) -> None:
        asked = list(drafts(tmp_path, "DigitsMCQ", "DigitsVideo"))
        here = await answers(engine, [media.open_draft(draft) for draft in asked])
        begun = asyncio.Event()

        async def there(draft: Draft) -> str:
            request = await engine.render(draft)
            begun.set()
            return str((await engine.generate(request)).text)

        tasks = [asyncio.create_task(there(draft)) for draft in asked]
        first = set(engine._pool.pids)
        await begun.wait()
        os.kill(min(first), signal.SIGKILL)
        await asyncio.sleep(0.2)
        for pid in set(engine._pool.pids):
            os.kill(pid, signal.SIGKILL)
        assert await asyncio.gather(*tasks) == list(here.values())
        assert not first & set(engine._pool.pids)
        assert all("engines.renderprocess" in Path(f"/proc/{pid}/cmdline").read_text() for pid in engine._pool.pids)
        for _ in range(50):
            if not engine._pool.held_bytes:
                break
            await asyncio.sleep(0.1)
        assert engine._pool.held_bytes == 0, "the engine lets go of inputs once it has them"
