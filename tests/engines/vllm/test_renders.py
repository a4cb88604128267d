"""vLLM fed by render processes, and what is left of it all when they are killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.engines.contract import MODEL, ask, descendants
from vlmeval_mp.core.records import DataSpec, Draft, MediaLimits, Sampling
from vlmeval_mp.datasets import store as datasets
from vlmeval_mp.engines.base import EngineSpec, NotRenderedError
from vlmeval_mp.requests import media, prompts

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
pytest.importorskip("vllm")

DATA = Path(__file__).resolve().parents[3] / "vlmeval_mp" / "demo" / "data"
SAMPLES = 60


def drafts(store: Path) -> list[Draft]:
    """Samples of the demo: pictures and videos."""
    found = []
    for name in ("DigitsMCQ", "DigitsVideo"):
        dataset = datasets.prepare(DataSpec(name=name, path=str(DATA / f"{name}.tsv")), store)
        found += [
            Draft(f"{name} {s.index}", prompts.build(s), Sampling(max_tokens=16), dataset.folder, MediaLimits())
            for s in dataset.samples(0, SAMPLES - 1)
        ]
    return found


@pytest.mark.asyncio(loop_scope="class")
class TestRenders:
    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def engine(cls) -> AsyncIterator[object]:
        from vlmeval_mp.engines.vllm.engine import VllmEngine

        spec = EngineSpec(MODEL, {"max_model_len": 4096}, max_images=1, max_videos=1, render_processes=2)
        engine = VllmEngine(spec)
        await engine.start()
        yield engine
        await engine.close()

    async def test_answers_are_those_of_rendering_in_the_worker_while_every_process_is_killed(
        self, engine, tmp_path: Path
    ) -> None:
        asked = drafts(tmp_path)
        here = await asyncio.gather(*(engine.generate(media.open_draft(draft)) for draft in asked))
        begun = asyncio.Event()

        async def there(draft: Draft) -> str:
            request = await engine.render(draft)
            begun.set()
            return (await engine.generate(request)).text

        answers = [asyncio.create_task(there(draft)) for draft in asked]
        first = set(engine._pool.pids)
        await begun.wait()
        os.kill(min(first), signal.SIGKILL)
        await asyncio.sleep(0.2)
        for pid in set(engine._pool.pids):
            os.kill(pid, signal.SIGKILL)
        assert await asyncio.gather(*answers) == [done.text for done in here]
        assert not first & set(engine._pool.pids)
        assert all("engines.renderprocess" in Path(f"/proc/{pid}/cmdline").read_text() for pid in engine._pool.pids)
        for _ in range(50):
            if not engine._pool.held_bytes:
                break
            await asyncio.sleep(0.1)
        assert engine._pool.held_bytes == 0, "the engine lets go of inputs once it has them"

    async def test_nothing_is_left_after_closing(self, engine) -> None:
        await engine.close()
        assert descendants() == {}
        with pytest.raises(NotRenderedError):
            await engine.render(drafts_of_text())


def drafts_of_text() -> Draft:
    request = ask("text", "How many?")
    return Draft("text", request.messages, Sampling(), Path(), MediaLimits())
