"""The lock that says that somebody is at work on a run: a launch, or an `eval` that writes its results."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from filelock import FileLock, Timeout

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.runs.snapshot import is_alive, read_supervisor


class BusyError(ConfigError):
    """Somebody else is at work on the run."""


@contextlib.contextmanager
def hold(paths: RunPaths, run: str) -> Iterator[None]:
    """Be the only one at work on the run called `run`.

    Raises:
        BusyError: another launch or `eval` is; says which process, if it is known.
    """
    lock = FileLock(paths.supervisor_lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"run {run!r} is being worked on by {_who(paths)}; watch it with: vlmeval-mp status {run} --watch"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _who(paths: RunPaths) -> str:
    status = read_supervisor(paths)
    if status is None or status.phase in ("stopped", "failed") or not is_alive(status.owner, status.time):
        return "another launch or eval"
    return f"another launch (process {status.pid})"
