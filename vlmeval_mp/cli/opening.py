"""`open`: makes a bundle that somebody handed on a run in this jobs folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, StorageError


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "open", "make the run in a bundle a run here: status, eval, report and compare work on it")
    verb.add_argument("bundle", type=Path, metavar="BUNDLE", help="a file that `export RUN --bundle` wrote")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Check the bundle, file by file, and lay its run out; say its digest."""
    from vlmeval_mp.report import bundle

    jobs = jobs_of(arguments)
    try:
        jobs.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {jobs.root}: {error.strerror or error}") from error
    paths, digest = bundle.unpack(arguments.bundle, jobs.root)
    print(f"{paths.root}\ndigest {digest}")
    return EXIT_COMPLETE
