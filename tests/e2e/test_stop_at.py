"""A job that ends early through the whole command line: where it ends, what it publishes, how it goes on."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.builders import text_tsv
from vlmeval_mp.cli import main as cli
from vlmeval_mp.core.paths import JobsPaths

SAMPLES = 1500
pytestmark = pytest.mark.slow


class Place:
    def __init__(self, folder: Path) -> None:
        self.jobs = folder / "jobs"
        self.tsv = text_tsv(folder / "numbers.tsv", SAMPLES)
        draw = random.Random(5)
        self.right = {str(i): draw.random() < 0.8 for i in range(SAMPLES)}
        answers = {i: "AB"[(int(i) + (not right)) % 2] for i, right in self.right.items()}
        self.log = folder / "asked.log"
        self.config = folder / "config.json"
        args = {"answers": answers, "log": str(self.log), "latency": 0.002, "jitter": 0.5}
        model = {"fake": {"engine": "fake", "engine_args": args}}
        self.config.write_text(json.dumps({"model": model, "data": {"numbers": {"path": str(self.tsv)}}}))

    def launch(self, run: str, *flags: str) -> int:
        where = ["--config", str(self.config), "--run", run, "--jobs", str(self.jobs), "--device", "cpu", "--plain"]
        return cli.main(["launch", *where, *flags])

    def folder(self, run: str) -> Path:
        return JobsPaths(self.jobs).run(run).results("fake", "numbers")

    def summary(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder(run) / "summary.json").read_bytes())
        return found

    def asked(self) -> list[str]:
        return [line.split()[0] for line in self.log.read_text().splitlines()]


def test_a_job_ends_once_its_score_is_known_well_enough_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path)
    assert place.launch("r", "--stop-at", "3", "--batch-size", "8") == 0
    summary, shown = place.summary("r"), capsys.readouterr().out
    stopped = summary["stopped"]
    assert stopped["of"] == SAMPLES
    assert stopped["half_width"] <= 3.0 == stopped["target"]
    assert stopped["asked"] == summary["counts"]["total"] < SAMPLES / 2
    assert len((place.folder("r") / "predictions.jsonl").read_text().splitlines()) == stopped["asked"]
    low, high = stopped["interval"]
    assert low <= sum(place.right.values()) / SAMPLES <= high
    assert f"stopped early after {stopped['asked']} of 1,500 samples, in a random order" in shown
    assert len(place.asked()) < SAMPLES
    spec = json.loads(JobsPaths(place.jobs).run("r").record.read_bytes())["spec"]
    assert (spec["stop_at"], spec["datasets"][0]["order"]) == (3.0, 1)


def test_where_it_ends_depends_on_nothing_but_the_order_and_a_relaunch_asks_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.launch("r", "--stop-at", "4", "--batch-size", "4")
    place.launch("s", "--stop-at", "4", "--batch-size", "64", "--max-workers", "2")
    for name in ("predictions.jsonl", "scores.jsonl", "summary.json"):
        assert (place.folder("r") / name).read_bytes() == (place.folder("s") / name).read_bytes()
    asked, before = place.asked(), place.summary("r")
    assert place.launch("r", "--stop-at", "4") == 0
    assert cli.main(["eval", "r", "--jobs", str(place.jobs)]) == 0
    assert place.asked() == asked
    assert place.summary("r") == before


def test_a_target_that_needs_every_sample_asks_them_all(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.launch("r", "--stop-at", "0.01") == 0
    assert place.summary("r")["stopped"] is None
    assert sorted(place.asked(), key=int) == [str(i) for i in range(SAMPLES)]


def test_a_run_without_the_flag_is_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(tmp_path)
    place.launch("r", "--stop-at", "5")
    assert place.launch("r") == 2
    assert "stop_at" in capsys.readouterr().err
