"""Scores answers that are near: numbers within 5 % (ChartQA), texts with few wrong letters (DocVQA, InfoVQA).

Relaxed accuracy: Methani et al. 2020 (PlotQA, arXiv:1909.00997) and ChartQA (arXiv:2203.10244, §5.1). A number may have
grouping commas and a currency sign. Percent: with a sign on both sides or on neither the numbers are compared; with one
sign, "5%" is near 0.05 and near 5, for charts leave the sign to the axis. A target of zero wants a zero. What is no
number must be the same text, normalised as `openended.key` does.

ANLS: Biten et al. 2019 (arXiv:1905.13648), and the DocVQA challenge's evaluation: one minus the edit distance over the
length of the longer string, both lower-cased and with single spaces, 0 below one half; of the whole reply and of what
its last statement ("Answer: …") says, the better counts.

The best reference counts.
"""

from __future__ import annotations

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.numbers import Amount, plain
from vlmeval_mp.scoring.reading.text import answer_text
from vlmeval_mp.scoring.strict.openended import key, read_open, references

TOLERANCE = 0.05
THRESHOLD = 0.5


def score_relaxed(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the reply is near enough to one reference, else 0.0."""
    said = read_open(prediction.prediction)
    right = any(_relaxed(target, said) for target in references(sample.answer))
    return Score(index=sample.index, value=float(right), extracted=said, note="" if said else "no answer found")


def _relaxed(target: str, said: str) -> bool:
    wanted, found = plain(target), plain(said)
    if wanted is None or found is None:
        return key(target) == key(said)
    return any(abs(x - y) <= TOLERANCE * abs(x) for x, y in _pairs(wanted, found))


def _pairs(wanted: Amount, found: Amount) -> list[tuple[float, float]]:
    pairs = [(wanted.value, found.value)]
    if wanted.percent != found.percent:
        pairs.append((wanted.value / 100, found.value) if wanted.percent else (wanted.value, found.value / 100))
    return pairs


def score_anls(sample: Sample, prediction: Prediction) -> Score:
    """Return the similarity to the nearest reference in 0..1, 0 below one half."""
    said = read_open(prediction.prediction)
    whole = _even_spaces(answer_text(prediction.prediction))
    near = max(
        _similarity(_even_spaces(target), each)
        for target in references(sample.answer)
        for each in {whole, _even_spaces(said)}
    )
    return Score(index=sample.index, value=near if near >= THRESHOLD else 0.0, extracted=said)


def _even_spaces(text: str) -> str:
    return " ".join(text.lower().split())


def _similarity(target: str, said: str) -> float:
    longest = max(len(target), len(said))
    if not longest:
        return 1.0
    if min(len(target), len(said)) < THRESHOLD * longest:  # so many letters are missing already
        return 0.0
    from rapidfuzz.distance import Levenshtein

    return 1 - Levenshtein.distance(target, said) / longest
