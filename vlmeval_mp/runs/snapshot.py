"""The facts of one moment, gathered from a run's folder for `state.fold`. Reads only, and survives anything it finds.

A file that vanishes or cannot be parsed while it is read is left out: the next snapshot has it. Finished shards never
change, so a `Reader` that is kept reads each of them once.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from pathlib import Path
from typing import TypeVar

import msgspec

from vlmeval_mp.core.errors import ConfigError, StorageError, VlmevalError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Done, RunRecord, SupervisorStatus, WorkerStatus
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.state import ShardCounts, Snapshot

T = TypeVar("T")
HEARD_SECONDS = 60.0
"""How old the heartbeat of a process elsewhere may be for it to be shown as alive."""


def read_record(paths: RunPaths) -> RunRecord:
    """The run's frozen record.

    Raises:
        ConfigError: there is no run there, or its record is damaged.
    """
    try:
        return msgspec.json.decode(paths.record.read_bytes(), type=RunRecord)
    except FileNotFoundError:
        raise ConfigError(f"there is no run at {paths.root}") from None
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{paths.record} cannot be read: {error}") from error


def read_supervisor(paths: RunPaths) -> SupervisorStatus | None:
    """The last heartbeat of the run's supervisor, alive or not."""
    return _load(paths.supervisor, SupervisorStatus)


class Reader:
    """Takes snapshots of one run."""

    def __init__(self, paths: RunPaths, record: RunRecord | None = None) -> None:
        self.paths = paths
        self.record = record or read_record(paths)
        self.done: dict[str, Done] = {}
        self.damage: StorageError | None = None
        self._queue = Queue(paths.queue)

    def read(self) -> Snapshot:
        """The facts now."""
        supervisor = read_supervisor(self.paths)
        workers = self._workers()
        return Snapshot(
            record=self.record,
            folder=str(self.paths.root),
            shards=self._shards(),
            workers=tuple(workers),
            supervisor=supervisor,
            supervisor_alive=supervisor is not None and _alive(supervisor.owner, supervisor.time),
            live=tuple(w.worker for w in workers if w.phase not in ("stopped", "failed") and _alive(w.owner, w.time)),
        )

    def new_done(self) -> list[Done]:
        """Shards that became done since the last call; they are then in `done`. `damage` is an unreadable one."""
        fresh = []
        for name in self._queue.done_names():
            if name not in self.done:
                try:
                    self.done[name] = self._queue.read_done(name)
                    fresh.append(self.done[name])
                except StorageError as error:
                    self.damage = error
        return fresh

    def _workers(self) -> list[WorkerStatus]:
        found = []
        for path in sorted(self.paths.workers.glob("w*.json"), key=_natural):
            status = _load(path, WorkerStatus)
            if status is not None:
                found.append(status)
        return found

    def _shards(self) -> dict[str, ShardCounts]:
        self.new_done()
        counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for folder in ("pending", "claimed"):
            for entry in self._queue.entries(folder):
                counts[entry.shard.job][folder] += 1
        for done in self.done.values():
            job = counts[done.shard.job]
            job["done"] += 1
            job["done_samples"] += done.shard.size
            job["failed_samples"] += done.failed
        with contextlib.suppress(StorageError):
            for failure in self._queue.failures():
                counts[failure.shard.job]["failed"] += 1
                counts[failure.shard.job]["failed_shard_samples"] += failure.shard.size
        return {job: ShardCounts(**by_folder) for job, by_folder in counts.items()}


def _natural(path: Path) -> tuple[int, str]:
    return len(path.stem), path.stem


def _alive(owner: str, last_beat: float) -> bool:
    """Whether the process lives; where that cannot be told from here, whether it was heard of lately."""
    try:
        dead = owners.is_dead(owners.parse(owner))
    except VlmevalError:
        return False
    return time.time() - last_beat < HEARD_SECONDS if dead is None else not dead


def _load(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
