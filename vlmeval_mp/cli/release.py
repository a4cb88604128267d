"""`release`: makes the shards of a lost host pending at once, without the wait for its heartbeats."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, ConfigError

if TYPE_CHECKING:
    from vlmeval_mp.core.paths import RunPaths

EXAMPLES = """\
Shards that a host holds are taken over once it was silent for ten minutes; this does it at once. Should the host come
back after all, what it answers meanwhile is not lost, and some samples are asked twice.
"""


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "release", "give back what a host holds that is gone", EXAMPLES)
    flags.run_name(verb)
    verb.add_argument(
        "--host", required=True, metavar="NAME", help="the host, as the launch that waits for it names it"
    )
    verb.add_argument("--force", action="store_true", help="although it was heard of a moment ago")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Make the shards pending again that processes of the host hold in the named run, or in the latest."""
    from vlmeval_mp.runs import find, owners
    from vlmeval_mp.runs.queue import Queue

    paths = find.chosen(jobs_of(arguments), arguments.run)
    queue, host = Queue(paths.queue), owners.host_name(arguments.host)
    holders = {owner.host for owner in map(owners.parsed, (e.owner for e in queue.entries("claimed"))) if owner}
    if host == owners.current().host:
        raise ConfigError(f"{host} is this host; a launch here takes back at once what dead processes hold")
    if host not in holders:
        there = f"there are: {', '.join(sorted(holders))}" if holders else "nor does any other"
        raise ConfigError(f"no process of {host} holds anything in run {paths.root.name}; {there}")
    heard = _heard_of(paths, host)
    if heard is not None and not arguments.force:
        raise ConfigError(f"{host} was heard of {heard:.0f} s ago; if it is gone all the same, say --force")
    released = queue.release_host(host)
    print(f"{len(released)} shards of {host} are pending again; go on with: vlmeval-mp resume {paths.root.name}")
    return EXIT_COMPLETE


def _heard_of(paths: RunPaths, host: str) -> float | None:
    """Return how many seconds ago a worker of `host` sent a heartbeat, by the clocks of both, None if long ago."""
    from vlmeval_mp.runs import snapshot

    ages = [
        time.time() - w.time for w in snapshot.Reader(paths).read().workers if w.host == host and w.phase != "stopped"
    ]
    return max(0.0, min(ages)) if ages and min(ages) < snapshot.HEARD_SECONDS else None
