"""Multiple-choice replies as models really write them, and what must hold for any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring import score
from vlmeval_mp.scoring.strict.choice import read_choice

ANIMALS = {"A": "cat", "B": "dog", "C": "bird", "D": "hot dog"}
NUMBERS = {"A": "4", "B": "14", "C": "4.5", "D": "-4"}
TEN = {letter: f"thing {letter.lower()}{letter.lower()}" for letter in "ABCDEFGHIJ"}
CHINESE = {"A": "猫", "B": "狗", "C": "黑狗"}
NEITHER = {"A": "Vitamin C", "B": "Vitamin D", "C": "None", "D": "None of the above"}


def sample(answer: str = "B", options: dict[str, str] = ANIMALS) -> Sample:
    return Sample(index="7", row=7, kind="mcq", question="Which?", options=options, answer=answer)


def reply(text: str) -> Prediction:
    return Prediction(index="7", row=7, prediction=text)


REALISTIC = [
    ("B", "B"),
    ("b", "B"),
    ("(b)", "B"),
    (" B.\n", "B"),
    ("**B**", "B"),
    ("`B`", "B"),
    ("(B) dog", "B"),
    ("[B]", "B"),
    ("B. dog", "B"),
    ("B: dog", "B"),
    ("B) dog", "B"),
    ("<s> B", "B"),
    ("B<|im_end|>", "B"),
    ("Option B", "B"),
    ("B. because it barks, unlike the others, which make quite different sounds.", "B"),
    ("Answer: B", "B"),
    ("answer: b", "B"),
    ("**Answer:** B", "B"),
    ("**Answer: (B)**", "B"),
    ("### Answer\n\n**B. dog**", "B"),
    ("Answer:\n\nB", "B"),
    ("ANSWER: B", "B"),
    ("the answer is (B)", "B"),
    ("The correct answer is: B. dog", "B"),
    ("The correct answer is **B**.", "B"),
    ("The correct option is B", "B"),
    ("The best choice would be option B, given the ears.", "B"),
    ("The answer is A because it purrs.", "A"),
    ("The answer to this question is B", "B"),
    ("Final Answer: \\boxed{B}", "B"),
    ("$\\boxed{\\text{B}}$", "B"),
    ("\\boxed{\\mathbf{B}. dog}", "B"),
    ("So \\boxed{B", "B"),
    ("<answer>B</answer>", "B"),
    ("<think>A? No, C is better. The answer is C.</think>\n\nB", "B"),
    ("The answer is C.</think>B", "B"),
    ("I would choose B.", "B"),
    ("B is correct.", "B"),
    ("Option B is the most likely answer.", "B"),
    ("A. cat\nB. dog\nC. bird\nD. hot dog\n\nThe answer is B.", "B"),
    ("A. cat: no.\nB. dog: it has a tail.\nC. bird: no.\nD. hot dog: no.\n\nB", "B"),
    ("The options are:\n\n(A) cat\n(B) dog\n(C) bird\n(D) hot dog\n\n(B) dog", "B"),
    ("First I thought the answer is A. Looking closer, the answer is B.", "B"),
    ("Option A is wrong, option C is wrong too. Therefore, B.", "B"),
    ("It is not (A). It is (B).", "B"),
    ("Not (A), (B)", "B"),
    ("B\n\nExplanation: no cat (A) has such ears.", "B"),
    ("**B**\n\nA. cat: it would have whiskers.\nC. bird: it would have wings.", "B"),
    ("The answer is not A; the answer is B.", "B"),
    ("The right answer is B, the wrong answer is A", "B"),
    ("The correct answer is B. The incorrect answer is A.", "B"),
    ("Box B fits the outline more closely.", "B"),
    ("Box A fits the outline more closely.", "A"),
    ("The answer is dog.", "B"),
    ("Answer: the dog", "B"),
    ("dog", "B"),
    ("Dog.", "B"),
    ("There is a dog in the picture.", "B"),
    ("There is a hot dog in the picture.", "D"),
    ("A cat is here", "A"),
    ("A bird is here", "C"),
    ("It is a dog, not a cat.", "B"),
    ("答案是B", "B"),
    ("答案：Ｂ", "B"),
    ("Ｂ", "B"),
    ("正确答案是（B）。", "B"),
    ("因此选B", "B"),
]


@pytest.mark.parametrize(("text", "letter"), REALISTIC, ids=[text[:40] for text, _ in REALISTIC])
def test_a_realistic_reply_names_the_option_it_means(text: str, letter: str) -> None:
    assert read_choice(text, ANIMALS) == (letter, "")


NO_ANSWER = [
    "",
    "   \n",
    "E",
    "I cannot see any image.",
    "I'm sorry, but I can't help with that.",
    "A picture of a horse",
    "a",  # see the test of lower-case letters: alone it counts, so it is checked there
    "A or B",
    "Answer: A or B",
    "The answer is B and C",
    "cat and dog",
    "The cathedral has dogged visitors",
    "A. cat\nB. dog\nC. bird\nD. hot dog",
    "(A) cat (B) dog (C) bird (D) hot dog",
    "Point A is left of point B",
    "<think>The answer is B, I am sure, but let me",
    "The answer is not B",
    "Not B",
    "A\nB\nC\nD",
    "Not a dog",
]


@pytest.mark.parametrize("text", [t for t in NO_ANSWER if t != "a"])
def test_a_reply_that_names_no_single_option_is_wrong_and_says_why(text: str) -> None:
    verdict = score(sample(), reply(text))
    assert (verdict.value, verdict.extracted) == (0.0, "")
    assert verdict.note in ("no option found", "several options named")


def test_a_lower_case_letter_counts_only_when_it_stands_alone() -> None:
    assert read_choice("a", ANIMALS)[0] == "A"
    assert read_choice("a horse", ANIMALS)[0] == ""
    assert read_choice("the answer is a horse", ANIMALS)[0] == ""
    assert read_choice("answer: a", ANIMALS)[0] == "A"


def test_letters_the_sample_does_not_have_are_no_answer() -> None:
    assert read_choice("E", ANIMALS)[0] == ""
    assert read_choice("E", TEN)[0] == "E"
    assert read_choice("The answer is (J)", TEN)[0] == "J"


def test_i_the_pronoun_is_not_option_i() -> None:
    assert read_choice("I think it is G", TEN)[0] == "G"
    assert read_choice("I", TEN)[0] == "I"
    assert read_choice("I don't know", TEN)[0] == ""


@pytest.mark.parametrize(
    ("text", "letter"),
    [("4", "A"), ("There are 14 of them", "B"), ("x = 4.5", "C"), ("x = -4", "D"), ("It is 4.", "A"), ("44", "")],
)
def test_a_number_is_matched_as_a_whole_number(text: str, letter: str) -> None:
    assert read_choice(text, NUMBERS)[0] == letter


@pytest.mark.parametrize(
    ("text", "letter"), [("图中是狗。", "B"), ("图中是黑狗", "C"), ("答案是猫", "A"), ("选项B", "B")]
)
def test_chinese_option_text_needs_no_spaces_around_it(text: str, letter: str) -> None:
    assert read_choice(text, CHINESE)[0] == letter


def test_a_reply_equal_to_an_option_text_beats_a_letter_inside_it() -> None:
    assert read_choice("Vitamin C", NEITHER)[0] == "A"
    assert read_choice("None", NEITHER)[0] == "C"
    assert read_choice("None of the above", NEITHER)[0] == "D"


def test_two_options_with_one_text_cannot_be_told_apart_by_it() -> None:
    assert read_choice("dog", {"A": "dog", "B": "dog"}) == ("", "several options named")


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", "dog", "Dog"])
def test_an_answer_may_be_written_as_letter_or_text(answer: str) -> None:
    assert score(sample(answer), reply("B")).value == 1.0


@pytest.mark.parametrize("answer", ["Z", "?", "elephant"])
def test_a_sample_whose_answer_is_no_option_is_unscored(answer: str) -> None:
    verdict = score(sample(answer), reply("B"))
    assert verdict.value is None
    assert repr(answer) in verdict.note


def test_a_sample_without_options_is_unscored() -> None:
    assert score(sample("B", {}), reply("B")).value is None


def test_a_sample_without_answer_is_unscored_and_a_failed_prediction_too() -> None:
    assert score(sample(""), reply("B")).value is None
    failed = score(sample(), Prediction(index="7", row=7, error="image is broken"))
    assert failed.value is None
    assert "image is broken" in failed.note
    assert score(sample(), None).value is None


some_options = st.lists(st.text(max_size=12), min_size=1, max_size=10).map(
    lambda texts: dict(zip("ABCDEFGHIJ", texts, strict=False))
)
model_like = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            [
                "A",
                "B",
                "C",
                "(B)",
                "**C**",
                "answer:",
                "is",
                "the",
                "option",
                "<think>",
                "</think>",
                "\\boxed{",
                "}",
                "so",
            ]
        ),
    ),
    max_size=20,
).map(" ".join)


@pytest.mark.slow
@given(text=st.one_of(st.text(), model_like), options=some_options)
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_letter_of_the_sample_or_none(text: str, options: dict[str, str]) -> None:
    letter, note = read_choice(text, options)
    assert letter in options or (letter == "" and note)
    assert score(sample("A", options), reply(text)).value in (0.0, 1.0)


@given(before=st.text(alphabet=st.characters(exclude_characters="<>\\"), max_size=60), letter=st.sampled_from("ABCD"))
@settings(max_examples=200, deadline=None)
def test_a_closing_statement_wins_over_whatever_stands_before_it(before: str, letter: str) -> None:
    for statement in (f"The answer is ({letter}).", f"Answer: {letter}", f"\\boxed{{{letter}}}"):
        assert read_choice(f"{before}\n{statement}", ANIMALS)[0] == letter


PIECES = [
    "answer: ",
    "\\boxed{}",
    "\\boxed{",
    "\\text{",
    "**B ",
    "\n",
    " ",
    "dog ",
    "(A) ",
    "B. x\n",
    "so ",
    "<answer>",
    "not ",
]


@pytest.mark.slow
@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", PIECES)
def test_reading_takes_time_linear_in_the_length_of_the_reply(piece: str) -> None:
    read_choice(piece * (400_000 // len(piece)), ANIMALS)
