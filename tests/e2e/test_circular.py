"""Every rotation of the options of DigitsMCQ, through the whole command line, against numbers made by hand."""

from __future__ import annotations

import csv
import json
from math import comb
from pathlib import Path

import pytest

import vlmeval_mp.demo
from tests.helpers import long_fields
from vlmeval_mp.cli import main as cli
from vlmeval_mp.core.paths import JobsPaths

TSV = Path(vlmeval_mp.demo.__file__).parent / "data" / "DigitsMCQ.tsv"
QUESTIONS = 24
pytestmark = pytest.mark.slow


def test_the_numbers_of_a_circular_run_are_those_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with long_fields(), TSV.open(encoding="utf-8") as file:
        rows = [row for _, row in zip(range(QUESTIONS), csv.DictReader(file, delimiter="\t"), strict=False)]
    answers: dict[str, str] = {}
    verdicts: list[list[bool]] = []
    for number, row in enumerate(rows):
        texts = [row[letter] for letter in "ABCD" if row.get(letter)]
        gold = row[row["answer"]]
        right = []
        for turn in range(len(texts)):
            # in turn t the letter i stands for the text that was t letters further on
            letter = next(x for i, x in enumerate("ABCD") if texts[(i + turn) % len(texts)] == gold)
            knows = not (number % 4 == 0 and turn == 1) and not (number % 6 == 0 and turn > 1)
            said = letter if knows else next(x for x in "ABCD"[: len(texts)] if x != letter)
            answers[str(int(row["index"]) + 1_000_000 * turn)] = said
            right.append(knows)
        verdicts.append(right)
    config = tmp_path / "config.json"
    model = {"fake": {"engine": "fake", "engine_args": {"answers": answers}}}
    config.write_text(json.dumps({"model": model, "data": {"DigitsMCQ": {"circular": True, "limit": QUESTIONS}}}))
    jobs = tmp_path / "jobs"
    flags = ["--run", "r", "--group", "g_index", "--device", "cpu", "--plain", "--jobs", str(jobs)]
    assert cli.main(["launch", "--config", str(config), *flags]) == 0
    found = json.loads((JobsPaths(jobs).run("r").results("fake", "DigitsMCQ") / "summary.json").read_bytes())
    rotations = sum(map(len, verdicts))
    assert found["counts"]["total"] == rotations > 2 * QUESTIONS
    assert found["primary_metric"] == "circular_accuracy"
    assert found["metrics"]["circular_accuracy"] == pytest.approx(sum(map(all, verdicts)) / QUESTIONS)
    assert found["metrics"]["vanilla_accuracy"] == pytest.approx(sum(map(sum, verdicts)) / rotations)
    assert found["metrics"]["unrotated_accuracy"] == 1.0
    together = found["together"]["metrics"]
    assert together["worst_case"] == together["all_right"] == pytest.approx(sum(map(all, verdicts)) / QUESTIONS)
    pairs = sum(comb(sum(right), 2) / comb(len(right), 2) for right in verdicts)
    assert together["pass^2"] == pytest.approx(pairs / QUESTIONS)
    assert "circular accuracy [95 %]" in capsys.readouterr().out
