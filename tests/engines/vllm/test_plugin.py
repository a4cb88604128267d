"""vLLM's processes sleep while they wait for each other where a worker on the CPU asked for it, and nowhere else."""

import os
import subprocess
import sys
import textwrap
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from vlmeval_mp.engines.vllm import plugin

pytest.importorskip("vllm")
SHOW = """
import vllm.distributed.device_communicators.shm_broadcast as queue
from vllm.plugins import load_general_plugins
load_general_plugins()
print(queue.sched_yield.__module__, queue.sched_yield.__name__)
"""


def waits_by(**environ):
    env = {k: v for k, v in os.environ.items() if k != plugin.NAPS} | {"VLLM_LOGGING_LEVEL": "ERROR"} | environ
    done = subprocess.run([sys.executable, "-c", SHOW], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-2:]


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
    assert waits_by(**{plugin.NAPS: "1"}) == [plugin.__name__, "nap"]
    assert waits_by() == ["vllm.distributed.utils", "sched_yield"]


def test_a_nap_leaves_the_core_to_others():
    began, used = time.monotonic(), time.thread_time()
    for _ in range(50):
        plugin.nap()
    assert time.thread_time() - used < (time.monotonic() - began) / 2
