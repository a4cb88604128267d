"""The protocol of a launcher, small so that one for a cluster can stand beside the local one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from vlmeval_mp.core.records import GpuStats


@dataclass(frozen=True, slots=True)
class Command:
    """A command to start: `argv` with exactly `env`, all output appended to `log`, on `cores` (empty: any)."""

    argv: tuple[str, ...]
    env: dict[str, str]
    log: Path
    cores: tuple[int, ...] = ()


class Handle(Protocol):
    """One started worker. `pid` is its process id on the host where it runs, as its heartbeat has it."""

    pid: int

    def poll(self) -> int | None:
        """Return None while any process of the worker lives, then its exit code, negative for a signal.

        From then on the supervisor takes the worker for dead, on whichever host it was.
        """

    def drain(self) -> None:
        """Ask the worker to finish what it has in flight and exit."""

    def kill(self) -> None:
        """End the worker and everything it started, now."""


@runtime_checkable
class Dumps(Protocol):
    """A handle that can make its worker write where it is."""

    def dump(self) -> None:
        """Let the worker write the stack of each thread into its log, and end its children with theirs."""


class Launcher(Protocol):
    """Built without arguments, once per run that is worked on. The run's folder must be visible where workers run."""

    def devices(self) -> Sequence[GpuStats]:
        """Return the GPUs that workers can be given, with their use now; empty where there are none.

        The supervisor asks up to five times a second, so it must be quick; `uuid` must name a GPU uniquely.
        """

    def start(self, command: Command) -> Handle:
        """Start one worker; return once it has a process id.

        Raises:
            StorageError: it cannot be started.
        """

    def close(self) -> None:
        """Release what `devices` opened. The workers have ended by then."""
