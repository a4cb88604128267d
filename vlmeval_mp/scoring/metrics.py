"""Many verdicts to one number: the mean that most benchmarks report, and its standard error. Pure.

`accuracy` is the mean over the scored samples. `accuracy_all` also counts each failed sample as wrong, so that a run
cannot gain by failing. Samples without a usable answer are in neither.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from vlmeval_mp.records import Sample
from vlmeval_mp.scoring.base import Metric, Mode, Scored


def mean(scored: Sequence[Scored], mode: Mode) -> dict[str, Metric]:  # noqa: ARG001 - both modes average alike
    """`accuracy` and `accuracy_all`, each with its standard error."""
    samples = [s.sample for s in scored]
    values = [s.score.value for s in scored]
    asked = [0.0 if s.failed and v is None else v for s, v in zip(scored, values, strict=True)]
    return {"accuracy": mean_of(samples, values), "accuracy_all": mean_of(samples, asked)}


def mean_of(samples: Sequence[Sample], values: Sequence[float | None]) -> Metric:
    """The mean of the values that are there."""
    there = [v for v in values if v is not None]
    return Metric(math.fsum(there) / len(there) if there else None, standard_error(samples, values))


def standard_error(samples: Sequence[Sample], values: Sequence[float | None]) -> float | None:
    """The standard error of the mean of the scored values; None for fewer than two independent ones.

    Samples about the same image or video are not independent, so where any share one, they form clusters (connected
    through every shared digest) and the cluster-robust form counts: the root of the sum over clusters of (sum of
    residuals)², over n (Miller 2024, "Adding Error Bars to Evals", arXiv:2411.00640, §2.2; Liang and Zeger 1986).
    Otherwise it is the sample standard deviation over √n.
    """
    scored = [(sample, value) for sample, value in zip(samples, values, strict=True) if value is not None]
    n = len(scored)
    if n < 2:
        return None
    mean = math.fsum(value for _, value in scored) / n
    residuals: dict[Hashable, list[float]] = {}
    for cluster, (_, value) in zip(_clusters([s for s, _ in scored]), scored, strict=True):
        residuals.setdefault(cluster, []).append(value - mean)
    if len(residuals) < 2:
        return None
    squares = math.fsum(math.fsum(cluster) ** 2 for cluster in residuals.values())
    return math.sqrt(squares) / n if len(residuals) < n else math.sqrt(squares / (n - 1) / n)


def _clusters(samples: Sequence[Sample]) -> list[int]:
    """For each sample the number of its cluster (union-find over media digests)."""
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
    return [root(place) for place in range(len(samples))]
