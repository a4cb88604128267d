"""`report`: writes pages about a finished run into one file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE
from vlmeval_mp.core.paths import RunPaths

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Variables that tell of a screen or of a way to one."""
EXAMPLES = """\
examples:
  vlmeval-mp report                                the latest run
  vlmeval-mp report demo --open                    and show it in the browser
  vlmeval-mp report demo --inline-mib 100          one large file that can be mailed with all pictures in it
"""


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "report", "make pages of a run: numbers, every sample, time, setup, in one file", EXAMPLES)
    verb.add_argument("runs", nargs="*", metavar="RUN", help="names or folders of runs (default: the latest)")
    inside = "MiB of pictures inside the file (default: 16); the others lie in a folder beside it"
    verb.add_argument("--inline-mib", type=kitflags.count, default=16, metavar="N", help=inside)
    verb.add_argument("--no-pictures", action="store_true", help="leave pictures out")
    opening(verb)
    verb.add_argument("--json", action="store_true", help="one JSON object per report: run and file")
    flags.jobs(verb)


def opening(verb: argparse._ActionsContainer) -> None:
    """Add the flag that shows a page in the browser."""
    verb.add_argument("--open", action="store_true", help="open the report in the browser, where there is a screen")


def run(arguments: argparse.Namespace) -> int:
    """Write a report of each run and say where it is."""
    from vlmeval_mp.runs import find
    from vlmeval_mp.runs.overview import size_text

    jobs = jobs_of(arguments)
    for paths in [find.chosen(jobs, name) for name in arguments.runs or [None]]:  # a wrong name stops before any work
        page = make(paths, inline_bytes=arguments.inline_mib << 20, pictures=not arguments.no_pictures)
        if arguments.json:
            print(json.dumps({"run": paths.root.name, "report": str(page), "bytes": page.stat().st_size}))
        else:
            print(f"{page}  {size_text(page.stat().st_size)}")
        if arguments.open:
            open_page(page, os.environ)
    return EXIT_COMPLETE


def make(paths: RunPaths, *, inline_bytes: int = 16 << 20, pictures: bool = True) -> Path:
    """Write the report of the run at `paths` and return its place.

    Raises:
        ConfigError: there is no run there, or its samples are missing.
        StorageError: its answers are damaged, or the report cannot be written.
    """
    from vlmeval_mp.report import gather, write
    from vlmeval_mp.report.pages import Options

    return write.write(gather.run_view(paths), Options(inline_bytes, pictures))


def open_page(page: Path, environ: Mapping[str, str]) -> None:
    """Show a page in the user's browser, the one that $BROWSER names first; do nothing where there is no screen.

    An editor on another machine sets $BROWSER without a screen, and shows the page over there.
    """
    import webbrowser

    if sys.platform.startswith("linux") and not any(environ.get(name) for name in SCREENS):
        return
    webbrowser.open(page.as_uri())
