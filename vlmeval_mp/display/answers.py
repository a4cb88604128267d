"""The end of a run without scores (`--mode infer`): the number of answers, and the command that scores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.display.plaintable import plain_table
from vlmeval_mp.display.terminal import Terminal, silence
from vlmeval_mp.display.text import rate, safe

HEADING = ("dataset", "model", "samples", "answered", "failed", "samples/s")
TEXT = HEADING[:2]
"""Columns of names; the others are numbers."""


class Answers(NamedTuple):
    """One job: samples in all, with an answer, failed, and samples/s where that is known."""

    model: str
    dataset: str
    samples: int
    answered: int
    failed: int
    rate: float | None


def show_answers(jobs: Sequence[Answers], folder: Path, stream: IO[str], *, as_json: bool, code: int) -> None:
    """Write it in the form that suits `stream`: one JSON object, a table, or plain text. `folder` is the run's."""
    try:
        if as_json:
            found = [job._asdict() for job in jobs]
            record = {"event": "results", "folder": str(folder), "exit_code": code, "scored": False, "results": found}
            stream.write(jsonfiles.encode(record).decode() + "\n")
        elif stream.isatty():
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bright_black")
            for name in HEADING:
                table.add_column(name, justify="left" if name in TEXT else "right", overflow="fold")
            for job in jobs:
                table.add_row(*map(Text, _row(job)))
            Terminal(stream).print(table, Text(_where(folder), overflow="fold"))
        else:
            lines = plain_table(HEADING, [*map(_row, jobs)], TEXT)
            stream.write("\n".join([*lines, _where(folder)]) + "\n")
        stream.flush()
    except BrokenPipeError:
        silence(stream)


def _row(job: Answers) -> tuple[str, ...]:
    numbers = (f"{n:,}" for n in (job.samples, job.answered, job.failed))
    return safe(job.dataset), safe(job.model), *numbers, rate(job.rate).removesuffix("/s")


def _where(folder: Path) -> str:
    return f"answers without scores in {safe(str(folder / 'results'))}; score them with: vlmeval-mp eval {folder}"
