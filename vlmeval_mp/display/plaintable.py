"""A table as plain text: columns two spaces apart, no frame, no colour, no line broken."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text


def plain_table(heading: Sequence[str], rows: Sequence[Sequence[str]], names: Collection[str]) -> list[str]:
    """Return the lines of a table; columns in `names` stand at the left, the others (numbers) at the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in heading:
        table.add_column(Text(name), justify="left" if name in names else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    width = sum(max(map(cell_len, column)) + 2 for column in zip(heading, *rows, strict=True))
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]
