"""Processes that a killed launch left behind, found by a marker in their environment."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from pathlib import Path

log = logging.getLogger("vlmeval_mp.supervisor")

RUN_MARKER = "VLMEVAL_MP_RUN"
"""Environment variable that names the run of a process, whichever process is its parent now."""


def sweep_orphans(run: Path) -> int:
    """Kill this host's leftover processes of `run`; return how many process groups. The caller holds the run's lock.

    There are some only if a supervisor and a guardian were both killed: what a worker had started may then live on.
    """
    marker = f"{RUN_MARKER}={run}".encode()
    swept = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if marker in (folder / "environ").read_bytes().split(b"\0"):
                swept.add(os.getpgid(int(folder.name)))
        except (OSError, ProcessLookupError):
            continue
    for group in swept - {os.getpgrp()}:
        log.warning("killing leftover processes of this run (group %d)", group)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    return len(swept)
