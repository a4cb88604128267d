"""95 % confidence intervals from sums over independent clusters of samples. Pure; knows no metric.

A cluster is whatever may be right or wrong together; a sample that shares nothing is one of its own. Which interval is
whose is `estimates.Clusters`'s matter. `scripts/coverage` simulates how often each covers the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Interval = tuple[float, float]
Sums = Sequence[Sequence[float]]
"""For each ratio, a sum of each cluster."""

LEVEL = 0.95
DRAWS = 1000
SEED = 20_250_101
"""The bootstrap draws with this seed, so that the same samples always give the same interval."""
MOST_CLUSTERS = 20_000
"""With more clusters than this the sampling distribution is normal for all purposes, and the delta method is used."""
KEPT_CELLS = 5_000_000
"""Cells of drawn counts that are kept between metrics over the same number of clusters."""
NO_SPREAD = 1e-12
"""A standard error below this is rounding, not spread."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A standard error, the interval, and the name of the method that gave the interval."""

    stderr: float
    interval: Interval
    method: str


# --- proportions -----------------------------------------------------------------------------------------------


def wilson(share: float, n: float, quantile: float | None = None) -> Interval:
    """Return Wilson's score interval (Wilson 1927) of a proportion `share` of `n`, which may be an effective number.

    `quantile` is the normal's unless a t quantile is given.
    """
    z = _normal() if quantile is None else quantile
    square = z * z / n
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    low = 0.0 if share <= 0 else max(0.0, middle - half)
    return low, 1.0 if share >= 1 else min(1.0, middle + half)


def proportion(right: int, n: int) -> Interval:
    """Return the interval of `right` of `n` independent samples: Wilson's, corrected where few are right or few wrong.

    With 1 to 3 of a kind (1 or 2 up to n = 50) Wilson's interval covers too little, and the bound next to the edge is
    the Poisson one (Brown, Cai and DasGupta 2001, "Interval Estimation for a Binomial Proportion", §4.1.1).
    """
    low, high = wilson(right / n, n)
    few = 2 if n <= 50 else 3
    if 1 <= right <= few:
        low = _poisson(right) / n
    if 1 <= n - right <= few:
        high = 1 - _poisson(n - right) / n
    return low, high


def _poisson(count: int) -> float:
    from scipy.special import gammaincinv

    return float(gammaincinv(count, 1 - LEVEL))


# --- means -----------------------------------------------------------------------------------------------------


def mean(tops: Sequence[float], sizes: Sequence[float], *, proportions: bool, bounded: bool) -> Spread:
    """Return error and interval of a mean over at least two clusters, given the sum and the number of values of each.

    The error is cluster-robust with the correction of Bell and McCaffrey (2002, "Bias reduction in standard errors for
    linear regression with multi-stage samples"), whose degrees of freedom the t quantile has; for single samples both
    are the textbook's. `proportions`: each value is 0 or 1. `bounded`: each is in 0..1.

    A proportion over clusters has Wilson's interval at its effective number of samples and the t quantile (as Korn and
    Graubard 1998 do with Clopper and Pearson's). That number is pulled towards the number of clusters where few of them
    hold a sample of the rarer kind, for then the spread between them says little; with none it is the number itself.
    """
    n, clusters = math.fsum(sizes), len(sizes)
    value = math.fsum(tops) / n
    shares = [size / n for size in sizes]
    variance = math.fsum(
        ((top - value * size) / n) ** 2 / (1 - share) for top, size, share in zip(tops, sizes, shares, strict=True)
    )
    stderr = math.sqrt(variance)
    if proportions and clusters == n:
        return Spread(stderr, proportion(round(math.fsum(tops)), clusters), "Wilson")
    quantile = student(_freedom(shares))
    alone = 1 / math.fsum(share * share for share in shares)
    if bounded and stderr < NO_SPREAD:
        return Spread(stderr, wilson(value, alone), "Wilson, by clusters")
    if proportions:
        with_right = sum(top > 0 for top in tops)
        with_wrong = sum(top < size for top, size in zip(tops, sizes, strict=True))
        rare = min(with_right, with_wrong)
        effective = (rare * value * (1 - value) / variance + alone) / (rare + 1)
        return Spread(stderr, wilson(value, effective, quantile), "Wilson, by clusters")
    low, high = value - quantile * stderr, value + quantile * stderr
    if bounded:
        low, high = max(0.0, low), min(1.0, high)
    return Spread(stderr, (low, high), "t" if clusters == n else "t, by clusters")


def _freedom(shares: Sequence[float]) -> float:
    """Return Bell and McCaffrey's degrees of freedom for a mean whose clusters hold these shares of the samples.

    G - 1 for G clusters of one size, fewer where they differ.
    """
    squares = math.fsum(share * share for share in shares)
    parts = [share * share / (1 - share) for share in shares]
    return 1 / (squares + math.fsum(parts) ** 2 - math.fsum(part * part for part in parts))


@lru_cache(maxsize=256)
def student(freedom: float) -> float:
    """Return the t quantile of a 95 % interval (Student 1908)."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


@lru_cache(maxsize=1)
def _normal() -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + LEVEL) / 2))


# --- everything else -------------------------------------------------------------------------------------------


def combination(
    tops: Sums,
    bottoms: Sums,
    factors: Sequence[float],
    shares: Sequence[float],
) -> Spread:
    """Return error and interval of a sum of factor × ratio, such as an F1, MME's points or a macro mean.

    `tops` and `bottoms` hold, for each ratio, the sums of each of at least two clusters; `shares` is what each cluster
    adds to the value's error (delta method). The interval is the bias-corrected and accelerated bootstrap over clusters
    (Efron 1987), with its normal quantile widened to t's for few clusters (Hesterberg 2015, "expanded percentile").
    Where no cluster differs from another there is nothing to draw from, and each ratio has Wilson's interval.
    """
    clusters = len(shares)
    stderr = math.sqrt(math.fsum(share * share for share in shares) * clusters / (clusters - 1))
    values = [math.fsum(t) / math.fsum(b) for t, b in zip(tops, bottoms, strict=True)]
    value = math.fsum(factor * each for factor, each in zip(factors, values, strict=True))
    if stderr < NO_SPREAD:
        edges = [wilson(min(1.0, max(0.0, each)), clusters) for each in values]
        found = [math.fsum(f * edge[side] for f, edge in zip(factors, edges, strict=True)) for side in (0, 1)]
        return Spread(stderr, (min(found[0], value), max(found[1], value)), "Wilson, by clusters")
    if clusters > MOST_CLUSTERS:
        half = _normal() * stderr
        return Spread(stderr, (value - half, value + half), "delta")
    drawn = _redrawn(tops, bottoms, factors, values)
    return Spread(stderr, _accelerated(drawn, value, shares), "bootstrap")


def _redrawn(
    tops: Sums,
    bottoms: Sums,
    factors: Sequence[float],
    values: Sequence[float],
) -> np.ndarray[Any, Any]:
    """Return the value in each of `DRAWS` redrawn sets of clusters, sorted; a ratio of nothing stays as it was."""
    import numpy as np

    above, below = (np.asarray(each, dtype=np.float64).T for each in (tops, bottoms))
    weights, start = np.asarray(factors), np.asarray(values)
    found = []
    for counts in _counts(len(above)):
        under = counts @ below
        ratios = np.where(under > 0, (counts @ above) / np.where(under > 0, under, 1.0), start)
        found.append(ratios @ weights)
    return np.sort(np.concatenate(found))


def _counts(clusters: int) -> Sequence[np.ndarray[Any, Any]]:
    """Return how often each cluster is in each draw, in blocks of draws."""
    return _kept(clusters) if clusters * DRAWS <= KEPT_CELLS else _Blocks(clusters)


@lru_cache(maxsize=4)
def _kept(clusters: int) -> tuple[np.ndarray[Any, Any], ...]:
    return tuple(_Blocks(clusters))


class _Blocks(Sequence["np.ndarray[Any, Any]"]):
    """Draws made when they are asked for, so that memory stays small; block i is the same each time."""

    def __init__(self, clusters: int) -> None:
        self._clusters = clusters
        self._size = max(1, min(DRAWS, KEPT_CELLS // 5 // clusters))

    def __len__(self) -> int:
        return -(-DRAWS // self._size)

    def __getitem__(self, place: Any) -> Any:
        import numpy as np

        if place >= len(self):
            raise IndexError(place)
        draws = min(self._size, DRAWS - place * self._size)
        chance = np.random.Generator(np.random.PCG64([SEED, place]))
        picked = chance.integers(0, self._clusters, (draws, self._clusters))
        picked += np.arange(draws)[:, None] * self._clusters
        counts = np.bincount(picked.ravel(), minlength=draws * self._clusters)
        return counts.reshape(draws, self._clusters).astype(np.float64)


def _accelerated(drawn: np.ndarray[Any, Any], value: float, shares: Sequence[float]) -> Interval:
    import numpy as np
    from scipy.special import ndtr, ndtri

    below = float(np.mean(drawn < value) + np.mean(drawn == value) / 2)
    bias = float(ndtri(min(max(below, 1 / DRAWS), 1 - 1 / DRAWS)))
    squares = math.fsum(share * share for share in shares)
    acceleration = math.fsum(share**3 for share in shares) / (6 * squares**1.5)
    wide = student(len(shares) - 1) * math.sqrt(len(shares) / (len(shares) - 1))
    ends = []
    for side in (-wide, wide):
        moved = bias + side
        ends.append(float(ndtr(bias + moved / max(1e-3, 1 - acceleration * moved))))
    low, high = np.quantile(drawn, ends)
    return min(float(low), value), max(float(high), value)
