"""The tree under --work-dir over several launches of one run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from tests.builders import text_tsv
from tests.faults.chaos import ENV

WHAT = ["--model", "org/fake", "--engine", "fake", "--data", "one.tsv", "two.tsv", "--run", "r"]
HOW = ["--device", "cpu", "--plain", "--work-dir", "out", "--max-workers", "1"]


LAUNCH = [sys.executable, "-m", "vlmeval_mp.cli", "launch", *WHAT, *HOW]


def interrupted(folder: Path) -> None:
    """A launch that is asked to stop once the first data set has its results."""
    slow = ["--engine-args", json.dumps({"latency": 0.15}), "--batch-size", "1"]
    running = subprocess.Popen([*LAUNCH, *slow], cwd=folder, env=ENV, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "jobs" / "r" / "results" / "fake" / "one" / "summary.json").exists():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130


def states(run: Path) -> dict[str, str]:
    entries = json.loads((run / "status.json").read_text())["datasets"]
    return {name: entry["status"] for name, entry in entries.items()}


def test_what_one_launch_leaves_open_the_next_completes(tmp_path: Path) -> None:
    text_tsv(tmp_path / "one.tsv", 100)  # the largest job is asked first
    text_tsv(tmp_path / "two.tsv", 40)
    interrupted(tmp_path)
    home = tmp_path / "out" / "fake"
    (first,) = home.glob("T*")
    assert states(first) == {"one": "done", "two": "infer"}
    assert not list(first.glob("fake_two*"))
    before = {path: path.read_bytes() for path in first.iterdir()}
    done = subprocess.run(LAUNCH, cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.read_bytes() for path in first.iterdir()} == before
    (second,) = set(home.glob("T*")) - {first}
    assert states(second) == {"one": "done", "two": "done"}
    for name, samples in (("one", 100), ("two", 40)):
        assert len(pd.read_excel(home / f"fake_{name}.xlsx")) == samples
