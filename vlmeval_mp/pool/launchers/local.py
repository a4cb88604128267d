"""Workers on this host, each under a guardian of its own. Knows nothing of what a worker does."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.pool.devices.gpus import GpuMeter
from vlmeval_mp.pool.launchers.base import Command

GUARDIAN = Path(__file__).with_name("guardian.py")
LONG_LOG = 32 << 20
"""Bytes of a log at which the next worker begins a new one."""
STARTS = 5
"""Guardians that are started for one worker, where each is killed before it has begun."""
START_SECONDS = 60.0
"""A guardian answers in milliseconds; on a host that swaps, in seconds. Longer means that it hangs."""


class LocalLauncher:
    """Starts worker processes that never outlive the process that owns this launcher."""

    def __init__(self) -> None:
        self._gpus = GpuMeter()

    def devices(self) -> list[GpuStats]:
        """Return the GPUs of this host; NVML is opened once."""
        return self._gpus.read()

    def close(self) -> None:
        self._gpus.close()

    def start(self, command: Command) -> LocalHandle:
        """Start one worker; returns once it has a pid.

        Raises:
            StorageError: the process cannot be started (log folder not writable, no memory, too many processes), or
                its guardian does not answer in `START_SECONDS`.
        """
        command.log.parent.mkdir(parents=True, exist_ok=True)
        _bound(command.log)
        for _ in range(STARTS):
            handle = _start(command)
            if handle is not None:
                return handle
        raise StorageError(f"the guardian of a worker was killed {STARTS} times while it started; what does that here?")


def _start(command: Command) -> LocalHandle | None:
    """Start a guardian and its worker; None if somebody killed the guardian before it could say the worker's pid."""
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARDIAN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at the terminal is the supervisor's business
    )
    assert guardian.stdin is not None
    assert guardian.stdout is not None
    order = {"argv": command.argv, "env": command.env, "log": str(command.log), "cores": command.cores}
    with contextlib.suppress(BrokenPipeError):
        guardian.stdin.write(json.dumps(order).encode() + b"\n")
        guardian.stdin.flush()
    if not select.select([guardian.stdout], [], [], START_SECONDS)[0]:
        guardian.kill()
        guardian.wait()
        raise StorageError(
            f"the worker process was not started within {START_SECONDS:.0f} s; is this host out of memory, or the "
            f"disk of {command.log.parent} hanging?"
        )
    pid = guardian.stdout.readline()
    if pid.strip():
        return LocalHandle(guardian, int(pid))
    with guardian.stdout, contextlib.suppress(BrokenPipeError):
        guardian.stdin.close()
    if guardian.wait() < 0:
        return None
    raise StorageError(f"the worker process could not be started; is {command.log.parent} writable?")


def _bound(log: Path) -> None:
    """Move a log that earlier workers made long out of the way, over the one that was moved before."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > LONG_LOG:
            log.replace(log.with_name(f"{log.name}.1"))


class LocalHandle:
    """One worker, as `launchers.base.Handle` says."""

    def __init__(self, guardian: subprocess.Popen[bytes], pid: int) -> None:
        self.pid = pid
        self._guardian = guardian
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None and self._guardian.poll() is not None:
            self._code = self._exit_code()
        return self._code

    def _exit_code(self) -> int:
        assert self._guardian.stdout is not None
        with self._guardian.stdout as stdout:
            said = stdout.read()
        if said.strip():
            return int(said)
        # The guardian itself was killed. The worker died with it; what the worker had started may not have.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return -signal.SIGKILL

    def drain(self) -> None:
        self._order(b"drain\n")

    def dump(self) -> None:
        self._order(b"dump\n")

    def kill(self) -> None:
        self._order(b"kill\n")

    def _order(self, line: bytes) -> None:
        assert self._guardian.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._guardian.stdin.write(line)
            self._guardian.stdin.flush()
