"""Words that hold a yes or a no and say neither."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring import score
from vlmeval_mp.scoring.strict.yesno import read_yesno

NEITHER = [
    "对不起，我无法回答这个问题",
    "有没有狗？",
    "是否有狗还不清楚",
    "有时候会有",
    "有些人认为有狗",
    "不清楚",
    "不知道",
    "没有足够的信息",
    "不是很清楚",
    "There is no information about it.",
    "I have no idea.",
    "There is no way to tell.",
    "As an AI language model, I have no eyes.",
    "Lo siento, no puedo responder.",
    "I cannot determine whether there is a dog; no tail is seen.",
    "No. 5 is on the left",
    'The sign says "No Parking".',
    "A no-parking sign",
    "It is a yes-or-no question.",
    "yes/no",
    "It no longer matters.",
]
SAYS = [
    ("有没有狗？没有", "No"),
    ("有没有狗？有。", "Yes"),
    ("图中有狗吗？是的，有一只。", "Yes"),
    ("没有狗。", "No"),
    ("没有", "No"),
    ("没", "No"),
    ("有一只狗", "Yes"),
    ("有人。", "Yes"),
    ("对。", "Yes"),
    ("不对", "No"),
    ("不。", "No"),
    ("否", "No"),
    ("Is there a dog? No.", "No"),
    ("Is it a cat? Yes, it is.", "Yes"),
    ("No, I have no idea why you ask; there is none.", "No"),
    ("I'm sorry, but no, there is no dog.", "No"),
    ("There is no one in the picture.", "No"),
    ("There is no doubt: yes.", "Yes"),
    ("はい、います。", "Yes"),
    ("いいえ", "No"),
    ("아니요, 없습니다.", "No"),
    ("네.", "Yes"),
    ("Oui, il y en a un.", "Yes"),
    ("Nein.", "No"),
    ("Sí.", "Yes"),
    ("Нет, не вижу.", "No"),
    ("Yes\n\nQuestion: Is there a cat?\nAnswer: No", "Yes"),
    ('{"reason": "no tail", "answer": "Yes"}', "Yes"),
    ("<thinking>no</thinking>Yes", "Yes"),
]


@pytest.mark.parametrize("text", NEITHER)
def test_a_word_inside_a_phrase_is_no_verdict(text: str) -> None:
    assert read_yesno(text)[0] == ""
    sample = Sample(index="1", row=0, kind="yorn", question="?", answer="Yes")
    verdict = score(sample, Prediction(index="1", row=0, prediction=text))
    assert verdict.value == 0.0
    assert verdict.reading in ("refused", "unread")


@pytest.mark.parametrize(("text", "word"), SAYS)
def test_a_reply_that_says_one_is_read(text: str, word: str) -> None:
    assert read_yesno(text) == (word, "")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["no ", "no", "answer: ", "没", "有", "no information ", "? ", "is it? "])
def test_reading_takes_time_linear_in_the_length_of_the_reply(piece: str) -> None:
    read_yesno(piece * (200_000 // len(piece)))
