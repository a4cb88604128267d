"""Which errors of vLLM are one request's own, and which end the worker. No engine is started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.engines.contract import MODEL, ask
from vlmeval_mp.core.errors import EngineError, RequestError
from vlmeval_mp.engines.base import EngineSpec

pytestmark = pytest.mark.vllm
pytest.importorskip("vllm")


def engine_that_raises(error: Exception, *, errored: bool = False) -> Any:
    from vlmeval_mp.engines.vllm.engine import VllmEngine

    async def add_request(*_: object) -> None:
        raise error

    engine: Any = VllmEngine(EngineSpec(MODEL))
    engine._llm = SimpleNamespace(add_request=add_request, errored=errored)
    engine._rendering = lambda _: {"type": "token"}
    return engine


async def test_vllms_own_refusals_are_the_requests_error() -> None:
    from vllm.exceptions import VLLMValidationError

    for error in (VLLMValidationError("the prompt is too long", parameter="prompt"), ValueError("too long")):
        with pytest.raises(RequestError, match="too long"):
            await engine_that_raises(error).generate(ask("a", "?"))


async def test_a_mistake_of_the_program_ends_the_worker_with_its_traceback() -> None:
    for error in (
        TypeError("add_request() got an unexpected keyword argument"),
        AttributeError("renderer"),
        KeyError(1),
    ):
        with pytest.raises(type(error)):
            await engine_that_raises(error).generate(ask("a", "?"))


async def test_whatever_a_dead_engine_says_is_the_engines_error() -> None:
    with pytest.raises(EngineError, match="vLLM's engine died"):
        await engine_that_raises(ValueError("no connection"), errored=True).generate(ask("a", "?"))
