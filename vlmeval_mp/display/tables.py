"""The table at the end of a run: scores with intervals, failures, the other mode's scores, the place of the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec
from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.records import Counts, OtherMode, Summary
from vlmeval_mp.display import joined
from vlmeval_mp.display.matrix import matrix
from vlmeval_mp.display.plaintable import plain_table
from vlmeval_mp.display.terminal import Terminal, silence
from vlmeval_mp.display.text import rate, safe
from vlmeval_mp.runs.words import POINTS, as_reported, spoken

Results = Sequence[tuple[Summary, float | None]]
"""Each job's summary and its samples/s, where that is known."""

_TEXT = ("dataset", "model", "metric")
_NO_NUMBER = "–"
NOTHING = "no job has results yet"
_COUNTS: dict[str, Callable[[Counts], int]] = {
    "unscored": lambda c: c.unscored,
    "truncated": lambda c: c.truncated,
    "empty": lambda c: c.empty,
}
"""Counts that have a column only where some job has any."""

_INTERVAL, _INCLUDED, _COVERAGE = "interval", "incl. failed", "coverage"
_SPARED = ("samples/s", *reversed(_COUNTS), _COVERAGE, _INTERVAL, _INCLUDED)
"""Columns that a narrow screen leaves out, first to last; all but the speed then stand under the table."""
_NAME_WIDTH = 18
"""Characters of a name that a fold leaves together."""


def results_table(summaries: Results, folder: Path | None, width: int = 80) -> RenderableType:
    """Return the table for a terminal of `width` columns, and under it what the other mode says and where
    the files are.
    """
    if not summaries:
        return Text(NOTHING)
    spared = next((s for s in _sparing() if _needed(_rows(summaries, s)) <= width), _SPARED)
    heading, *rows = _rows(summaries, spared)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bright_black", border_style="bright_black")
    for name in heading:
        # names fold rather than vanish; numbers never break
        numeric = name not in _TEXT
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in rows:
        cells = zip(heading, row, strict=True)
        table.add_row(*(Text(cell, style=_style(name, cell)) for name, cell in cells))
    lines = (Text(line, overflow="fold") for line in _notes(summaries, folder, spared))
    overview = matrix(_cells(summaries), width)
    return Group(*([_drawn(overview)] if overview else []), table, *lines)


def _drawn(rows: list[list[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bright_black", border_style="bright_black")
    for place, name in enumerate(rows[0]):
        table.add_column(Text(name), justify="right" if place else "left", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*(Text(cell, style="bold" if place else "") for place, cell in enumerate(row)))
    return table


def _cells(summaries: Results) -> dict[tuple[str, str], str]:
    """Return each job's number for the matrix, without its interval, which the table has."""
    return {(safe(s.model), safe(s.dataset)): _measured(s, sure=False) for s, _ in summaries}


def _sparing() -> list[tuple[str, ...]]:
    return [_SPARED[:n] for n in range(len(_SPARED) + 1)]


def _needed(rows: list[list[str]]) -> int:
    """Return columns of the screen that `rows` take at least."""
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    folded = [min(w, _NAME_WIDTH) if name in _TEXT else w for name, w in zip(rows[0], widths, strict=True)]
    return sum(folded) + 3 * (len(folded) - 1) + 2  # rich leaves three between columns


def results_text(summaries: Results, folder: Path | None) -> str:
    """Return the same without colour or frames, for a log."""
    if not summaries:
        return NOTHING
    heading, *rows = _rows(summaries)
    overview = matrix(_cells(summaries))
    first = [*plain_table(overview[0], overview[1:], _TEXT), ""] if overview else []
    return "\n".join([*first, *plain_table(heading, rows, _TEXT), *_notes(summaries, folder)])


def show_results(
    summaries: Results,
    folder: Path | None,
    stream: IO[str],
    *,
    as_json: bool = False,
    code: int = 0,
    warnings: Sequence[str] = (),
) -> None:
    """Write the results in the form that suits `stream`: one JSON object, a table, or plain text.

    `folder` is where the files are, None if none were written. What a summary warns of stands before `warnings`; people
    get what is alike of several jobs in one line.
    """
    doubts = _doubts([summary for summary, _ in summaries])
    said = [*(f"{who}: {text}" for who, text in doubts), *warnings] if as_json else [*joined.alike(doubts), *warnings]
    try:
        if as_json:
            found = [{**msgspec.to_builtins(s), "samples_per_second": r} for s, r in summaries]
            where = None if folder is None else str(folder)
            record = {"event": "results", "folder": where, "exit_code": code, "results": found, "warnings": said}
            stream.write(jsonfiles.encode(record).decode() + "\n")
        elif stream.isatty():
            terminal = Terminal(stream)
            terminal.print(results_table(summaries, folder, terminal.width))
            for line in said:
                terminal.print(Text(f"warning: {safe(line)}", style="yellow", overflow="fold"))
        else:
            lines = [f"warning: {safe(line)}" for line in said]
            stream.write("\n".join([results_text(summaries, folder), *lines]) + "\n")
        stream.flush()
    except BrokenPipeError:
        silence(stream)


def _doubts(found: Sequence[Summary]) -> list[tuple[str, str]]:
    """Return what the summaries warn of, each with the job it is about."""
    several = len({s.model for s in found}) > 1
    return [(f"{s.model} on {s.dataset}" if several else s.dataset, text) for s in found for text in s.warnings]


def _rows(summaries: Results, spared: Sequence[str] = ()) -> list[list[str]]:
    """Return the heading and a row per job, without columns that would say the same in each row and those
    in `spared`.
    """
    found = [summary for summary, _ in summaries]
    models = len({s.model for s in found}) > 1
    names = {s.primary_metric for s in found}
    counts = [name for name, count in _COUNTS.items() if name not in spared and any(count(s.counts) for s in found)]
    timed = "samples/s" not in spared and any(speed is not None for _, speed in summaries)
    metric = [_spoken(*names)] if len(names) == 1 and "" not in names else ["metric", "score"]
    sure = _INTERVAL not in spared
    if sure and any(s.interval for s in found):
        metric[-1] += " [95 %]"
    beside = [name for name, cell in _BESIDE.items() if name not in spared and any(map(cell, found))]
    heading = ["dataset", *(["model"] if models else []), *metric, *beside, "samples", "failed", *counts]
    rows = [[*heading, *(["samples/s"] if timed else [])]]
    for summary, speed in summaries:
        row = [safe(summary.dataset), *([safe(summary.model)] if models else [])]
        row += [_spoken(summary.primary_metric) or "–"] if len(metric) > 1 else []
        row += [_measured(summary, sure=sure), *(_BESIDE[name](summary) or _NO_NUMBER for name in beside)]
        row += [f"{summary.counts.total:,}", f"{summary.counts.failed:,}"]
        row += [f"{_COUNTS[name](summary.counts):,}" for name in counts]
        rows.append([*row, *([rate(speed).removesuffix("/s")] if timed else [])])
    return rows


def _spoken(metric: str) -> str:
    """Return a metric's name as a heading."""
    return safe(spoken(metric))


def _included(summary: Summary) -> str:
    """Return the metric with each failed sample as wrong, beside the one without; "" where none failed."""
    name = summary.primary_metric
    if not summary.counts.failed or summary.bounds or f"{name}_all" not in summary.metrics:
        return ""
    return _number(name, summary.metrics[f"{name}_all"])


def _coverage(summary: Summary) -> str:
    """Return the share of the samples that the metric rests on; "" where it is all of them."""
    counts = summary.counts
    if summary.as_reported or counts.scored == counts.total:
        return ""
    return f"{min(99.99, 100 * counts.scored / counts.total):.2f} %"


_BESIDE: dict[str, Callable[[Summary], str]] = {_INCLUDED: _included, _COVERAGE: _coverage}
"""Columns right of the metric, only where some job has something to say there."""


def _measured(summary: Summary, *, sure: bool = True) -> str:
    """Return the metric of `summary` as its cell shows it, with its 95 % interval if `sure`.

    Where only bounds are known these stand there ("81.20 to 85.70"), and "±" its standard error where a summary has no
    interval, as old ones have none.
    """
    name = summary.primary_metric
    if summary.bounds:
        return f"{_number(name, summary.bounds[0])} to {_number(name, summary.bounds[1])}"
    if summary.interval:
        value = _number(name, summary.metrics.get(name))
        return f"{value} {_interval(summary)}" if sure else value
    if summary.as_reported:
        value, error = (as_reported(v) for v in (summary.metrics.get(name), summary.stderr))
        return value if summary.stderr is None else f"{value} ± {error}"
    value = _number(name, summary.metrics.get(name))
    return value if summary.stderr is None else f"{value} ± {_number(name, summary.stderr)}"


def _interval(summary: Summary) -> str:
    low, high = summary.interval or (None, None)
    return f"[{_number(summary.primary_metric, low)}, {_number(summary.primary_metric, high)}]"


WHY_MODES_DIFFER = "compat counts as VLMEvalKit's rules do; docs/scoring.md has an example of each difference"


def _number(metric: str, value: float | None) -> str:
    """Return two decimals, as published scores have: percent, or points."""
    if value is None:
        return _NO_NUMBER
    return f"{value:,.2f}" if metric.endswith(POINTS) else f"{100 * value:.2f}"


def _notes(summaries: Results, folder: Path | None, spared: Sequence[str] = ()) -> list[str]:
    """Return the lines under the table: other rules, counts without a column, the other mode's scores, the files."""
    found = [summary for summary, _ in summaries]
    rules = sorted({s.scoring for s in found if s.scoring != "strict"})
    notes = [f"scored as {safe(name)}" for name in rules]
    several = len({s.model for s in found}) > 1
    about = []
    for summary in found:
        who = safe(f"{summary.model} on {summary.dataset}" if several else summary.dataset)
        untold = [f"{n:,} {name}" for name in _COUNTS if name in spared and (n := _COUNTS[name](summary.counts))]
        untold += [f"95 % {_interval(summary)}"] if _INTERVAL in spared and summary.interval else []
        untold += [f"{name} {cell(summary)}" for name, cell in _BESIDE.items() if name in spared and cell(summary)]
        notes += [f"{who}: {', '.join(untold)}"] if untold else []
        said = [_official(summary), _other(summary), _together(summary)]
        said += [safe(note) for note in (*summary.notes, summary.problem)]
        said += [f"{n:,} of its answers imported from {safe(file)}" for file, n in summary.imported.items()]
        about += [(who, text) for text in said if text]
    notes += joined.same(about)
    if any(s.other is not None and s.other.differ and s.other.applies for s in found):
        notes.append(WHY_MODES_DIFFER)
    return notes + ([] if folder is None else [_where(folder)])


def _together(summary: Summary) -> str:
    """Return what the groups of a column give, counted as one each; "" where nobody asked."""
    found = summary.together
    if found is None:
        return ""
    size = f"{found.smallest}" if found.smallest == found.largest else f"{found.smallest} to {found.largest}"
    numbers = []
    for name, value in found.metrics.items():
        low, high = found.intervals.get(name) or (None, None)
        sure = f" [{_number(name, low)}, {_number(name, high)}]" if low is not None else ""
        numbers.append(f"{_spoken(name)} {_number(name, value)}{sure}")
    rest = f"; {found.left_out:,} without a verdict are left out" if found.left_out else ""
    return f"{found.groups:,} groups of {size} by {safe(found.column)}: {', '.join(numbers)}{rest}"


def _official(summary: Summary) -> str:
    """Return what the rule of the benchmark's own authors gives; "" where they have none, or it was asked for."""
    own = summary.official
    if own is None:
        return ""
    name = next(iter(own.metrics), summary.primary_metric)
    told = "" if name == summary.primary_metric else f"{_spoken(name)} "
    left = f", {own.unscored:,} unscored" if own.unscored else ""
    return f"by the authors' own rule (--scoring official): {told}{_of_mode(own, name)}{left}"


def _of_mode(other: OtherMode, name: str) -> str:
    """Return the metric `name` of another mode with its unit, or what it lies between."""
    value = _number(name, other.metrics.get(name))
    if other.bounds:
        value = f"{_number(name, other.bounds[0])} to {_number(name, other.bounds[1])}"
    return value if name.endswith(POINTS) or value == _NO_NUMBER else f"{value} %"


def _other(summary: Summary) -> str:
    """Return what the mode that was not asked for says, by its own first metric; "" if the same."""
    other, name = summary.other, summary.primary_metric
    if other is None or not other.applies:
        return ""
    theirs = next(iter(other.metrics), name)
    same = theirs == name and not other.bounds
    if not other.differ and same and _number(name, other.metrics.get(name)) == _number(name, summary.metrics.get(name)):
        return ""
    said = f"{safe(other.scoring)}: {'' if theirs == name else _spoken(theirs) + ' '}{_of_mode(other, theirs)}"
    if other.unscored != summary.counts.unscored:
        said += f", {other.unscored:,} unscored"
    if not other.differ and summary.counts.failed and theirs == name:
        return f"compat scores failed samples, too ({said})"
    if not other.differ:
        return f"no sample differs between compat and strict, the metric does ({said})"
    samples = "sample differs" if other.differ == 1 else "samples differ"
    return f"{other.differ:,} {samples} between compat and strict ({said})"


def _style(name: str, cell: str) -> str:
    if name == "failed":
        return "bright_black" if cell == "0" else "red"
    if name in _COUNTS:
        return "bright_black" if cell == "0" else "yellow"
    return "" if name in _TEXT or name in ("samples", "samples/s") else "bold"


def _where(folder: Path) -> str:
    return f"results in {safe(str(folder))}"
