"""A hang ends by itself, a stopped worker is replaced, and a drain has an end."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.faults.chaos import ENV, launch_command, processes_of, text_benchmark, workers_of
from tests.helpers import lines_written, wait_until
from vlmeval_mp.core.paths import JobsPaths


def started(tmp_path, engine_args, *more, samples=40):
    tsv = text_benchmark(tmp_path / "numbers.tsv", samples)
    command = launch_command(tsv, tmp_path / "jobs", "r", 1, engine_args, *more)
    return subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, text=True), JobsPaths(tmp_path / "jobs").run("r")


@pytest.mark.timeout(300)
def test_a_sample_that_hangs_its_engine_is_the_only_one_to_fail(tmp_path):
    process, paths = started(tmp_path, {"hang": ["5"], "child": True}, "--sample-timeout", "2", "--batch-size", "4")
    out, _ = process.communicate(timeout=280)
    assert process.returncode == 1, out
    lines = (paths.results("fake", "numbers") / "predictions.jsonl").read_text().splitlines()
    assert [row["index"] for row in map(json.loads, lines) if "error" in row] == ["5"]
    assert "is stuck: a sample has been in its engine" in out
    log = paths.log("w0").read_text()
    assert "most recent call first" in log and "asyncio" in log
    assert processes_of(paths) == {}


@pytest.mark.timeout(300)
def test_a_stopped_worker_is_noticed_killed_and_replaced(tmp_path):
    process, paths = started(tmp_path, {"latency": 0.3}, "--stall-timeout", "5", "--batch-size", "1")
    wait_until(lambda: lines_written(paths) > 2)
    (worker,) = workers_of(paths)
    os.kill(worker, signal.SIGSTOP)
    out, _ = process.communicate(timeout=280)
    assert process.returncode == 0, out
    assert "is stuck: no sign of life" in out


@pytest.mark.timeout(300)
def test_a_stopped_worker_holds_a_drain_no_longer_than_it_may_last(tmp_path):
    process, paths = started(tmp_path, {"latency": 0.3}, "--drain-seconds", "2", "--batch-size", "1")
    wait_until(lambda: lines_written(paths) > 2)
    (worker,) = workers_of(paths)
    os.kill(worker, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "not finished after 2 s" in out
    assert processes_of(paths) == {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 143)])
def test_a_third_signal_ends_at_once(tmp_path, number, code):
    process, paths = started(tmp_path, {"latency": 60}, "--batch-size", "1")
    wait_until(lambda: workers_of(paths))
    for _ in range(3):
        process.send_signal(number)
        time.sleep(0.01)
    process.wait(timeout=30)
    assert process.returncode == code
    wait_until(lambda: not processes_of(paths), 30)
