"""Scores short answers as ms-vlmeval does.

A scorer compares a reply with each reference answer by one rule (a number within 5 %, ANLS, equality, or the VQA
score) and takes the best or the mean of these values. The rules repeat `process_line` and `hit_calculate`
(vlmeval/dataset/utils/vqa_eval.py); those for OCRBench repeat its `evaluate` (vlmeval/dataset/image_vqa.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from vlmeval_mp.core.literals import literal
from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.compat.letters import STOPS, verdict
from vlmeval_mp.scoring.compat.readback import cell
from vlmeval_mp.scoring.compat.yesno import without_punctuation
from vlmeval_mp.scoring.reading.words import ARTICLES, CONTRACTIONS, NUMBER_WORDS
from vlmeval_mp.scoring.strict.vqa import HANDWRITTEN

SINGLE = "VLMEvalKit's VQA score counts no answer with a single reference"
"""The note of a sample that no answer could win in this mode."""

Matches = Callable[[list[str], str], list[float]]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _row(sample: Sample, prediction: Prediction, rule: Matches, over: Callable[[list[float]], float]) -> Score:
    answers, said = _answers(cell(sample.answer)), cell(prediction.prediction)
    if not answers:
        return verdict(sample, None, note=STOPS)
    try:
        return verdict(sample, over(rule(answers, said)), said)
    except AttributeError:  # a reference is no text
        return verdict(sample, None, note=STOPS)


def _answers(text: str) -> list[str]:
    """Return the references: the items of a list literal, else the text itself."""
    items = literal(text)
    return items if isinstance(items, list) else [text]


def relaxed(sample: Sample, prediction: Prediction) -> Score:
    """ChartQA: numbers within 5 %, a trailing "%" dividing by 100; the best reference counts."""
    return _row(sample, prediction, lambda answers, said: [float(_close(str(x), said.strip())) for x in answers], max)


def _close(target: str, said: str) -> bool:
    wanted, found = _number(target), _number(said)
    if found is not None and wanted:
        return abs(found - wanted) / abs(wanted) <= 0.05
    return said.lower() == target.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


def anls(sample: Sample, prediction: Prediction) -> Score:
    """DocVQA and InfoVQA: one minus the edit distance over the longer raw text, and 0 below one half."""
    return _row(
        sample, prediction, lambda answers, said: [_distance(x, said) for x in answers], lambda far: _near(min(far))
    )


def _near(distance: float) -> float:
    return 0.0 if 1 - distance < 0.5 else 1 - distance


def _distance(target: str, said: str) -> float:
    from rapidfuzz.distance import Levenshtein

    longest = max(len(target.upper()), len(said.upper()))
    edits = Levenshtein.distance(" ".join(target.lower().split()), " ".join(said.lower().split()))
    return edits / longest if longest else 0.0


def exact(sample: Sample, prediction: Prediction) -> Score:
    """OCRVQA: the same text but for case and outer space; the best reference counts."""
    return _row(sample, prediction, _equal, max)


def gqa(sample: Sample, prediction: Prediction) -> Score:
    """GQA: as OCRVQA, but averaged over the references."""
    return _row(sample, prediction, _equal, _mean)


def _equal(answers: list[str], said: str) -> list[float]:
    return [float(x.strip().lower() == said.strip().lower()) for x in answers]


def textvqa(sample: Sample, prediction: Prediction) -> Score:
    """TextVQA, and every VQA data set without a rule of its own: a reference counts by how many others equal the reply,
    so one that stands alone never does."""
    found = _row(sample, prediction, _vqa_score, _mean)
    alone = found.value is not None and len(_answers(cell(sample.answer))) == 1
    return msgspec.structs.replace(found, note=SINGLE) if alone else found


def _vqa_score(answers: list[str], said: str) -> list[float]:
    wanted, found = list(map(_normal, answers)), _normal(said)
    same = wanted.count(found)
    return [min(1.0, (same - (each == found)) / 3) for each in wanted]


def _normal(text: str) -> str:
    plain = without_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    words = (NUMBER_WORDS.get(word, word) for word in plain.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def ocrbench(sample: Sample, prediction: Prediction) -> Score:
    """OCRBench: any reference stands anywhere in the reply."""
    try:
        answers: Any = literal(sample.answer)
        found = any(_within(answer, cell(prediction.prediction), sample.category) for answer in answers)
    except (TypeError, AttributeError):  # no list, or a list of something that is no text
        return verdict(sample, None, note=STOPS)
    return verdict(sample, float(found))


def _within(answer: str, said: str, category: str) -> bool:
    if category == HANDWRITTEN:
        return _tight(answer) in _tight(said)
    return answer.lower().strip().replace("\n", " ") in said.lower().strip().replace("\n", " ")


def _tight(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")
