"""The recorded predictions of published runs come out as published: to the digit where a rule made the number."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlmeval_mp.cli import main
from vlmeval_mp.exchange import evaluate

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def load(*names: str) -> list[ModuleType]:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(SCRIPTS))


cases, records = load("records_cases", "records")


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: f"{case.benchmark}-{case.name}")
def test_every_number_that_a_rule_made_comes_out_of_the_command_line(
    case: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = cases.gold_of(case, tmp_path)
    command = [
        "eval",
        "--predictions",
        str(case.path),
        "--scorer",
        case.scorer,
        "--json",
        "--out",
        str(tmp_path / "out"),
    ]
    command += ["--data", str(gold)] if gold else []
    command += ["--prediction-column", case.official] if case.official else []
    command += ["--extracted"] if case.official and case.extracted else []
    assert main.main(command) == 0
    (summary,) = json.loads(capsys.readouterr().out)["results"]
    scores = [json.loads(line) for line in (tmp_path / "out" / "scores.jsonl").read_text().splitlines()]
    pairs = list(cases.compared(case, cases.measured(case, summary, scores)))
    assert len(pairs) >= 5
    wrong = [name for name, theirs, ours in pairs if theirs != ours]
    assert [name for name in wrong if not (case.relabelled and name.startswith(case.relabelled))] == []
    assert len(wrong) == (6 if case.relabelled else 0)


def test_skills_labelled_otherwise_are_those_of_the_one_record_that_has_the_labels_of_the_gold(tmp_path: Path) -> None:
    """The totals per skill depend on the labels alone: all three come to those that `random_guess` was scored with."""
    totals = []
    for case in cases.MATHVISTA:
        found = evaluate.evaluate(case.asked(cases.gold_of(case, tmp_path)))
        totals.append({name: group["total"] for name, group in found.summary.by["skills"].items()})
    labelled = {name: total for name, (_, total) in cases.MATHVISTA[2].expected()["skills"].items()}
    assert totals == [labelled] * 3


def test_no_published_number_is_left_out() -> None:
    """What `expected.json` holds besides: the paper's own run, which is another one, and names."""
    said = {"file", "published_name", "published_val", "published_source", "paper_source"}
    for case in cases.CASES:
        left = {n.partition(".")[0] for n in cases.flat(case.expected())} - said - {"paper_value"}
        assert left <= NUMBERS[case.benchmark], case


NUMBERS = {
    "pope": {"n", "tp", "tn", "fp", "fn", "accuracy", "precision", "recall", "f1", "yes_ratio"},
    "mathvista": {"published", "correct", "n", "question_type", "answer_type", "task", "skills"},
    "blink": {"macro_accuracy", "micro_accuracy", "n", "by_task"},
    "mmmu": {"official_eval_only", "official_parse_and_eval", "multiple_choice_only_official_parsed"},
}


def test_the_page_says_what_is_measured_and_each_difference_has_a_reason(tmp_path: Path) -> None:
    text, differences = records.page(tmp_path)
    held = records.BEGIN + "\n" + text + "\n" + records.END
    assert held in records.DOC.read_text(), "scripts/records --write puts what is measured now into docs/records.md"
    assert text.count("all to the digit") == sum(not case.relabelled for case in cases.CASES)
    assert len({(d.benchmark, d.record, d.index) for d in differences}) == len(differences) > 100
    assert all(d.reason and d.kind for d in differences)


def test_where_our_reading_of_a_reply_is_the_official_one_the_verdict_is_too(tmp_path: Path) -> None:
    """Samples not listed as read otherwise are judged alike, so the list explains the whole difference."""
    for case in cases.CASES:
        if case.official:
            found = records.raw(case, tmp_path)
            lost = sum(d.official_right and not d.ours_right for d in found.differences)
            won = sum(d.ours_right and not d.official_right for d in found.differences)
            assert found.strict == found.official - lost + won
