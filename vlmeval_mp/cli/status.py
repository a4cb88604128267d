"""`status`: shows the state of a run while it works, or its end."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE

if TYPE_CHECKING:
    from vlmeval_mp import display
    from vlmeval_mp.runs.state import RunState

LOOK_SECONDS = 0.5


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "status", "what a run is doing, or how it ended")
    flags.run_name(verb)
    verb.add_argument("--watch", action="store_true", help="keep showing it until it ends")
    verb.add_argument("--json", action="store_true", help="the whole state as one JSON object")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Show the named run, or the latest, once or until it ends."""
    from vlmeval_mp.runs import find
    from vlmeval_mp.runs.snapshot import Reader
    from vlmeval_mp.runs.state import fold

    reader = Reader(find.chosen(jobs_of(arguments), arguments.run))
    if arguments.watch and not arguments.json:
        return _watch(lambda: fold(reader.read(), time.time()))
    state = fold(reader.read(), time.time())
    if arguments.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(state)).decode())
    else:
        from vlmeval_mp import display

        display.show(state, sys.stdout)
    return EXIT_COMPLETE


def _watch(look: Callable[[], RunState]) -> int:
    from vlmeval_mp import display

    mode: display.Mode = "live" if sys.stdout.isatty() else "plain"
    with display.screen(mode, sys.stdout) as screen:
        while True:
            state = look()
            screen.update(state)
            if not state.running:
                return EXIT_COMPLETE
            time.sleep(LOOK_SECONDS)
