"""Decides whether a dead worker's samples are suspected: it crashed by itself, or was ended from outside.

Only a death from inside makes suspects: a crash of the worker or of its engine, or memory that ran out. A SIGKILL or a
SIGTERM that somebody sent, the loss of the guardian and every stop that the supervisor asked for blame nobody.
"""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Literal

from vlmeval_mp.core.records import WorkerStatus

Cause = Literal["inside", "outside", "memory", "stuck"]

SENT = frozenset({
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGALRM, signal.SIGPIPE, signal.SIGXCPU,
})  # fmt: skip
"""Signals that come from another process or a limit; those of a crash (SIGSEGV, SIGABRT, SIGBUS, …) are not here."""


def cause(code: int, status: WorkerStatus | None, memory_ran_out: bool) -> Cause:
    """Return where a worker's end came from.

    `code` is its exit code, negative for a signal; `status` its last heartbeat; `memory_ran_out` tells whether the
    kernel killed a process for memory while the worker lived.
    """
    if status is not None and status.ended_by:
        return "memory" if memory_ran_out else "outside"
    if code < 0 and -code in SENT:
        return "memory" if memory_ran_out and -code == signal.SIGKILL else "outside"
    return "inside"


def memory_kills(vmstat: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes the kernel has killed for memory since the host started; 0 where it does not tell.

    psutil does not read this number.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in vmstat.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0
