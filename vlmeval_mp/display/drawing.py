"""Small things to draw with: rows of fixed columns, bars that need no colour, sparklines. Knows no state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from vlmeval_mp.display.text import safe

DIM = "bright_black"
SPARKS = "▁▂▃▄▅▆▇█"
_MARKS = ("━", "╳", "·")
_ASCII = ("#", "x", ".")

Part = tuple[str, str]
"""A piece of text and its style."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, its width in cells, and on which side text stands."""

    heading: str
    width: int
    justify: Literal["left", "right"] = "left"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the answered, failed and open samples in `width` cells. Each kind has its own mark besides a colour.

    Nothing but a whole one is drawn whole, and a single failure has a cell.
    """

    done: int
    failed: int
    total: int
    width: int

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        answered, failed, left = _ASCII if options.ascii_only else _MARKS
        cells = self.cells()
        text = Text(no_wrap=True, end="")
        for mark, count, style in zip((answered, failed, left), cells, ("green", "red", DIM), strict=True):
            text.append(mark * count, style=style)
        yield text

    def cells(self) -> tuple[int, int, int]:
        """Return the cells of answered, failed and unanswered samples."""
        if not self.total:
            return self.width, 0, 0
        reached = self.width * min(self.done, self.total) // self.total
        failed = min(reached, max(1, round(self.width * self.failed / self.total))) if self.failed else 0
        return reached - failed, failed, self.width - reached


def spark(values: Sequence[float], width: int) -> str:
    """Return the last `width` of `values`, which are percent, as a line of bars."""
    shown = values[-width:] if width > 0 else ()
    return "".join(SPARKS[min(7, max(0, int(value * 8 / 100)))] for value in shown)


def headings(columns: Sequence[Column], silent: Iterable[str] = ()) -> RenderableType:
    """Return the row of headings, without those in `silent`, which say nothing."""
    return row(columns, {c.heading: ("" if c.heading in silent else c.heading, DIM) for c in columns})


def row(
    columns: Sequence[Column], cells: dict[str, Part], drawn: dict[str, RenderableType] | None = None
) -> RenderableType:
    """Return one line: text `cells` and `drawn` ones by heading."""
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        grid.add_column(width=column.width, justify=column.justify, no_wrap=True, overflow="ellipsis")
    drawn = drawn or {}
    shown = [drawn[c.heading] if c.heading in drawn else _cell(*cells[c.heading], c.width) for c in columns]
    grid.add_row(*shown)
    return grid


def beside(lines: Sequence[Text], width: int, across: int) -> list[RenderableType]:
    """Return `lines` with `across` of them in one row of `width` cells."""
    each = (width - 2 * (across - 1)) // across
    columns = [Column(str(place), each) for place in range(across)]
    rows: list[RenderableType] = []
    for first in range(0, len(lines), across):
        part = [cut(text, each) for text in lines[first : first + across]]
        part += [Text("")] * (across - len(part))
        rows.append(row(columns, {}, {str(place): text for place, text in enumerate(part)}))
    return rows


def line(parts: Iterable[Part], width: int) -> Text:
    """Return `parts` one after the other, cut at `width`."""
    text = Text()
    for part, style in parts:
        text.append(part, style=style)
    return cut(text, width)


def spread(left: Iterable[Part], right: Iterable[Part], width: int) -> Text:
    """Return `left` and `right` at the two ends of one line; the left gives way."""
    ending = line(right, width)
    beginning = line(left, max(0, width - ending.cell_len - 2))
    beginning.append(" " * max(0, width - beginning.cell_len - ending.cell_len))
    return cut(beginning.append_text(ending), width)


def cut(text: Text, width: int) -> Text:
    """Cut `text` at `width` cells with an ellipsis, and return it."""
    text.no_wrap, text.overflow = True, "ellipsis"
    text.truncate(width, overflow="ellipsis")
    return text


def _cell(text: str, style: str, width: int) -> Text:
    return cut(Text(safe(text), style=style), width)
