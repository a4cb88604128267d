"""Scores answers that were already read out of replies: right if equal to the right answer. Pure.

This is how official tools judge what their extraction (by a rule or a judge) left: MathVista's `normalized == answer`,
BLINK's "(A)" == "(A)". The same in both modes.
"""

from __future__ import annotations

from vlmeval_mp.core.records import Prediction, Sample, Score


def score_equal(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the prediction is the answer, character for character, else 0.0."""
    said = prediction.prediction
    return Score(index=sample.index, value=float(said == sample.answer), extracted=said)
