from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines.contract import EngineContract, ask, descendants, picture
from vlmeval_mp.core.errors import ConfigError, EngineError, RequestError
from vlmeval_mp.core.records import Request
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.engines.fake import FakeEngine


class TestFakeContract(EngineContract):
    name = "fake"
    model = "fake"
    args = {"latency": 0.001, "fail": ["bad"], "child": True}

    @classmethod
    def bad_request(cls) -> Request:
        return ask("bad", "anything")


async def started(**args: Any) -> FakeEngine:
    engine = FakeEngine(EngineSpec(model="fake", args=args))
    await engine.start()
    return engine


async def test_answers_depend_on_the_request_and_not_on_the_engine_or_the_order() -> None:
    asked = [ask(str(n), "same text", (picture(n),)) for n in range(5)]
    one, other = await started(), await started(latency=0.001, jitter=0.01)
    forwards = [(await one.generate(request)).text for request in asked]
    backwards = await asyncio.gather(*(other.generate(request) for request in reversed(asked)))
    assert [done.text for done in reversed(backwards)] == forwards
    assert len(set(forwards)) == 5


async def test_echo_and_scripted_answers_are_given() -> None:
    assert (await (await started(answers="echo")).generate(ask("1", "say this", max_tokens=100))).text == "say this"
    table = await started(answers={"1": "A"})
    assert (await table.generate(ask("1", "?"))).text == "A"
    assert (await table.generate(ask("2", "?"))).text not in ("", "A")


async def test_concurrency_bounds_how_many_are_served_at_once() -> None:
    engine = await started(latency=0.05, concurrency=2)
    began = time.perf_counter()
    await asyncio.gather(*(engine.generate(ask(str(n), "?")) for n in range(6)))
    assert 0.14 < time.perf_counter() - began < 0.6


async def test_the_log_has_one_line_per_generated_answer_and_none_for_a_refused_one(tmp_path: Path) -> None:
    log = tmp_path / "generated"
    engine = await started(log=str(log), fail=["2"])
    await asyncio.gather(*(engine.generate(ask(str(n), "?")) for n in range(4)), return_exceptions=True)
    await engine.close()
    assert sorted(log.read_text().split("\n")) == ["", *(f"{n} {os.getpid()}" for n in (0, 1, 3))]


async def test_a_broken_engine_stays_broken() -> None:
    engine = await started(raise_engine=["2"])
    await engine.generate(ask("1", "?"))
    with pytest.raises(EngineError, match="'2'"):
        await engine.generate(ask("2", "?"))
    with pytest.raises(EngineError):
        await engine.generate(ask("1", "?"))


async def test_an_engine_can_be_told_to_break_after_so_many_requests() -> None:
    engine = await started(raise_engine=2)
    await engine.generate(ask("a", "?"))
    await engine.generate(ask("b", "?"))
    with pytest.raises(EngineError):
        await engine.generate(ask("c", "?"))


async def test_a_hanging_request_holds_nobody_else_up() -> None:
    engine = await started(hang=["1"])
    hanging = asyncio.create_task(engine.generate(ask("1", "?")))
    assert (await engine.generate(ask("2", "?"))).text
    await asyncio.sleep(0.02)
    assert not hanging.done()
    hanging.cancel()


async def test_a_fault_scripted_to_strike_once_is_remembered_by_other_processes(tmp_path: Path) -> None:
    for broken in (True, False):
        engine = await started(raise_engine=["1"], once=str(tmp_path / "struck"))
        if broken:
            with pytest.raises(EngineError):
                await engine.generate(ask("1", "?"))
        else:
            assert (await engine.generate(ask("1", "?"))).text


def test_a_deadly_sample_kills_the_process_before_it_is_logged(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from tests.engines.test_fake import started, ask\n"
        "async def main():\n"
        "    engine = await started(die=['2'], log=sys.argv[1])\n"
        "    for n in range(4): await engine.generate(ask(str(n), '?'))\n"
        "asyncio.run(main())\n"
    )
    log = tmp_path / "generated"
    done = subprocess.run([sys.executable, "-c", script, str(log)], timeout=60)
    assert done.returncode == -signal.SIGSEGV
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["0", "1"]


async def test_a_scripted_child_process_lives_until_the_engine_is_closed() -> None:
    engine = await started(child=True)
    assert len(descendants()) == 1
    await engine.close()
    assert descendants() == {}


@pytest.mark.parametrize("args", [{"latency": "fast"}, {"answers": "loud"}, {"fail": "1"}])
def test_an_argument_of_the_wrong_kind_is_refused_by_name(args: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(args))):
        FakeEngine(EngineSpec(model="fake", args=args))


async def test_a_refused_request_says_which() -> None:
    with pytest.raises(RequestError, match="'7'"):
        await (await started(fail=["7"])).generate(ask("7", "?"))
