"""Ratios of sums over samples, and sums of such ratios, each with a standard error and a 95 % interval. Pure.

An `Estimate` is a value together with the ratios that it is made of, so that what each sample contributes to its error
is known to first order (the delta method, as for a ratio estimator: Cochran, "Sampling Techniques", 3rd ed., §6.4).
Contributions of samples that are not independent are added up before they are squared (Liang and Zeger 1986), so a
mean, an F1 and MME's points are treated alike. Knows nothing of benchmarks; the formulas of intervals are `intervals`'.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, replace

from vlmeval_mp.core.records import Sample
from vlmeval_mp.scoring.base import Metric, ScoredSample
from vlmeval_mp.scoring.metrics import intervals


class Dense(Mapping[int, float]):
    """Values of the places 0 to n - 1, eight bytes each; a dict of a million takes more than ninety megabytes."""

    def __init__(self, values: array[float]) -> None:
        self._values = values

    def __getitem__(self, place: int) -> float:
        if not 0 <= place < len(self._values):
            raise KeyError(place)
        return self._values[place]

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._values)))

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> ValuesView[float]:
        return _DenseValues(self, self._values)


class _DenseValues(ValuesView[float]):
    """The values of a `Dense` without a look-up for each."""

    def __init__(self, mapping: Dense, values: array[float]) -> None:
        super().__init__(mapping)
        self._values = values

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)


@dataclass(frozen=True, slots=True)
class Ratio:
    """`factor` times the sum of `tops` over that of `bottoms`, both by the place of a sample."""

    tops: Mapping[int, float]
    bottoms: Mapping[int, float]
    factor: float = 1.0

    @property
    def plain(self) -> float:
        """The ratio without its factor."""
        return math.fsum(self.tops.values()) / math.fsum(self.bottoms.values())


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, None where there is nothing to make it of, and the ratios whose sum it is."""

    value: float | None
    ratios: tuple[Ratio, ...] = ()

    def __mul__(self, factor: float) -> Estimate:
        value = None if self.value is None else self.value * factor
        return Estimate(value, tuple(replace(each, factor=each.factor * factor) for each in self.ratios))


NOTHING = Estimate(None)


def ratio(tops: Mapping[int, float], bottoms: Mapping[int, float]) -> Estimate:
    """Return the sum of `tops` divided by the sum of `bottoms`.

    Both map the place of a sample to what it adds; a place that is in `bottoms` alone adds 0 to the sum of `tops`. If
    the sum of `bottoms` is 0, the estimate is `NOTHING`.
    """
    if not math.fsum(bottoms.values()):
        return NOTHING
    found = Ratio(tops, bottoms)
    return Estimate(found.plain, (found,))


def mean(values: Mapping[int, float]) -> Estimate:
    """Return the mean of `values`, by place."""
    ones = Dense(array("d", [1.0]) * len(values)) if isinstance(values, Dense) else dict.fromkeys(values, 1.0)
    return ratio(values, ones)


def total(estimates: Iterable[Estimate]) -> Estimate:
    """Return the sum of those that have a value; nothing if none has."""
    there = [(each.value, each.ratios) for each in estimates if each.value is not None]
    if not there:
        return NOTHING
    return Estimate(math.fsum(value for value, _ in there), tuple(ratio for _, ratios in there for ratio in ratios))


def average(estimates: Iterable[Estimate]) -> Estimate:
    """Return the mean of those that have a value, each counting the same: a macro mean."""
    there = [each for each in estimates if each.value is not None]
    return total(there) * (1 / len(there)) if there else NOTHING


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters of samples about the same thing: for each place, the number of its cluster; a range if all differ."""

    numbers: Sequence[int]

    def metric(self, estimate: Estimate) -> Metric:
        """Return `estimate` with its standard error and interval.

        Without either where fewer than two clusters take part.
        """
        parts = estimate.ratios
        single = len(parts) == 1 and isinstance(self.numbers, range) and len(parts[0].bottoms) > 1
        if single and (alone := _alone(parts[0])) is not None:  # no set of a million places is made for this
            return alone
        places = {self.numbers[place] for part in parts for place in part.bottoms}
        if estimate.value is None or len(places) < 2:
            return Metric(estimate.value)
        if len(parts) == 1 and len(places) == len(parts[0].bottoms) and (alone := _alone(parts[0])) is not None:
            return alone
        order = {number: place for place, number in enumerate(places)}
        sums = [(self._sums(part.tops, order), self._sums(part.bottoms, order)) for part in parts]
        if len(parts) == 1 and set(parts[0].bottoms.values()) == {1.0}:
            return _mean(parts[0], *sums[0])
        shares = [0.0] * len(order)
        for part, (tops, bottoms) in zip(parts, sums, strict=True):
            plain, scale = part.plain, part.factor / math.fsum(bottoms)
            for place, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
                shares[place] += (top - plain * bottom) * scale
        found = intervals.combination(
            [tops for tops, _ in sums], [bottoms for _, bottoms in sums], [part.factor for part in parts], shares
        )
        return Metric(estimate.value, found.stderr, found.interval, found.method)

    def _sums(self, values: Mapping[int, float], order: Mapping[int, int]) -> list[float]:
        sums = [0.0] * len(order)
        for place, value in values.items():
            if (number := self.numbers[place]) in order:
                sums[order[number]] += value
        return sums


def _alone(part: Ratio) -> Metric | None:
    """Return the share of right samples of which each is a cluster, as `_mean` has it; None if it is no such share."""
    if set(part.bottoms.values()) != {1.0} or not set(part.tops.values()) <= {0.0, 1.0}:
        return None
    n = len(part.bottoms)
    right = round(math.fsum(part.tops.values()))
    stderr = math.sqrt(right / n * (1 - right / n) / (n - 1))
    low, high = (bound * part.factor for bound in intervals.proportion(right, n))
    return Metric(right / n * part.factor, stderr * part.factor, (low, high), "Wilson")


def _mean(part: Ratio, tops: Sequence[float], sizes: Sequence[float]) -> Metric:
    kinds = set(part.tops.values())
    bounded = all(0 <= value <= 1 for value in kinds)
    found = intervals.mean(tops, sizes, proportions=kinds <= {0.0, 1.0}, bounded=bounded)
    factor = part.factor
    low, high = (bound * factor for bound in found.interval)
    return Metric(part.plain * factor, found.stderr * factor, (low, high), found.method)


def clusters_of(scored: Sequence[ScoredSample], groups: Iterable[Sequence[int]] = ()) -> Clusters:
    """Return the clusters of scored samples: as `clusters`, and those with the same name in
    `ScoredSample.cluster` are one.
    """
    named: dict[str, list[int]] = {}
    for place, each in enumerate(scored):
        if each.cluster:
            named.setdefault(each.cluster, []).append(place)
    return clusters([each.sample for each in scored], [*groups, *named.values()])


def clusters(samples: Sequence[Sample], groups: Iterable[Sequence[int]] = ()) -> Clusters:
    """Return clusters, transitively: samples with the same picture or video, and those in one of `groups`."""
    parent = array("L", range(len(samples)))
    joined = False

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[str, int] = {}
    for place, sample in enumerate(samples):
        for media in sample.media:
            if media.digest and (other := first.setdefault(media.digest, place)) != place:
                parent[root(place)] = root(other)
                joined = True
    for group in groups:
        for place in group[1:]:
            parent[root(place)] = root(group[0])
            joined = True
    if not joined:
        return Clusters(range(len(samples)))
    return Clusters([root(place) for place in range(len(samples))])
