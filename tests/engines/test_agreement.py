"""vLLM and transformers give the same answer to every sample of the demo benchmark: greedy, float32, batched."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.contract import MODEL
from vlmeval_mp.core.records import DataSpec, MediaLimits, Request, Sampling
from vlmeval_mp.datasets import store as datasets
from vlmeval_mp.engines import registry
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.requests import media, prompts

pytestmark = pytest.mark.vllm
pytest.importorskip("vllm")

DATA = Path(__file__).resolve().parents[2] / "vlmeval_mp" / "demo" / "data"
SETS = ("DigitsMCQ", "DigitsYORN", "DigitsVQA", "DigitsVideo")
SAMPLES = 60
"""Of each set; enough for several full batches of both engines, few enough for a test."""


def requests(store: Path) -> Iterator[Request]:
    for name in SETS:
        dataset = datasets.prepare(DataSpec(name=name, path=str(DATA / f"{name}.tsv")), store)
        for sample in dataset.samples(0, SAMPLES - 1):
            asked = prompts.build(sample), Sampling(max_tokens=16)
            request = media.prepare(sample.index, *asked, dataset.folder, MediaLimits(), 0, 0.0)
            yield dataclasses.replace(request, id=f"{name} {sample.index}")


async def answers(name: str, asked: list[Request], **args: Any) -> dict[str, str]:
    engine = registry.engine_class(name)(EngineSpec(model=MODEL, args=args, max_images=1, max_videos=1))
    await engine.start()
    done = await asyncio.gather(*(engine.generate(request) for request in asked))
    await engine.close()
    return {request.id: completion.text for request, completion in zip(asked, done, strict=True)}


async def test_vllm_and_transformers_agree_on_every_sample(tmp_path: Path) -> None:
    asked = list(requests(tmp_path))
    assert len(asked) == SAMPLES * len(SETS)
    theirs = await answers("transformers", asked)
    ours = await answers("vllm", asked, max_model_len=4096)
    assert {id_: (ours[id_], theirs[id_]) for id_ in ours if ours[id_] != theirs[id_]} == {}
    assert len(set(ours.values())) >= 10, "too few different answers for an agreement to mean anything"
