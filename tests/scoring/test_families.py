"""Strict verdicts of the benchmark families: what counts as right by each rule, and what does not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scoring.generated import COLUMNS, prediction_of, rows, sample_of
from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring.families import FAMILIES, scorer_for
from vlmeval_mp.scoring.reading.numbers import amount, value


def strict(family: str, text: str, answer: str, **columns: object) -> float | None:
    options: dict[str, str] = columns.pop("options", {})  # type: ignore[assignment]
    fields = {name: str(columns.pop(name)) for name in ("category", "question") if name in columns}
    extra = {name: str(cell) for name, cell in columns.items()}
    sample = Sample(index="1", row=0, kind="vqa", options=options, answer=answer, extra=extra, **fields)
    return scorer_for(family, "strict")(sample, Prediction(index="1", row=0, prediction=text)).value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("7", 7), ("-7.50", -7.5), ("1,000", 1000), ("12,345,678.5", 12345678.5), (".5", 0.5), ("$ 12", 12), ("7.", 7),
        ("1/2", 0.5), ("\\frac{3}{4}", 0.75), ("-\\frac{3}{4}", -0.75), ("\\dfrac12", 0.5), ("3\\frac{1}{2}", 3.5),
        ("\\sqrt{16}", 4), ("2\\sqrt{3}", 3.4641016), ("\\sqrt[3]{8}", 2), ("\\frac{\\sqrt{3}}{2}", 0.8660254),
        ("\\pi", 3.1415927), ("4\\pi", 12.566371), ("90^\\circ", 90), ("90°", 90), ("10^2", 100), ("10^{-2}", 0.01),
        ("2 \\times 10^3", 2000), ("6 ÷ 2", 3), ("(7)", 7), ("\\left(\\frac{1}{2}\\right)", 0.5), ("\\(7\\)", 7),

        ("1+\\sqrt{4}", 3), ("2-\\frac{1}{2}", 1.5), ("１２", 12), ("−4", -4), ("½", 0.5),
        ("-3\\frac{1}{2}", -3.5), ("+7", 7), ("2(3)", 6),
    ],
)  # fmt: skip
def test_a_number_is_read(text: str, wanted: float) -> None:
    found = value(text)
    assert found is not None
    assert found == pytest.approx(wanted, rel=1e-6)


NONE = [
    "",
    "seven",
    "7 cm",
    "7 8",
    "7, 8",
    "1,00",
    "x",
    "x=7",
    "7:30",
    "\\frac{1}{0}",
    "[1, 2]",
    "7%",
    "(7",
    "7)",
    "--",
    ".",
]
NONE += [
    "1 000",
    "2x",
    "\\sqrt{-1}",
    "1.2.3",
    "9^9^9^9^9",
    "a",
    "nan",
    "inf",
    "1e5",
    "7!",
    "-",
    "7-",
    "{}",
    "²",
    "猫",
    "v7",
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_more_or_less_than_a_number_is_none(text: str) -> None:
    assert value(text) is None


def test_a_percent_sign_is_noted() -> None:
    found = amount("5 %")
    assert found is not None
    assert (found.value, found.percent) == (5, True)
    assert amount("5\\%") == found


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        ("1,000", "1000", 1), ("1000", "1,000", 1), ("$1,040", "1000", 1), ("1060", "1000", 0), ("0.0", "0", 1),
        ("0%", "0", 1),
        ("0.01", "0", 0), ("-0.001", "0", 0), ("5%", "5", 1), ("5", "5%", 1), ("5%", "0.05", 1), ("0.05", "5%", 1),
        ("500", "5", 0), ("10%", "5%", 0), ("Yes", "yes", 1), ("The answer is 14.", "14", 1), ("**14**", "14", 1),
        ("<think>13?</think>\\boxed{14}", "14", 1), ("I see 14 of them", "14", 0), ("", "14", 0),
        ("14 and 15", "14", 0),
        ("fourteen dogs", "14", 0),
        ("2010", "2010", 1), ("2010-2015", "2010-2015", 1), ("dark blue", "Dark Blue", 1), ("blue", "dark blue", 0),
        ("dog", "['cat', 'dog']", 1), ("14", "['x', '14.2']", 1), ("-14", "14", 0),
        ("1/2", "0.5", 0), ("2015-2020", "2010-2015", 0),
    ],
)  # fmt: skip
def test_relaxed(text: str, answer: str, right: float) -> None:
    assert strict("relaxed", text, answer) == right


@pytest.mark.parametrize(
    ("text", "answer", "near"),
    [
        ("invoice 12", "Invoice  12", 1), ("  invoice 12 ", "invoice 12", 1), ("invoice 13", "invoice 12", 0.9),
        ("The answer is invoice 12.", "invoice 12", 1), ("", "invoice 12", 0), ("abcd", "abxy", 0.5), ("abc", "xyz", 0),
        ("<think>x</think>invoice 12", "invoice 12", 1), ("12", "['x', '12']", 1),
        ("it says invoice 12 here, I think", "invoice 12", 0),
        ("     ab", "ab", 1), ("abcde", "abxyz", 0),
    ],
)  # fmt: skip
def test_anls(text: str, answer: str, near: float) -> None:
    assert strict("anls", text, answer) == pytest.approx(near)


TEN = str(["stop"] * 3 + ["halt"] * 2 + ["a stop sign", "Stop.", "octagon", "red", "red"])


@pytest.mark.parametrize(
    ("text", "answer", "near"),
    [
        ("stop", TEN, 1), ("STOP!", TEN, 1), ("The answer is stop.", TEN, 1), ("halt", TEN, (2 * 1 + 8 * 2) / 30),
        ("octagon", TEN, 0.3), ("blue", TEN, 0), ("", TEN, 0), ("7", "7", 1), ("seven", "7", 1), ("dont", "don't", 1),
        ("a dog", "['dog', 'puppy']", 1), ("the puppy", "['dog', 'puppy']", 1), ("cat", "['dog', 'puppy']", 0),
        ("1,000", "1000", 1), ("x" + "." * 40, "x", 1), ("<think>halt</think> stop", TEN, 1),
    ],
)  # fmt: skip
def test_textvqa(text: str, answer: str, near: float) -> None:
    assert strict("textvqa", text, answer) == pytest.approx(near)


HANDWRITTEN = "Handwritten Mathematical Expression Recognition"


@pytest.mark.parametrize(
    ("text", "answer", "category", "right"),
    [
        ("The word is CENTRE.", "['centre']", "Regular Text Recognition", 1),
        ("3125", "['12']", "Digit String Recognition", 0),
        ("12.50", "['12']", "Key Information Extraction", 0),
        ("$12.50", "['12.50', '$12.50']", "Key Information Extraction", 1),
        ("incentre", "['centre']", "Regular Text Recognition", 0),
        ("x^2+1", "['x ^ 2 + 1']", HANDWRITTEN, 1),
        ("X^2+1", "['x ^ 2 + 1']", HANDWRITTEN, 0),
        ("<think>centre</think> metre", "['centre']", "Regular Text Recognition", 0),
        ("anything", "['']", "Regular Text Recognition", 0),
        ("two\nlines", "['two lines']", "Doc-oriented VQA", 1),
        ("写着中心两字", "['中心']", "Scene Text-centric VQA", 1),
        ("", "['centre']", "Regular Text Recognition", 0),
    ],
)
def test_ocrbench(text: str, answer: str, category: str, right: float) -> None:
    assert strict("ocrbench", text, answer, category=category) == right


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        ("7", "7", 1), ("The answer is 7.0.", "7", 1), ("So x = 1,000", "1000", 1), ("7.004", "7", 1), ("7.1", "7", 0),
        ("There are 3 cats. Thus the total is 7", "7", 1), ("There are 7 cats, thus the total is 8", "7", 0),
        ("It is not clear", "no", 0), ("The answer is no", "No", 1), ("bond", "['bond', 'covalent']", 1),
        ("It is a covalent bond.", "['ionic', 'covalent bond']", 1), ("<think>it is 7</think>8", "7", 0), ("", "7", 0),
        ("**Answer:** 24/7", "24/7", 1), ("\\boxed{0.33}", "0.33", 1), ("-7", "7", 0),
        ("The first is 7. The total is 8", "7", 0), ("The answer is 7. This is 3 plus 4.", "7", 1),
    ],
)  # fmt: skip
def test_mmmu_open(text: str, answer: str, right: float) -> None:
    assert strict("mmmu", text, answer) == right


def test_mmmu_with_options_wants_a_letter() -> None:
    options = {"A": "7", "B": "8"}
    assert strict("mmmu", "The answer is B", "B", options=options) == 1
    assert strict("mmmu", "I cannot tell", "A", options=options) == 0


INTEGER, FLOAT, LIST, TEXT = (
    {"question_type": "free_form", "answer_type": kind} for kind in ("integer", "float", "list", "text")
)
ONE_PLACE, TWO_PLACES = FLOAT | {"precision": "1.0"}, FLOAT | {"precision": "2"}
CHOICE = {"question_type": "multi_choice", "choices": "['cat', 'dog', 'hot dog']", "answer_option": "B"}


@pytest.mark.parametrize(
    ("text", "answer", "columns", "right"),
    [
        ("B", "dog", CHOICE, 1), ("The answer is dog", "dog", CHOICE, 1), ("hot dog", "dog", CHOICE, 0),
        ("(C)", "dog", CHOICE, 0),
        ("doog", "dog", CHOICE, 0),
        ("14", "14", INTEGER, 1), ("14.0", "14", INTEGER, 1),
        ("14.6", "14", INTEGER, 0), ("Answer: 14 cm", "14", INTEGER, 1),
        ("1,400", "1400", INTEGER, 1), ("12 or 14", "14", INTEGER, 0),
        ("3.46", "3.5", ONE_PLACE, 1), ("3.44", "3.5", ONE_PLACE, 0),
        ("1.234", "1.23", FLOAT, 1), ("2\\sqrt{3}", "3.46", TWO_PLACES, 1),
        ("[2007, 2008]", "[2007, 2008]", LIST, 1), ("[2008, 2007]", "[2007, 2008]", LIST, 0),
        ("between 2007 and 2008", "[2007, 2008]", LIST, 0), ("(2007, 2008.0)", "[2007, 2008]", LIST, 1),
        ("The answer is [2007, 2008].", "[2007, 2008]", LIST, 1),
        ("Yes", "yes", TEXT, 1), ("", "14", INTEGER, 0), ("0", "0", INTEGER, 1),
    ],
)  # fmt: skip
def test_mathvista(text: str, answer: str, columns: dict[str, str], right: float) -> None:
    assert strict("mathvista", text, answer, **columns) == right


@pytest.mark.parametrize(
    ("text", "answer", "choices", "right"),
    [
        ("B", "B", "['1', '2']", 1), ("Answer: 2", "B", "['1', '2']", 1), ("A", "7", "[]", 0), ("7", "7", "[]", 1),
        ("\\boxed{\\frac{1}{2}}", "0.5", "[]", 1), ("$\\frac{2}{4}$", "\\frac{1}{2}", "[]", 1), ("x = 7", "7", "[]", 1),
        ("Therefore the answer is \\(7\\).", "7", "[]", 1), ("12 cm^2", "12", "[]", 1),
        ("12 square units", "12", "[]", 1),
        ("7 or 8", "7", "[]", 0), ("2\\sqrt{3}", "2 \\sqrt{3}", "[]", 1), ("3.46", "2\\sqrt{3}", "[]", 0),
        ("(1, 2)", "(1,2)", "[]", 1), ("x + 1", "x+1", "[]", 1), ("5\\%", "5%", "[]", 1), ("5", "5%", "[]", 0),
        ("", "7", "[]", 0), ("x - 1", "x+1", "[]", 0), ("x", "-x", "[]", 0), ("$x − 1$", "x-1", "[]", 1),
        ("Well-known.", "well-known", "[]", 1), ("$a < b$", "a>b", "[]", 0),
    ],
)  # fmt: skip
def test_mathvision(text: str, answer: str, choices: str, right: float) -> None:
    assert strict("mathvision", text, answer, choices=choices) == right


LISTED = {"candidates": "['a cat', 'a dog', 'nothing']"}


@pytest.mark.parametrize("family", ["mvbench", "mlvu", "longvideobench", "videomme"])
@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("(B) a dog", 1),
        ("B", 1),
        ("(b)", 1),
        ("a dog", 1),
        ("a cat", 0),
        (") nonsense", 0),
        ("", 0),
        ("Best option: (B)", 1),
        ("a", 0),
    ],
)
def test_a_listed_option_is_named_by_letter_or_text(family: str, text: str, right: float) -> None:
    assert strict(family, text, "B", options={"A": "a cat", "B": "a dog", "C": "nothing"}, **LISTED) == right
    assert strict(family, text, "a dog", **LISTED) == right


CAPTIONS = {"candidates": "['Caption A: it melts', 'Caption B: it freezes']", "task_type": "caption_matching"}
NUMBERED = {"candidates": "['Option 1: up', 'Option 2: down']", "task_type": "caption_matching"}
LETTERED = {"candidates": "['A. up', 'B. down']", "task_type": "multi-choice"}


@pytest.mark.parametrize(
    ("text", "answer", "columns", "right"),
    [
        ("Caption B", "Caption B: it freezes", CAPTIONS, 1), ("it freezes", "Caption B: it freezes", CAPTIONS, 1),
        ("B", "Caption B: it freezes", CAPTIONS, 1), ("Caption A", "Caption B: it freezes", CAPTIONS, 0),
        ("(B)", "Caption B: it freezes", CAPTIONS, 1),
        ("Option 2", "Option 2: down", NUMBERED, 1), ("2", "Option 2: down", NUMBERED, 1),
        ("1", "Option 2: down", NUMBERED, 0),
        ("down", "Option 2: down", NUMBERED, 1), ("(B) down", "B. down", LETTERED, 1),
        ("B. down", "B. down", LETTERED, 1),
        ("B", "B. down", LETTERED, 1), ("down", "B. down", LETTERED, 1), ("A", "B. down", LETTERED, 0),
        ("", "B. down", LETTERED, 0),
        ("The best option is B.", "B. down", LETTERED, 1), ("", "Option 2: down", NUMBERED, 0),
    ],
)  # fmt: skip
def test_tempcompass(text: str, answer: str, columns: dict[str, str], right: float) -> None:
    assert strict("tempcompass-mcq", text, answer, **columns) == right


def test_a_judges_family_gives_no_value_and_says_so() -> None:
    sample = Sample(index="1", row=0, kind="vqa", answer="x")
    for mode in ("compat", "strict"):
        verdict = scorer_for("judge", mode)(sample, Prediction(index="1", row=0, prediction="x"))  # type: ignore[arg-type]
        assert (verdict.value, verdict.note) == (None, "needs a judge")


@pytest.mark.parametrize("family", sorted(COLUMNS))
def test_a_strict_scorer_takes_any_reply_and_finds_right_and_wrong_ones(family: str) -> None:
    values = []
    for place, row in enumerate(rows(family, 400, seed=5)):
        scored = scorer_for(family, "strict")(sample_of(row, place), prediction_of(row, place))
        assert scored.value is None or 0 <= scored.value <= 1
        values.append(scored.value)
    assert values.count(1.0) >= 20
    assert values.count(0.0) >= 20


@pytest.mark.parametrize("family", sorted(COLUMNS))
@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_breaks_a_scorer(family: str, text: str) -> None:
    for place, row in enumerate(rows(family, 3, seed=7)):
        for mode in ("strict", "compat"):
            row["prediction"] = text
            scorer_for(family, mode)(sample_of(row, place), prediction_of(row, place))  # type: ignore[arg-type]


PIECES = ["(", "1/", "\\frac{", "\\boxed{", "a dog or ", "1,000 ", "**", "9^", "-", "[", "x=", "7 cm ", "{", "$", "1-"]


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize(
    "piece", ["(", "1/", "\\frac{", "\\boxed{", "a dog or ", "1,000 ", "**", "9^", "-", "[", "x=", "7 cm "]
)
def test_a_long_reply_is_scored_in_no_time(family: str, piece: str) -> None:
    row = (
        rows(family, 1, seed=9)[0]
        if family in COLUMNS
        else {"index": 0, "question": "", "answer": "x", "prediction": ""}
    )
    row["prediction"] = piece * (8000 // len(piece))
    started = time.process_time()
    for mode in ("strict", "compat"):
        scorer_for(family, mode)(sample_of(row, 0), prediction_of(row, 0))  # type: ignore[arg-type]
    assert time.process_time() - started < 1.5
