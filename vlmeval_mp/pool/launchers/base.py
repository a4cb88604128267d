"""Where a worker process comes from: one small protocol, so that a cluster launcher can stand beside the local one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: `argv` with exactly `env`, all output appended to `log`, run on `cores` (empty: any)."""

    argv: tuple[str, ...]
    env: dict[str, str]
    log: Path
    cores: tuple[int, ...] = ()


class Handle(Protocol):
    """One started worker. `poll` gives its exit code once its whole process group is gone, negative for a signal."""

    pid: int

    def poll(self) -> int | None: ...

    def drain(self) -> None:
        """Ask the worker to finish what it has in flight and exit."""

    def kill(self) -> None:
        """End the worker and everything it started, now."""


class Launcher(Protocol):
    def start(self, command: Command) -> Handle: ...
