"""`compare`: compares two or more runs or models on the samples that all of them answered."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, ConfigError
from vlmeval_mp.core.paths import slug

if TYPE_CHECKING:
    from vlmeval_mp.report.comparison import DatasetComparison, NoComparison, Part, Side

EXAMPLES = """\
examples:
  vlmeval-mp compare base tuned                    two runs of one model each
  vlmeval-mp compare night:Qwen2-VL-2B night:InternVL2-2B/MMStar
  vlmeval-mp compare night                         the models of one run
  vlmeval-mp compare base tuned --page --open      with the replies side by side
"""
COLUMNS = ("", "n", "first", "second", "difference", "95 % interval", "gained", "lost", "p")
SHOWN = 12
"""Flipped samples that the terminal names; --json and the page have all."""


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "compare", "the difference of runs on their common samples, how sure it is", EXAMPLES)
    verb.add_argument("sides", nargs="+", metavar="RUN[:MODEL[/DATA]]", help="the first is what the others are held to")
    flags.scoring(verb)
    wrong = "count failed samples as wrong (default: leave out what one side has no verdict on)"
    verb.add_argument("--failed-as-wrong", action="store_true", help=wrong)
    page = "write a page, too (default FILE: in the first run's report folder)"
    verb.add_argument("--page", nargs="?", const=Path(), type=Path, metavar="FILE", help=page)
    verb.add_argument("--open", action="store_true", help="open the page in the browser, where there is a screen")
    verb.add_argument("--json", action="store_true", help="one JSON object, with every flipped sample")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Show each further side against the first one; fail if nothing could be compared."""
    import msgspec

    from vlmeval_mp.report import comparison

    groups = comparison.sides_of(jobs_of(arguments), arguments.sides)
    found: list[DatasetComparison] = []
    refused: list[NoComparison] = []
    mode = arguments.scoring or "strict"
    for sides in groups:
        some, others = comparison.compare(sides, mode, failed_as_wrong=arguments.failed_as_wrong)
        found += some
        refused += others
    if not found:
        raise ConfigError("\n".join(map(_why, refused)))
    page = None
    if arguments.page is not None or arguments.open:
        page = _write_page(arguments.page or Path(), [side for sides in groups for side in sides], found, refused)
    if arguments.json:
        value = {"compared": found, "refused": refused, "page": str(page) if page else None}
        print(msgspec.json.format(msgspec.json.encode(value)).decode())
    else:
        _show(found)
        for each in refused:
            print(f"warning: {_why(each)}", file=sys.stderr)
        print(*([f"side by side in {page}"] if page else []), sep="\n", end="\n" if page else "")
    if page and arguments.open:
        from vlmeval_mp.cli.report import open_page

        open_page(page, os.environ)
    return EXIT_COMPLETE


def _why(refused: NoComparison) -> str:
    where = f" on {refused.dataset}" if refused.dataset else ""
    return f"{refused.first} and {refused.second}{where} cannot be compared: {refused.why}"


def _write_page(
    file: Path, sides: Sequence[Side], found: Sequence[DatasetComparison], refused: Sequence[NoComparison]
) -> Path:
    from vlmeval_mp.report import comparepage
    from vlmeval_mp.report.pages import Options

    if file == Path():
        others = "-".join(dict.fromkeys(slug(side.label, 40) for side in sides[1:]))
        file = sides[0].run.paths.report / f"compare-{slug(sides[0].label, 40)}-{slug(others, 100)}.html"
    comparepage.write(file.resolve(), sides, found, refused, Options())
    return file.resolve()


def _show(found: Sequence[DatasetComparison]) -> None:
    from rich.console import Console
    from rich.text import Text

    from vlmeval_mp.display.text import safe

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for each in found:
        title = f"{each.dataset}: {each.second} against {each.first}, {each.mode}, {each.whole.n:,} samples in common"
        console.print(Text(safe(title), style="bold"))
        rows = [_row(part) for part in (each.whole, *each.categories)]
        for place, text in enumerate(_lines(rows, console.width if sys.stdout.isatty() else None)):
            console.print(Text(text, style="" if place else "bright_black"))
        for line in _notes(each):
            console.print(Text(safe(line), style="bright_black"))
        console.print()


def _lines(rows: list[list[str]], width: int | None) -> list[str]:
    """Return the table's lines, with long names of categories on lines of their own where `width` has no room."""
    from rich.cells import cell_len

    from vlmeval_mp.display.plaintable import plain_table

    lines = plain_table(COLUMNS, rows, ("",))
    if width is None or max(map(cell_len, lines)) <= width:
        return lines
    room = width - max(map(cell_len, plain_table(COLUMNS, [["", *row[1:]] for row in rows], ("",))))
    short = [[row[0] if cell_len(row[0]) <= room else "", *row[1:]] for row in rows]
    heading, *lines = plain_table(COLUMNS, short, ("",))
    above = [[row[0]] if not kept[0] else [] for row, kept in zip(rows, short, strict=True)]
    return [heading, *(text for names, line in zip(above, lines, strict=True) for text in (*names, line))]


def _row(part: Part) -> list[str]:
    from vlmeval_mp.display.text import safe
    from vlmeval_mp.report.comparepage import p_text

    interval = "–" if part.low is None or part.high is None else f"{100 * part.low:+.2f} to {100 * part.high:+.2f}"
    numbers = [f"{part.n:,}", f"{100 * part.first:.2f}", f"{100 * part.second:.2f}", f"{100 * part.difference:+.2f}"]
    return [safe(part.name) or "all", *numbers, interval, f"{part.gained:,}", f"{part.lost:,}", p_text(part.p)]


def _notes(each: DatasetComparison) -> list[str]:
    lines = [f"p: {each.whole.test}"]
    if each.whole.clusters < each.whole.n:
        lines[0] += f" over {each.whole.clusters:,} groups of samples that share a picture or video"
    if each.categories:
        lines[0] += f"; those of the {len(each.categories)} categories are not corrected for their number"
    for name, indices in (("gained", each.gained), ("lost", each.lost)):
        if indices:
            more = f" and {len(indices) - SHOWN:,} more" if len(indices) > SHOWN else ""
            lines.append(f"{name}: {', '.join(indices[:SHOWN])}{more}")
    if each.unpaired:
        lines.append(f"left out: {each.unpaired:,} common samples that failed or have no score on one side")
    if each.only_first or each.only_second:
        lines.append(f"on one side only: {each.only_first:,} and {each.only_second:,}")
    return lines
