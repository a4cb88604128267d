"""Scores MMMU: a letter if there are options, else an open answer by the rules of MMMU's own parser.

Rules: MMMU's `eval_utils.py` (`parse_open_response`, `eval_open`; https://github.com/MMMU-Benchmark/MMMU). Of a
sentence, what follows the last of its key words ("is", "so", "therefore", "answer", …; in the last sentence also "=")
may be the answer; without key words the whole reply is. A reference that is a number must be among the numbers there,
both rounded to two places; one that is text must stand there.

Mended: where the official parser draws lots (no letter found), nothing is found. Sentences are told apart before the
case is dropped (there they never are). Only the last sentence that speaks of an answer counts, else the last with a key
word, so that a number on the way is not taken for the result. Text must stand as whole words.
"""

from __future__ import annotations

import re

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.phrases import whole_words
from vlmeval_mp.scoring.reading.text import answer_text, minus, without_marks
from vlmeval_mp.scoring.strict.choice import score_choice
from vlmeval_mp.scoring.strict.openended import references

_SENTENCE = re.compile(r"\.\s+(?=[A-Z])|\n")
_KEYS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ", "answer: ")
_FINAL = re.compile(r"\b(?:answer|final)\b")
_NUMBER = re.compile(r"(?:(?<![\w)])-)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?|(?:(?<![\w)])-)?\.\d+")


def score_mmmu(sample: Sample, prediction: Prediction) -> Score:
    """1.0 or 0.0: the right option, or one of the references of an open question."""
    if "A" in sample.options:
        return score_choice(sample, prediction)
    part = open_part(prediction.prediction)
    right = any(_stands(reference, part) for reference in references(sample.answer))
    return Score(index=sample.index, value=float(right), extracted=part)


def open_part(text: str) -> str:
    """Return the part of a reply that may be its answer, in lower case."""
    sentences = [s for s in _SENTENCE.split(without_marks(answer_text(text)).strip().rstrip(".")) if s.strip()]
    stated: list[str] = []
    parts: list[str] = []
    for place, sentence in enumerate(sentences):
        keys = (*_KEYS, "=") if place == len(sentences) - 1 else _KEYS
        lowered = sentence.lower()
        behind = [lowered.split(key)[-1].strip() for key in keys if key in lowered]
        if behind and (part := min(behind, key=len)).strip(":,.!?;'"):
            (stated if _FINAL.search(lowered) else parts).append(part)
    return (stated or parts or [" ".join(sentences).lower().strip()])[-1]


def _stands(reference: str, part: str) -> bool:
    reference = minus(reference)
    wanted = _rounded(reference.strip())
    if wanted is not None:
        return wanted in {_rounded(number) for number in _NUMBER.findall(part)}
    even = " ".join(reference.lower().split())
    return bool(even) and bool(whole_words(even, " ".join(part.split())))


def _rounded(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    return round(float(text.replace(",", "")), 2)
