"""The demo as a newcomer runs it: real vLLM, two workers on CPU cores, four data sets, the numbers of its README."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.chaos import ENV, processes_of
from vlmeval_mp.core.paths import JobsPaths

ROOT = Path(__file__).resolve().parent.parent.parent
REQUIRED = {"DigitsVQA": 0.95, "DigitsMCQ": 0.90, "DigitsYORN": 0.90, "DigitsVideo": 0.60}
SAMPLES = {"DigitsVQA": 400, "DigitsMCQ": 400, "DigitsYORN": 400, "DigitsVideo": 60}
ROUNDING = 0.0051


def published() -> dict[str, float]:
    readme = (ROOT / "vlmeval_mp" / "demo" / "README.md").read_text()
    table = readme.split("<!-- accuracy -->", 1)[1].split("\n\n", 1)[0]
    return {name: float(value) for name, value in re.findall(r"^\|\s*(Digits\w+)\s*\|\s*([0-9.]+)\s*\|", table, re.M)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    jobs = tmp_path_factory.mktemp("demo") / "jobs"
    command = [sys.executable, "-m", "vlmeval_mp.cli", "launch", "jobs/demo.json", "--jobs", str(jobs), "--plain"]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=420)
    assert done.returncode == 0, done.stdout + done.stderr
    return JobsPaths(jobs).run("demo"), done.stdout


def summary(paths, dataset):
    return json.loads((paths.results("demo", dataset) / "summary.json").read_bytes())


@pytest.mark.vllm
@pytest.mark.timeout(480)
@pytest.mark.parametrize("dataset", sorted(REQUIRED))
def test_the_demo_reaches_its_accuracy_and_the_one_its_readme_gives(demo, dataset):
    paths, _ = demo
    found = summary(paths, dataset)
    assert found["counts"]["scored"] == found["counts"]["total"] >= SAMPLES[dataset]
    accuracy = found["metrics"]["accuracy"]
    assert accuracy >= REQUIRED[dataset]
    assert abs(accuracy - published()[dataset]) <= ROUNDING


@pytest.mark.vllm
def test_the_demo_used_two_pinned_workers_and_left_no_process(demo):
    paths, output = demo
    logs = {p.stem: p.read_text() for p in paths.logs.glob("w*.log")}
    assert set(logs) == {"w0", "w1"}
    assert "vLLM" in logs["w0"] or "vllm" in logs["w0"]
    assert "DigitsVideo" in output
    assert processes_of(paths) == {}
