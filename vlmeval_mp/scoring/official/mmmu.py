"""MMMU's own reading (https://github.com/MMMU-Benchmark/MMMU, `eval_utils.py`).

A choice: letters in brackets, else letters between blanks, else option texts in replies of more than five words; of
several the last. Where it finds none it draws an option by lot; here such a reply counts as the lot does on average,
one over the number of options, so that the score does not depend on a seed. An open answer: the shortest text behind a
key word of each sentence, or all of the reply, and every number there; a reference must be part of one, a number must
equal one, both rounded to two places.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.strict.openended import references

BY_LOT = "officially drawn by lot; counted as its mean"

_KEYS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_SENTENCE = re.compile(r"\.\s(?=[A-Z])|\n")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


def score_mmmu(sample: Sample, prediction: Prediction) -> Score:
    """1.0 or 0.0; one over the number of options where the official parser draws lots."""
    if "A" in sample.options:
        letter = read_letter(prediction.prediction, sample.options)
        if not letter:
            return Score(index=sample.index, value=1 / len(sample.options), note=BY_LOT)
        return Score(index=sample.index, value=float(letter == sample.answer), extracted=letter)
    said = open_answers(prediction.prediction)
    right = any(_matches(reference, said) for reference in references(sample.answer))
    return Score(index=sample.index, value=float(right), extracted="; ".join(map(str, said))[:200])


def read_letter(text: str, options: Mapping[str, str]) -> str:
    """Return the letter that the official parser finds, "" where it draws one."""
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    lowered = text.lower()
    ways = [{x: text.rfind(f"({x})") for x in options}, {x: text.rfind(f" {x} ") for x in options}]
    if len(text.split()) > 5:
        ways.append({x: lowered.rfind(option.lower()) for x, option in options.items()})
    for places in ways:
        found = {x: place for x, place in places.items() if place >= 0}
        if found:
            return max(found, key=lambda x: found[x])
    return ""


def open_answers(text: str) -> list[str | float]:
    """Return what the official parser takes for possible answers of an open question."""
    lowered = text.strip().strip(".").lower()
    sentences = _SENTENCE.split(lowered)
    parts = []
    for place, sentence in enumerate(sentences):
        keys = (*_KEYS, "=") if place == len(sentences) - 1 else _KEYS
        behind = [sentence.split(key)[-1].strip() for key in keys if key in sentence]
        if behind and (shortest := min(behind, key=len)) not in ("", ":", ",", ".", "!", "?", ";", "'"):
            parts.append(shortest)
    parts = parts or [lowered]
    numbers = [number for part in parts for pattern in _NUMBERS for number in pattern.findall(part)]
    return [each for part in (*parts, *numbers) for each in _normal(part)]


def _normal(text: str) -> list[str | float]:
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except (ValueError, OverflowError):
        lowered = text.lower()
        return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]


def _matches(reference: str, said: list[str | float]) -> bool:
    wanted = _normal(reference)
    return any(
        any(isinstance(want, str) and want in each for want in wanted) if isinstance(each, str) else each in wanted
        for each in said
    )
