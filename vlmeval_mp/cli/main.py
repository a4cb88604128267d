"""The entry point of the command line: parses, calls the verb, turns its end into an exit code.

A verb is a module with `add_parser(verbs)` and `run(arguments)`; a new one is one file and one line in `VERBS`. Only
the module of the verb at hand is imported: `status` and `logs` must answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from vlmeval_mp import __version__
from vlmeval_mp.cli import flags
from vlmeval_mp.cli.complaints import complain, show_warnings_of_modules
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_SIGINT, EXIT_USAGE, StorageError, VlmevalError

VERBS = {
    "launch": "vlmeval_mp.cli.launch",
    "plan": "vlmeval_mp.cli.plan",
    "submit": "vlmeval_mp.cli.submit",
    "resume": "vlmeval_mp.cli.resume",
    "retry": "vlmeval_mp.cli.retry",
    "runs": "vlmeval_mp.cli.runs",
    "status": "vlmeval_mp.cli.status",
    "logs": "vlmeval_mp.cli.logs",
    "cancel": "vlmeval_mp.cli.cancel",
    "release": "vlmeval_mp.cli.release",
    "rm": "vlmeval_mp.cli.remove",
    "bench": "vlmeval_mp.cli.bench",
    "eval": "vlmeval_mp.cli.evaluate",
    "report": "vlmeval_mp.cli.report",
    "compare": "vlmeval_mp.cli.compare",
    "export": "vlmeval_mp.cli.export",
    "open": "vlmeval_mp.cli.opening",
    "verify": "vlmeval_mp.cli.verify",
    "import": "vlmeval_mp.cli.importing",
    "doctor": "vlmeval_mp.cli.doctor",
    "completion": "vlmeval_mp.cli.completion",
}
"""The module of each verb, in the order in which `--help` lists them."""


class HelpPage(argparse.RawDescriptionHelpFormatter):
    """Gives every verb a line of its own: argparse forgets by how much it moves the longest one in."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length = max(self._action_max_length, max(map(len, VERBS)) + 2 * self._indent_increment)


def parser(argv: Sequence[str]) -> flags.Parser:
    """Return the parser for `argv`: with the verb that it names, or with all of them for help and for a mistake."""
    top = flags.Parser(
        prog="vlmeval-mp",
        description="Evaluate vision-language models on every GPU of a machine at once.",
        epilog=flags.EXAMPLES + flags.LOOKING + flags.CODES,
        formatter_class=HelpPage,
    )
    top.add_argument("--version", action="version", version=f"vlmeval-mp {__version__}")
    top.set_defaults(json=False)  # for verbs without that flag
    # without `prog` argparse would format a whole help page to find it
    verbs = top.add_subparsers(metavar="COMMAND", title="commands", required=True, dest="verb", prog=top.prog)
    for name in [argv[0]] if argv and argv[0] in VERBS else VERBS:
        importlib.import_module(VERBS[name]).add_parser(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A user's mistake is one message, never a traceback."""
    words = sys.argv[1:] if argv is None else argv
    if not words:
        parser(words).print_help()
        return EXIT_USAGE
    arguments = parser(words).parse_args(words)
    show_warnings_of_modules()
    try:
        code: int = importlib.import_module(VERBS[arguments.verb]).run(arguments)
        return code
    except VlmevalError as error:
        return complain(error, as_json=arguments.json)
    except KeyboardInterrupt:
        return EXIT_SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's last flush is quiet too
        return EXIT_COMPLETE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return complain(StorageError(f"{where}{error.strerror or error}"), as_json=arguments.json)
