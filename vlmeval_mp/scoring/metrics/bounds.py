"""The lowest and highest value that a metric can have while samples lack a verdict. Pure.

A mean over the samples that happen to have one is no estimate of the whole: those that a rule can read are the easy
ones. So where more than `REMNANT` of a job is undetermined there is no number, only the two that it lies between, with
every undetermined sample wrong and with every one right (Manski 1989, "Anatomy of the Selection Problem": worst-case
bounds).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.base import Aggregator, Mode, ScoredSample
from vlmeval_mp.scoring.strict.yesno import read_yesno

REMNANT = 0.01
"""The share of samples without a verdict above which a number would rest on what is left."""
SHOWN = 3

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


def undetermined(each: ScoredSample) -> bool:
    """Return whether a sample has no verdict though nothing failed (it needs a judge, or has no usable
    gold), or no answer.
    """
    return each.prediction is None or (not each.failed and each.score.value is None)


def rests_on_remnant(scored: Sequence[ScoredSample]) -> bool:
    """Return whether too many samples are undetermined for a number over the others to speak for all."""
    return sum(map(undetermined, scored)) > REMNANT * len(scored)


def bounds(scored: Sequence[ScoredSample], aggregate: Aggregator, mode: Mode) -> tuple[float, float] | None:
    """Return the least and the greatest that the primary metric can be; None if there is nothing to make it of.

    Failed samples are wrong in the one, and left out of the other, as in the two numbers of a complete job.
    """
    ends = []
    for right in (False, True):
        found = aggregate([_decided(each, mode, right=right) for each in scored], mode)
        primary = next(iter(found))
        metric = found.get(f"{primary}_all", found[primary]) if not right else found[primary]
        if metric.value is None:
            return None
        ends.append(metric.value)
    return min(ends), max(ends)


def _decided(each: ScoredSample, mode: Mode, *, right: bool) -> ScoredSample:
    if not undetermined(each):
        return each
    gold = each.sample.answer if mode == "compat" else read_yesno(each.sample.answer)[0] or each.sample.answer
    opposite = "No" if gold == "Yes" else "Yes"
    verdict = msgspec.structs.replace(each.score, value=float(right), extracted=gold if right else opposite)
    answered = each.prediction or Prediction(index=each.sample.index, row=each.sample.row)
    return replace(each, prediction=answered, score=verdict)


class Reasons:
    """The reasons why samples have no verdict: the number of samples for each, and one of them."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, sample: Sample, prediction: Prediction | None, score: Score) -> None:
        """Take notice of one sample, if it is undetermined."""
        if not undetermined(ScoredSample(sample, prediction, score)):
            return
        kind = _QUOTED.sub("…", score.note) or "no reason given"
        self._kinds[kind] += 1
        self._first.setdefault(kind, f"{score.note or kind} (index {sample.index})")

    def warning(self, total: int) -> str:
        """Return a sentence about the undetermined ones of `total` samples."""
        why = "; ".join(f"{n:,}: {self._first[kind]}" for kind, n in self._kinds.most_common(SHOWN))
        return (
            f"{self._kinds.total():,} of {total:,} samples have no verdict, and a number over the others would not "
            f"speak for all; shown is what it lies between. {why}"
        )
