"""A run as tables: one row per job and metric, the matrix of models and data sets, or one row per sample. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlmeval_mp.report.gather import JobView, RunView
from vlmeval_mp.report.intervals import figure

Value = str | int | float | None

RESULTS = (
    "run", "model", "dataset", "metric", "primary", "value", "low", "high", "stderr", "scoring", "total", "scored",
    "unscored", "failed", "truncated", "empty",
)  # fmt: skip
SAMPLES = (
    "model", "dataset", "index", "category", "l2_category", "split", "question", "options", "answer", "prediction",
    "error", "finish_reason", "prompt_tokens", "completion_tokens", "worker", "recorded_at",
)  # fmt: skip
UNCERTAINTY = "± is the standard error; 95 % intervals are in --table results"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values under names. A table without rows still has its columns. `note` says what its cells mean."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]
    note: str = ""


def results(run: RunView) -> Table:
    """Return every metric of every scored job; fractions as fractions, with their 95 % interval where there is one."""
    rows: list[list[Value]] = []
    for view in run.jobs:
        summary = view.summary
        if summary is None:
            continue
        counts = summary.counts
        counted = (counts.total, counts.scored, counts.unscored, counts.failed, counts.truncated, counts.empty)
        for metric, value in summary.metrics.items():
            primary = metric == summary.primary_metric
            shown = figure(summary, metric)
            unit = 100.0 if shown.of else 1.0
            bounds = [None if bound is None else bound / unit for bound in (shown.low, shown.high)]
            error = summary.stderr if primary else summary.stderrs.get(metric)
            about: list[Value] = [run.name, summary.model, summary.dataset, metric, int(primary)]
            rows.append([*about, value, *bounds, error, summary.scoring, *counted])
    return Table("results", RESULTS, rows)


def matrix(run: RunView) -> Table:
    """Return models against data sets, each cell the primary metric as "90.00 ± 3.91", as tables of papers have it."""
    models = list(dict.fromkeys(view.job.model for view in run.jobs))
    datasets = list(dict.fromkeys(view.job.dataset for view in run.jobs))
    cells = {(view.job.model, view.job.dataset): _cell(view) for view in run.jobs}
    rows = [[model, *(cells.get((model, name), "–") for name in datasets)] for model in models]
    sure = any(" ± " in cell for row in rows for cell in row[1:])
    return Table("matrix", ("model", *datasets), rows, UNCERTAINTY if sure else "")


def _cell(view: JobView) -> str:
    if view.summary is None:
        return "–"
    shown = figure(view.summary)
    error = view.summary.stderr
    if shown.value is None or error is None:
        return shown.text
    return f"{shown.text} ± {shown.number(error * (100 if shown.of else 1))}"


def samples(run: RunView) -> Table:
    """Return every final sample with its reply, and value, extraction and note in each mode."""
    modes = list(dict.fromkeys(mode for view in run.jobs for mode in view.verdicts))
    judged = tuple(f"{mode}_{what}" for mode in modes for what in ("value", "extracted", "note"))
    rows = [_sample(view, place, modes) for view in run.jobs for place in range(len(view.samples))]
    return Table("samples", (*SAMPLES, *judged), rows)


def _sample(view: JobView, place: int, modes: Sequence[str]) -> list[Value]:
    sample, prediction, origin = view.samples[place], view.predictions[place], view.origins[place]
    options = "\n".join(f"{letter}. {text}" for letter, text in sample.options.items())
    row: list[Value] = [view.job.model, view.job.dataset, sample.index]
    row += [sample.category, sample.l2_category, sample.split, sample.question, options, sample.answer]
    row += [prediction.prediction, prediction.error or "", prediction.finish_reason]
    row += [prediction.prompt_tokens, prediction.completion_tokens, origin.worker, origin.at or None]
    for mode in modes:
        scores = view.verdicts.get(mode)
        row += [scores[place].value, scores[place].extracted, scores[place].note] if scores else [None, "", ""]
    return row
