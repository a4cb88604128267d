"""Scores MathVista and MathVision as ms-vlmeval does where it needs no judge.

Rules: `post_check` of vlmeval/dataset/utils/{mathvista,mathv}.py, first on the reply ("prefetch"), then on what that
gave. Where it gives nothing the judge is asked, so the row has no score here. MathVision's rule runs the reply as code
(`eval`); `arithmetic` works out the same value without doing so, or says that it cannot.
"""

from __future__ import annotations

from typing import Any

from vlmeval_mp.core.literals import literal
from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.compat.arithmetic import UnknownError, is_equal
from vlmeval_mp.scoring.compat.letters import STOPS, infer, verdict
from vlmeval_mp.scoring.compat.readback import cell

JUDGE = "needs a judge"
"""The note of a row that ms-vlmeval gives to a judge."""

RUNS_CODE = "needs a judge, unless ms-vlmeval finds it right by running the answer as code"


def judged(sample: Sample, prediction: Prediction) -> Score:  # noqa: ARG001 - one signature for every scorer
    """MLVU_OpenEnded, TempCompass_Captioning: every row is a judge's."""
    return verdict(sample, None, note=JUDGE)


def mathvista(sample: Sample, prediction: Prediction) -> Score:
    """MathVista: a choice by `infer`, whole replies that are the number; no other kind of answer can ever be right."""
    said, answer = cell(prediction.prediction), sample.answer
    if sample.extra.get("question_type") == "multi_choice":
        options = _choices(sample)
        if options is None:
            return verdict(sample, None, note=STOPS)
        found = infer(said, options)
        if not found:
            return verdict(sample, None, note=JUDGE)
        return verdict(sample, float(infer(found, options) == sample.extra.get("answer_option", "")), found)
    kind = {"integer": int, "float": float}.get(sample.extra.get("answer_type", ""))
    if kind is None:
        # the string "None" is compared with the answer, whatever was said, by the model or by the judge
        return verdict(sample, float(cell(answer) == "None"), said, "never right: compared with 'None'")
    try:
        value = kind(said)
        # a zero is taken for nothing found
        right = bool(value) and value == kind(answer)
    except (ValueError, OverflowError):
        right = False
    return verdict(sample, 1.0, said) if right else verdict(sample, None, note=JUDGE)


def mathvision(sample: Sample, prediction: Prediction) -> Score:
    """MathVision: a choice by `infer`, else an answer that is equal as text, as a sum worked out, or as LaTeX."""
    said = cell(prediction.prediction)
    options = _choices(sample)
    if options is None:
        return verdict(sample, None, note=STOPS)
    if options:
        found = infer(said, options)
        if not found:
            return verdict(sample, None, note=JUDGE)
    else:
        found = said
    try:
        right = is_equal(infer(found, options) if options else said, cell(sample.answer))
    except UnknownError:
        return verdict(sample, None, note=RUNS_CODE)
    if options or right:
        return verdict(sample, float(right), found)
    return verdict(sample, None, note=JUDGE)


def _choices(sample: Sample) -> dict[str, str] | None:
    """Return the choices by letter; None where their list cannot be read."""
    try:
        items: Any = literal(sample.extra.get("choices", ""))
        return {chr(65 + place): str(item) for place, item in enumerate(items)}
    except (TypeError, ValueError):  # no list, or one with too many items for letters
        return None
