"""The plugin changes how vLLM's processes wait and take requests in where a worker asked for it, and nowhere else."""

import os
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from vlmeval_mp.engines.vllm import intake, plugin

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
    env = {k: v for k, v in os.environ.items() if k not in (plugin.NAPS, plugin.GATE)}
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
import multiprocessing, os, psutil, sys, threading, time
from vlmeval_mp.engines.vllm import processes

spawn = multiprocessing.get_context("spawn")

def niceness(ids):
    return {os.getpriority(os.PRIO_PROCESS, int(each)) for each in ids}

def scheduler():
    spawn.Process(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(60)

if __name__ == "__main__":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[2])])
    child = spawn.Process(target=scheduler)
    child.start()
    while not (below := psutil.Process(child.pid).children()):
        time.sleep(0.01)
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    processes.give_way([child], naps=bool(int(sys.argv[1])))
    below = [process.pid for process in below]
    print(niceness(os.listdir("/proc/self/task")), niceness([child.pid]), niceness(below), flush=True)
    for process in psutil.Process().children(recursive=True):
        process.kill()
"""


@pytest.mark.parametrize(
    ("naps", "cores", "feeder", "scheduler", "model"),
    [("1", 2, 4, 0, 0), ("0", 2, 0, 5, 0), ("1", 1, 0, 5, 5), ("0", 1, 0, 10, 5)],
)
def test_who_goes_first_depends_on_the_cores_and_on_who_spins(tmp_path, naps, cores, feeder, scheduler, model):
    if len(os.sched_getaffinity(0)) < cores:
        pytest.skip("needs two cores")
    script = tmp_path / "niceness.py"
    script.write_text(NICENESS)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    argv = [sys.executable, script, naps, str(cores)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    usual = os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert done.stdout.split() == [f"{{{usual + more}}}" for more in (feeder, scheduler, model)], done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_only_below_a_worker_that_asks_for_it_processes_sleep_between_two_looks():
    assert shown(**{plugin.NAPS: "1"}) == [[plugin.__name__, "nap"], ["False"]]
    assert shown() == [["vllm.distributed.utils", "sched_yield"], ["False"]]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_only_the_engine_of_a_worker_that_asks_for_it_has_requests_wait_for_the_end_of_a_step():
    theirs = ["vllm.distributed.utils", "sched_yield"]
    assert shown("engine", **{plugin.GATE: "1"}) == [theirs, [intake.__name__, intake.__name__]]
    assert shown("engine", **{plugin.GATE: "0"}) == [theirs, ["vllm.v1.engine.core", "zmq.sugar.poll"]]
    assert shown(**{plugin.GATE: "1"}) == [theirs, ["False"]], "a render process has no engine to load for this"


def test_a_nap_leaves_the_core_to_others():
    began, used = time.monotonic(), time.thread_time()
    for _ in range(50):
        plugin.nap()
    assert time.thread_time() - used < (time.monotonic() - began) / 2
