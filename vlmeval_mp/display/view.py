"""The live screen as a pure function of a `RunState`: header, a row per worker, a bar per job, the last events.

Columns have fixed widths chosen by the screen's width alone, so nothing jumps from one frame to the next and no row
wraps; what does not fit is cut with an ellipsis. Colour only repeats what the words say: green works, yellow waits,
red failed.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Literal

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vlmeval_mp.core.records import Event, Phase
from vlmeval_mp.display import spent
from vlmeval_mp.display.terminal import Terminal, silence
from vlmeval_mp.display.text import duration, fraction, margin, percent, rate, safe, size
from vlmeval_mp.runs.state import JobState, RunState, WorkerState

WIDE = 120
EVENTS = 5
PHASE_STYLE: dict[Phase, str] = {
    "starting": "yellow",
    "loading": "yellow",
    "working": "green",
    "draining": "yellow",
    "stopped": "bright_black",
    "failed": "red",
}
LEVEL_STYLE = {"info": "", "warning": "yellow", "error": "red"}
DIM, BAR, TRACK = "bright_black", "green", "bright_black"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, its width in cells, and on which side text stands."""

    heading: str
    width: int
    justify: Literal["left", "right"] = "left"


def render(state: RunState, width: int, height: int | None = None) -> RenderableType:
    """The run as a picture `width` cells wide and, if given, at most `height` lines high."""
    width = max(20, width)
    room = _Room(height)
    header = room.take(_header(state, width))
    workers = room.take(_workers(state, width, room.share(len(state.workers) + 2)))
    jobs = room.take(_jobs(state, width, room.share(len(state.jobs) + 2)))
    events = room.take(_events(state.events, width, room.share(EVENTS + 1)))
    return Group(*header, *workers, *jobs, *events)


class _Room:
    """Lines that are left, handed out from the top."""

    def __init__(self, height: int | None) -> None:
        self.left = height

    def share(self, wanted: int) -> int:
        return wanted if self.left is None else max(0, min(wanted, self.left))

    def take(self, lines: Sequence[RenderableType]) -> Sequence[RenderableType]:
        if self.left is not None:
            lines = lines[: max(0, self.left)]
            self.left -= len(lines)
        return lines


def show(state: RunState, stream: IO[str]) -> None:
    """Write the picture once, in colour where `stream` is a terminal."""
    console = Terminal(stream)
    if not console.is_terminal:
        console.width = max(console.width, 100)
    try:
        console.print(render(state, console.width))
        if text := spent.line(state.spent):
            console.print(Text(text, style=DIM))
        stream.flush()
    except BrokenPipeError:
        silence(stream)


def svg(state: RunState, width: int, title: str = "vlmeval-mp") -> str:
    """The picture as an SVG without scripts and without anything fetched from elsewhere."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(render(state, width))
    picture = console.export_svg(title=safe(title), unique_id="vlmeval-mp")
    return re.sub(r"@font-face\s*\{[^}]*\}\s*", "", picture)


def _header(state: RunState, width: int) -> list[RenderableType]:
    counts = f"{state.done:,}/{state.total:,}"
    share = fraction(state.done, state.total).rjust(5)
    ending = [(counts, "bold"), (share, "")]
    over = state.finished and not state.running
    doing = [
        ("  finished", BAR) if over else (f"  {state.phase}", PHASE_STYLE[state.phase]),
        (f"  {duration(state.elapsed)}", DIM),
    ]
    room = width - 2 - sum(cell_len(text) for text, _ in (*doing, *ending))
    name = _cut(Text(safe(state.run)), max(8, room)).plain  # a long name gives way to what the run is doing
    title: list[tuple[str, str]] = [(name, "bold"), *doing]
    facts = [
        ((rate(state.rate) if state.running else "").rjust(9), ""),
        ((f"   eta {duration(state.eta)}" if state.running else "").ljust(13), ""),
        (f"failed {state.failed:,}".rjust(14), "bold red" if state.failed else DIM),
    ]
    used = sum(cell_len(text) for text, _ in facts)
    bar = Table.grid(padding=0)
    bar.add_column(width=max(4, width - used))
    bar.add_column(width=used, no_wrap=True, overflow="ellipsis")
    bar.add_row(_bar(state.done, state.total, max(4, width - used), bool(state.failed)), _line(facts, used))
    return [_spread(title, ending, width), bar]


def _workers(state: RunState, width: int, lines: int) -> list[RenderableType]:
    shown = state.workers
    if not shown or lines < 3:
        return []
    columns = _worker_columns(width, any(w.gpus for w in shown))
    hidden = len(shown) - (lines - 2) if len(shown) > lines - 2 else 0
    if hidden:
        hidden += 1
        shown = tuple(sorted(shown, key=lambda w: w.phase in ("stopped", "failed"))[: len(shown) - hidden])
    names = _job_names(state)
    rows = [_row(columns, _worker_cells(w, names.get(w.job, w.job), width)) for w in shown]
    more = [Text(f"  … {hidden} more workers", style=DIM)] if hidden else []
    return [Text(""), _headings(columns), *rows, *more]


def _worker_columns(width: int, gpus: bool) -> list[Column]:
    wide = width >= WIDE
    fixed = [Column("worker", 10 if wide else 6), Column("device", 14 if wide else 10)]
    if gpus:
        fixed += [Column("memory", 13 if wide else 8, "right"), Column("util", 4, "right")]
    fixed += [Column("phase", 8)]
    tail = [Column("in flight", 9, "right")] if wide else []
    tail += [Column("done", 9 if wide else 7, "right"), Column("rate", 8, "right"), Column("beat", 4, "right")]
    used = sum(c.width for c in fixed + tail) + 2 * (len(fixed) + len(tail))
    return [*fixed, Column("job", max(4, width - used)), *tail]


def _job_names(state: RunState) -> dict[str, str]:
    """A job's data set says enough where there is one model."""
    return {} if len({j.model for j in state.jobs}) > 1 else {j.name: j.dataset for j in state.jobs}


def _worker_cells(worker: WorkerState, job: str, width: int) -> dict[str, tuple[str, str]]:
    used, there = sum(g.memory_used for g in worker.gpus), sum(g.memory_total for g in worker.gpus)
    memory = size(used, there) if width >= WIDE else f"{used / 2**30:.0f}/{there / 2**30:.0f}G"
    busy = sum(g.utilization for g in worker.gpus) / len(worker.gpus) if worker.gpus else 0
    ended = worker.phase in ("stopped", "failed")
    doing = worker.message or (job if worker.phase in ("working", "draining") else worker.model)
    return {
        "worker": (worker.worker, ""),
        "device": (worker.devices, ""),
        "memory": (memory if worker.gpus else "", ""),
        "util": (f"{busy:.0f}%" if worker.gpus else "", ""),
        "phase": (worker.phase, PHASE_STYLE[worker.phase]),
        "job": (doing, "red" if worker.phase == "failed" else DIM if ended else "yellow" if worker.notice else ""),
        "in flight": ("" if ended else f"{worker.in_flight}/{worker.window}", DIM),
        "done": (f"{worker.answered:,}", ""),
        "rate": (rate(worker.rate) if worker.phase in ("working", "draining") else "", ""),
        "beat": ("" if ended else _age(worker.age), "yellow" if worker.silent else DIM),
    }


def _age(seconds: float) -> str:
    return duration(seconds).split(" ")[0]


def _jobs(state: RunState, width: int, lines: int) -> list[RenderableType]:
    shown: Sequence[JobState] = state.jobs
    if not shown or lines < 3:
        return []
    hidden = len(shown) - (lines - 2) if len(shown) > lines - 2 else 0
    if hidden:
        hidden += 1
        urgent = sorted(shown, key=lambda j: (j.finished, not j.done))[: len(shown) - hidden]
        shown = [job for job in shown if job in urgent]
    columns = _job_columns(width, several_models=len({j.model for j in state.jobs}) > 1)
    bar = next(c.width for c in columns if c.heading == "progress")
    rows: list[RenderableType] = []
    for job in shown:
        cells = {
            "job": (job.dataset, ""),
            "model": (job.model, DIM),
            "done": (f"{job.done:,}/{job.total:,}", ""),
            "%": (fraction(job.done, job.total), DIM),
            "failed": (f"{job.failed:,}", "red" if job.failed else DIM),
            "score": (percent(job.score) + margin(job.interval), "bold" if job.score is not None else DIM),
        }
        rows.append(_row(columns, cells, {"progress": _bar(job.done, job.total, bar, bool(job.failed))}))
    more = [Text(f"  … {hidden} more jobs", style=DIM)] if hidden else []
    return [Text(""), _headings(columns), *rows, *more]


def _job_columns(width: int, *, several_models: bool) -> list[Column]:
    wide = width >= WIDE
    head = [Column("job", width // 4 if wide else 18 - 4 * several_models)]
    if several_models:
        head += [Column("model", 24 if wide else 12)]
    tail = [Column("done", 17 if wide else 15, "right"), Column("%", 4, "right")]
    tail += [Column("failed", 6, "right"), Column("score", 11, "right")]
    used = sum(c.width for c in head + tail) + 2 * (len(head) + len(tail))
    return [*head, Column("progress", max(4, width - used)), *tail]


def _events(events: Sequence[Event], width: int, lines: int) -> list[RenderableType]:
    last = events[-min(EVENTS, lines - 1) :] if lines > 1 else ()
    if not last:
        return []
    rows: list[RenderableType] = [Text("")]
    for event in last:
        text = Text()
        text.append(time.strftime("%H:%M:%S", time.localtime(event.time)), style=DIM)
        text.append("  " + safe(event.text), style=LEVEL_STYLE[event.level])
        rows.append(_cut(text, width))
    return rows


def _bar(done: int, total: int, width: int, failed: bool) -> RenderableType:
    finished = "yellow" if failed else BAR
    return ProgressBar(
        total=max(1, total), completed=min(done, total) if total else 1, width=width,
        style=TRACK, complete_style=BAR, finished_style=finished,
    )  # fmt: skip


def _headings(columns: Sequence[Column]) -> RenderableType:
    headings = {c.heading: ("" if c.heading in ("%", "progress") else c.heading, DIM) for c in columns}
    return _row(columns, headings)


def _row(
    columns: Sequence[Column],
    cells: dict[str, tuple[str, str]],
    drawn: dict[str, RenderableType] | None = None,
) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        grid.add_column(width=column.width, justify=column.justify, no_wrap=True, overflow="ellipsis")
    drawn = drawn or {}
    grid.add_row(*(drawn.get(c.heading) or _cell(*cells[c.heading], c.width) for c in columns))
    return grid


def _cell(text: str, style: str, width: int) -> Text:
    return _cut(Text(safe(text), style=style), width)


def _line(parts: Iterable[tuple[str, str]], width: int) -> Text:
    text = Text()
    for part, style in parts:
        text.append(part, style=style)
    return _cut(text, width)


def _spread(left: Iterable[tuple[str, str]], right: Iterable[tuple[str, str]], width: int) -> Text:
    """`left` and `right` at the two ends of one line; the left gives way."""
    ending = _line(right, width)
    beginning = _line(left, max(0, width - ending.cell_len - 2))
    beginning.append(" " * max(0, width - beginning.cell_len - ending.cell_len))
    return _cut(beginning.append_text(ending), width)


def _cut(text: Text, width: int) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    text.truncate(width, overflow="ellipsis")
    return text
