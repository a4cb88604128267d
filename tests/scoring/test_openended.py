"""Open answers: what counts as the same answer, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring import score


def verdict(text: str, answer: str) -> float | None:
    sample = Sample(index="1", row=0, kind="vqa", question="What?", answer=answer)
    return score(sample, Prediction(index="1", row=0, prediction=text)).value


SAME = [
    ("7", "7"),
    ("7.0", "7"),
    ("7.", "7"),
    (" 7\n", "7"),
    ("seven", "7"),
    ("Seven.", "7"),
    ("1,000", "1000"),
    ("-3.50", "-3.5"),
    ("0.0", "-0"),
    ("$12", "12"),
    ("50 %", "50%"),
    ("the dog", "dog"),
    ("A Dog.", "dog"),
    ("red-brown", "red brown"),
    ("don't", "dont"),
    ("Mr. Smith", "mr smith"),
    ("Answer: 7", "7"),
    ("**Answer:** 7.", "7"),
    ("There are three and four, so the answer is 7.", "7"),
    ("The answer is: blue", "Blue"),
    ("\\boxed{7}", "7"),
    ("It is $\\boxed{7}$.", "7"),
    ("<think>8?</think>7", "7"),
    ("答案是7", "7"),
    ("stop", "['STOP', 'stop sign']"),
    ("stop sign", "['STOP', 'stop sign']"),
    ("4", "[4, 5]"),
    ("[1, 2", "[1, 2"),
    ("?", "?"),
    ("the", "the"),
    ("K. " * 40, "k " * 40),
]


@pytest.mark.parametrize(("text", "answer"), SAME)
def test_the_same_answer_written_differently_is_right(text: str, answer: str) -> None:
    assert verdict(text, answer) == 1.0


DIFFERENT = [
    ("8", "7"),
    ("70", "7"),
    ("7 dogs", "7"),
    ("5%", "5"),
    ("5%", "0.05"),
    ("-7", "7"),
    ("1.5", "15"),
    ("", "7"),
    ("hot dog", "dog"),
    ("the", "a"),
    ("?", "!"),
    ("1,00", "100"),
    ("<think>7", "7"),
]


@pytest.mark.parametrize(("text", "answer"), DIFFERENT)
def test_a_different_answer_is_wrong(text: str, answer: str) -> None:
    assert verdict(text, answer) == 0.0


def test_a_sample_without_answer_is_unscored() -> None:
    assert verdict("7", "  ") is None


@given(text=st.text(), answer=st.text(min_size=1))
@settings(max_examples=300, deadline=None)
def test_any_text_gets_a_verdict(text: str, answer: str) -> None:
    assert verdict(text, answer) in ((0.0, 1.0) if answer.strip() else (None,))


@given(st.text(min_size=1, alphabet=st.characters(exclude_characters="<\\:*`#_是为")).filter(str.strip))
@settings(max_examples=300, deadline=None)
def test_repeating_the_reference_is_right(text: str) -> None:
    if "answer" not in text.lower() and not text.lstrip().startswith("["):
        assert verdict(text, text) == 1.0


@given(st.integers(-(10**12), 10**12))
@settings(deadline=None)
def test_a_whole_number_equals_itself_with_separators_or_decimals(number: int) -> None:
    assert verdict(f"{number:,}", str(number)) == 1.0
    assert verdict(f"{number}.00", str(number)) == 1.0
    assert verdict(str(number + 1), str(number)) == 0.0


@pytest.mark.timeout(20)
@pytest.mark.parametrize("answer", ["[" * 100_000, "[" + "1," * 100_000, "1" * 100_000])
def test_a_hostile_reference_raises_nothing(answer: str) -> None:
    assert verdict("7", answer) == 0.0
