"""A stream for rich that is safe: no markup or emoji codes in texts, and no exit when its reader is gone."""

from __future__ import annotations

import contextlib
import os
from typing import IO

from rich.console import Console


class Terminal(Console):
    """A rich console on `stream` that lets a `BrokenPipeError` through."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(file=stream, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Raise the error being handled; rich would end the process, and with it the run."""
        self.quiet = True
        raise


def silence(stream: IO[str]) -> None:
    """Send what is still buffered in `stream` nowhere, so that the interpreter does not fail on it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
