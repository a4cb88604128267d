"""The verdicts of one job in both scoring modes, each made once, and the values that a summary needs of its samples.

A verdict is made when its shard is done, and kept until the job's files are written. Equal verdicts are one object, so
that a job of a million samples takes a few bytes for each.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

import msgspec

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring import score, score_all
from vlmeval_mp.scoring.base import Rules, ScoredSample
from vlmeval_mp.scoring.compat.readback import Columns
from vlmeval_mp.scoring.compat.vqa import SINGLE
from vlmeval_mp.scoring.families import aggregator_of, breakdowns_of
from vlmeval_mp.scoring.metrics import metrics
from vlmeval_mp.scoring.reading.postprocess import applied

Pair = tuple[Sample, Prediction | None]
MOST_ALIKE = 50_000
"""Different verdicts, or samples, that are remembered to be shared; a job with more has the rest made each time."""


class Verdicts:
    """Scores the samples of one job in the mode of `rules` and in the other one."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.other = replace(rules, mode="compat" if rules.mode == "strict" else "strict")
        self._sides = _Side(self.rules), _Side(self.other)

    def of(self, sample: Sample, prediction: Prediction | None) -> tuple[Score, Score]:
        """Return the two verdicts on one sample: in the mode of the rules, and in the other mode.

        They depend on this sample alone, so a verdict that was made once stays true.
        """
        ours, theirs = self._sides
        return ours.verdict(sample, prediction), theirs.verdict(sample, prediction)


class _Side:
    """The verdicts by one set of rules; a row takes four bytes, the number of its verdict among those that differ."""

    def __init__(self, rules: Rules) -> None:
        self._score = one_by_one(rules)
        self._by_row = array("I")
        self._numbers: dict[Score, int] = {}
        self._verdicts: list[Score] = []

    def verdict(self, sample: Sample, prediction: Prediction | None) -> Score:
        """Return the verdict on a sample, made at the first call for its row."""
        row = sample.row
        number = self._by_row[row] if row < len(self._by_row) else 0
        if number:
            return msgspec.structs.replace(self._verdicts[number - 1], index=sample.index)
        found = self._score(sample, prediction)
        plain = msgspec.structs.replace(found, index="")
        number = self._numbers.get(plain, 0)
        if not number and len(self._verdicts) < MOST_ALIKE:
            self._verdicts.append(plain)
            number = self._numbers[plain] = len(self._verdicts)
        if number:
            self._by_row.frombytes(bytes(4 * max(0, row + 1 - len(self._by_row))))
            self._by_row[row] = number
        return found


def one_by_one(rules: Rules) -> Callable[[Sample, Prediction | None], Score]:
    """Return what gives the verdicts that `score_all` gives where no column of the job is one of numbers."""
    if rules.mode != "compat" or rules.extracted:
        return lambda sample, prediction: score(sample, prediction, rules)
    plain = replace(rules, post_process="")
    return lambda sample, prediction: score(sample, prediction and applied(rules.post_process, prediction), plain)


class Retyping:
    """Columns in which ms-vlmeval reads numbers in place of texts, which changes the compat verdicts of a whole job."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._columns = Columns()

    def add(self, sample: Sample, prediction: Prediction | None) -> None:
        """Take notice of one row."""
        if not self._rules.extracted:
            self._columns.add(sample, prediction and applied(self._rules.post_process, prediction))

    def again(self, pairs: Iterable[Pair], rules: Rules) -> list[Score] | None:
        """Return the compat verdicts of all `pairs`, if they are not those that `one_by_one` gives."""
        return [each.score for each in score_all(pairs, rules)] if self._columns.retyped else None


class Slim:
    """Samples and predictions reduced to the fields that a summary of `rules` reads; equal ones are one object."""

    def __init__(self, rules: Rules) -> None:
        self._by_index = rules.circular or aggregator_of(rules.scorer) is not metrics.mean
        columns = (*breakdowns_of(rules.scorer)[0], rules.cluster, rules.group)
        self._columns = {name for column in columns for name in column.split("/")}
        self._alike: dict[Hashable, ScoredSample] = {}

    def scored(self, sample: Sample, prediction: Prediction | None, verdict: Score) -> ScoredSample:
        """Return one scored sample, as small as it can be."""
        plain, note = _plain(prediction), verdict.note if verdict.note == SINGLE else ""
        if self._by_index:
            small = msgspec.structs.replace(sample, question="", options={}, hint="", ready=())
            return ScoredSample(small, plain, msgspec.structs.replace(verdict, note=note))
        extra = {name: sample.extra[name] for name in self._columns if name in sample.extra}
        told = (sample.kind, sample.category, sample.l2_category, sample.split, sample.media, tuple(extra.items()))
        key = (*told, plain, verdict.value, verdict.reading, note)
        found = self._alike.get(key)
        if found is None:
            small = Sample(
                index="",
                row=0,
                kind=sample.kind,
                category=sample.category,
                l2_category=sample.l2_category,
                split=sample.split,
                media=sample.media,
                extra=extra,
            )
            found = ScoredSample(small, plain, Score(index="", value=verdict.value, note=note, reading=verdict.reading))
            if len(self._alike) < MOST_ALIKE:
                self._alike[key] = found
        return found


def _plain(prediction: Prediction | None) -> Prediction | None:
    """Return what counts of a prediction once it is scored: whether there is one, why it ended, where it is from."""
    if prediction is None:
        return None
    return Prediction(
        index="",
        row=0,
        prediction="x" if prediction.prediction.strip() else "",
        error=None if prediction.error is None else "failed",
        finish_reason=prediction.finish_reason,
        imported_from=prediction.imported_from,
    )
