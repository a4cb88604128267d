"""The end of a run: what was measured, how sure it is, what failed, and where the files are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vlmeval_mp.display.terminal import Terminal, silence
from vlmeval_mp.display.text import percent, rate, safe
from vlmeval_mp.records import Summary

Results = Sequence[tuple[Summary, float | None]]
"""Each job's summary and its samples/s, where that is known."""


def results_table(summaries: Results, folder: Path) -> RenderableType:
    """The table for a terminal, and under it where the files are."""
    if not summaries:
        return Text(_nothing(folder))
    heading, *rows = _rows(summaries)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bright_black", border_style="bright_black")
    for name in heading:
        # names fold rather than vanish; numbers never break
        numeric = name in _NUMERIC
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in rows:
        cells = zip(heading, row, strict=True)
        table.add_row(*(Text(cell, style=_style(name, cell)) for name, cell in cells))
    return Group(table, Text(_where(folder), overflow="fold"))


def results_text(summaries: Results, folder: Path) -> str:
    """The same without colour or frames, for a log."""
    if not summaries:
        return _nothing(folder)
    rows = _rows(summaries)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    aligned = [
        [
            cell.rjust(w) if name in _NUMERIC else cell.ljust(w)
            for name, cell, w in zip(rows[0], row, widths, strict=True)
        ]
        for row in rows
    ]
    return "\n".join(["  ".join(row).rstrip() for row in aligned] + [_where(folder)])


def show_results(summaries: Results, folder: Path, stream: IO[str], *, as_json: bool = False, code: int = 0) -> None:
    """Write the results in the form that suits `stream`: one JSON object, a table, or plain text."""
    try:
        if as_json:
            found = [{**msgspec.to_builtins(s), "samples_per_second": r} for s, r in summaries]
            record = {"event": "results", "folder": str(folder), "exit_code": code, "results": found}
            stream.write(msgspec.json.encode(record).decode() + "\n")
        elif stream.isatty():
            Terminal(stream).print(results_table(summaries, folder))
        else:
            stream.write(results_text(summaries, folder) + "\n")
        stream.flush()
    except BrokenPipeError:
        silence(stream)


_NUMERIC = ("accuracy", "samples", "failed", "unscored", "samples/s")


def _rows(summaries: Results) -> list[list[str]]:
    """The heading and a row per job; columns that would say the same in each row are left out."""
    models = len({s.model for s, _ in summaries}) > 1
    unscored = any(s.counts.unscored for s, _ in summaries)
    heading = ["dataset", *(["model"] if models else []), "accuracy", "samples", "failed"]
    rows = [[*heading, *(["unscored"] if unscored else []), "samples/s"]]
    for summary, speed in summaries:
        row = [safe(summary.dataset), *([safe(summary.model)] if models else [])]
        row += [_metric(summary), f"{summary.counts.total:,}", f"{summary.counts.failed:,}"]
        row += [f"{summary.counts.unscored:,}"] if unscored else []
        rows.append([*row, rate(speed).removesuffix("/s")])
    return rows


def _metric(summary: Summary) -> str:
    value = percent(summary.metrics.get(summary.primary_metric))
    return value if summary.stderr is None else f"{value} ± {percent(summary.stderr)}"


def _style(name: str, cell: str) -> str:
    if name == "accuracy":
        return "bold"
    if name in ("failed", "unscored"):
        return "bright_black" if cell == "0" else "red" if name == "failed" else "yellow"
    return ""


def _where(folder: Path) -> str:
    return f"results in {safe(str(folder / 'results'))}"


def _nothing(folder: Path) -> str:
    return f"no job has results yet; what is there is in {safe(str(folder))}"
