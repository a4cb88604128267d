"""`runs`: lists the runs of a jobs folder with their state, progress, scores and size."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE

if TYPE_CHECKING:
    from vlmeval_mp.runs.overview import Entry

SHOWN = 3
"""Scores of one run that the table has room for; --json has all."""
_STYLES = {"running": "cyan", "complete": "green", "incomplete": "yellow", "damaged": "red"}


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "runs", "all runs: state, progress, score, size")
    verb.add_argument("--json", action="store_true", help="a list of objects")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Show all runs, the one in which something happened last first."""
    from vlmeval_mp.runs import overview

    jobs = jobs_of(arguments)
    found = overview.entries(jobs)
    if arguments.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif not found:
        print(f"there is no run under {jobs.root}")
    else:
        _show(found)
    return EXIT_COMPLETE


def _show(found: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from vlmeval_mp.display.text import safe
    from vlmeval_mp.runs.overview import size_text

    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for name in ("run", "state", "answered", "failed", "score", "size", "changed"):
        right = name in ("answered", "failed", "size", "changed")
        table.add_column(name, justify="right" if right else "left", no_wrap=right or name == "state", overflow="fold")
    for entry in found:
        failed = Text(f"{entry.failed:,}", style="red" if entry.failed else "bright_black")
        state = Text(entry.state, style=_STYLES.get(entry.state, ""))
        answered = f"{entry.done:,}/{entry.total:,}"
        said = safe(entry.problem) or _scores(entry)
        table.add_row(Text(safe(entry.name)), state, answered, failed, Text(said), size_text(entry.size), _ago(entry))
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def _scores(entry: Entry) -> str:
    from vlmeval_mp.display.text import safe
    from vlmeval_mp.runs.words import score

    several = len({each.model for each in entry.scores}) > 1
    texts = [
        f"{safe(f'{each.model} on {each.dataset}' if several else each.dataset)} "
        + score(each.metric, each.value, None, reported=each.as_reported)
        for each in entry.scores
    ]
    more = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _ago(entry: Entry) -> str:
    seconds = max(0.0, time.time() - entry.changed)
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit} ago"
    return "now"
