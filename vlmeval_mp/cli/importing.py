"""`import`: takes over answers of VLMEvalKit. The work is in `takeover`."""

from __future__ import annotations

import argparse

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import SpecWanted, jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE

EXAMPLE = """\
example:
  vlmeval-mp import outputs --config config.json && vlmeval-mp launch --config config.json
"""


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "import", "take over answers that VLMEvalKit has; launch then asks only the rest", EXAMPLE)
    kitflags.add_import(verb)
    flags.what(verb)
    flags.scoring(verb)
    kitflags.add_choosing(verb.add_argument_group("as in VLMEvalKit's run.py"))
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Queue the runs that the flags describe, and take over what the source holds for each."""
    from vlmeval_mp.cli import takeover
    from vlmeval_mp.cli.specs import specs_of
    from vlmeval_mp.runs import submit

    jobs = jobs_of(arguments)
    for spec in specs_of(SpecWanted.of(arguments)):
        paths, record, _ = submit.submit(spec, jobs)
        takeover.into(paths, record, arguments.source, unpickle=arguments.unpickle)
        takeover.finish(paths, record, submit.resolved(spec))
    return EXIT_COMPLETE
