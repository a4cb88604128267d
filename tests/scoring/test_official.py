"""Rules of benchmarks' own authors, held to verdicts that their tools gave and to examples worked by hand."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.runs.results import judged, write
from vlmeval_mp.scoring import Rules, score
from vlmeval_mp.scoring.families import has_official, mode_for
from vlmeval_mp.scoring.official.mmmu import BY_LOT, open_answers, read_letter

RECORDS = Path(__file__).parents[3] / "shared" / "data" / "records"


def value(said: str, answer: str, scorer: str, options: dict[str, str] | None = None, **extra: str) -> float | None:
    sample = Sample(index="1", row=0, kind="vqa", question="?", answer=answer, options=options or {}, extra=extra)
    return score(sample, Prediction(index="1", row=0, prediction=said), Rules(scorer=scorer, mode="official")).value


@pytest.mark.skipif(not RECORDS.is_dir(), reason="the shared data pack is not beside this checkout")
def test_mmmus_letters_are_all_those_of_the_official_parser_where_it_drew_no_lot() -> None:
    with (RECORDS / "mmmu" / "gold_val.tsv").open(encoding="utf-8") as file:
        gold = {row["index"]: row for row in csv.DictReader(file, delimiter="\t")}
    with gzip.open(RECORDS / "mmmu" / "qwen_vl.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if gold[row["index"]]["question_type"] == "multiple-choice"]
    options = [{k: v for k, v in gold[row["index"]].items() if len(k) == 1 and v} for row in rows]
    read = [
        (read_letter(row["prediction"], own), row["official_parsed"]) for row, own in zip(rows, options, strict=True)
    ]
    assert all(ours == theirs for ours, theirs in read if ours)
    assert sum(bool(ours) for ours, _ in read) == 799


@pytest.mark.skipif(not RECORDS.is_dir(), reason="the shared data pack is not beside this checkout")
def test_mmmus_open_answers_are_those_of_the_official_parser_and_as_many_are_right_in_all() -> None:
    with (RECORDS / "mmmu" / "gold_val.tsv").open(encoding="utf-8") as file:
        gold = {row["index"]: row for row in csv.DictReader(file, delimiter="\t")}
    with gzip.open(RECORDS / "mmmu" / "qwen_vl.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = list(map(json.loads, file))
    open_ones = [row for row in rows if gold[row["index"]]["question_type"] != "multiple-choice"]
    assert len(open_ones) == 53
    assert all(row["official_parsed"] in map(str, open_answers(row["prediction"])) for row in open_ones)
    right = sum(value(row["prediction"], gold[row["index"]]["answer"], "mmmu") == 1.0 for row in open_ones)
    letters = sum(row["official_parsed"] == gold[row["index"]]["answer"] for row in rows if row not in open_ones)
    expected = json.loads((RECORDS / "mmmu" / "expected.json").read_text())["qwen_vl"]["official_parse_and_eval"]
    assert right + letters == expected["correct"]


PETS = {"A": "cat", "B": "dog", "C": "bird", "D": "fish"}


def test_mmmus_lot_counts_as_its_mean_and_says_so() -> None:
    sample = Sample(index="1", row=0, kind="mcq", question="?", answer="B", options=PETS)
    found = score(sample, Prediction(index="1", row=0, prediction="no idea"), Rules(scorer="mmmu", mode="official"))
    assert (found.value, found.note, found.extracted) == (0.25, BY_LOT, "")


@pytest.mark.parametrize(
    ("said", "right"),
    [("(A) or (B)", 1.0), ("A is no, so B it is", 1.0), ("It is not a cat, I think, but a dog", 1.0), ("A", 0.0)],
)
def test_mmmu_takes_the_last_option_that_is_named(said: str, right: float) -> None:
    assert value(said, "B", "mmmu", PETS) == right


@pytest.mark.parametrize(
    ("said", "answer", "right"),
    [
        ("The answer is 7.004", "7", 1.0),
        ("so it is about 1,000 m", "1000", 1.0),
        ("17", "7", 0.0),
        ("a red dog", "red", 1.0),
    ],
)
def test_mmmus_open_answers_are_numbers_to_two_places_or_texts_that_are_held(
    said: str, answer: str, right: float
) -> None:
    assert value(said, answer, "mmmu") == right


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("The answer is (B).", 1.0),
        ("B\nbecause", 1.0),
        ("So \\boxed{B}", 1.0),
        ("\\boxed{\\frac{1}{2}}", 1.0),
        ("The answer is 0.5.", 1.0),
        ("the answer is $\\frac12$", 1.0),
        ("x = 0.5", 1.0),
        ("First \\boxed{A}, then \\boxed{B}", 1.0),
        ("The answer is 3", 0.0),
        ("A", 0.0),
        ("", 0.0),
    ],
)
def test_math_vs_answers_are_the_letter_or_the_value_of_the_option(said: str, right: float) -> None:
    assert value(said, "B", "mathvision", choices="['3', '$\\\\frac{1}{2}$']".replace("$", "")) == right


@pytest.mark.parametrize(
    ("said", "answer", "right"),
    [("\\boxed{(1, 2)}", "(1,2)", 1.0), ("\\boxed{2\\sqrt{3}}", "\\sqrt{12}", 1.0), ("12 km", "12", 1.0),
     ("7.004", "7", 1.0),
     ("7.01", "7", 0.0), ("a+b", "b+a", 0.0)],
)  # fmt: skip
def test_math_vs_free_answers_are_equal_as_text_or_to_two_places(said: str, answer: str, right: float) -> None:
    assert value(said, answer, "mathvision") == right


@pytest.mark.parametrize(
    ("said", "right"),
    [("True", 1.0), ("The statement is True.", 1.0), ("true", None), ("True or False", None), ("False", 0.0)],
)
def test_visonlyqa_wants_one_option_in_its_very_case_and_else_a_judge(said: str, right: float | None) -> None:
    assert value(said, "A", "visonlyqa", {"A": "True", "B": "False"}) == right


def test_visonlyqas_letters_are_small_and_in_brackets_first() -> None:
    assert value("(b)", "B", "visonlyqa", {"A": "3", "B": "4"}) == 1.0


def test_the_official_number_stands_beside_the_others_where_there_is_such_a_rule() -> None:
    samples = [Sample(index=str(i), row=i, kind="mcq", question="?", answer="B", options=PETS) for i in range(4)]
    answers = [Prediction(index=str(i), row=i, prediction=p) for i, p in enumerate(["B", "A", "no idea", "(B)"])]
    _, summary = judged("m", "d", samples, answers, Rules(scorer="mmmu"))
    assert summary.scoring == "strict"
    assert summary.official is not None
    assert (summary.official.scoring, summary.official.metrics["accuracy"], summary.official.differ) == (
        "official",
        0.5625,
        1,
    )
    _, first = judged("m", "d", samples, answers, Rules(scorer="mmmu", mode="official"))
    assert (first.scoring, first.metrics["accuracy"], first.official) == ("official", 0.5625, None)
    assert first.other is not None
    assert first.other.scoring == "strict"


def test_a_run_writes_the_official_number_and_may_be_scored_by_it(tmp_path: Path) -> None:
    samples = [Sample(index=str(i), row=i, kind="mcq", question="?", answer="B", options=PETS) for i in range(4)]
    answers = [Prediction(index=str(i), row=i, prediction=p) for i, p in enumerate(["B", "A", "no idea", "(B)"])]
    beside = write(tmp_path / "strict", "m", "d", samples, answers, Rules(scorer="mmmu"))
    assert beside.official is not None
    assert beside.official.metrics["accuracy"] == 0.5625
    first = write(tmp_path / "official", "m", "d", samples, answers, Rules(scorer="mmmu", mode="official"))
    assert (first.metrics["accuracy"], first.scoring) == (0.5625, "official")
    assert first.other is not None
    assert (first.other.scoring, first.other.metrics["accuracy"]) == ("strict", 0.5)


def test_where_there_is_none_the_official_mode_is_the_strict_one() -> None:
    assert [mode_for(scorer, "official") for scorer in ("mcq", "mmmu", "")] == ["strict", "official", "strict"]
    assert has_official("mathvision")
    assert not has_official("pope")
