"""Ratios of sums over samples, and sums of such ratios, each with a standard error. Pure.

An `Estimate` is a value together with what each sample contributes to its error to first order (the delta method, as
for a ratio estimator: Cochran, "Sampling Techniques", 3rd ed., §6.4). Contributions of samples that are not independent
are added up before they are squared (Liang and Zeger 1986), so a mean, an F1 and MME's points are treated alike. Knows
nothing of benchmarks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vlmeval_mp.core.records import Sample
from vlmeval_mp.scoring.base import Metric


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, None where there is nothing to make it of. `shares` maps the place of each sample that takes part to
    what it adds to the value's error."""

    value: float | None
    shares: Mapping[int, float] = field(default_factory=dict)

    def __mul__(self, factor: float) -> Estimate:
        value = None if self.value is None else self.value * factor
        return Estimate(value, {place: share * factor for place, share in self.shares.items()})


NOTHING = Estimate(None)


def ratio(tops: Mapping[int, float], bottoms: Mapping[int, float]) -> Estimate:
    """The sum of `tops` over that of `bottoms`, both by place; a place without a top has 0. No bottoms: nothing."""
    below = math.fsum(bottoms.values())
    if not below:
        return NOTHING
    value = math.fsum(tops.values()) / below
    return Estimate(value, {place: (tops.get(place, 0.0) - value * each) / below for place, each in bottoms.items()})


def mean(values: Mapping[int, float]) -> Estimate:
    """The mean of `values`, by place."""
    return ratio(values, dict.fromkeys(values, 1.0))


def total(estimates: Iterable[Estimate]) -> Estimate:
    """The sum of those that have a value; nothing if none has."""
    there = [(each.value, each.shares) for each in estimates if each.value is not None]
    shares: dict[int, float] = {}
    for _, each in there:
        for place, share in each.items():
            shares[place] = shares.get(place, 0.0) + share
    return Estimate(math.fsum(value for value, _ in there), shares) if there else NOTHING


def average(estimates: Iterable[Estimate]) -> Estimate:
    """The mean of those that have a value, each counting the same: a macro mean."""
    there = [each for each in estimates if each.value is not None]
    return total(there) * (1 / len(there)) if there else NOTHING


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which samples are about the same thing: for each place, the number of its cluster."""

    numbers: Sequence[int]

    def metric(self, estimate: Estimate) -> Metric:
        """`estimate` with its standard error; None where fewer than two clusters take part.

        Where every cluster is one sample, it is the sample standard deviation over √n for a mean, that is with Bessel's
        correction n / (n - 1).
        """
        sums: dict[int, list[float]] = {}
        for place, share in estimate.shares.items():
            sums.setdefault(self.numbers[place], []).append(share)
        if len(sums) < 2:
            return Metric(estimate.value)
        squares = math.fsum(math.fsum(shares) ** 2 for shares in sums.values())
        n = len(estimate.shares)
        return Metric(estimate.value, math.sqrt(squares if len(sums) < n else squares * n / (n - 1)))


def clusters(samples: Sequence[Sample], groups: Iterable[Sequence[int]] = ()) -> Clusters:
    """Samples that share a picture or video are one cluster, and those in one of `groups` (places), transitively."""
    parent = list(range(len(samples)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[str, int] = {}
    for place, sample in enumerate(samples):
        for media in sample.media:
            if media.digest:
                parent[root(place)] = root(first.setdefault(media.digest, place))
    for group in groups:
        for place in group[1:]:
            parent[root(place)] = root(group[0])
    return Clusters([root(place) for place in range(len(samples))])
