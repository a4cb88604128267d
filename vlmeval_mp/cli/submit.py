"""`submit`: queues runs without working on them."""

from __future__ import annotations

import argparse

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import SpecWanted, jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "submit", "queue a run without running it")
    flags.what(verb)
    flags.scoring(verb)
    kitflags.add_choosing(verb.add_argument_group("as in VLMEvalKit's run.py"))
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Queue the runs that the flags describe, and say for each whether it is new."""
    from vlmeval_mp.cli.specs import specs_of
    from vlmeval_mp.runs.submit import submit

    jobs = jobs_of(arguments)
    for spec in specs_of(SpecWanted.of(arguments)):
        paths, record, new = submit(spec, jobs)
        samples = sum(j.samples for j in record.jobs)
        print(f"{'queued' if new else 'is queued already'}: {record.spec.name}, {samples} samples, in {paths.root}")
    return EXIT_COMPLETE
