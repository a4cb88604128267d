"""`resume`: goes on with one run."""

from __future__ import annotations

import argparse

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import LaunchWanted, jobs_of


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "resume", "go on with a run; other GPUs or batch sizes are fine")
    flags.run_name(verb)
    flags.how(verb)
    kitflags.add_running(verb.add_argument_group("as in VLMEvalKit's run.py"))
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Work on the named run, or on the latest, until it ends."""
    from vlmeval_mp.cli.drain import drain
    from vlmeval_mp.runs import find

    return drain(find.chosen(jobs_of(arguments), arguments.run), LaunchWanted.of(arguments), None)
