"""One signal to every process of a launch at once, as `killall -9 python` and batch systems send it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.chaos import ENV, launch_command, parent_of, processes_of, text_benchmark, workers_of
from tests.helpers import lines_written, wait_until
from vlmeval_mp.core.paths import JobsPaths

SAMPLES = 60


@pytest.fixture
def at_work(tmp_path):
    """A launch of two workers, each with a child, that has answered something."""
    tsv = text_benchmark(tmp_path / "numbers.tsv", SAMPLES)
    command = launch_command(tsv, tmp_path / "jobs", "r", 2, {"latency": 0.4, "child": True}, "--batch-size", "2")
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    paths = JobsPaths(tmp_path / "jobs").run("r")
    wait_until(lambda: len(workers_of(paths)) == 2 and lines_written(paths) > 4)
    yield process, paths, command
    process.kill()
    process.communicate()


def named(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.mark.timeout(120)
def test_after_killall_python_nothing_is_left_and_the_next_launch_goes_on(at_work):
    process, paths, command = at_work
    guardians = {parent_of(pid) for pid in workers_of(paths)}
    everybody = {process.pid, *processes_of(paths), *guardians}
    hit = [pid for pid in everybody if named(pid).startswith("python")]
    assert process.pid in hit and len(hit) >= 5 and not guardians & set(hit)
    for pid in hit:
        os.kill(pid, signal.SIGKILL)
    before = lines_written(paths)
    wait_until(lambda: not processes_of(paths))
    assert lines_written(paths) == before, "somebody went on"
    assert subprocess.run(command, env=ENV, capture_output=True).returncode == 0
    assert before > 4 and lines_written(paths) == SAMPLES
    assert not list(paths.suspects.glob("*")), "nobody is to blame"


@pytest.mark.timeout(120)
def test_a_signal_to_every_process_ends_the_launch_resumably_and_blames_nobody(at_work):
    process, paths, command = at_work
    for pid in {process.pid, *processes_of(paths), *(parent_of(pid) for pid in workers_of(paths))}:
        os.kill(pid, signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 143, out
    assert not processes_of(paths)
    assert not list(paths.suspects.glob("*"))
    assert subprocess.run(command, env=ENV, capture_output=True).returncode == 0
    assert lines_written(paths) == SAMPLES
