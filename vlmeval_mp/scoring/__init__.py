"""Scorers: one sample and its prediction in, one verdict out. Pure: no files, no clock, no model.

What a sample or prediction that cannot be scored looks like is settled here once, so a scorer only ever sees an
answered sample. `families` says who scores what, `summary` makes the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.base import FAILED, Rules, ScoredSample
from vlmeval_mp.scoring.compat.readback import as_read
from vlmeval_mp.scoring.families import family_of, scorer_for
from vlmeval_mp.scoring.reading.outcome import without_answer
from vlmeval_mp.scoring.reading.postprocess import applied
from vlmeval_mp.scoring.reading.reasoning import without_reasoning
from vlmeval_mp.scoring.strict.equal import score_equal

STRICT = Rules()


def score(sample: Sample, prediction: Prediction | None, rules: Rules = STRICT) -> Score:
    """Return the verdict on one sample; `value` is None where it failed or has no answer to compare with.

    In compat mode a failed sample is scored as VLMEvalKit scores it: by the sentence it writes for a failure.
    """
    if prediction is None:
        return Score(index=sample.index, value=None, note="not answered")
    if prediction.error is not None:
        if rules.mode != "compat":
            return Score(index=sample.index, value=None, note=f"failed: {prediction.error}")
        prediction = msgspec.structs.replace(prediction, error=None, prediction=FAILED)
    if not rules.by_rules:
        return Score(index=sample.index, value=None, note="scored when the whole job is done")
    if not sample.answer.strip():
        return Score(index=sample.index, value=None, note="the sample has no answer")
    scorer = score_equal if rules.extracted else scorer_for(family_of(sample, rules.scorer), rules.mode)
    whole = prediction.prediction
    if rules.reasoning and rules.mode == "strict" and not rules.extracted:
        prediction = msgspec.structs.replace(prediction, prediction=without_reasoning(whole, rules.reasoning))
    verdict = scorer(sample, applied(rules.post_process, prediction))
    if rules.mode != "strict" or rules.extracted or verdict.value != 0.0:
        return verdict
    searched = not verdict.extracted and not verdict.note  # OCRBench names no answer, it looks for the references
    reading = without_answer(whole, None if searched else verdict.extracted, rules.reasoning)
    return msgspec.structs.replace(verdict, reading=reading) if reading else verdict


def score_all(pairs: Iterable[tuple[Sample, Prediction | None]], rules: Rules) -> list[ScoredSample]:
    """Return the verdicts on the samples of one job, in their order.

    In compat mode ms-vlmeval's reading of tables comes first: a column of nothing but numbers is one of numbers.
    """
    pairs = list(pairs)
    if rules.mode != "compat" or rules.extracted or not rules.by_rules:
        return [ScoredSample(sample, prediction, score(sample, prediction, rules)) for sample, prediction in pairs]
    written = [(sample, p and applied(rules.post_process, p)) for sample, p in pairs]
    plain = replace(rules, post_process="")
    verdicts = (score(sample, prediction, plain) for sample, prediction in as_read(written))
    return [ScoredSample(*pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True)]
