"""Scorers: one sample and its prediction in, one verdict out. Pure: no files, no clock, no model.

`SCORERS` names them, `SCORER_OF` says which one a kind of sample gets, `score` applies it. What a sample or prediction
that cannot be scored looks like is settled here once, so a scorer only ever sees an answered sample. The rules are
those of `SCORING` mode, which every summary names, because a number without its rules cannot be compared.
"""

from __future__ import annotations

from collections.abc import Callable

from vlmeval_mp.records import Kind, Prediction, Sample, Score
from vlmeval_mp.scoring.choice import score_choice
from vlmeval_mp.scoring.openended import score_open
from vlmeval_mp.scoring.yesno import score_yesno

Scorer = Callable[[Sample, Prediction], Score]

SCORING = "strict"
"""How answers are read: by stated rules, where nothing is ever guessed."""

SCORERS: dict[str, Scorer] = {"choice": score_choice, "yesno": score_yesno, "open": score_open}

SCORER_OF: dict[Kind, str] = {"mcq": "choice", "yorn": "yesno", "vqa": "open"}


def score(sample: Sample, prediction: Prediction | None) -> Score:
    """The verdict on one sample; `value` is None where it failed or has no answer to compare with."""
    if prediction is None:
        return Score(index=sample.index, value=None, note="not answered")
    if prediction.error is not None:
        return Score(index=sample.index, value=None, note=f"failed: {prediction.error}")
    if not sample.answer.strip():
        return Score(index=sample.index, value=None, note="the sample has no answer")
    return SCORERS[SCORER_OF[sample.kind]](sample, prediction)
