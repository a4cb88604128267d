"""Yes/no replies as models really write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring import score
from vlmeval_mp.scoring.strict.yesno import read_yesno


def verdict(text: str, answer: str = "Yes") -> float | None:
    sample = Sample(index="1", row=0, kind="yorn", question="Is it?", answer=answer)
    return score(sample, Prediction(index="1", row=0, prediction=text)).value


REALISTIC = [
    ("Yes", "Yes"),
    ("no", "No"),
    ("NO.", "No"),
    ("**No**", "No"),
    ("**No**, there is no dog.", "No"),
    ("`yes`", "Yes"),
    ('"Yes"', "Yes"),
    ("Yes, there is no cloud in the sky.", "Yes"),
    ("No. Yes would be wrong.", "No"),
    ("Answer: Yes", "Yes"),
    ("**Answer:** no", "No"),
    ("There is no car at all. The answer is yes.", "Yes"),
    ("Is it yes or no? Answer: No", "No"),
    ("\\boxed{Yes}", "Yes"),
    ("<think>yes yes yes</think>No", "No"),
    ("I believe so, yes", "Yes"),
    ("There is no dog in the image.", "No"),
    ("是", "Yes"),
    ("是的，图中有狗。", "Yes"),
    ("不是", "No"),
    ("否。", "No"),
    ("错", "No"),
    ("没有", "No"),
    ("答案是否", "No"),
    ("答案：是", "Yes"),
    ("Ｙｅｓ", "Yes"),
]


@pytest.mark.parametrize(("text", "word"), REALISTIC)
def test_a_realistic_reply_says_what_it_says(text: str, word: str) -> None:
    assert read_yesno(text) == (word, "")


UNCLEAR = ["", "It does not.", "nothing", "Yesterday", "yes or no", "I know", "unclear", "<think>yes"]


@pytest.mark.parametrize("text", UNCLEAR)
def test_a_reply_that_says_both_or_neither_is_wrong_and_says_why(text: str) -> None:
    word, note = read_yesno(text)
    assert word == ""
    assert note in ("both yes and no", "neither yes nor no")
    assert verdict(text) == 0.0


@pytest.mark.parametrize("answer", ["Yes", "yes", "YES", " Yes ", "是"])
def test_the_answer_may_be_in_any_case(answer: str) -> None:
    assert verdict("yes", answer) == 1.0
    assert verdict("no", answer) == 0.0


def test_a_sample_whose_answer_is_neither_is_unscored() -> None:
    assert verdict("yes", "B") is None
    assert verdict("yes", "") is None


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_gets_a_verdict(text: str) -> None:
    assert verdict(text) in (0.0, 1.0)
    assert verdict("yes", text) in (None, 0.0, 1.0)
