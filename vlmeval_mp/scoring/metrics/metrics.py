"""The means that most benchmarks report, each with its standard error. Pure.

A mean is that of the scored samples. The one called `…_all` also counts each failed sample as wrong, so that a run
cannot gain by failing. Samples without a usable answer are in neither. Aggregates that weigh samples otherwise are in
`jointly` (MMBench, MME, HallusionBench) and `rates` (yes/no benchmarks, OCRBench, AMBER).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence

from vlmeval_mp.core.records import Sample
from vlmeval_mp.scoring.base import Aggregator, Metric, Mode, ScoredSample
from vlmeval_mp.scoring.metrics import estimates
from vlmeval_mp.scoring.metrics.estimates import Estimate

Values = Mapping[int, float]


def mean(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:
    """Return `accuracy` and `accuracy_all`, each with its standard error."""
    return mean_called("accuracy")(scored, mode)


def mean_called(name: str) -> Aggregator:
    """Return the plain mean under the name by which a benchmark publishes it."""

    def aggregate(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:  # noqa: ARG001 - both modes alike
        found = estimates.clusters_of(scored)
        return {
            name: found.metric(estimates.mean(values(scored))),
            f"{name}_all": found.metric(estimates.mean(asked(scored))),
        }

    return aggregate


def macro(name: str, column: str) -> Aggregator:
    """Return the mean over the values of `column` of the means within each: what a benchmark of several tasks
    publishes.

    Compat puts ms-vlmeval's own overall first, in which each sample counts the same.
    """

    def aggregate(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:
        found = estimates.clusters_of(scored)
        tasks = by(scored, lambda s: s.cell(column))
        means = {name: found.metric(average_of(values(scored), tasks.values()))}
        means[f"{name}_all"] = found.metric(average_of(asked(scored), tasks.values()))
        plain = mean(scored, mode)
        return plain | means if mode == "compat" else means | plain

    return aggregate


def first_split(split: str) -> Aggregator:
    """Return the mean of the split that a benchmark is compared on, then of the others, then of all samples."""

    def aggregate(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:
        found = estimates.clusters_of(scored)
        splits = by(scored, lambda s: s.split)
        names = sorted(splits, key=lambda name: (name != split, name))
        known, every = values(scored), asked(scored)
        means = {f"{name}_accuracy": found.metric(estimates.mean(part(known, splits[name]))) for name in names}
        means |= {f"{name}_accuracy_all": found.metric(estimates.mean(part(every, splits[name]))) for name in names}
        return means | mean(scored, mode)

    return aggregate


# --- parts of aggregators --------------------------------------------------------------------------------------


def values(scored: Sequence[ScoredSample]) -> Values:
    """Return the verdicts that are there, by place."""
    return _known([s.score.value for s in scored])


def asked(scored: Sequence[ScoredSample]) -> Values:
    """Return the verdicts with each failed sample as wrong, by place."""
    return _known([0.0 if s.failed and s.score.value is None else s.score.value for s in scored])


def _known(verdicts: Sequence[float | None]) -> Values:
    """Return those of `verdicts` that are there, by place."""
    there = array("d", (value for value in verdicts if value is not None))
    if len(there) == len(verdicts):
        return estimates.Dense(there)
    return {place: value for place, value in enumerate(verdicts) if value is not None}


def part(known: Values, places: Iterable[int]) -> Values:
    """Return those of `known` that are at `places`."""
    return {place: known[place] for place in places if place in known}


def average_of(known: Values, groups: Iterable[Sequence[int]]) -> Estimate:
    """Return the mean of the means of groups of places."""
    return estimates.average(estimates.mean(part(known, places)) for places in groups)


def by(scored: Sequence[ScoredSample], name: Callable[[Sample], str]) -> dict[str, list[int]]:
    """Return the places of the samples of each name, in order of appearance; samples without a name are in none."""
    groups: dict[str, list[int]] = {}
    for place, each in enumerate(scored):
        if found := name(each.sample):
            groups.setdefault(found, []).append(place)
    return groups


def mean_of(samples: Sequence[Sample], given: Sequence[float | None]) -> Metric:
    """Return the mean of the values that are there, with the clustered standard error of `estimates`."""
    known = {place: value for place, value in enumerate(given) if value is not None}
    return estimates.clusters(samples).metric(estimates.mean(known))


def standard_error(samples: Sequence[Sample], given: Sequence[float | None]) -> float | None:
    """Return the standard error of the mean of the values that are there; None for fewer than two independent ones.

    Samples about the same image or video are not independent, so where any share one, they form clusters (connected
    through every shared digest) and the cluster-robust form counts: the root of the sum over clusters of (sum of
    residuals)², over n (Miller 2024, "Adding Error Bars to Evals", arXiv:2411.00640, §2.2), each cluster corrected by
    its share of the samples (Bell and McCaffrey 2002). Otherwise it is the sample standard deviation over √n.
    """
    return mean_of(samples, given).stderr
