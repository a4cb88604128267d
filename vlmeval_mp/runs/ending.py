"""Ends runs from outside: asks a supervisor to stop, and removes a run's folder. It signals only a proven supervisor.

A supervisor is known by its owner mark (host, boot, pid namespace, pid, start time), never by a bare pid, and is
signalled through a handle on the process, so no process that took over its number can be hit.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import time

from vlmeval_mp.core.errors import ConfigError, StorageError, VlmevalError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.runs import owners, snapshot
from vlmeval_mp.runs.holding import BusyError, hold

SECOND_AFTER = 0.5
"""Seconds between the signal that drains and the one that stops at once, so that the two are seen as two."""


class Supervisor:
    """The living supervisor of a run on this host. Close it after use.

    Raises:
        ConfigError: none is alive, or it is on a host or in a container from where this one cannot reach it.
    """

    def __init__(self, paths: RunPaths) -> None:
        status = snapshot.read_supervisor(paths)
        owner = None if status is None else owners.parsed(status.owner)
        if owner is None or owners.is_dead(owner):
            raise ConfigError(f"run {paths.root.name} is not running, so there is nothing to cancel")
        if owners.is_dead(owner) is None:
            raise ConfigError(
                f"run {paths.root.name} is run by process {owner.pid} on {owner.host}, which cannot be reached from "
                "here; cancel it there"
            )
        self.pid = owner.pid
        try:
            self._handle = os.pidfd_open(owner.pid)
        except ProcessLookupError:
            raise ConfigError(f"run {paths.root.name} has just ended by itself") from None
        if owners.is_dead(owner) is not False:  # the number may have changed hands before there was a handle on it
            self.close()
            raise ConfigError(f"run {paths.root.name} has just ended by itself")

    def drain(self) -> None:
        """Let it finish what is in flight, then end."""
        self._signal()

    def stop(self) -> None:
        """Make it end at once; what was answered is kept."""
        self._signal()
        if not self.wait(SECOND_AFTER):
            self._signal()

    def wait(self, seconds: float | None = None) -> bool:
        """Return whether it has ended, at the latest after `seconds`."""
        ready, _, _ = select.select([self._handle], [], [], seconds)
        return bool(ready)

    def close(self) -> None:
        os.close(self._handle)

    def _signal(self) -> None:
        try:
            signal.pidfd_send_signal(self._handle, signal.SIGINT)
        except ProcessLookupError:
            return  # it has ended, which is what was wanted
        except PermissionError as error:
            raise VlmevalError(f"process {self.pid} belongs to another user; cancel it as that user") from error


def remove(paths: RunPaths) -> None:
    """Delete the folder of a run that nobody works on. Its data sets in the shared store stay.

    Raises:
        ConfigError: somebody works on it.
        StorageError: it cannot be deleted; what is left of it is in a hidden folder beside it.
    """
    refuse_running(paths)
    aside = paths.root.with_name(f".{paths.root.name}.{os.getpid()}.{time.monotonic_ns()}.removed")
    try:
        with hold(paths, paths.root.name):
            # gone in one step, so no launch finds half a run
            paths.root.rename(aside)
        shutil.rmtree(aside)
    except BusyError:
        raise ConfigError(f"run {paths.root.name} is being worked on; cancel it first") from None
    except OSError as error:
        raise StorageError(f"cannot remove {paths.root}: {error.strerror or error}") from error


def refuse_running(paths: RunPaths) -> None:
    """Refuse a run on which a supervisor or a worker is at work, here or, by its heartbeat, elsewhere.

    Raises:
        ConfigError: it is such a run.
    """
    refuse_supervised(paths)
    live = snapshot.Reader(paths).read().live
    if live:
        raise ConfigError(f"run {paths.root.name} has workers that are still alive ({', '.join(live)})")


def refuse_supervised(paths: RunPaths) -> None:
    """Refuse a run whose supervisor is alive.

    Raises:
        ConfigError: it is such a run.
    """
    if snapshot.living_supervisor(paths) is not None:
        name = paths.root.name
        raise ConfigError(f"run {name} is being worked on; cancel it first: vlmeval-mp cancel {name}")
