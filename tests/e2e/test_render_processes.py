"""A launch with render processes whose worker is killed: nothing lost, every byte the same, no process left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.chaos import ENV, processes_of
from tests.helpers import lines_written, wait_until
from vlmeval_mp.core.paths import JobsPaths

pytestmark = [pytest.mark.vllm, pytest.mark.soak, pytest.mark.timeout(1500)]
pytest.importorskip("vllm")

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = 200


def launch(jobs, processes):
    command = [
        sys.executable, "-m", "vlmeval_mp.cli", "launch", "--model", "vlmeval_mp/demo/model",
        "--data", "vlmeval_mp/demo/data/DigitsMCQ.tsv", "--engine", "vllm", "--engine-args", '{"max_model_len": 2048}',
        "--limit", str(SAMPLES), "--device", "cpu", "--max-workers", "1", "--batch-size", "8",
        "--render-processes", str(processes), "--jobs", str(jobs), "--run", "r", "--plain",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return process, JobsPaths(jobs).run("r")


def result(paths):
    return (paths.results("model", "DigitsMCQ") / "predictions.jsonl").read_bytes()


def test_a_worker_that_is_killed_takes_its_render_processes_along_and_the_next_one_goes_on(tmp_path):
    process, calm = launch(tmp_path / "calm", 0)
    assert process.wait() == 0, process.stdout.read()
    process, paths = launch(tmp_path / "killed", 2)
    while lines_written(paths) < SAMPLES // 4:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    lines = processes_of(paths)
    rendering = {pid for pid, line in lines.items() if "engines.renderprocess" in line}
    (worker,) = (pid for pid, line in lines.items() if "vlmeval_mp.pool.worker" in line and "guardian" not in line)
    assert len(rendering) == 2
    os.kill(worker, signal.SIGKILL)
    killed_at = lines_written(paths)
    wait_until(lambda: not rendering & set(processes_of(paths)))
    assert process.wait() == 0, process.stdout.read()
    assert killed_at < SAMPLES
    assert lines_written(paths) == SAMPLES, "an answer that was recorded is not asked for again"
    assert result(paths) == result(calm)
    assert processes_of(paths) == {}
