"""Compares two sides on the same samples: the difference of the means, its 95 % interval, and an exact p. Pure.

Right or wrong is tested as McNemar's test does, exactly (McNemar 1947; the binomial form of Cochran 1950), and has the
score interval of Tango (1998, "Equivalence test and confidence interval for the difference in proportions for the
paired-sample design"), which says something also where nothing flipped. Where samples share a picture or video, their
differences are added up within it and the signs of these sums are flipped (Fisher's randomization test), again exactly
where the sums are whole; the interval is then cluster-robust with G - 1 degrees of freedom, or, where all G groups of
right or wrong differ alike, that of Tango over G samples. Graded scores likewise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Z = 1.959963984540054
"""The normal quantile of a 95 % interval."""
DRAWS = 20_000
SEED = 20_250_101
"""The seed of a permutation test that has to draw: the same samples always give the same p."""
UNITS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 20, 30, 60, 100)
"""Graded scores are often multiples of one of these fractions, and are then tested exactly."""
MOST_STEPS = 200_000_000
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The comparison of two sides; `difference` is the second mean minus the first.

    `gained` and `lost` count samples that the second side does better and worse; `clusters` counts the independent
    groups among the `n` samples. `low` and `high` are None for fewer than two of these.
    """

    n: int
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p: float
    test: str
    gained: int
    lost: int
    clusters: int


def paired(first: Sequence[float], second: Sequence[float], clusters: Sequence[int]) -> PairedTest:
    """Return what the scores of two sides on the same samples, at least one, say of their difference.

    `clusters` has a number for each sample; those of one number may be right or wrong together.
    """
    n = len(first)
    differences = [b - a for a, b in zip(first, second, strict=True)]
    groups: dict[int, float] = {}
    for number, difference in zip(clusters, differences, strict=True):
        groups[number] = groups.get(number, 0.0) + difference
    sums = list(groups.values())
    gained, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    binary = all(value in (0.0, 1.0) for value in (*first, *second))
    if binary and len(groups) == n:
        p, test = mcnemar(gained, lost), "exact McNemar"
        interval: tuple[float, float] | None = tango(gained, lost, n)
    else:
        p, test = sign_flip(sums)
        interval = _robust(differences, clusters, len(groups))
        if binary and len(groups) > 1 and _alike(groups, clusters, n):
            # nothing varies between the groups, which is no certainty: each is taken for one sample
            interval = tango(gained * len(groups) / n, lost * len(groups) / n, len(groups))
        if binary and interval:
            interval = max(-1.0, interval[0]), min(1.0, interval[1])
    low, high = interval or (None, None)
    means = math.fsum(first) / n, math.fsum(second) / n
    return PairedTest(n, *means, math.fsum(differences) / n, low, high, p, test, gained, lost, len(groups))


def _alike(sums: Mapping[int, float], clusters: Sequence[int], n: int) -> bool:
    """Return whether each group differs by the same per sample, which leaves no variance between them."""
    sizes, mean = Counter(clusters), math.fsum(sums.values()) / n
    return all(abs(total - mean * sizes[number]) < _ROUNDING for number, total in sums.items())


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact two-sided p that of `gained + lost` flips so few, or fewer, go the rarer way."""
    n, fewer = gained + lost, min(gained, lost)
    term = total = 1
    for k in range(1, fewer + 1):
        term = term * (n - k + 1) // k
        total += term
    return min(1.0, 2 * total / (1 << n) if n < 1000 else math.exp(math.log(2 * total) - n * math.log(2)))


def tango(gained: float, lost: float, n: int) -> tuple[float, float]:
    """Return Tango's score interval of (gained - lost) / n: every difference that a score test does not refuse."""

    def statistic(delta: float) -> float:
        b = -gained - lost + (2 * n - gained + lost) * delta
        c = -lost * delta * (1 - delta)
        share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * (2 * share + delta * (1 - delta))
        distance = gained - lost - n * delta
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    estimate = (gained - lost) / n
    return _root(lambda d: statistic(d) > Z, -1.0, estimate), _root(lambda d: statistic(d) > -Z, estimate, 1.0)


def _root(above: Callable[[float], bool], low: float, high: float) -> float:
    """Return where a falling statistic stops being `above`."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return (low + high) / 2


def sign_flip(sums: Sequence[float]) -> tuple[float, str]:
    """Return the two-sided p of independent sums under random signs, and how it was found."""
    import numpy as np

    there = [abs(each) for each in sums if abs(each) > _ROUNDING]
    seen = abs(math.fsum(sums))
    if not there:
        return 1.0, "exact permutation"
    for unit in UNITS:
        whole = [round(each * unit) for each in there]
        if all(abs(w - each * unit) < _ROUNDING for w, each in zip(whole, there, strict=True)):
            reach = sum(whole)
            if reach * len(whole) > MOST_STEPS:
                break
            chances = np.zeros(2 * reach + 1)
            chances[reach] = 1.0
            for step in whole:
                half = chances / 2
                chances = np.zeros_like(chances)
                chances[step:] += half[: len(half) - step]
                chances[: len(half) - step] += half[step:]
            away = np.abs(np.arange(-reach, reach + 1)) >= round(seen * unit)
            return min(1.0, float(chances[away].sum())), "exact permutation"
    generator, values = np.random.default_rng(SEED), np.asarray(there)
    hits = 0
    for _ in range(DRAWS // 100):
        signs = generator.integers(0, 2, size=(100, len(values))) * 2 - 1
        hits += int((np.abs(signs @ values) >= seen - _ROUNDING).sum())
    return (hits + 1) / (DRAWS + 1), f"permutation, {DRAWS:,} draws"


def _robust(differences: Sequence[float], clusters: Sequence[int], count: int) -> tuple[float, float] | None:
    """Return mean ± t · standard error over clusters (CR1); None for fewer than two clusters."""
    if count < 2:
        return None
    from scipy.special import stdtrit

    n = len(differences)
    mean = math.fsum(differences) / n
    sums: dict[int, float] = {}
    for number, difference in zip(clusters, differences, strict=True):
        sums[number] = sums.get(number, 0.0) + difference - mean
    error = math.sqrt(math.fsum(each * each for each in sums.values()) * count / (count - 1)) / n
    half = float(stdtrit(count - 1, 0.975)) * error
    return mean - half, mean + half
