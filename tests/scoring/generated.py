"""Generated rows of every benchmark family: its columns, and replies such as models write, right ones and wrong ones.

Seeded, so that a failure can be had again. `rows` gives what a TSV would hold; `sample_of` and `prediction_of` give the
row as our scorers get it.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from typing import Any

from vlmeval_mp.core.records import Prediction, Sample

Row = dict[str, Any]

LOST = "Failed to obtain answer via API."
SHAPES = [
    *["{}"] * 14, " {}\n", "**{}**", "({})", "({}) {}", "{}.", "{})", "{}:", "\\boxed{{{}}}", "$\\boxed{{{}}}$", "${}$",
    "'{}'",
    "The answer is {}", "The answer is {}.", "The correct answer is {}", "Best option: {}", "Best option:({})",
    "The best option is {}", "Answer: {}", "answer: {}", "ANSWER: {}", "**Answer:** {}", "Option: {}",
    "答案是{}", "答案：{}。",
    "选{}", "{}, because it is so and nothing else in this picture fits as well", "{}. It is {}", "{}. {}",
    "<think>maybe {}</think> {}", "<think>\nIs it {} or {}?\n</think>\n\n{}", "<answer>{}</answer>",
    "Answer: {}\nor {}", "First, {}.\nThen {}.\nAnswer: {}", "Let me think.\n\nAnswer: ({})",
    "{}\n{}", "{}\n\n{}\n", "{} {}",
    "{}, {}", "{} / {}", "{} or {}", "{} and {}", "not {}", "Either {} or {}, I think", "I see 1,000 things, {}!",
    "A person is here so {}", "Cannot determine the answer {}", "Sorry, I can't help with images of people yet. {}",
    "I can't process this file.", "I'm sorry, but without the image provided I cannot tell {} from {}",
    f"{LOST} {{}}", LOST, LOST, "." * 40 + "{}", "{}" + "." * 3, "first a cat... then " * 15 + "{}",
    "The picture shows a great many things that one could talk about for long. " * 4 + "So it is {}",
    "\t{}", "- {}\n- {}", "{{'answer': '{}'}}", "[{}]", "{}!", "\"{}\"", "`{}`", "_{}_", "{}-{}",
    "{}={}", "It is {}; {}",
    "图中有{}和{}", "嗯，我认为是{}", "{}%", "{} cm", "x = {}", "{}，{}", "Z", "{} Z", "I",
    "a", "A", "", "", "  ", "None", "NA", "nan",
    "null", "N/A", "n/a", "NULL", "<NA>", "?", "yes and no", "nothing", "No idea", "Yes.", "no,no",
    "e.g. {}", "#{}#", "{}\r\n{}",
]  # fmt: skip
WORDS = [
    *"ABCDEZabc",
    "cat",
    "dog",
    "Dog",
    "hot dog",
    "bird",
    "fish",
    "猫",
    "yes",
    "No",
    "not",
    "7",
    "07",
    "7.0",
    "6.8",
    "5%",
    "0",
]
WORDS += [
    "1,000",
    "1000",
    "-4",
    "3.5",
    "1/2",
    "\\frac{1}{2}",
    "2\\sqrt{3}",
    "\\pi",
    "invoice 12",
    "Other Answers",
    "none",
]
WORDS += [
    "it's",
    "its",
    "dont",
    "don't",
    "three",
    "the",
    "Café",
    "ＡＢ",
    "x^2+1",
    "50 %",
    "$12",
    "10^2",
    "2*3",
    "seven",
]

NOISE = "AaBbCcDyesno  .,:;()[]{}*#!?-_/\\\"'`\t\n\x0b\xa0\u3000\u2028猫éİßΣ17%0"
TOKENS = ["A", "B", "yes", "no", "cat", "dog", "7", "the", "Answer:", "(", ")", "1,000", "Z", " ", "\n"]

OPTIONS = [
    ["cat", "dog", "bird", "hot dog"],
    ["Yes", "No"],
    ["7", "7.5", "0", "-4"],
    ["The man on the left", "The woman on the right", "A child.", "B"],
    ["猫", "狗", "cat", "None of the above"],
    ["None", "dog", "NA", "a"],
    ["cat", "cat", "dog", ""],
    ["A", "B", "A cat", "Cat"],
    ["red", "blue", "red and blue", "green", "I"],
]
SHORT = [
    "7",
    "0",
    "5%",
    "1000",
    "1,000",
    "invoice 12",
    " Dog ",
    "dog",
    "yes",
    "No",
    "None",
    "猫",
    "3.5",
    "it's",
    "0.0",
    "a",
]
SHORT += [
    "['cat', 'dog']",
    "['7', 'seven', '7.0']",
    "['dog']",
    "['', 'x']",
    "[1, 2]",
    "[cat]",
    "-4",
    "Café",
    "the dog",
    "two words",
]


def rows(family: str, count: int, seed: int) -> list[Row]:
    """`count` rows of `family`, their index equal to their place."""
    draw = random.Random(f"{family} {seed}")
    return [{"index": place} | row | _named(family, place) for place, row in enumerate(_drawn(family, draw, count))]


def _drawn(family: str, draw: random.Random, count: int) -> list[Row]:
    columns, words = COLUMNS[family]
    found = []
    for _ in range(count):
        row = columns(draw)
        row["prediction"] = reply(draw, [*words(row), *draw.choices(WORDS, k=3)])
        found.append(row)
    return found


def reply(draw: random.Random, words: list[str]) -> str:
    """A reply out of `words`, of which the first are the likely ones; one in ten is noise."""
    if draw.random() < 0.1:
        pieces = [draw.choice(NOISE) if draw.random() < 0.5 else draw.choice([*words, *TOKENS]) for _ in range(12)]
        return "".join(pieces[: draw.randrange(1, 13)])
    shape = draw.choice(SHAPES)
    chosen = [draw.choice(words[: 1 + draw.randrange(len(words))]) for _ in range(4)]
    text = shape.format(*chosen)
    return text.lower() if draw.random() < 0.06 else text.upper() if draw.random() < 0.03 else text


def _named(family: str, place: int) -> Row:
    """Columns that hang on the place: an index of HallusionBench says set, figure and question; MME asks twice."""
    if family == "hallusion":
        return {"index": f"VD_chart_0_{place // 6}_{place // 2 % 3}_{place % 2}"}
    if family in ("mme", "amber"):
        return {"image_path": f"{place // 2}.png", "category": ("color", "existence")[place // 2 % 2]}
    return {}


# --- columns and likely words, by family ------------------------------------------------------------------------


def choices(draw: random.Random) -> Row:
    options = draw.choice(OPTIONS)
    lettered = dict(zip("ABCDE", [*options, "", "", ""], strict=False))
    answer = draw.choice([x for x in "ABCDE" if lettered[x]])
    question = draw.choice(["What is it?", "图中是什么?", "Which?\nA. cat\nB. dog"])
    return {"question": question, **lettered, "answer": answer, "split": "val", "category": draw.choice(["one", "two"])}


def chosen(row: Row) -> list[str]:
    return [
        row["answer"],
        row.get(row["answer"], ""),
        row["answer"].lower(),
        f"{row['answer']}. {row.get(row['answer'])}",
    ]


def open_or_choices(draw: random.Random) -> Row:
    row = choices(draw)
    if draw.random() < 0.4:
        row |= dict.fromkeys("ABCDE", "") | {"answer": draw.choice(["7", "cat", "B", "3.5", "['7', 'seven']", "Other"])}
    return row


def yes_no(*answers: str) -> Callable[[random.Random], Row]:
    def columns(draw: random.Random) -> Row:
        kinds = {"category": draw.choice(["color", "existence"]), "l2-category": draw.choice(["chart", "map"])}
        return {"question": "Is it?", "answer": draw.choice(answers), **kinds}

    return columns


def said_yes_no(row: Row) -> list[str]:
    return [row["answer"], "Yes", "No", row["answer"].lower(), row["answer"] + "."]


def short(draw: random.Random) -> Row:
    return {"question": "What?", "answer": draw.choice(SHORT), "split": draw.choice(["human", "augmented"])}


def humans(draw: random.Random) -> Row:
    pool = draw.choice(
        [["stop", "Stop.", "stop sign"], ["7", "seven", "07"], ["it's", "its", "a dog"], ["nokia", "no", "Nokia!"]]
    )
    listed = [draw.choice(pool[: 1 + draw.randrange(3)]) for _ in range(draw.choice([1, 2, 3, 5, 10, 10, 10, 10]))]
    return {"question": "What?", "answer": str(listed) if draw.random() < 0.9 else draw.choice(SHORT), "split": "val"}


def an_item(row: Row) -> list[str]:
    text = row["answer"]
    items = [x.strip(" '\"") for x in text.strip("[]").split(",")] if text.startswith("[") else [text]
    return [*items[:3], items[0].upper(), f" {items[-1]} "]


OCR = ["Regular Text Recognition", "Key Information Extraction", "Handwritten Mathematical Expression Recognition"]


def ocr(draw: random.Random) -> Row:
    answers = draw.choice(
        [["CENTRE"], ["12.50", "$12.50"], ["x ^ 2 + 1"], ["a\nb"], ["x^{2}"], ["STOP"], ["12"], [""], "ab", 7]
    )
    answers = answers if not isinstance(answers, list) or draw.random() < 0.9 else [*answers, 7]
    return {"question": "What?", "answer": repr(answers), "category": draw.choice(OCR)}


def ocr_words(row: Row) -> list[str]:
    return [*an_item(row), "x^2+1", "X ^ 2 + 1", "centre", "3125", "a b"]


DURATIONS = {"duration": "short", "domain": "Knowledge", "sub_category": "Geography", "task_type": "OCR Problems"}


def video_mme(draw: random.Random) -> Row:
    row = choices(draw)
    answer = draw.choice("ABCD")
    if draw.random() < 0.5:
        listed = [f"{letter}. {row[letter]}" for letter in "ABCD"]
        return (
            {"question": row["question"], "candidates": str(listed), "answer": answer}
            | dict.fromkeys("ABCDE", "")
            | DURATIONS
        )
    return {**row, "candidates": "", "answer": answer} | DURATIONS


def long_video(draw: random.Random) -> Row:
    options = [x for x in draw.choice(OPTIONS) if x]
    place = draw.randrange(len(options))
    group = {"duration_group": draw.choice([15, 60, 600, 3600]), "question_category": draw.choice(["S2E", "TAA"])}
    return {
        "question": draw.choice(["What?", "Which?\nA. cat\nB. dog"]),
        "candidates": str(options),
        "correct_choice": place,
    } | group


def by_place(row: Row) -> list[str]:
    return [string.ascii_uppercase[row["correct_choice"]], "cat", "dog"]


def candidates(draw: random.Random) -> Row:
    options = draw.choice([[x for x in y if x] for y in OPTIONS])
    answer = draw.choice(options) if draw.random() < 0.95 else "whale"
    return {
        "question": "What?",
        "candidates": str(options),
        "answer": answer,
        "task_type": draw.choice(["order", "ego"]),
    }


def candidate_words(row: Row) -> list[str]:
    listed = eval(row["candidates"])
    letter = string.ascii_uppercase[listed.index(row["answer"])] if row["answer"] in listed else "A"
    return [
        f"({letter})",
        letter,
        f"({letter}) {row['answer']}",
        row["answer"],
        letter.lower(),
        f"{letter})",
        f"{letter}.",
    ]


CAPTIONS = [["Caption A: a dog runs", "Caption B: a dog sits"], ["Sentence A: it melts", "Sentence B: it freezes"]]
CAPTIONS += [["Option 1: up", "Option 2: down"]]


def temporal(draw: random.Random) -> Row:
    if draw.random() < 0.5:
        options = draw.choice(CAPTIONS)
        return {
            "question": "Which?",
            "candidates": str(options),
            "answer": draw.choice(options),
            "task_type": "caption_matching",
            "dim": "order",
        }
    listed = [f"{letter}. {text}" for letter, text in zip("ABCD", draw.choice(OPTIONS), strict=False)]
    return {
        "question": "What?",
        "candidates": str(listed),
        "answer": draw.choice(listed),
        "task_type": "multi-choice",
        "dim": "speed",
    }


def temporal_words(row: Row) -> list[str]:
    head, _, tail = row["answer"].partition(": ")
    return [
        row["answer"],
        head,
        tail,
        row["answer"][0],
        head.split()[-1],
        f"({row['answer'][0]}) {tail}",
        "Caption B",
        "B. dog",
    ]


def temporal_yes_no(draw: random.Random) -> Row:
    return {
        "question": "Is it?",
        "answer": draw.choice(["yes", "no"]),
        "task_type": "yes_no",
        "dim": draw.choice(["a", "b"]),
    }


def math_vista(draw: random.Random) -> Row:
    kind = draw.choice(["multi_choice", "integer", "integer", "float", "float", "text", "list"])
    row = {
        "question": "What?",
        "question_type": "free_form",
        "answer_type": kind,
        "choices": "",
        "answer_option": "",
        "precision": "",
    }
    if kind == "multi_choice":
        options = draw.choice(OPTIONS)
        place = draw.randrange(len(options))
        answer = {"answer": options[place], "answer_option": "ABCDE"[place], "choices": str(options)}
        return row | {"question_type": kind, "answer_type": "text", **answer}
    values = {
        "integer": ["7", "0", "1000", "7.5"],
        "float": ["3.5", "0.0", "6.80"],
        "text": ["cat"],
        "list": ["[1, 2]", "[1.5, 2]"],
    }
    return row | {"answer": draw.choice(values[kind])}


def math_words(row: Row) -> list[str]:
    words = [row["answer"], row["answer"] + " ", row.get("answer_option") or row["answer"], f"{row['answer']} cm"]
    try:
        words += [
            str(float(row["answer"])),
            f"{int(row['answer']):,}",
            f"{row['answer']}.",
            f"+{row['answer']}",
            f"{row['answer']}/1",
        ]
    except ValueError:
        words += ["0.5", "1/2", "\\dfrac{1}{2}", "\\frac{2}{4}", "(1/2)"]
    return words


def math_vision(draw: random.Random) -> Row:
    if draw.random() < 0.5:
        options = draw.choice(OPTIONS)
        return {
            "question": "What?",
            "choices": str(options),
            "answer": draw.choice("ABCDE"[: len(options)]),
            "category": "algebra",
        }
    answers = [
        "7",
        "0",
        "1000",
        "3.5",
        "-4",
        "\\frac{1}{2}",
        "1/2",
        "2\\sqrt{3}",
        "cat",
        "10^2",
        "6",
        "x+1",
        "1, 2",
        "5\\%",
        "b",
    ]
    return {"question": "What?", "choices": "[]", "answer": draw.choice(answers), "category": "algebra"}


COLUMNS: dict[str, tuple[Callable[[random.Random], Row], Callable[[Row], list[str]]]] = {
    "mcq": (choices, chosen),
    "circular": (choices, chosen),
    "blink": (choices, chosen),
    "visonlyqa": (choices, chosen),
    "mmmu": (open_or_choices, chosen),
    "mmmu-cot": (open_or_choices, chosen),
    "yesno": (yes_no("Yes", "No"), said_yes_no),
    "mme": (yes_no("Yes", "No"), said_yes_no),
    "pope": (yes_no("Yes", "No"), said_yes_no),
    "hallusion": (yes_no("Yes", "No"), said_yes_no),
    "vsr": (yes_no("Yes", "No"), said_yes_no),
    "amber": (yes_no("yes", "no", "Yes"), said_yes_no),
    "open": (humans, an_item),
    "exact": (short, an_item),
    "gqa": (short, an_item),
    "textvqa": (humans, an_item),
    "relaxed": (short, an_item),
    "anls": (short, an_item),
    "ocrbench": (ocr, ocr_words),
    "videomme": (video_mme, chosen),
    "longvideobench": (long_video, by_place),
    "mvbench": (candidates, candidate_words),
    "mlvu": (candidates, candidate_words),
    "tempcompass-mcq": (temporal, temporal_words),
    "tempcompass-yesno": (temporal_yes_no, said_yes_no),
    "mathvista": (math_vista, math_words),
    "mathvision": (math_vision, math_words),
}

_OWN = {"question", "answer", "category", "l2-category", "split", "prediction", "index", *string.ascii_uppercase}


def sample_of(row: Row, place: int) -> Sample:
    """The row as a sample, by the general columns; a `correct_choice` is a letter, as the reader makes it."""
    return Sample(
        index=str(row["index"]),
        row=place,
        kind="vqa",
        question=row["question"],
        options={letter: row[letter] for letter in string.ascii_uppercase if row.get(letter)},
        answer=row["answer"] if "answer" in row else by_place(row)[0],
        category=row.get("category", ""),
        l2_category=row.get("l2-category", ""),
        split=row.get("split", ""),
        extra={column: str(value) for column, value in row.items() if column not in _OWN and value != ""},
    )


def prediction_of(row: Row, place: int) -> Prediction:
    return Prediction(index=str(row["index"]), row=place, prediction=row["prediction"])
