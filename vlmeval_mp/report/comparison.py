"""Pairs the samples that two sides of a comparison have in common, and measures the difference.

A side is one model of one run. Sides are compared data set by data set, on samples that both have a verdict on; data
sets that are not the same on both are refused with the reason. What is computed of the pairs is `paired`'s matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from vlmeval_mp.core.errors import ConfigError, did_you_mean
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import Struct
from vlmeval_mp.report.gather import JobView, RunView, run_view
from vlmeval_mp.report.paired import PairedTest, paired
from vlmeval_mp.runs import find
from vlmeval_mp.scoring.metrics.estimates import clusters


@dataclass(frozen=True, slots=True)
class Side:
    """One model of one run, and its jobs that are compared."""

    label: str
    run: RunView
    jobs: Sequence[JobView]

    @property
    def model(self) -> str:
        return self.jobs[0].job.model


class Part(Struct, frozen=True, omit_defaults=False):
    """The comparison over one category, or over all of a data set. Means and their difference are fractions.

    `low` and `high` bound the 95 % interval of the difference; `gained` and `lost` count flips.
    """

    name: str
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


class DatasetComparison(Struct, frozen=True, omit_defaults=False):
    """Two sides on one data set. `gained` are indices of samples that the second side does better, `lost` worse.

    `unpaired` counts common samples that one side has no verdict on, `only_first` and `only_second` those of one side.
    """

    first: str
    second: str
    dataset: str
    mode: str
    whole: Part
    categories: tuple[Part, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    unpaired: int
    only_first: int
    only_second: int


class NoComparison(Struct, frozen=True, omit_defaults=False):
    """Two sides that cannot be compared on a data set, and why."""

    first: str
    second: str
    dataset: str
    why: str


def sides_of(jobs: JobsPaths, wanted: Sequence[str]) -> list[tuple[Side, ...]]:
    """Return the groups of sides that `wanted` (RUN, RUN:model or RUN:model/dataset) asks to compare, baseline first.

    Runs of several models that have the same ones are compared model by model; one run alone, its models.

    Raises:
        ConfigError: there is no such run, model or data set, or nothing to compare it with.
    """
    found = [_sides(jobs, each) for each in wanted]
    if len(found) == 1:
        if len(found[0]) < 2:
            raise ConfigError(f"{wanted[0]} has one model only; name a second run to compare it with")
        return [tuple(found[0])]
    if all(len(sides) == 1 for sides in found):
        return [tuple(sides[0] for sides in found)]
    models = [[side.model for side in sides] for sides in found]
    if any(sorted(names) != sorted(models[0]) for names in models):
        several = next(each for each, names in zip(wanted, models, strict=True) if len(names) > 1)
        names = ", ".join(models[list(wanted).index(several)])
        raise ConfigError(f"{several} has several models ({names}); say which one, as {several}:MODEL")
    return [tuple(next(s for s in sides if s.model == name) for sides in found) for name in models[0]]


def _sides(jobs: JobsPaths, wanted: str) -> list[Side]:
    try:
        paths, chosen = find.chosen(jobs, wanted), ""
    except ConfigError:
        name, colon, chosen = wanted.partition(":")
        if not colon:
            raise
        paths = find.chosen(jobs, name)
    run = run_view(paths)
    by_model: dict[str, list[JobView]] = {}
    for view in run.jobs:
        if chosen in ("", view.job.model, f"{view.job.model}/{view.job.dataset}"):
            by_model.setdefault(view.job.model, []).append(view)
    if not by_model:
        names = [n for v in run.jobs for n in (v.job.model, f"{v.job.model}/{v.job.dataset}")]
        hint = did_you_mean(chosen, names, f"there are {', '.join(dict.fromkeys(names))}")
        raise ConfigError(f"run {run.name} has no {chosen!r}; {hint}")
    several = len({view.job.model for view in run.jobs}) > 1
    return [Side(f"{run.name}:{model}" if several else run.name, run, views) for model, views in by_model.items()]


def compare(
    sides: Sequence[Side], mode: str = "strict", *, failed_as_wrong: bool = False
) -> tuple[list[DatasetComparison], list[NoComparison]]:
    """Return what each further side is against the first one, by data set, and what could not be compared."""
    found: list[DatasetComparison] = []
    refused: list[NoComparison] = []
    for first, second in itertools.product(sides[:1], sides[1:]):
        mine = {view.job.dataset: view for view in first.jobs}
        theirs = {view.job.dataset: view for view in second.jobs}
        if not mine.keys() & theirs.keys():
            why = f"no data set in common: one has {', '.join(mine)}, the other {', '.join(theirs)}"
            refused.append(NoComparison(first.label, second.label, "", why))
        for name in [name for name in mine if name in theirs]:
            why = _why_not(first, second, name) or _why_no_pair(mine[name], theirs[name])
            if why:
                refused.append(NoComparison(first.label, second.label, name, why))
                continue
            one = _compared(first, second, name, mode, failed_as_wrong)
            if isinstance(one, DatasetComparison):
                found.append(one)
            else:
                refused.append(one)
    return found, refused


def _why_not(first: Side, second: Side, dataset: str) -> str:
    key = f"data.{dataset}.content"
    digests = [side.run.record.fingerprint.get(key, "") for side in (first, second)]
    if digests[0] == digests[1]:
        return ""
    return f"the data differ (digest {digests[0][:12] or 'none'} and {digests[1][:12] or 'none'})"


def _why_no_pair(first: JobView, second: JobView) -> str:
    if {s.index for s in first.samples} & {s.index for s in second.samples}:
        return ""
    answered = " and ".join(f"{len(view.samples):,}" for view in (first, second))
    return f"no answered samples in common ({answered} are answered)"


@dataclass(frozen=True, slots=True)
class Pair:
    """One sample that both sides have: its place in either job, and the two scores."""

    places: tuple[int, int]
    first: float | None
    second: float | None


def pairs_of(first: JobView, second: JobView, mode: str, *, failed_as_wrong: bool = False) -> tuple[str, list[Pair]]:
    """Return the mode in which both are scored, and their common samples in order; "" for no common mode."""
    common = [name for name in first.verdicts if name in second.verdicts]
    chosen = mode if mode in common else next(iter(common), "")
    if not chosen:
        return "", []
    places = {sample.index: place for place, sample in enumerate(second.samples)}
    found = []
    for place, sample in enumerate(first.samples):
        if sample.index not in places:
            continue
        both = (place, places[sample.index])
        views = zip((first, second), both, strict=True)
        a, b = (_value(view, at, chosen, failed_as_wrong) for view, at in views)
        found.append(Pair(both, a, b))
    return chosen, found


def _value(view: JobView, place: int, mode: str, failed_as_wrong: bool) -> float | None:
    if view.predictions[place].error is not None:
        return 0.0 if failed_as_wrong else None
    return view.verdicts[mode][place].value


def _compared(
    first: Side, second: Side, dataset: str, mode: str, failed_as_wrong: bool
) -> DatasetComparison | NoComparison:
    views = [next(v for v in side.jobs if v.job.dataset == dataset) for side in (first, second)]
    chosen, pairs = pairs_of(views[0], views[1], mode, failed_as_wrong=failed_as_wrong)
    if not chosen:
        modes = " and ".join("/".join(view.verdicts) for view in views)
        return NoComparison(first.label, second.label, dataset, f"they are scored by different rules ({modes})")
    scored = [(pair, pair.first, pair.second) for pair in pairs]
    known = [(pair, a, b) for pair, a, b in scored if a is not None and b is not None]
    if not known:
        return NoComparison(first.label, second.label, dataset, "no sample has a verdict on both sides")
    samples = [views[0].samples[pair.places[0]] for pair, _, _ in known]
    numbers = clusters(samples).numbers
    by_category: dict[str, list[int]] = {}
    for place, sample in enumerate(samples):
        if sample.category:
            by_category.setdefault(sample.category, []).append(place)

    def part(name: str, places: Sequence[int]) -> Part:
        a, b = [known[place][1] for place in places], [known[place][2] for place in places]
        return _part(name, paired(a, b, [numbers[place] for place in places]))

    whole = part("", range(len(known)))
    parts = [part(name, places) for name, places in sorted(by_category.items())] if len(by_category) > 1 else []
    better = [sample.index for sample, (_, a, b) in zip(samples, known, strict=True) if b > a]
    worse = [sample.index for sample, (_, a, b) in zip(samples, known, strict=True) if b < a]
    return DatasetComparison(
        first=first.label,
        second=second.label,
        dataset=dataset,
        mode=chosen,
        whole=whole,
        categories=tuple(parts),
        gained=tuple(better),
        lost=tuple(worse),
        unpaired=len(pairs) - len(known),
        only_first=len(views[0].samples) - len(pairs),
        only_second=len(views[1].samples) - len(pairs),
    )


def _part(name: str, found: PairedTest) -> Part:
    return Part(
        name, found.n, found.first, found.second, found.difference, found.low, found.high, found.p, found.test,
        found.gained, found.lost, found.clusters,
    )  # fmt: skip
