"""Our compat verdicts against ms-vlmeval 0.0.20's own functions, row by row; scripts/parity makes the venv it needs."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from vlmeval_mp.errors import ConfigError
from vlmeval_mp.records import Prediction, Sample
from vlmeval_mp.scoring.families import check, scorer_for

VENV = Path(os.environ.get("VLMEVALKIT_VENV", "/tmp/vk"))
THEIRS = Path(__file__).parents[2] / "scripts" / "parity_theirs.py"
OPTIONS = {"A": "cat", "B": "dog", "C": "bird", "D": "hot dog"}
WORDS = [
    "A",
    "B",
    "C",
    "D",
    "E",
    "Z",
    "cat",
    "dog",
    "Hot Dog",
    "yes",
    "No",
    "not",
    "nothing",
    "7",
    "6.8",
    "5%",
    "1,000",
]
WORDS += ["0", "100", "猫", "invoice 12", "Other Answers", "-4", "3.5"]
SHAPES = ["{}", " {}\n", "**{}**", "({})", "{}.", "\\boxed{{{}}}", "The answer is {}", "Best option: {}", "答案是{}"]
SHAPES += ["{}, because it is so and nothing else in this picture fits as well", "<think>maybe {}</think> {}"]
SHAPES += ["Cannot determine the answer {}", "Answer: {}\nor {}", "I see 1,000 things, {}!", "{} / {}", "{} {}"]
SHAPES += ["first a cat... then " * 15 + "{}", "Failed to obtain answer via API. {}"]
SHAPES += ["A person is here so {}", "." * 40 + "{}"]
ANSWERS = {
    "yesno": ["Yes", "No"],
    "tempcompass-yesno": ["yes", "no"],
    "mmmu": ["A", "B", "7", "cat"],
    **{key: ["7", "0", "5%", "1000", "invoice 12", " Dog ", "['cat', 'dog']"] for key in ("relaxed", "anls", "exact")},
}
LIVE = ["mcq", "mmmu", "yesno", "relaxed", "anls", "exact", "videomme", "longvideobench", "tempcompass-yesno"]


def generated(count: int) -> list[tuple[str, Sample, Prediction]]:
    draw = random.Random(3)
    found = []
    for row in range(count):
        family = LIVE[row % len(LIVE)]
        shape = draw.choice(SHAPES)
        text = shape.format(*draw.choices(WORDS, k=2)).lower() if draw.random() < 0.1 else None
        text = text if text is not None else shape.format(*draw.choices(WORDS, k=2))
        options = {} if family == "mmmu" and draw.random() < 0.5 else OPTIONS
        options = {} if family in ("videomme", "longvideobench") else options
        answer = draw.choice(ANSWERS.get(family, list("ABCD")))
        sample = Sample(index=str(row), row=row, kind="vqa", options=options, answer=answer)
        found.append((family, sample, Prediction(index=str(row), row=row, prediction=text)))
    return found


@pytest.mark.skipif(not (VENV / "bin" / "python").exists(), reason="no ms-vlmeval here: run scripts/parity")
def test_every_compat_verdict_is_ms_vlmevals() -> None:
    rows = generated(20_700)
    lines = "\n".join(json.dumps([f, s.answer, p.prediction, s.options]) for f, s, p in rows)
    done = subprocess.run([VENV / "bin" / "python", THEIRS], input=lines, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    wrong = [
        (f, s.answer, p.prediction, theirs)
        for (f, s, p), theirs in zip(rows, json.loads(done.stdout), strict=True)
        if scorer_for(f, "compat")(s, p).value != theirs
    ]
    assert not wrong, (len(wrong), wrong[:5])


@pytest.mark.parametrize(
    ("family", "answer", "text", "compat"),
    [
        ("mcq", "B", "B. because it barks, unlike all the others here", 0.0),
        ("yesno", "No", "**No**", 0.0),
        ("exact", "1000", "1,000", 0.0),
        ("videomme", "C", "Best option: C", 0.0),
        ("tempcompass-yesno", "no", "nothing", 1.0),
    ],
)
def test_a_known_mistake_stays_in_compat_and_is_counted(family: str, answer: str, text: str, compat: float) -> None:
    sample = Sample(index="0", row=0, kind="vqa", options=OPTIONS, answer=answer)
    prediction = Prediction(index="0", row=0, prediction=text)
    assert scorer_for(family, "compat")(sample, prediction).value == compat
    assert scorer_for(family, "strict")(sample, prediction).value != compat


def test_an_unknown_scorer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'relaxed'"):
        check("relax")
