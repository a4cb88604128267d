"""Many verdicts to one summary: metrics, counts, groups and a standard error. Pure, and the same bytes every time.

`accuracy` is the mean over the scored samples. `accuracy_all` also counts each failed sample as wrong, so that a run
cannot gain by failing. Samples without a usable answer are in neither; `counts` shows them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from vlmeval_mp.records import Counts, Prediction, Sample, Score, Summary
from vlmeval_mp.scoring import SCORER_OF, SCORING

Group = dict[str, float | int | None]


def summarize(
    model: str,
    dataset: str,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction | None],
    scores: Sequence[Score],
) -> Summary:
    """The summary of one job; the three sequences run in parallel, None standing for a sample without a prediction."""
    failed = [p is None or p.error is not None for p in predictions]
    values = [s.value for s in scores]
    metrics, counts = _metrics(values, failed), _counts(values, failed)
    return Summary(
        model=model,
        dataset=dataset,
        primary_metric="accuracy",
        metrics=metrics,
        stderr=standard_error(samples, values),
        counts=counts,
        by_category=_by(lambda s: s.category, samples, values, failed),
        by_l2_category=_by(lambda s: s.l2_category, samples, values, failed),
        by_split=_by(lambda s: s.split, samples, values, failed),
        scorers=dict(sorted(Counter(SCORER_OF[s.kind] for s in samples).items())),
        scoring=SCORING,
    )


def _metrics(values: Sequence[float | None], failed: Sequence[bool]) -> dict[str, float | None]:
    scored = [v for v in values if v is not None]
    total, asked = math.fsum(scored), len(scored) + sum(failed)
    return {
        "accuracy": total / len(scored) if scored else None,
        "accuracy_all": total / asked if asked else None,
    }


def _counts(values: Sequence[float | None], failed: Sequence[bool]) -> Counts:
    scored = sum(v is not None for v in values)
    return Counts(total=len(values), scored=scored, unscored=len(values) - scored - sum(failed), failed=sum(failed))


def _by(
    name: Callable[[Sample], str], samples: Sequence[Sample], values: Sequence[float | None], failed: Sequence[bool]
) -> dict[str, Group]:
    """Metrics and counts per group, sorted by name; samples that name no group are in none."""
    groups: dict[str, list[int]] = {}
    for place, sample in enumerate(samples):
        if group := name(sample):
            groups.setdefault(group, []).append(place)
    found: dict[str, Group] = {}
    for group, places in sorted(groups.items()):
        part, lost = [values[i] for i in places], [failed[i] for i in places]
        counts = _counts(part, lost)
        found[group] = {
            **_metrics(part, lost),
            "total": counts.total,
            "scored": counts.scored,
            "unscored": counts.unscored,
            "failed": counts.failed,
        }
    return found


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
