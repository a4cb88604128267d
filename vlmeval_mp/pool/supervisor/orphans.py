"""Finds processes that a killed launch left behind, whatever their parent and their name are now.

A process is the run's if its environment says so, or if its output goes to a worker's log. The second is inherited by
what a worker starts, and stays where a process overwrites its environment with a title of its own, as vLLM's do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from pathlib import Path

import psutil

log = logging.getLogger("vlmeval_mp.supervisor")

RUN_MARKER = "VLMEVAL_MP_RUN"
"""Environment variable that names the run of a process, whichever process is its parent now."""
GONE_SECONDS = 5.0


def sweep_orphans(run: Path) -> int:
    """Kill this host's leftover processes of `run` and see them gone; return how many. The caller holds the run's lock.

    There are some only if a supervisor, a guardian and its heir were all killed: what a worker had started may live on.
    """
    swept: set[int] = set()
    deadline = time.monotonic() + GONE_SECONDS
    while (found := _processes_of(run)) and time.monotonic() < deadline:
        for pid in found - swept:
            log.warning("killing a leftover process of this run (%d)", pid)
        swept |= found
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return len(swept)


def _processes_of(run: Path) -> set[int]:
    return {process.pid for process in psutil.process_iter() if process.pid != os.getpid() and _is_of(process, run)}


def _is_of(process: psutil.Process, run: Path) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        if process.environ().get(RUN_MARKER) == str(run):
            return True
        outputs = [Path(file.path) for file in process.open_files() if file.fd in (1, 2)]
        return any(path.parent == run / "logs" and path.name.startswith("w") for path in outputs)
    return False
