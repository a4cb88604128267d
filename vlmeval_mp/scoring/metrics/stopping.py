"""Decides that a job can end early: half the 95 % interval of its score is below a target. Pure.

Looks at the beginning of a random order only, never at whatever was answered first: short answers come first, and are
easier. What is estimated is the score of the whole job, so the interval shrinks as the job is exhausted (the finite
population correction: Cochran, "Sampling Techniques", 3rd ed., §2.6), and is a point when everything was asked.
Stopping at a fixed width keeps the coverage of the interval (Chow and Robbins 1965); `LEAST` guards against a lucky
beginning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vlmeval_mp.core.records import Stop
from vlmeval_mp.scoring.base import Aggregator, Mode, ScoredSample
from vlmeval_mp.scoring.metrics import bounds

LEAST = 100
"""Samples below which no job is stopped."""
WIDER = 1.05
"""The interval is drawn for 96 % and called 95 %: who looks often stops sooner where it happens to be narrow.

(Frey 2010, "Fixed-Width Sequential Confidence Intervals for a Proportion".)
"""
STEP, GAP = 1.02, 20
"""By how much the beginning grows from one look to the next: the factor, or if that is more, the samples."""


class Stopping:
    """One job of `total` samples, in the order in which they are asked; `target` is in percentage points, or points."""

    def __init__(self, aggregate: Aggregator, mode: Mode, total: int, target: float) -> None:
        self._aggregate, self._mode, self._total, self._target = aggregate, mode, total, target
        self._beginning: list[ScoredSample] = []
        self._waiting: dict[int, Sequence[ScoredSample]] = {}
        self._next = LEAST

    def add(self, first: int, scored: Sequence[ScoredSample]) -> Stop | None:
        """Take in the samples from row `first` on; return where the job may end, once it may.

        The samples may come in any order and in pieces of any size: the places at which is looked are fixed.
        """
        self._waiting[first] = scored
        while (piece := self._waiting.pop(len(self._beginning), None)) is not None:
            self._beginning += piece
        while self._next <= len(self._beginning) and self._next < self._total:
            n = self._next
            self._next = max(n + GAP, math.ceil(n * STEP))
            if (stop := self._look(n)) is not None:
                return stop
        return None

    def _look(self, n: int) -> Stop | None:
        beginning = self._beginning[:n]
        if bounds.rests_on_remnant(beginning):
            return None
        metrics = self._aggregate(beginning, self._mode)
        primary = next(iter(metrics))
        found = metrics[primary]
        if found.value is None or found.interval is None:
            return None
        left = WIDER * math.sqrt((self._total - n) / (self._total - 1))
        low, high = (found.value + (end - found.value) * left for end in found.interval)
        scale = 1.0 if primary.endswith("_points") else 100.0
        half = (high - low) / 2 * scale
        if half > self._target:
            return None
        return Stop(asked=n, of=self._total, metric=primary, interval=(low, high), half_width=half, target=self._target)


def sentence(stop: Stop) -> str:
    """Return what a reader of the score must know."""
    scale, unit = (1.0, "points") if stop.metric.endswith("_points") else (100.0, "%")
    low, high = (scale * end for end in stop.interval)
    return (
        f"stopped early after {stop.asked:,} of {stop.of:,} samples, in a random order: over all of them {stop.metric} "
        f"is {low:.2f} to {high:.2f} {unit} (95 %; ± {stop.half_width:.2f} where {stop.target:g} was asked for)"
    )
