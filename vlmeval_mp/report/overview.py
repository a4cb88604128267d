"""The first page: the matrix of models and data sets, failures in numbers, and each data set's categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from vlmeval_mp.core.records import Summary
from vlmeval_mp.report.document import render
from vlmeval_mp.report.gather import JobView, RunView
from vlmeval_mp.report.intervals import Figure, Group, figure, figure_of
from vlmeval_mp.report.pages import Options, Page
from vlmeval_mp.report.samples import DIFFER, EMPTY, FAILED, TRUNCATED, UNREAD, WRONG, flags_of
from vlmeval_mp.runs.words import spoken

SHOWS = {"wrong": WRONG, "failed": FAILED, "truncated": TRUNCATED, "unread": UNREAD, "empty": EMPTY, "differ": DIFFER}
"""The filters of the sample browser, by name."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One job in the matrix. `counts` are (words, number, link) of samples worth a look."""

    model: str
    dataset: str
    figure: Figure | None
    metric: str
    link: str
    counts: Sequence[tuple[str, int, str]]
    missing: str = ""
    scoring: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One group of a breakdown: a figure and a number of samples for each model."""

    name: str
    total: int
    figures: Sequence[tuple[Figure, str]]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A data set by the values of one column."""

    column: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Card:
    """One data set: who is in it, and its breakdowns, the first of which is open."""

    dataset: str
    metric: str
    models: Sequence[str]
    breakdowns: Sequence[Breakdown]
    notes: Sequence[str]


def page(run: RunView, options: Options) -> Page:  # noqa: ARG001 - every page takes both
    """Return the tab with the numbers of `run`."""
    models = list(dict.fromkeys(view.job.model for view in run.jobs))
    datasets = list(dict.fromkeys(view.job.dataset for view in run.jobs))
    cells = {(view.job.model, view.job.dataset): cell_of(view) for view in run.jobs}
    html = render(
        "overview.html",
        models=models,
        datasets=datasets,
        cells=cells,
        # the longer side goes down the page, which is how a narrow screen can show it
        upright=len(datasets) >= len(models),
        cards=[card for name in datasets if (card := card_of(name, run.jobs))],
        mean=mean_of(models, datasets, cells),
    )
    return Page(title="Overview", html=html)


def link(**params: str) -> str:
    """Return a link into the sample browser."""
    return "#samples?" + urlencode({key: value for key, value in params.items() if value})


def cell_of(view: JobView) -> Cell:
    """Return what the matrix shows of one job."""
    job, summary = view.job, view.summary
    here = {"model": job.model, "data": job.dataset}
    flags = [
        flags_of(prediction, [scores[row] for scores in view.verdicts.values()])
        for row, prediction in enumerate(view.predictions)
    ]
    counted = {name: sum(bool(each & bit) for each in flags) for name, bit in SHOWS.items() if name != "wrong"}
    words = {"differ": "judged differently by the modes"}
    counts = [(words.get(name, name), n, link(show=name, **here)) for name, n in counted.items() if n]
    if summary is None:
        missing = f"{len(view.samples):,} of {job.samples:,} answered, no score yet"
        return Cell(job.model, job.dataset, None, "", link(**here), counts, missing)
    name = spoken(summary.primary_metric)
    missing = "" if summary.metrics.get(summary.primary_metric) is not None else _why_no_number(summary)
    return Cell(job.model, job.dataset, figure(summary), name, link(**here), counts, missing, summary.scoring)


def _why_no_number(summary: Summary) -> str:
    if summary.bounds is None:
        return summary.problem or "no number"
    low, high = (100 * bound for bound in summary.bounds)
    return f"between {low:.1f} and {high:.1f}: {summary.counts.unscored:,} samples have no verdict"


def mean_of(
    models: Sequence[str], datasets: Sequence[str], cells: Mapping[tuple[str, str], Cell]
) -> dict[str, str] | None:
    """Return each model's plain mean over the data sets; None where they have no unit in common, or it says nothing."""
    if len(datasets) < 2:
        return None
    found: dict[str, str] = {}
    for model in models:
        figures = [cell.figure for name in datasets if (cell := cells.get((model, name))) and cell.figure]
        values = [each.value for each in figures if each.value is not None and each.of]
        if len(values) < len(datasets):
            return None
        found[model] = f"{sum(values) / len(values):,.2f}"
    return found


def card_of(dataset: str, jobs: Sequence[JobView]) -> Card | None:
    """Return one data set's breakdowns side by side for all its models; None where there is nothing to tell."""
    views = [(v, v.summary) for v in jobs if v.job.dataset == dataset]
    scored = [(view, summary) for view, summary in views if summary is not None]
    if not scored:
        return None
    columns = {
        "category": [s.by_category for _, s in scored],
        "l2-category": [s.by_l2_category for _, s in scored],
        "split": [s.by_split for _, s in scored],
    }
    for name in dict.fromkeys(column for _, s in scored for column in s.by):
        columns[name] = [s.by.get(name, {}) for _, s in scored]
    breakdowns = [
        Breakdown(column, _rows(column, groups, scored))
        for column, groups in columns.items()
        if len({name for group in groups for name in group}) > 1
    ]
    several = len({view.job.model for view in jobs}) > 1
    notes = [
        f"{s.model}: {note}" if several else note
        for _, s in scored
        for note in (*s.warnings, *s.notes, s.problem)
        if note
    ]
    if not breakdowns and not notes:
        return None
    first = scored[0][1]
    models = [view.job.model for view, _ in scored]
    return Card(dataset, spoken(first.primary_metric), models, breakdowns, list(dict.fromkeys(notes)))


def _rows(column: str, groups: Sequence[Mapping[str, Group]], scored: Sequence[tuple[JobView, Summary]]) -> list[Row]:
    found = []
    for name in dict.fromkeys(name for group in groups for name in group):
        figures = []
        for group, (view, summary) in zip(groups, scored, strict=True):
            here = {"model": view.job.model, "data": view.job.dataset}
            where = link(category=name, **here) if column == "category" else link(q=name, **here)
            figures.append((figure_of(summary, group.get(name, {})), where))
        total = max(int(group.get(name, {}).get("total") or 0) for group in groups)
        found.append(Row(name, total, figures))
    return found
