"""The score and its interval while a job goes on: a mean that grows sample by sample. Pure.

Only sums are kept, and one entry for each picture that several samples may share, so that a tally costs the same after
the first sample and the millionth. What a finished job publishes comes from `summary` alone.
"""

from __future__ import annotations

import math

from vlmeval_mp.core.records import Sample
from vlmeval_mp.scoring.metrics import intervals


class RunningValues:
    """Values so far. Samples about the same first picture or video are one cluster."""

    def __init__(self) -> None:
        self.value = 0.0
        self.count = 0
        self._clusters: dict[str, tuple[float, int]] = {}
        self._products = self._squares = self._sizes = 0.0
        self._alone = 0
        self._proportion = True

    def add(self, sample: Sample, value: float) -> None:
        """Take in the verdict on one sample."""
        digest = sample.media[0].digest if sample.media else ""
        total, size = self._clusters.get(digest, (0.0, 0)) if digest else (0.0, 0)
        self._add_up(total, size, -1)
        self._add_up(total + value, size + 1, 1)
        if digest:
            self._clusters[digest] = (total + value, size + 1)
        else:
            self._alone += 1
        self.value += value
        self.count += 1
        self._proportion &= value in (0.0, 1.0)

    def _add_up(self, total: float, size: int, sign: int) -> None:
        self._squares += sign * total * total
        self._products += sign * total * size
        self._sizes += sign * size * size

    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean; None with fewer than two clusters.

        As `intervals.mean`, but for the correction of clusters of unequal size, which is G / (G - 1) here.
        """
        clusters = len(self._clusters) + self._alone
        if clusters < 2:
            return None
        mean = self.value / self.count
        if self._proportion and clusters == self.count:
            return intervals.proportion(round(self.value), self.count)
        alone = self.count * self.count / self._sizes
        spread = self._squares - 2 * mean * self._products + mean * mean * self._sizes
        variance = max(0.0, spread) / self.count**2 * clusters / (clusters - 1)
        quantile = intervals.student(max(1.0, alone - 1))
        if math.sqrt(variance) < intervals.NO_SPREAD:
            return intervals.wilson(min(1.0, max(0.0, mean)), alone)
        if self._proportion:
            effective = min(float(self.count), mean * (1 - mean) / variance)
            return intervals.wilson(mean, effective, quantile)
        half = quantile * math.sqrt(variance)
        return mean - half, mean + half
