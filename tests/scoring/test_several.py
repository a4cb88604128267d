"""Questions with several right options: the set counts."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring import score

OPTIONS = {"A": "cat", "B": "dog", "C": "bird", "D": "fish"}


def verdict(said: str, answer: str) -> tuple[float | None, str]:
    sample = Sample(index="1", row=0, kind="mcq", question="Which?", options=OPTIONS, answer=answer)
    found = score(sample, Prediction(index="1", row=0, prediction=said))
    return found.value, found.extracted


RIGHT = [
    "AC", "A, C", "A,C", "A and C", "(A) and (C)", "C, A", "A C",
    "**A, C**", "ac", "[A, C]", "A/C", "A & C", "A、C",
    "Answer: AC", "Answer: A, C", "The correct answers are A and C.",
    "The answer is (A) and (C), because both have fur.",
    "The correct options are: A, C", "\\boxed{A, C}", "\\boxed{AC}", "答案是A、C",
    "答案：AC", '{"answer": ["A", "C"]}',
    '{"answer": "AC"}', "A. cat\nC. bird", "(A) cat\n(C) bird", "cat\nbird", "The answers are cat and bird.",
    "<think>B? AB?</think>AC", "B is wrong.\n\nA, C",
]  # fmt: skip


@pytest.mark.parametrize("answer", ["AC", "A,C", "A, C", "['A','C']", '["A", "C"]', "A;C", "A and C", "C,A"])
def test_an_answer_of_several_letters_is_a_set(answer: str) -> None:
    assert verdict("A, C", answer) == (1.0, "AC")
    assert verdict("A", answer) == (0.0, "A")
    assert verdict("ABC", answer) == (0.0, "ABC")


@pytest.mark.parametrize("text", RIGHT)
def test_a_set_is_read_in_the_ways_that_replies_write_it(text: str) -> None:
    assert verdict(text, "AC") == (1.0, "AC")


@pytest.mark.parametrize(
    ("text", "said"), [("B", "B"), ("Answer: A", "A"), ("AB", "AB"), ("Answer: A, B and C", "ABC")]
)
def test_another_set_is_wrong(text: str, said: str) -> None:
    assert verdict(text, "AC") == (0.0, said)


@pytest.mark.parametrize("text", ["", "I do not know.", "AX", "E"])
def test_a_reply_without_a_set_is_unread(text: str) -> None:
    assert verdict(text, "AC") == (0.0, "")


@pytest.mark.parametrize("answer", ["AE", "A cat", "AA", "XY"])
def test_what_is_no_set_of_options_stays_unscored(answer: str) -> None:
    assert verdict("A", answer)[0] is None
