"""The plugin changes how vLLM's processes wait and take requests in where a worker asked for it, and nowhere else."""

import os
import subprocess
import sys
import textwrap
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from vlmeval_mp.engines.vllm import plugin, turns

pytest.importorskip("vllm")
SHOW = """
import sys
import vllm.distributed.device_communicators.shm_broadcast as queue
from vllm.plugins import load_general_plugins
if "engine" in sys.argv:
    from vllm.v1.engine import core
load_general_plugins()
print(queue.sched_yield.__module__, queue.sched_yield.__name__)
if "engine" in sys.argv:
    print(core.EngineCoreProc._process_input_queue.__module__, core.zmq.Poller.__module__)
else:
    print("vllm.v1.engine.core" in sys.modules)
"""


def shown(*argv, **environ):
    env = {k: v for k, v in os.environ.items() if k not in (plugin.NAPS, plugin.TURNS)}
    env |= {"VLLM_LOGGING_LEVEL": "ERROR"} | environ
    done = subprocess.run([sys.executable, "-c", SHOW, *argv], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()[-2:]]


def test_vllm_finds_the_plugin_unless_it_is_left_out(monkeypatch):
    (found,) = [each for each in entry_points(group="vllm.general_plugins") if each.name == "vlmeval-mp"]
    assert found.load() is plugin.register
    monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    assert plugin.works()
    monkeypatch.setenv("VLLM_PLUGINS", "another,vlmeval-mp")
    assert plugin.works()
    monkeypatch.setenv("VLLM_PLUGINS", "another")
    assert not plugin.works()
    monkeypatch.delenv("VLLM_PLUGINS")
    monkeypatch.delattr("vllm.distributed.device_communicators.shm_broadcast.sched_yield")
    assert not plugin.works(), "a vLLM that waits in another way"


NICENESS = """
import multiprocessing, os, sys, threading, time
from vlmeval_mp.engines.vllm import processes
child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), daemon=True)
child.start()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
processes.give_way(naps=bool(int(sys.argv[1])))
print(os.getpriority(os.PRIO_PROCESS, os.getpid()), os.getpriority(os.PRIO_PROCESS, child.pid))
print({os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in os.listdir("/proc/self/task")})
"""


@pytest.mark.parametrize(("naps", "feeder", "scheduler"), [("1", 4, 0), ("0", 0, 5)])
def test_the_one_that_uses_a_core_only_for_its_work_goes_first(tmp_path, naps, feeder, scheduler):
    script = tmp_path / "niceness.py"
    script.write_text("if __name__ == '__main__':\n" + textwrap.indent(NICENESS, "    "))
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, script, naps], env=env, capture_output=True, text=True, timeout=60)
    usual = os.getpriority(os.PRIO_PROCESS, os.getpid())
    expected = [str(usual + feeder), str(usual + scheduler), f"{{{usual + feeder}}}"]
    assert done.stdout.split() == expected, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_only_below_a_worker_that_asks_for_it_processes_sleep_between_two_looks():
    assert shown(**{plugin.NAPS: "1"}) == [[plugin.__name__, "nap"], ["False"]]
    assert shown() == [["vllm.distributed.utils", "sched_yield"], ["False"]]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_only_the_engine_of_a_worker_that_asks_for_it_takes_turns_with_its_requests():
    theirs = ["vllm.distributed.utils", "sched_yield"]
    assert shown("engine", **{plugin.TURNS: "1"}) == [theirs, [turns.__name__, turns.__name__]]
    assert shown("engine") == [theirs, ["vllm.v1.engine.core", "zmq.sugar.poll"]]
    assert shown(**{plugin.TURNS: "1"}) == [theirs, ["False"]], "a render process has no engine to load for this"


def test_a_nap_leaves_the_core_to_others():
    began, used = time.monotonic(), time.thread_time()
    for _ in range(50):
        plugin.nap()
    assert time.thread_time() - used < (time.monotonic() - began) / 2
