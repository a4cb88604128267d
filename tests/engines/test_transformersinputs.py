"""Inputs that render processes made one by one equal those that the worker makes of a batch, byte for byte."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.engines.contract import MODEL, picture
from tests.engines.renderdrafts import drafts
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import (
    Draft,
    ImagePart,
    Media,
    MediaLimits,
    Message,
    RenderedInput,
    Request,
    Sampling,
    TextPart,
)
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.requests import media

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
making = importlib.import_module("vlmeval_mp.engines.transformers.inputs")  # ours must not be skipped
engine_module = importlib.import_module("vlmeval_mp.engines.transformers.engine")


@pytest.fixture(scope="module")
def inputs() -> Any:
    return making.Inputs(MODEL, {})


def engine_with(processes: int) -> Any:
    args = {"batch_size": 4, "wait": 0.05}
    spec = EngineSpec(model=MODEL, args=args, max_images=4, max_videos=1, render_processes=processes)
    return engine_module.TransformersEngine(spec)


def kind(request: Request) -> tuple[bool, bool]:
    return bool(request.images), bool(request.videos)


async def test_inputs_of_every_kind_of_sample_and_the_answers_equal_those_of_the_worker(
    tmp_path: Path, inputs: Any
) -> None:
    asked = [dataclasses.replace(draft, sampling=Sampling(max_tokens=4)) for draft in drafts(tmp_path)]
    opened = [media.open_draft(draft) for draft in asked]
    engine = engine_with(1)
    await engine.start()
    assert engine.renders
    made = await asyncio.gather(*(engine.render(draft) for draft in asked))
    taken = {request.id: request.rendered.take() for request in made}
    for key, group in itertools.groupby(sorted(opened, key=kind), key=kind):
        alike = list(group)
        ours, theirs = dict(inputs(alike)), dict(inputs.together([taken[r.id] for r in alike]))
        assert ours.keys() == theirs.keys(), key
        assert any(name.startswith("pixel_values") for name in ours), key
        for name, tensor in ours.items():
            assert theirs[name].dtype == tensor.dtype, name
            assert torch.equal(theirs[name], tensor), name
    rendered = [dataclasses.replace(request, rendered=RenderedInput(taken[request.id])) for request in made]
    theirs, ours = [await asyncio.gather(*map(engine.generate, each)) for each in (rendered, opened)]
    assert theirs == ours
    assert len({done.text for done in ours}) > 1
    with pytest.raises(RequestError) as beside:
        await engine.render(odd(tmp_path))
    with pytest.raises(RequestError) as here:
        await engine.generate(media.open_draft(odd(tmp_path)))
    assert str(beside.value) == str(here.value)
    await engine.close()


def odd(folder: Path) -> Draft:
    """A picture whose sides are too unlike for the processor."""
    picture(1, (1500, 3)).save(folder / "thread.png")
    parts = (ImagePart(media=Media(kind="image", file="thread.png", digest="t")), TextPart(text="What?"))
    return Draft("odd", (Message(role="user", parts=parts),), Sampling(), folder, MediaLimits())


def test_the_demo_models_inputs_can_be_put_together(inputs: Any) -> None:
    assert inputs.can_put_together(4, 1)
    assert inputs.can_put_together(1, 0)


@pytest.mark.parametrize("fault", ["pads pictures", "counts in a list", "another key", "refuses"])
def test_a_processor_whose_batches_are_more_than_their_requests_leaves_them_to_the_worker(
    inputs: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    real = inputs.processor

    class Stubborn:
        apply_chat_template = real.apply_chat_template

        def __call__(self, **given: Any) -> Any:
            made = real(**given)
            size = len(given["text"])
            if fault == "pads pictures":
                made["pixel_values"] = torch.nn.functional.pad(made["pixel_values"], (0, size))
            elif fault == "counts in a list":
                made["counts"] = [1] * size
            elif fault == "another key":
                made[f"of {size}"] = torch.ones(1)
            else:
                raise ValueError("two pictures of one size only")
            return made

    monkeypatch.setattr(inputs, "processor", Stubborn())
    assert not inputs.can_put_together(2, 0)
