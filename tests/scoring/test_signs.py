"""Signs that change an answer: the many spellings of a minus, and marks that are no punctuation."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring import Rules, score

MINUS = ["-", "\u2212", "\u2010", "\u2011", "\u2012", "\u2013", "\ufe63", "\uff0d"]
NUMERIC = ["open", "exact", "gqa", "mmmu", "mathvista", "mathvision", "ocrbench", "relaxed", "textvqa"]


def value(said: str, answer: str, scorer: str = "open", **extra: str) -> float | None:
    columns = {"question_type": "free_form", "answer_type": "integer"} if scorer == "mathvista" else {}
    sample = Sample(index="1", row=0, kind="vqa", question="?", answer=answer, extra={**columns, **extra})
    return score(sample, Prediction(index="1", row=0, prediction=said), Rules(scorer=scorer)).value


@pytest.mark.parametrize("sign", MINUS, ids=lambda sign: f"U+{ord(sign):04X}")
@pytest.mark.parametrize("scorer", NUMERIC)
def test_every_minus_is_one_to_every_scorer_that_compares_numbers(scorer: str, sign: str) -> None:
    assert value(f"{sign}5", "-5", scorer) == 1.0
    assert value("-5", f"{sign}5", scorer) == 1.0
    assert value(f"{sign}5", "5", scorer) == 0.0
    assert value("5", f"{sign}5", scorer) == 0.0
    assert value(f"The answer is {sign}5.", "-5", scorer) == 1.0


DIFFERENT = [
    ("x = 5", "x = -5"),
    ("C", "C++"),
    ("C", "C#"),
    ("C#", "C++"),
    ("1 2", "1/2"),
    ("x > 5", "x < 5"),
    ("A", "A+"),
    ("2", "√2"),
    ("102", "10²"),
    ("x = 5", "x = −5"),
    ("a b", "a+b"),
]
SAME = [
    ("10 30", "10:30"),
    ("well known", "well-known"),
    ("x = -5", "x=-5"),
    ("x < 5", "x<5"),
    ("C++.", "c++"),
    ("3 5", "3-5"),
    ("T shirt", "t-shirt"),
    ("5", "+5"),
    ("#5", "5"),
    ("dog", "- dog"),
    ("don't", "dont"),
    ("50 %", "50%"),
]


@pytest.mark.parametrize("scorer", ["open", "exact", "gqa"])
@pytest.mark.parametrize(("said", "answer"), DIFFERENT)
def test_answers_that_differ_by_a_sign_are_different(said: str, answer: str, scorer: str) -> None:
    assert value(said, answer, scorer) == 0.0
    assert value(answer, said, scorer) == 0.0
    assert value(answer, answer, scorer) == 1.0


@pytest.mark.parametrize(("said", "answer"), SAME)
def test_punctuation_that_means_nothing_is_passed_over(said: str, answer: str) -> None:
    assert value(said, answer) == 1.0
