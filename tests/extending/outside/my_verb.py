"""A verb from outside: it counts the runs."""

import argparse

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "count", "how many runs there are")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Print the number of runs."""
    print(sum(path.is_file() for path in jobs_of(arguments).root.glob("*/run.json")))
    return 0
