"""`cancel`: ends a run that works elsewhere, as Ctrl-C does in the run's own terminal."""

from __future__ import annotations

import argparse
import sys

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE

EXAMPLES = """\
What was answered is kept either way; `vlmeval-mp resume RUN` goes on with the rest.
"""


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "cancel", "end a run: let it finish what is in flight, or --now", EXAMPLES)
    verb.add_argument("run", metavar="RUN", help="name or folder of the run")
    verb.add_argument("--now", action="store_true", help="stop at once, as a second Ctrl-C does")
    verb.add_argument("--no-wait", action="store_true", help="return before it has ended")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Ask the run's supervisor to end and wait for it."""
    from vlmeval_mp.runs import ending, find

    paths = find.chosen(jobs_of(arguments), arguments.run)
    supervisor = ending.Supervisor(paths)
    try:
        if arguments.now:
            supervisor.stop()
        else:
            supervisor.drain()
        what = "stops" if arguments.now else "finishes what is in flight and ends"
        print(f"run {paths.root.name} (process {supervisor.pid}) {what}", file=sys.stderr)
        if not arguments.no_wait:
            supervisor.wait()
            print(f"run {paths.root.name} has ended; go on with: vlmeval-mp resume {arguments.run}")
    finally:
        supervisor.close()
    return EXIT_COMPLETE
