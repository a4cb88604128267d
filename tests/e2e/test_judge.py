"""A judge at an endpoint of this machine, from the command line to every place that shows its scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import Endpoint, endpoint
from tests.vlmevalkit.conftest import LmuData, jpeg

SAID = {"1": "thing 1", "2": "a thing", "3": "no idea", "4": "it has whiskers", "5": "it barks", "6": "B"}


def judged(prompt: str) -> str:
    """What a judge answers: a share of the words of the truth for MM-Vet, a letter for a reply on a choice."""
    if prompt.rstrip().endswith("|"):  # MM-Vet's last row: question | truth | prediction |
        truth, prediction = (cell.split() for cell in prompt.rstrip().split("|")[-3:-1])
        return f"{sum(word in prediction for word in truth) / len(truth):.1f}"
    reply = prompt.rpartition("Answer:")[2]
    return "A" if "whiskers" in reply else "B" if "barks" in reply else "Z"


@pytest.fixture
def judge() -> Iterator[Endpoint]:
    with endpoint(reply=judged) as found:
        yield found


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., str]:
    """Run a command in a folder with MM-Vet, and MUIRBench of two choices; returns what it prints."""
    lmu = LmuData(tmp_path / "lmu")
    lmu.folder.mkdir()
    lmu.mmvet(3)
    choices = {"question": "<image> Which animal?", "A": "cat", "B": "dog", "hint": "", "category": "animals"}
    rows = [
        {"index": i, "image": jpeg(i)[1], **choices, "answer": answer} for i, answer in ((4, "A"), (5, "A"), (6, "B"))
    ]
    lmu.write("MUIRBench", rows)
    hidden = ("OPENAI_API_BASE", "OPENAI_API_KEY", "LOCAL_LLM")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env |= {"HF_HUB_OFFLINE": "1", "LMUData": str(lmu.folder)}

    def run(*words: Any) -> str:
        line = [sys.executable, "-m", "vlmeval_mp.cli", *map(str, words), "--jobs", str(tmp_path / "jobs")]
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def launch(*more: Any) -> list[Any]:
    engine = [
        "--engine",
        "fake",
        "--engine-args",
        json.dumps({"answers": SAID}),
        "--device",
        "cpu",
        "--max-workers",
        "1",
    ]
    return ["launch", "--model", "m", *engine, "--data", "MMVet", "MUIRBench", "--run", "r", "--plain", *more]


def test_a_judge_is_asked_as_told_and_its_scores_stand_everywhere(
    command: Callable[..., str], judge: Endpoint, tmp_path: Path
) -> None:
    given = ("--judge", "my-judge", "--judge-base-url", judge.url, "--judge-args", '{"temperature": 0.25, "seed": 7}')
    said = command(*launch(*given))
    assert "OPENAI_API_KEY" not in said
    assert "scored as vlmevalkit (ms-vlmeval 0.0.20, judge my-judge)" in said
    assert "MMVet done: 50.00" in said and "MUIRBench done: 0.6667" in said

    asked = [body for body in judge.bodies if body["messages"][0]["content"] != "hello"]
    assert {(body["model"], body["seed"]) for body in judge.bodies} == {("my-judge", 7)}
    # MM-Vet says itself how warm it asks; a choice that rules can read is no question
    temperatures = sorted((body["temperature"], "Correctness" in json.dumps(body)) for body in asked)
    assert temperatures == [(0.0, True)] * 3 + [(0.25, False)] * 2

    def summary(name: str) -> Any:
        return json.loads((tmp_path / f"jobs/r/results/m/{name}/summary.json").read_text())

    met = summary("MMVet")
    assert met["metrics"]["Category=Overall|acc"] == pytest.approx(50.0)
    assert met["scoring"] == "vlmevalkit (ms-vlmeval 0.0.20, judge my-judge)"
    assert summary("MUIRBench")["metrics"]["split=none|Overall"] == pytest.approx(2 / 3)

    for verb in (
        ("status", "r"),
        ("runs",),
        ("export", "r", "--format", "markdown"),
        ("export", "r", "--format", "csv"),
    ):
        shown = command(*verb)
        assert "0.6667" in shown or "0.666666" in shown, (verb, shown)
        assert "50.0" in shown, (verb, shown)
    (state,) = [job for job in json.loads(command("status", "r", "--json"))["jobs"] if job["dataset"] == "MUIRBench"]
    assert state["as_reported"] and state["score"] == pytest.approx(2 / 3)
    command("report", "r")
    html = (tmp_path / "jobs/r/report/index.html").read_text()
    assert '<span class="number">50.00</span>' in html and '<span class="number">0.6667</span>' in html


def test_answers_are_judged_later_by_eval(command: Callable[..., str], judge: Endpoint) -> None:
    assert "needs a judge" in command(*launch())
    assert not judge.bodies
    how = ("--judge", "my-judge", "--judge-base-url", f"{judge.url}/chat/completions", "--judge-args", '{"seed": 8}')
    said = command("eval", "r", *how)
    assert "50.00" in said and "0.6667" in said
    assert {body["seed"] for body in judge.bodies} == {8}
