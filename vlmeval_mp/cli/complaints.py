"""Reports an error: a message on stderr, a JSON object on stdout for programs, and an exit code."""

from __future__ import annotations

import json
import sys

from vlmeval_mp.core.errors import VlmevalError


def complain(error: VlmevalError, *, as_json: bool) -> int:
    """Report `error` and return its exit code."""
    if as_json:
        print(json.dumps({"event": "error", "error": str(error), "exit_code": error.exit_code}), flush=True)
    print(f"vlmeval-mp: {error}", file=sys.stderr)
    return error.exit_code


def show_warnings_of_modules() -> None:
    """Write what a module logs as a warning to stderr in our words, as long as no log file is open for it."""
    import logging  # `--help` comes before this and does without

    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))
