"""The live screen as a pure function of a `RunState`: header, workers, a bar per job, reasons of failures, events.

Columns have fixed widths chosen by the screen's width alone, so nothing jumps from one frame to the next and no row
wraps; what does not fit is cut with an ellipsis. Colour only repeats what words and marks say: green works, yellow
waits, red failed. Where lines are few, several workers share one, and what is at work or broken comes first.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import IO

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from vlmeval_mp.display import rows, spent
from vlmeval_mp.display.drawing import DIM, Bar, Part, cut, line, spread
from vlmeval_mp.display.terminal import Terminal, silence
from vlmeval_mp.display.text import fraction, rate, safe, tokens
from vlmeval_mp.runs.state import RunState
from vlmeval_mp.runs.words import duration

EVENTS, MORE_EVENTS = 5, 20
"""Events that are shown, and at most where lines are left over."""
FAILURES = 6
LEAST = 2
"""Events that workers and jobs leave room for."""


def render(state: RunState, width: int, height: int | None = None) -> RenderableType:
    """Return the run as a picture `width` cells wide and, if given, at most `height` lines high."""
    width = max(20, width)
    header = _header(state, width)
    if height is None:
        height = 10**6
        last = EVENTS
    else:
        last = MORE_EVENTS
    sections = _sections(state, width, height - len(header), last)
    lines = [*header, *(each for section in sections for each in section)]
    return Group(*lines[:height])


def _sections(state: RunState, width: int, room: int, last: int) -> list[Sequence[RenderableType]]:
    """Return workers, jobs, failures and events with blank lines between them, in `room` lines."""
    counts, where = rows.reasons(state)
    least = [min(len(counts), 1), min(len(state.events), LEAST)]
    wanted = [len(state.workers) + bool(state.workers), len(state.jobs) + bool(state.jobs)]
    blanks = sum(map(bool, [*wanted, *least]))
    left = room - sum(least)
    if sum(wanted) > left - blanks:
        wanted[0] = min(wanted[0], rows.compact_lines(len(state.workers), width))
    if sum(wanted) > left - blanks:
        blanks = 0
    if sum(wanted) > left:
        least = [0, min(1, least[1])] if room < sum(wanted) + sum(least) and room < 12 else least
        left = room - sum(least)
        wanted[0] = min(wanted[0], max(left // 3, left - wanted[1], 0))
        wanted[1] = min(wanted[1], max(0, left - wanted[0]))
    left = room - blanks - sum(wanted)
    fails = min(len(counts), FAILURES, max(least[0], left - min(len(state.events), EVENTS)))
    shown = [
        rows.workers(state, width, wanted[0]) if state.workers else [],
        rows.jobs(state, width, wanted[1]),
        rows.failures(counts, where, width, fails),
        rows.events(state.events, width, min(last, max(0, left - fails))),
    ]
    gap = [Text("")] if blanks else []
    return [[*gap, *section] for section in shown if section]


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


def svg(state: RunState, width: int, title: str = "vlmeval-mp", height: int | None = None) -> str:
    """Return the picture as an SVG without scripts and without anything fetched from elsewhere."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(render(state, width, height))
    picture = console.export_svg(title=safe(title), unique_id="vlmeval-mp")
    return re.sub(r"@font-face\s*\{[^}]*\}\s*", "", picture)


def _header(state: RunState, width: int) -> list[RenderableType]:
    counts = f"{state.done:,}/{state.total:,}"
    ending = [(counts, "bold"), (fraction(state.done, state.total).rjust(5), "")]
    over = state.phase == "finished"
    doing: list[Part] = [
        (f"  {state.phase}", rows.PHASE_STYLE[state.phase]),
        (f"{' in' if over else ' '} {duration(state.elapsed)}", DIM),
    ]
    room = width - 2 - sum(cell_len(text) for text, _ in (*doing, *ending))
    name = cut(Text(safe(state.run)), max(8, room)).plain  # a long name gives way to what the run is doing
    facts = _facts(state, width)
    used = sum(cell_len(text) for text, _ in facts)
    bar = Table.grid(padding=0)
    bar.add_column(width=max(4, width - used))
    bar.add_column(width=used, no_wrap=True, overflow="ellipsis")
    bar.add_row(Bar(state.done, state.failed, state.total, max(4, width - used)), line(facts, used))
    return [spread([(name, "bold"), *doing], ending, width), bar]


def _facts(state: RunState, width: int) -> list[Part]:
    """Return what stands right of the run's bar: its speed, what is to come, what failed."""
    going = state.running and state.phase != "finished"
    speed = rate(state.rate) if going and state.rate > 0 else ""
    facts: list[Part] = [(speed.rjust(9), "")]
    if width >= rows.WIDE:
        told = f"{tokens(state.tokens_in)} tok/s in, {tokens(state.tokens_out)} out" if speed else ""
        facts.append((told.rjust(27), DIM))
    facts.append(((f"   eta {duration(state.eta)}" if going else "").ljust(13), ""))
    facts.append((f"failed {state.failed:,}".rjust(14), "bold red" if state.failed else DIM))
    return facts
