"""The lock of a run: only one launch, or one `eval` that writes results, works on it at a time."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterator

from filelock import FileLock, Timeout

from vlmeval_mp.core.errors import ConfigError, StorageError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.runs.snapshot import living_supervisor

log = logging.getLogger(__name__)

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of a file system without locks, such as NFS without its lock service."""


class BusyError(ConfigError):
    """Somebody else is at work on the run."""


@contextlib.contextmanager
def hold(paths: RunPaths, run: str) -> Iterator[None]:
    """Hold the lock of the run called `run` inside the block.

    On a file system without locks, the heartbeat of a living supervisor counts as the lock. Two launches that begin at
    the same moment then both work, which asks some samples twice and loses none.

    Raises:
        BusyError: another launch or `eval` is; says which process, if it is known.
        StorageError: the lock file cannot be made.
    """
    lock = FileLock(paths.supervisor_lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _busy(paths, run) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise StorageError(f"cannot lock {paths.supervisor_lock}: {error.strerror or error}") from error
        if living_supervisor(paths) is not None:
            raise _busy(paths, run) from None
        log.warning("%s: no locks are to be had here (%s); going on without", paths.root, error)
    try:
        yield
    finally:
        lock.release()


def _busy(paths: RunPaths, run: str) -> BusyError:
    watch = f"watch it with: vlmeval-mp status {run} --watch"
    return BusyError(f"run {run!r} is being worked on by {_who(paths)}; {watch}")


def _who(paths: RunPaths) -> str:
    status = living_supervisor(paths)
    return "another launch or eval" if status is None else f"another launch (process {status.pid})"
