"""What replies show beside being right or wrong."""

from __future__ import annotations

import random

import pytest

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring import health, score
from vlmeval_mp.scoring.base import Rules, ScoredSample
from vlmeval_mp.scoring.summary import summarize

OPTIONS = {"A": "cat", "B": "dog", "C": "bird", "D": "fish"}
ASKED = "Which of these animals is in the picture?"


def job(replies: list[str], gold: str = "ABCD", reason: str = "stop", category: str = "") -> list[ScoredSample]:
    rows = []
    for row, reply in enumerate(replies):
        answer = gold[row % len(gold)]
        sample = Sample(
            index=str(row), row=row, kind="mcq", question=ASKED, options=OPTIONS, answer=answer, category=category
        )
        prediction = Prediction(index=str(row), row=row, prediction=reply, finish_reason=reason)
        rows.append(ScoredSample(sample, prediction, score(sample, prediction)))
    return rows


def seen(scored: list[ScoredSample]) -> tuple[dict[str, int], list[str]]:
    found = summarize("m", "d", scored, Rules())
    assert found.health is not None
    return {sign: n for sign, n in found.health.counts.items() if n}, list(found.warnings)


def test_good_replies_warn_of_nothing() -> None:
    assert seen(job(["A", "B", "C", "D"] * 20)) == ({}, [])


@pytest.mark.parametrize(
    ("reply", "sign"),
    [
        ("  \n", "empty"),
        ("I'm sorry, but I can't help with that.", "refused"),
        ("<think>The picture shows", "unfinished thought"),
        ("An animal stands on grass.", "unread"),
        ("The answer is A. " + "I am sure of it, very sure. " * 20, "looped"),
        ("这张图片里面有一只非常可爱的小猫坐在沙发上面看着窗外的小鸟。答案是A", "other language"),
    ],
)
def test_each_sign_is_counted_and_warned_of(reply: str, sign: str) -> None:
    counts, warnings = seen(job(["A", "B", "C", "D"] * 20 + [reply] * 4))
    assert counts[sign] == 4
    assert any("4 of 84 replies (4.8 %)" in line for line in warnings)


def test_replies_that_the_token_limit_cut_off_are_counted() -> None:
    counts, warnings = seen(job(["A", "B", "C", "D"] * 5, reason="length"))
    assert counts == {"truncated": 20}
    assert warnings == ["20 of 20 replies (100.0 %) were cut off at the token limit; raise sampling.max_tokens"]


def test_a_category_of_its_own_trouble_is_named() -> None:
    well = job(["A", "B", "C", "D"] * 500, category="animals")
    ill = job(["A", "B", "C", "D"] * 7 + ["", ""], category="charts")
    _, warnings = seen([*well, *ill])
    assert warnings == ["2 of 30 replies of category charts (6.7 %) are empty"]


def test_the_very_same_reply_everywhere_is_warned_of_unless_the_gold_is_as_uniform() -> None:
    _, warnings = seen(job(["B"] * 40))
    assert any("40 of 40 replies are the very same, and no answer is right more than 10 times" in w for w in warnings)
    assert not seen(job(["B"] * 40, gold="B"))[1]


def test_letters_that_are_said_more_often_than_right_are_warned_of() -> None:
    draw = random.Random(3)
    replies = [draw.choice("AAAABCD") for _ in range(400)]
    _, warnings = seen(job(replies))
    assert any(line.startswith("A is said ") and "right 100 times" in line for line in warnings)
    assert not seen(job([draw.choice("ABCD") for _ in range(400)]))[1]


def test_few_replies_warn_of_nothing() -> None:
    assert seen(job([""] * 19)) == ({"empty": 19}, [])


def test_a_compat_summary_counts_what_strict_rules_could_not_read() -> None:
    strict = job(["An animal stands on grass."] * 20)
    compat = [ScoredSample(s.sample, s.prediction, Score(index=s.sample.index, value=0.0)) for s in strict]
    found = summarize("m", "d", compat, Rules(mode="compat"), strict)
    assert found.health is not None
    assert found.health.counts["unread"] == 20


@pytest.mark.parametrize(
    ("text", "is_loop"),
    [
        ("so so so so so so", False),
        ("0" * 200, True),
        ("word " * 60, True),
        ("The cat sat. " * 3 + "Then it left the room and never came back to where it had been sitting. " * 1, False),
        ("| 1 | 2 | 3 |\n| 4 | 5 | 6 |\n| 7 | 8 | 9 |\n" * 3, False),
        ("First, I look at the picture. " + "Wait, let me look at it once more. " * 8, True),
    ],
)
def test_a_loop_is_one_passage_four_times_at_the_end(text: str, is_loop: bool) -> None:
    assert health.loops(text) is is_loop


def test_an_english_letter_for_a_chinese_question_is_no_other_language() -> None:
    question = "下面哪一个选项正确地描述了这张图片里面的动物和它所在的地方?"
    assert not health.in_other_script(question, "B. dog")
    assert health.in_other_script(question, "The picture shows a dog on the grass, so the answer is B.")
    assert not health.in_other_script(ASKED, "A dog")
