"""Scores MathVista and MathVision by the final answer of a reply, of the kind that the question asks for.

MathVista (https://github.com/lupantech/MathVista, `calculate_score.py`): a choice by its letter or its text; a whole
number; a number rounded to the question's `precision`; a list; a text. The official score extracts the answer with a
judge, takes the nearest choice by edit distance and cuts 7.9 to 7; here the reply must state its answer, name a choice,
and 7.9 is not 7.

MathVision (https://github.com/mathllm/MATH-V): a choice, or an answer equal as text or as a number, plain or in LaTeX.

The answer of a free-form reply is what its last statement says ("Answer: …", \\boxed{…}) or all of it, as in
`openended`; a unit or words behind a leading number ("12 cm") are passed over, a second number is not.
"""

from __future__ import annotations

import re
import string

import msgspec

from vlmeval_mp.core.literals import literal
from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.numbers import Amount, amount, same, value
from vlmeval_mp.scoring.reading.text import minus
from vlmeval_mp.scoring.strict.choice import score_choice
from vlmeval_mp.scoring.strict.openended import key, read_open

_UNIT = re.compile(
    r"(?P<number>.*?[\d})%°])\s*(?:\\(?:text|mathrm)\{)?[^\W\d_]+(?:[\s/]+[^\W\d_]+)*[²³]?\}?(?:\^?[23])?\.?"
)
_SIGN = re.compile(r"[-+*/^=<>](?=[\d\\(.]|[a-zA-Z](?![a-zA-Z]))")
"""Signs of a formula, which `key` drops as punctuation; the hyphen of a word is none."""
_NAMED = re.compile(r"^[a-zA-Zθαβγ∠]{1,3}\s*=\s*")


def score_mathvista(sample: Sample, prediction: Prediction) -> Score:
    """1.0 or 0.0 by the question's `question_type`, `answer_type` and `precision`."""
    if sample.extra.get("question_type") == "multi_choice":
        return score_choice(_with_choices(sample, sample.extra.get("answer_option", "")), prediction)
    said = read_open(prediction.prediction)
    match sample.extra.get("answer_type", ""):
        case "integer" | "float":
            right = _same_number(sample, said)
        case "list":
            right = _same_list(sample.answer, said)
        case _:
            right = key(said) == key(sample.answer)
    return Score(index=sample.index, value=float(right), extracted=said)


def score_mathvision(sample: Sample, prediction: Prediction) -> Score:
    """1.0 or 0.0: the right choice, or an equal answer."""
    chosen = _with_choices(sample, "")
    if chosen.options:
        return score_choice(chosen, prediction)
    said = read_open(prediction.prediction)
    wanted, found = amount(sample.answer), _number(said)
    if wanted is not None and found is not None:
        right = wanted.percent == found.percent and same(wanted.value, found.value)
    else:
        said_text, answer = _latex_text(said), _latex_text(sample.answer)
        right = key(said_text) == key(answer) and _SIGN.findall(said_text) == _SIGN.findall(answer)
    return Score(index=sample.index, value=float(right), extracted=said)


def _with_choices(sample: Sample, letter: str) -> Sample:
    """Return `sample` with the list of its `choices` as options, and a letter for its answer."""
    items = literal(sample.extra.get("choices", ""))
    options = dict(zip(string.ascii_uppercase, map(str, items), strict=False)) if isinstance(items, list) else {}
    return msgspec.structs.replace(sample, options=options or sample.options, answer=letter or sample.answer)


def _number(said: str) -> Amount | None:
    """Return the number that `said` is, but for a name before it ("x = 7") and a unit behind it."""
    said = _NAMED.sub("", said)
    found = amount(said)
    if found is None and (unit := _UNIT.fullmatch(said)):
        found = amount(unit["number"])
    return found


def _same_number(sample: Sample, said: str) -> bool:
    wanted, found = amount(sample.answer), _number(said)
    if wanted is None or found is None:
        return key(said) == key(sample.answer)
    if sample.extra["answer_type"] == "integer":
        return same(wanted.value, found.value)
    places = _precision(sample)
    return round(found.value, places) == round(wanted.value, places)


def _precision(sample: Sample) -> int:
    """Return places behind the point: as the question says, else as many as its answer has."""
    stated = value(sample.extra.get("precision", ""))
    return int(stated) if stated is not None else len(sample.answer.strip().partition(".")[2])


def _same_list(answer: str, said: str) -> bool:
    def items(text: str) -> list[str] | None:
        listed = literal(text)
        return [key(str(item)) for item in listed] if isinstance(listed, list | tuple) else None

    wanted = items(answer)
    return wanted is not None and items(said) == wanted


def _latex_text(text: str) -> str:
    return re.sub(r"\\(?:left|right|,|;|!)|[\s${}]", "", minus(text))
