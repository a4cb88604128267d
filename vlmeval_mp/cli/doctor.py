"""`doctor`: lists the devices and packages of this machine, and advice on what is missing. Loads no weights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_DEPENDENCY

if TYPE_CHECKING:
    from vlmeval_mp.pool.devices.preflight import Finding

STYLES = {"ok": "green", "warning": "yellow", "error": "red"}


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "doctor", "what this machine offers, what it lacks and what to do (exit 3: cannot run)")
    verb.add_argument("--json", action="store_true", help="one object with a list of findings")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Show every finding about this machine; return 3 if one of them forbids a run."""
    from vlmeval_mp.pool.devices import gpus, preflight

    found = preflight.examine(jobs_of(arguments).root, gpus.discover(), gpus.holders(_name))
    if arguments.json:
        import msgspec

        body = {"findings": found, "ok": all(f.level != "error" for f in found)}
        print(msgspec.json.format(msgspec.json.encode(body)).decode())
    else:
        _show(found)
    return EXIT_DEPENDENCY if any(f.level == "error" for f in found) else EXIT_COMPLETE


def _name(pid: int) -> str:
    """Return the name of a process, or what stands for one that cannot be seen from here."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a process that is not visible here"


def _show(found: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from vlmeval_mp.display.text import safe

    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in found:
        said = f"{finding.said}; {finding.todo}" if finding.todo else finding.said
        level = Text(finding.level, style=STYLES[finding.level])
        table.add_row(level, Text(safe(finding.what)), Text(safe(said), overflow="fold"))
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)
    wrong, odd = (sum(f.level == level for f in found) for level in ("error", "warning"))
    if wrong:
        print(f"{wrong} of these forbid a run on this machine")
    elif odd:
        print("a run can start here; look at the warnings first")
    else:
        print("this machine is fine")
