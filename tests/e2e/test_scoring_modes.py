"""Strict and compat through the whole command line: asked at launch, at a relaunch, and when scoring again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builders import text_tsv
from vlmeval_mp.cli import main as cli
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.scoring.base import COMPAT

ANSWERS = {"0": "A. because zero divides by two and thus fits", "1": "B", "2": "A", "3": "A"}
"""Right, right, right, wrong; VLMEvalKit misses the first, whose letter stands too far from the end."""


class Place:
    def __init__(self, folder: Path) -> None:
        self.tsv, self.jobs = text_tsv(folder / "numbers.tsv", 4), folder / "jobs"
        self.paths = JobsPaths(self.jobs).run("r")
        self.config = folder / "config.json"
        self.log = folder / "asked.log"

    def launch(self, *flags: str, **keys: Any) -> int:
        args = {"answers": ANSWERS, "log": str(self.log)}
        model = {"fake": {"engine": "fake", "engine_args": args}}
        self.config.write_text(json.dumps({"model": model, "data": {"numbers": {"path": str(self.tsv)}}, **keys}))
        return self.main("launch", "--config", str(self.config), "--run", "r", "--device", "cpu", "--plain", *flags)

    def main(self, *arguments: str) -> int:
        return cli.main([*arguments, "--jobs", str(self.jobs)])

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.paths.results("fake", "numbers") / "summary.json").read_bytes())
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_both_modes_are_in_the_summary_and_strict_comes_first(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.launch() == 0
    summary = place.summary()
    assert (summary["scoring"], summary["metrics"]["accuracy"]) == ("strict", 0.75)
    assert summary["other"]["scoring"] == COMPAT
    assert (summary["other"]["metrics"]["accuracy"], summary["other"]["differ"]) == (0.5, 1)
    assert f"numbers: 1 sample differs between compat and strict ({COMPAT}: 50.00 %)" in capsys.readouterr().out


def test_a_relaunch_with_the_other_mode_asks_nothing_again(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.launch()
    asked = place.log.read_text()
    assert place.launch("--scoring", "compat") == 0
    assert place.log.read_text() == asked
    assert (place.summary()["scoring"], place.summary()["metrics"]["accuracy"]) == (COMPAT, 0.5)
    assert f"scored as {COMPAT}" in capsys.readouterr().out
    place.launch()
    assert place.summary()["scoring"] == "strict"


def test_the_config_says_the_mode_and_a_flag_wins(place: Place) -> None:
    place.launch(scoring="compat")
    assert place.summary()["scoring"] == COMPAT
    place.launch("--scoring", "strict", scoring="compat")
    assert place.summary()["scoring"] == "strict"


def test_a_relaunch_with_another_scorer_in_its_config_scores_with_that(place: Place) -> None:
    place.launch()
    assert place.summary()["scorers"] == {"mcq": 4}
    data = {"numbers": {"path": str(place.tsv), "scorer": "exact"}}
    place.launch(data=data)
    assert place.summary()["scorers"] == {"exact": 4}
    place.main("launch", "--config", str(place.config), "--run", "r", "--mode", "eval", "--scoring", "compat")
    assert (place.summary()["scorers"], place.summary()["scoring"]) == ({"exact": 4}, COMPAT)


def test_a_relaunch_that_reads_answers_out_of_a_box_scores_with_that(place: Place) -> None:
    place.launch()
    args = {"answers": ANSWERS | {"3": "\\boxed{B} or A"}, "log": str(place.log)}
    model = {"fake": {"engine": "fake", "engine_args": args, "post_process": "last_boxed"}}
    config = json.loads(place.config.read_text()) | {"model": model}
    first = {"fake": {**model["fake"], "post_process": ""}}
    for run, entry in (("s", first), ("s", model)):
        place.config.write_text(json.dumps(config | {"model": entry}))
        place.main("launch", "--config", str(place.config), "--run", run, "--device", "cpu", "--plain")
    lines = (JobsPaths(place.jobs).run("s").results("fake", "numbers") / "scores.jsonl").read_text().splitlines()
    assert json.loads(lines[3])["extracted"] == "B"


def test_eval_scores_again_in_either_mode(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.launch()
    capsys.readouterr()
    assert place.main("eval", "r", "--scoring", "compat", "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["scoring"], result["metrics"]["accuracy"], result["other"]["differ"]) == (COMPAT, 0.5, 1)
    assert place.main("eval", "r") == 0
    assert place.summary()["scoring"] == "strict"


def test_resume_of_a_finished_run_scores_in_the_mode_asked_for(place: Place) -> None:
    place.launch()
    assert place.main("resume", "r", "--device", "cpu", "--plain", "--scoring", "compat") == 0
    assert place.summary()["scoring"] == COMPAT


@pytest.mark.parametrize("form", ["xlsx", "tsv", "json"])
def test_the_table_in_vlmevalkits_tree_scores_as_the_run_it_came_from(
    place: Place, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRED_FORMAT", form)
    tree = place.jobs.parent / "outputs"
    place.launch("--work-dir", str(tree))
    capsys.readouterr()
    assert cli.main(["eval", "--predictions", str(tree / "fake" / f"fake_numbers.{form}"), "--json"]) == 0
    (theirs,) = json.loads(capsys.readouterr().out)["results"]
    ours = place.summary()
    for key in ("metrics", "stderrs", "counts", "other", "scorers"):
        assert theirs[key] == ours[key]
