"""`rm`: deletes the folders of runs, after asking."""

from __future__ import annotations

import argparse
import sys

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, ConfigError
from vlmeval_mp.core.paths import RunPaths


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "rm", "delete runs with everything they answered; asks first")
    verb.add_argument("runs", nargs="+", metavar="RUN", help="names or folders of runs")
    verb.add_argument("--yes", action="store_true", help="do not ask")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Delete each named run; refuse all of them if one is at work or does not exist."""
    from vlmeval_mp.runs import ending, find

    chosen = [find.chosen(jobs_of(arguments), name) for name in arguments.runs]
    for paths in chosen:
        ending.refuse_running(paths)
    for paths in chosen:
        if arguments.yes or _agreed(paths):
            ending.remove(paths)
            print(f"removed {paths.root}")
        else:
            print(f"kept {paths.root}")
    return EXIT_COMPLETE


def _agreed(paths: RunPaths) -> bool:
    from vlmeval_mp.runs import overview

    found = overview.entry_of(paths)
    if not sys.stdin.isatty():
        raise ConfigError(f"rm deletes {paths.root} for good; say --yes where nobody can be asked")
    what = f"{found.done:,} answers, {overview.size_text(found.size)}"
    return input(f"delete run {found.name} ({what}) for good? [y/N] ").strip().lower() in ("y", "yes")
