"""The openai engine keeps every engine's promises when it asks a real `vllm serve`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.contract import EngineContract, descendants, goes_on_with_a_begun_answer
from tests.helpers import free_port
from tests.served import vllm_serve
from vlmeval_mp.engines.base import Engine

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
START_SECONDS = 400


@pytest.mark.asyncio(loop_scope="class")
class Extras:
    async def test_a_begun_answer_is_gone_on_with(self, engine: Engine) -> None:
        await goes_on_with_a_begun_answer(engine)


class TestOpenaiContract(EngineContract, Extras):
    name = "openai"
    model = "demo"
    servers: set[int] = set()

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def served(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        port, log = free_port(), tmp_path_factory.mktemp("served") / "serve.log"
        cls.args = {"base_url": f"http://127.0.0.1:{port}/v1", "wait": START_SECONDS, "start_wait": START_SECONDS}
        with vllm_serve(port, log):
            yield

    @pytest.mark.asyncio(loop_scope="class")
    async def test_closing_twice_is_harmless_and_leaves_no_child_process(self, engine: Engine) -> None:
        """The server is this test's own child, and the engine leaves it alone."""
        before = descendants()
        await engine.close()
        await engine.close()
        assert descendants().keys() <= before.keys()
