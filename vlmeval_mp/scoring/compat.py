"""Answers read as ms-vlmeval 0.0.20 reads them under exact matching, mistakes included; strict scorers fix them.

Each scorer is held to ms-vlmeval's own functions by tests/scoring/test_parity.py; `families` says which data sets it
serves. What differs from strict is told in docs/scoring.md. Text is taken as the model wrote it: damage done by an xlsx
file is not reproduced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vlmeval_mp.records import Prediction, Sample, Score
from vlmeval_mp.scoring.base import Scorer
from vlmeval_mp.scoring.openended import references

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_BLANKED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_DIGIT_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"(?<!\d)\.(?!\d)")
_PERIODS = 32  # a flag passed as a count stops the original there
# two pairs are one string each: a comma is missing in the original
_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
    "Answer:",
    "Option:",
)


def infer(text: str, options: Mapping[str, str]) -> str:
    """The letter that `can_infer` finds, "Z" for a refusal, "" for nothing."""
    return _infer_letter(text, options) or _infer_text(text, options)


def _infer_letter(text: str, options: Mapping[str, str]) -> str:
    if "Failed to obtain answer via API" in text:
        return ""
    if any(refusal in text for refusal in _REFUSALS):
        return "Z"
    words = text.translate(_BLANKED).split()
    found = [letter for letter in options if letter in words]
    if len(found) == 1:
        return found[0] if words.index(found[0]) > len(words) - 5 else ""
    return "Z" if not found and "Z" in words else ""


def _infer_text(text: str, options: Mapping[str, str]) -> str:
    lowered = text.lower()
    if len(lowered) > 2 * sum(map(len, options.values())):
        return ""
    found = [letter for letter, option in options.items() if option.lower() in lowered]
    return found[0] if len(found) == 1 else ""


def _verdict(sample: Sample, value: float, said: str = "") -> Score:
    return Score(index=sample.index, value=value, extracted=said)


def mcq(sample: Sample, prediction: Prediction) -> Score:
    said = infer(prediction.prediction, sample.options) or "Z"
    return _verdict(sample, float(said == sample.answer), said)


def mmmu(sample: Sample, prediction: Prediction) -> Score:
    options = sample.options if "A" in sample.options else {"A": sample.answer, "B": "Other Answers"}
    gold = sample.answer if len(sample.answer) == 1 and "A" <= sample.answer <= "Z" else "A"
    said = infer(prediction.prediction, options) or "Z"
    return _verdict(sample, float(said == gold), said)


def read_yesno(text: str) -> str:
    """ "Yes", "No" or "Unknown", as `YOrN_Extraction` reads `text`."""
    lowered = text.lower()
    comma = _DIGIT_COMMA.search(lowered) is not None
    out = lowered
    for mark in ';/[]"{}()=+\\_-><@`,?!':
        out = out.replace(mark, "" if comma or f"{mark} " in lowered or f" {mark}" in lowered else " ")
    words = _PERIOD.sub("", out, count=_PERIODS).split()
    yes, no = "yes" in words, "no" in words
    return "Unknown" if yes == no else "Yes" if yes else "No"


def yesno(sample: Sample, prediction: Prediction) -> Score:
    said = read_yesno(prediction.prediction)
    return _verdict(sample, float(said == sample.answer), said)


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


def relaxed(sample: Sample, prediction: Prediction) -> Score:
    said = prediction.prediction.strip()
    return _verdict(sample, float(any(_close(target, said) for target in references(sample.answer))), said)


def _close(target: str, said: str) -> bool:
    wanted, found = _number(target), _number(said)
    if found is not None and wanted:
        return abs(found - wanted) / abs(wanted) <= 0.05
    return said.lower() == target.lower()


def anls(sample: Sample, prediction: Prediction) -> Score:
    said = prediction.prediction
    near = 1 - min(_distance(target, said) for target in references(sample.answer))
    return _verdict(sample, near if near >= 0.5 else 0.0, said)


def _distance(target: str, said: str) -> float:
    longest = max(len(target.upper()), len(said.upper()))
    edits = _edits(" ".join(target.lower().split()), " ".join(said.lower().split()))
    return edits / longest if longest else 0.0


def _edits(one: str, other: str) -> int:
    row = list(range(len(one) + 1))
    for place, char in enumerate(other, 1):
        last, row[0] = row[0], place
        for i, own in enumerate(one, 1):
            last, row[i] = row[i], last if own == char else 1 + min(last, row[i], row[i - 1])
    return row[-1]


def exact(sample: Sample, prediction: Prediction) -> Score:
    said = prediction.prediction.strip().lower()
    return _verdict(sample, float(any(said == target.strip().lower() for target in references(sample.answer))), said)


def first_letter(letters: str) -> Scorer:
    def scorer(sample: Sample, prediction: Prediction) -> Score:
        text = prediction.prediction.strip()
        for prefix in _PREFIXES:
            text = text.replace(prefix, "")
        match = re.search(f"[{letters}]", text)
        said = match[0] if match else "Z"
        return _verdict(sample, float(said == sample.answer), said)

    return scorer


def tempcompass_yesno(sample: Sample, prediction: Prediction) -> Score:
    lowered = prediction.prediction.lower()
    said = next((word for word in ("yes", "no") if lowered.startswith(word)), "")
    return _verdict(sample, float(bool(said) and said == sample.answer), said)
