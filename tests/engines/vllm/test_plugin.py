"""vLLM's processes sleep while they wait for each other where a worker on the CPU asked for it, and nowhere else."""

import os
import subprocess
import sys
import time
from importlib.metadata import entry_points

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


def test_vllm_finds_the_plugin():
    (found,) = [each for each in entry_points(group="vllm.general_plugins") if each.name == "vlmeval-mp"]
    assert found.load() is plugin.register


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
