"""The VQA accuracy of TextVQA, and text found in a picture (OCRBench).

VQA accuracy (https://visualqa.org/evaluation.html; Singh et al. 2019 for TextVQA): for each of ten human answers, the
answers of the other nine that equal the reply, over three, at most 1; the mean of the ten. Texts are normalised as
there (lower case, number words, articles, contractions, punctuation), but every period counts, and so does a minus
before a number. With fewer than four
references no three others can agree, so each is an answer by itself and one match counts in full.

OCRBench (Liu et al. 2023, arXiv:2305.07895): a reference must stand in the reply, in any case; formulas without spaces
and with their case. Here it must stand as whole words, so that "12" is not found in "3125", and outside the reasoning.
"""

from __future__ import annotations

import re

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.phrases import whole_words
from vlmeval_mp.scoring.reading.text import answer_text, minus, without_thinking
from vlmeval_mp.scoring.reading.words import ARTICLES, CONTRACTIONS, NUMBER_WORDS
from vlmeval_mp.scoring.strict.openended import read_open, references

HANDWRITTEN = "Handwritten Mathematical Expression Recognition"
"""The category of OCRBench that is compared without spaces, and with its case."""
AGREEING = 3

_COMMA = re.compile(r"(?<=\d),(?=\d)")
_PERIOD = re.compile(r"(?<!\d)\.|\.(?!\d)")
_NEGATIVE = re.compile(r"(?<![\w)\]])-(?=\s?[$€£]?\.?\d)")
_MARK = re.compile(r"[;/\[\]\"{}()=+\\_\->@<`,?!*]")


def score_textvqa(sample: Sample, prediction: Prediction) -> Score:
    """Return the VQA accuracy in 0..1."""
    said = read_open(prediction.prediction)
    wanted = [normal(reference) for reference in references(sample.answer)]
    value = max(_accuracy(wanted, normal(text)) for text in (said, answer_text(prediction.prediction)))
    return Score(index=sample.index, value=value, extracted=said, note="" if said else "no answer found")


def _accuracy(wanted: list[str], said: str) -> float:
    if len(wanted) <= AGREEING:
        return float(said in wanted)
    same = wanted.count(said)
    return sum(min(1.0, (same - (each == said)) / AGREEING) for each in wanted) / len(wanted)


def normal(text: str) -> str:
    """Return `text` as the VQA evaluation compares it."""
    signed = _NEGATIVE.sub("−", minus(text.lower()))
    plain = _MARK.sub(" ", _PERIOD.sub("", _COMMA.sub("", signed)))
    words = (NUMBER_WORDS.get(word, word) for word in plain.split())
    kept = [CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES]
    return " ".join(kept) or text.lower().strip()


def score_ocrbench(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if a reference stands in the reply, else 0.0."""
    if sample.category == HANDWRITTEN:
        said = "".join(without_thinking(prediction.prediction).split())
        found = any((bare := "".join(reference.split())) and bare in said for reference in references(sample.answer))
    else:
        said = _even_spaces(without_thinking(prediction.prediction))
        found = any(
            (even := _even_spaces(reference)) and whole_words(even, said) for reference in references(sample.answer)
        )
    return Score(index=sample.index, value=float(found))


def _even_spaces(text: str) -> str:
    return " ".join(minus(text.lower()).split())
