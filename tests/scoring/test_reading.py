"""What a strict verdict says of a reply that gave no answer: which of the ways of giving none it was."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Kind, Prediction, Sample
from vlmeval_mp.scoring import Rules, score


def reading(text: str, kind: Kind = "mcq", **rules: str) -> str:
    options = {"A": "cat", "B": "dog"} if kind == "mcq" else {}
    answer = {"mcq": "B", "yorn": "Yes", "vqa": "a brown dog"}[kind]
    sample = Sample(index="1", row=0, kind=kind, question="Which?", options=options, answer=answer)
    return score(sample, Prediction(index="1", row=0, prediction=text), Rules(**rules)).reading  # type: ignore[arg-type]


NO_ANSWER = [
    ("", "empty"),
    (" \n\t", "empty"),
    ("<think>It has a tail, so the answer is B", "unfinished thought"),
    ("<think>B?", "unfinished thought"),
    ("I'm sorry, but I can't help with that.", "refused"),
    ("I cannot see any image.", "refused"),
    ("As an AI language model, I have no eyes.", "refused"),
    ("Sorry, I am unable to open the picture.", "refused"),
    ("对不起，我无法回答这个问题。", "refused"),
    ("죄송합니다. 답변할 수 없습니다.", "refused"),
    ("Lo siento, no puedo responder.", "refused"),
    ("I must decline.", "unread"),
    ("I must decline to say.", "refused"),
    ("We refuse; I won't answer.", "refused"),
    ("Apologies, we do not do that.", "refused"),
    ("Unfortunately the tool can't.", "refused"),
    ("As\na AI, blind", "refused"),
    ("as a AI", "refused"),
    ("As a text-based model", "refused"),
    ("Je ne peux pas le dire.", "refused"),
    ("Ich kann das nicht.", "refused"),
    ("Tut mir leid.", "refused"),
    ("Desculpe!", "refused"),
    ("Mi dispiace.", "refused"),
    ("Non posso dirlo.", "refused"),
    ("Извините.", "refused"),
    ("Something with a tail and four legs.", "unread"),
    ("It depends on the light.", "unread"),
]


@pytest.mark.parametrize(("text", "wanted"), NO_ANSWER)
def test_a_reply_that_gives_no_answer_says_in_which_way(text: str, wanted: str) -> None:
    assert reading(text) == wanted


@pytest.mark.parametrize("text", ["A", "B", "I'm sorry, I first thought of a cat. The answer is B."])
def test_a_reply_whose_option_was_read_has_no_such_mark(text: str) -> None:
    assert reading(text) == ""


OPEN = [("", "empty"), ("<think>hm", "unfinished thought"), ("I cannot see any image.", "refused"), ("a cat", "")]


@pytest.mark.parametrize(("text", "wanted"), OPEN)
@pytest.mark.parametrize("scorer", ["open", "ocrbench", "anls"])
def test_an_open_answer_is_marked_too_though_all_of_it_is_read(text: str, wanted: str, scorer: str) -> None:
    assert reading(text, "vqa", scorer=scorer) == wanted


def test_compat_and_extracted_answers_are_not_marked() -> None:
    assert reading("It depends.", mode="compat") == ""
    assert reading("It depends.", extracted=True) == ""  # type: ignore[arg-type]


OWN = ("<<", ">>")


@pytest.mark.parametrize(("text", "said"), [("<<A?>>B", "B"), ("<<The answer is A", ""), ("The answer is A>>(B)", "B")])
def test_the_marks_that_a_model_names_enclose_its_reasoning(text: str, said: str) -> None:
    sample = Sample(index="1", row=0, kind="mcq", question="?", options={"A": "cat", "B": "dog"}, answer="B")
    verdict = score(sample, Prediction(index="1", row=0, prediction=text), Rules(reasoning=OWN))
    assert verdict.extracted == said
    assert verdict.reading == ("" if said else "unfinished thought")
