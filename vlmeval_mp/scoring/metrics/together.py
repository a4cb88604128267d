"""Scores samples with the same value in a column as one: variants of a question, or its rotations. Pure.

A model that is right on average may be wrong on some variant of every question. What is counted here is each group as a
whole: DynaMath's worst case (Zou et al. 2024, "DynaMath"), and pass^k, the chance that k variants drawn without
replacement are all right (Yao et al. 2024, "τ-bench").
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from vlmeval_mp.core.records import GroupMetrics
from vlmeval_mp.scoring.base import Metric, ScoredSample
from vlmeval_mp.scoring.metrics import estimates
from vlmeval_mp.scoring.metrics.metrics import Values, asked, by

POWERS = (2, 4, 8, 16)
"""The k of pass^k, as far as the smallest group goes."""


def together(scored: Sequence[ScoredSample], column: str) -> GroupMetrics | None:
    """Return what the groups of `column` give; None where no sample has anything there.

    `worst_case` is the mean over groups of each one's least score, `all_right` the share of groups with nothing but
    full scores, `average` the mean of the groups' means, `robustness` the worst case over the average. A failed sample
    counts as wrong. A group with a sample that has no verdict is left out, unless another one is wrong already.
    """
    groups = list(by(scored, lambda sample: sample.cell(column)).values())
    if not groups:
        return None
    known = asked(scored)
    counted = [group for group in groups if all(p in known for p in group) or any(known.get(p) == 0 for p in group)]
    least = min(map(len, groups))
    found = estimates.clusters_of(scored, groups)
    worst = {group[0]: min(known[p] for p in group if p in known) for group in counted}
    average = {group[0]: _mean(known, group) for group in counted}
    metrics: dict[str, Metric] = {
        "worst_case": found.metric(estimates.mean(worst)),
        "all_right": found.metric(estimates.mean({p: float(value == 1.0) for p, value in worst.items()})),
        "average": found.metric(estimates.mean(average)),
        "robustness": found.metric(estimates.ratio(worst, average)),
    }
    for k in POWERS:
        if k <= least:
            metrics[f"pass^{k}"] = found.metric(estimates.mean({g[0]: _power(known, g, k) for g in counted}))
    return GroupMetrics(
        column=column,
        groups=len(groups),
        smallest=least,
        largest=max(map(len, groups)),
        left_out=len(groups) - len(counted),
        metrics={name: metric.value for name, metric in metrics.items()},
        intervals={name: metric.interval for name, metric in metrics.items()},
    )


def _mean(known: Values, group: Sequence[int]) -> float:
    return sum(known.get(place, 0.0) for place in group) / len(group)


def _power(known: Values, group: Sequence[int], k: int) -> float:
    """Return the share of all choices of `k` of the group in which every one is right."""
    right = sum(known.get(place) == 1.0 for place in group)
    return comb(right, k) / comb(len(group), k)
