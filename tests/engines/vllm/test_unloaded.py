"""What can be told of the vLLM engine without loading one: which errors are a request's own, who gets processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from PIL import Image

from tests.engines.contract import MODEL, ask
from tests.helpers import pid_of_the_dead
from vlmeval_mp.core.errors import EngineError, EngineKilledError, RequestError
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.engines.vllm import plugin

pytestmark = pytest.mark.vllm
pytest.importorskip("vllm")


def engine_that_raises(error: Exception, *, errored: bool = False) -> Any:
    from vlmeval_mp.engines.vllm.engine import VllmEngine

    async def add_request(*_: object) -> None:
        raise error

    engine: Any = VllmEngine(EngineSpec(MODEL))
    engine._llm = SimpleNamespace(add_request=add_request, errored=errored, output_handler=None)
    engine._rendering, engine._warm = (lambda _: {"type": "token"}), True
    return engine


def args_for(executor: str) -> Any:
    """What `_load` takes of vLLM's arguments."""
    parallel = SimpleNamespace(distributed_executor_backend=executor)
    config = SimpleNamespace(model_config=SimpleNamespace(max_model_len=64), parallel_config=parallel)
    return SimpleNamespace(create_engine_config=lambda _: config, enable_log_requests=False, disable_log_stats=True)


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


@pytest.mark.parametrize(
    ("images", "videos", "processes", "expected"), [(0, 0, 4, 0), (1, 0, 4, 4), (0, 1, 2, 2), (3, 0, 0, 0)]
)
def test_render_processes_are_started_where_there_are_media_and_before_the_weights_load(
    monkeypatch: pytest.MonkeyPatch, images: int, videos: int, processes: int, expected: int
) -> None:
    from vlmeval_mp.engines.vllm import engine as module

    events: list[str] = []

    class Pool:
        def __init__(self, count: int, *_: object) -> None:
            events.append(f"pool of {count}")

        def start(self) -> None:
            events.append("started")

    monkeypatch.setattr(module, "RenderPool", Pool)
    monkeypatch.setattr(module.AsyncLLM, "from_vllm_config", lambda *_, **__: events.append("weights"))
    spec = EngineSpec(MODEL, max_images=images, max_videos=videos, render_processes=processes)
    module.VllmEngine(spec)._load(args_for("mp"))
    assert events == [*([f"pool of {expected}", "started"] if expected else []), "weights"]


@pytest.mark.parametrize(
    ("executor", "users", "expected"),
    [("uni", None, "1"), ("uni", "0", "0"), ("mp", None, None), ("ray", None, None)],
)
def test_an_engine_whose_model_is_in_the_process_of_its_scheduler_has_requests_wait_for_the_end_of_a_step(
    monkeypatch: pytest.MonkeyPatch, executor: str, users: str | None, expected: str | None
) -> None:
    from vlmeval_mp.engines.vllm import engine as module

    monkeypatch.setenv(plugin.GATE, users or "of another test")
    if users is None:
        monkeypatch.delenv(plugin.GATE)
    seen: list[str | None] = []
    monkeypatch.setattr(module.AsyncLLM, "from_vllm_config", lambda *_, **__: seen.append(os.environ.get(plugin.GATE)))
    module.VllmEngine(EngineSpec(MODEL))._load(args_for(executor))
    assert seen == [expected]


@pytest.mark.parametrize("pooled", [True, False])
async def test_what_rendering_in_the_worker_needs_is_not_loaded_in_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    """With render processes it is loaded when the first text is to be rendered, which they are not asked for."""
    from vlmeval_mp.engines.vllm import engine as module

    async def tasks() -> tuple[str, ...]:
        return ("generate",)

    events: list[object] = []

    def note(what: object) -> None:
        events.append((what, "loop" if threading.current_thread() is threading.main_thread() else "thread"))

    renderer = SimpleNamespace(warmup=lambda _: note("all"))
    llm = SimpleNamespace(renderer=renderer, get_supported_tasks=tasks, errored=False, engine_core=SimpleNamespace())
    for name in ("VLLM_WORKER_MULTIPROC_METHOD", "VLLM_NO_USAGE_STATS", "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS"):
        monkeypatch.setenv(name, "as it was")
    monkeypatch.setattr(module.torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(module, "Rendering", lambda _: lambda request: note(request.id))
    engine: Any = module.VllmEngine(EngineSpec(MODEL, device="cuda"))
    engine._load = lambda _: llm
    if pooled:
        engine._pool = SimpleNamespace(attach=lambda: note("attached"))
    await engine.start()
    for name in ("a", "b"):
        await engine._prompt(ask(name, "?"))
    began = [("attached", "loop"), ("a", "thread")] if pooled else [("all", "thread"), ("a", "loop")]
    assert events == [*began, ("b", "loop")]
    engine._watch.cancel()


async def test_whatever_a_dead_engine_says_is_the_engines_error() -> None:
    with pytest.raises(EngineError, match="vLLM's engine died"):
        await engine_that_raises(ValueError("no connection"), errored=True).generate(ask("a", "?"))


@pytest.mark.parametrize(
    ("codes", "from_outside"),
    [([-signal.SIGKILL], True), ([-signal.SIGTERM], True), ([-signal.SIGSEGV], False), ([1], False), ([None], False),
     ([-signal.SIGKILL, -signal.SIGTERM], False), ([], False)],
)  # fmt: skip
async def test_only_a_signal_that_somebody_sent_to_the_one_engine_process_blames_nobody(
    codes: list[int | None], from_outside: bool
) -> None:
    engine = engine_that_raises(ValueError("no connection"), errored=True)
    engine._core = [SimpleNamespace(exitcode=code) for code in codes]
    with pytest.raises(EngineError, match="SIGKILL|SIGTERM" if from_outside else "engine died") as raised:
        await engine.generate(ask("a", "?"))
    assert isinstance(raised.value, EngineKilledError) is from_outside


async def test_an_engine_is_closed_although_its_child_has_gone_and_was_collected_by_somebody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ghost = SimpleNamespace(pid=pid_of_the_dead(), join=lambda _: None)
    monkeypatch.setattr(multiprocessing, "active_children", lambda: [ghost])
    engine = engine_that_raises(ValueError("no connection"), errored=True)
    ends: list[str] = []
    engine._llm.shutdown = lambda _: ends.append("shut down")
    await engine.close()
    assert ends == ["shut down"]


async def test_nobody_waits_for_an_engines_answers_when_it_is_shut_down() -> None:
    """vLLM's task would log the end of the engine as its death, with a traceback, although all went well."""
    engine = engine_that_raises(ValueError("unused"))
    engine._llm.output_handler = waiting = asyncio.create_task(asyncio.Event().wait())
    waits: list[bool] = []
    engine._llm.shutdown = lambda _: waits.append(waiting.cancelled() or waiting.cancelling() > 0)
    await engine.close()
    assert waits == [True]


async def test_one_thread_renders_at_a_time_and_a_text_does_not_stop_the_event_loop() -> None:
    import torch

    engine = engine_that_raises(ValueError("unused"))
    inside, most, ticks = 0, 0, 0

    def render(_: object) -> dict[str, Any]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.03)
        inside -= 1
        return {"mm_kwargs": {"image": [{"pixels": SimpleNamespace(data=torch.zeros(7, dtype=torch.uint8))}]}}

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    engine._rendering = render
    ticking = asyncio.create_task(tick())
    pictures = asyncio.gather(*(asyncio.to_thread(engine.rendered, ask(str(n), "?")) for n in range(6)))
    await asyncio.sleep(0.01)  # the first of them renders now
    assert engine._lock.locked()
    await engine._prompt(ask("text", "?"))
    ready = await pictures
    ticking.cancel()
    assert most == 1
    assert [request.nbytes for request in ready] == [7] * 6
    assert ticks > 15, "seven renderings of 30 ms went by in threads"


def test_a_family_is_a_process_and_all_below_it_and_nothing_where_it_has_gone() -> None:
    from vlmeval_mp.engines.vllm.processes import family

    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as stdout:
        child = int(stdout.readline())
    found = family([parent.pid])
    assert {process.pid for process in found} == {parent.pid, child}
    for process in found:
        process.kill()
    assert parent.wait() == -signal.SIGKILL
    assert family([parent.pid]) == []


def test_what_is_ended_is_collected_by_whoever_started_it() -> None:
    from vlmeval_mp.engines.vllm.processes import end, family

    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    assert child.pid is not None
    end(family([child.pid]), [child])
    assert child.exitcode == -signal.SIGKILL
    assert child not in multiprocessing.active_children(), "the next engine of this process would take it for its own"


def test_what_nobody_collects_is_not_waited_for() -> None:
    from vlmeval_mp.engines.vllm.processes import end, family

    code = "import subprocess, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as stdout:
        child = int(stdout.readline())
    try:
        began = time.monotonic()
        end(family([child]))
        assert time.monotonic() - began < 3
        assert psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    finally:
        parent.kill()
        parent.wait()


async def test_an_exit_code_that_is_known_a_moment_later_counts() -> None:
    class Late:
        asked = 0

        @property
        def exitcode(self) -> int | None:
            self.asked += 1
            return -signal.SIGKILL if self.asked > 2 else None

    engine = engine_that_raises(ValueError("no connection"), errored=True)
    engine._core = [Late()]
    with pytest.raises(EngineKilledError):
        await engine.generate(ask("a", "?"))


def test_limits_follow_the_window_and_the_memory_and_what_the_user_says_wins() -> None:
    from vlmeval_mp.engines.vllm import arguments
    from vlmeval_mp.engines.vllm.arguments import defaults

    assert defaults(EngineSpec(MODEL, window=12))["max_num_seqs"] == 12
    assert "max_num_seqs" not in defaults(EngineSpec(MODEL, window=1024)), "vLLM knows better what a large GPU carries"
    assert "max_num_seqs" not in defaults(EngineSpec(MODEL)), "the window is not known"
    assert defaults(EngineSpec(MODEL))["max_model_len"] == -1
    said = arguments.of(EngineSpec(MODEL, {"max_model_len": 512, "max_num_seqs": 3}, window=12))
    assert (said.max_model_len, said.max_num_seqs) == (512, 3)


def test_prompts_are_measured_and_limits_told_without_weights() -> None:
    from vlmeval_mp.engines.vllm import arguments, measuring
    from vlmeval_mp.engines.vllm.engine import VllmEngine

    ruler = VllmEngine(EngineSpec(MODEL, {"max_model_len": 2048}, window=12, max_images=2)).ruler()
    assert ruler.context == 2048
    assert ruler.settings["max_num_seqs"] == 12
    assert ruler.settings["limit_mm_per_prompt"] == {"image": 2}
    text, picture = (
        ruler.measure(ask("a", "How many?")),
        ruler.measure(ask("b", "How many?", (Image.new("RGB", (56, 56)),))),
    )
    assert text.media == 0
    assert picture.media == 4, "28 x 28 pixels make one token"
    config = arguments.of(EngineSpec(MODEL, {"max_model_len": 2048})).create_engine_config()
    assert "model_context" not in measuring.settings(config, 2048)
    assert measuring.settings(config, 4096)["model_context"] == 4096, "the KV cache held half of it"
    assert picture.tokens > text.tokens + 4 - 1
