"""A run folder that an older commit left half answered is brought to its end by today's code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.chaos import ENV
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.runs.snapshot import read_record

HALFWAY = Path(__file__).parent.parent / "runs" / "halfway"
RESUME = ["resume", "half"]
LAUNCH = ["launch", "--config", "config.json", "--engine", "fake", "--engine-args", '{"fail":["7"]}', "--run", "half"]


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "place"
    shutil.copytree(HALFWAY, place)
    for folder in ("pending", "claimed", "failed"):
        (place / "jobs/half/queue" / folder).mkdir(exist_ok=True)
    return place


@pytest.mark.parametrize("command", [RESUME, LAUNCH], ids=["resume", "launch"])
def test_an_older_run_goes_on_where_it_stopped_and_ends_with_the_same_answers(place, command):
    paths = JobsPaths(place / "jobs").run("half")
    kept = {path: path.read_bytes() for path in paths.checkpoints.rglob("*.jsonl")}
    how = ["--jobs", "jobs", "--device", "cpu", "--max-workers", "2", "--batch-size", "16", "--plain"]
    done = subprocess.run(
        [sys.executable, "-m", "vlmeval_mp.cli", *command, *how],
        cwd=place, env=ENV, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr  # sample 7 is scripted to fail
    assert rows(paths.results("fake", "numbers") / "predictions.jsonl") == rows(HALFWAY / "expected.jsonl")
    assert {path: path.read_bytes() for path in kept} == kept
    asked = [row["row"] for path in paths.checkpoints.rglob("*.jsonl") for row in rows(path) if "index" in row]
    assert len(asked) == 60, "an answer of the older commit was asked again"
    assert read_record(paths).provenance["commit"] == "dea118c"
