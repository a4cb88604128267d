"""A render process makes of each kind of sample what the worker makes of it, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.engines.contract import MODEL, picture
from tests.engines.renderdrafts import drafts
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Draft, ImagePart, Media, MediaLimits, Message, Sampling, TextPart
from vlmeval_mp.engines.renderpool import RenderPool
from vlmeval_mp.requests import media

pytestmark = pytest.mark.vllm
pytest.importorskip("vllm")


def configuration() -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    from vlmeval_mp.engines.base import EngineSpec
    from vlmeval_mp.engines.vllm.arguments import defaults

    spec = EngineSpec(model=MODEL, max_images=8, max_videos=1)
    args = AsyncEngineArgs(model=MODEL, **defaults(spec) | {"max_model_len": 2048})
    return args.create_engine_config(UsageContext.LLM_CLASS)


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
