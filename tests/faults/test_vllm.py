"""Every process of a launch with real vLLM, killed and stopped in the middle: equal bytes, nothing left, in time.

Minutes for each, so `scripts/test soak tests/faults/test_vllm.py` runs them, and prints how long each took.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faults.chaos import ENV, answered_ids, children_of, parent_of, processes_of, workers_of
from tests.helpers import lines_written, wait_until
from vlmeval_mp.core.paths import JobsPaths

pytestmark = [pytest.mark.vllm, pytest.mark.soak, pytest.mark.timeout(1500)]
pytest.importorskip("vllm")

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = 200
WINDOW = 8
STALL_SECONDS = 60
"""What `--stall-timeout` says here: a stopped process must be noticed within it; no stage of loading takes longer."""
ASLEEP_SECONDS = 30.0
"""After which a stopped supervisor or guardian, on which no answer depends, is woken again."""
LIMIT_SECONDS = 900.0
"""From the signal to the end of the launch: two starts of vLLM on a busy machine with two cores."""


def launch(jobs: Path, processes: int):
    command = [
        sys.executable, "-m", "vlmeval_mp.cli", "launch", "--model", "vlmeval_mp/demo/model",
        "--data", "vlmeval_mp/demo/data/DigitsMCQ.tsv", "--engine", "vllm", "--engine-args", '{"max_model_len": 2048}',
        "--limit", str(SAMPLES), "--device", "cpu", "--max-workers", "1", "--batch-size", str(WINDOW),
        "--render-processes", str(processes), "--stall-timeout", str(STALL_SECONDS), "--jobs", str(jobs), "--run", "r",
        "--plain",
    ]  # fmt: skip
    jobs.mkdir()
    with (jobs / "screen.log").open("ab") as screen:
        process = subprocess.Popen(command, cwd=ROOT, env=ENV, stdout=screen, stderr=screen)
    return process, JobsPaths(jobs).run("r")


def screen(paths) -> str:
    return (paths.root.parent / "screen.log").read_text()


def result(paths) -> bytes:
    return (paths.results("model", "DigitsMCQ") / "predictions.jsonl").read_bytes()


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> bytes:
    """The results of a launch that nobody disturbs, without render processes."""
    process, paths = launch(tmp_path_factory.mktemp("vllm") / "calm", 0)
    assert process.wait() == 0, screen(paths)
    return result(paths)


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


def victim_of(kind: str, supervisor: int, worker: int) -> int:
    children = children_of(worker)
    found = {
        "worker": [worker],
        "EngineCore": [pid for pid in children if "EngineCore" in name_of(pid)],
        "render process": [pid for pid, line in processes_of_worker(worker) if "engines.renderprocess" in line],
        "supervisor": [supervisor],
        "guardian": [parent_of(worker)],
    }[kind]
    assert found, f"no {kind} among {[(pid, name_of(pid)) for pid in children]}"
    return found[0]


def processes_of_worker(worker: int) -> list[tuple[int, str]]:
    found = []
    for pid in children_of(worker):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        found.append((pid, b" ".join(words).decode("utf-8", "replace")))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("kind", ["worker", "EngineCore", "render process", "supervisor", "guardian"])
def test_nothing_is_lost_or_left_whatever_process_is_struck(tmp_path, calm, kind, number):
    process, paths = launch(tmp_path / "struck", 2)
    while lines_written(paths) < SAMPLES // 4:
        assert process.poll() is None, screen(paths)
        time.sleep(0.02)
    (worker,) = workers_of(paths)
    victim = victim_of(kind, process.pid, worker)
    os.kill(victim, number)
    struck, before = time.monotonic(), lines_written(paths)
    assert before < SAMPLES
    if number == signal.SIGSTOP and kind in ("supervisor", "guardian"):
        threading.Timer(ASLEEP_SECONDS, os.kill, (victim, signal.SIGCONT)).start()
    code = process.wait(LIMIT_SECONDS)
    ended = time.monotonic() - struck
    if kind == "supervisor" and number == signal.SIGKILL:
        assert code == -signal.SIGKILL
        wait_until(lambda: not processes_of(paths), 10)
        process = resume(paths)
        code = process.wait(LIMIT_SECONDS)
        ended = time.monotonic() - struck
    print(f"{kind}, {signal.Signals(number).name}: {before} answered, over {ended:.0f} s later")
    assert code == 0, screen(paths)
    assert result(paths) == calm
    found = answered_ids(paths)
    assert len(found) == len(set(found)) == SAMPLES, "an answer that was recorded is not asked for again"
    assert processes_of(paths) == {}
    if number == signal.SIGKILL:  # one that stands still may hang in its samples, which then run alone
        assert not list(paths.suspects.glob("*")), "nobody is to blame"


def resume(paths):
    command = [sys.executable, "-m", "vlmeval_mp.cli", "resume", "r", "--jobs", str(paths.root.parent), "--plain"]
    more = ["--device", "cpu", "--max-workers", "1", "--batch-size", str(WINDOW)]
    with (paths.root.parent / "screen.log").open("ab") as output:
        return subprocess.Popen([*command, *more], cwd=ROOT, env=ENV, stdout=output, stderr=output)
