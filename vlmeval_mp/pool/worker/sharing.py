"""A worker's fair share: how much it may claim, and what it gives back to workers of its model that have nothing left.

Near the end of a run no worker holds more than `remaining / workers`, and claims shrink with what remains. Whoever has
room left and finds nothing says so by its heartbeat alone. Fairness is telemetry's: where a heartbeat is lost, a worker
holds more or less than its share, and no answer is lost or asked twice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Job, SupervisorStatus, WorkerStatus
from vlmeval_mp.runs.owners import Owner
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import Entry

FRESH = 0.5
"""Seconds for which heartbeats that were read are good."""
SILENT = 10.0
"""Seconds without a heartbeat after which nobody counts on a worker."""

T = TypeVar("T")


def share(left: int, workers: int) -> int:
    """Samples that each of `workers` may hold of what is `left`, rounded up."""
    return -(-left // max(1, workers))


class Sharing:
    """Claims for one worker called `name` that serves `jobs` of `model`, the largest job first."""

    def __init__(self, paths: RunPaths, queue: Queue, owner: Owner, name: str, model: str, jobs: Sequence[Job]) -> None:
        self._paths, self._queue, self._owner, self._name, self._model = paths, queue, owner, name, model
        self._jobs = [job.name for job in sorted(jobs, key=lambda job: -job.samples)]
        self._others: list[WorkerStatus] = []
        self._workers = 1
        self._read_at = 0.0

    def claim(self, own: int, capacity: int) -> tuple[Entry | None, bool]:
        """Claim what this worker may have, given `own` samples that it holds and the most that it can use.

        Also tells whether there is something that is left to others for now.
        """
        self._look()
        pending = self._queue.pending(self._jobs)
        most = 0
        if self._workers > 1 and pending <= 2 * self._workers * capacity:
            pending = self._queue.pending(self._jobs, fresh=True)
            mine = set(self._jobs)
            claimed = sum(e.shard.size for e in self._queue.entries("claimed") if e.shard.job in mine)
            most = share(pending + claimed, self._workers) - own
            if pending and most <= 0:
                return None, True
        return self._queue.claim(self._owner, self._jobs, max(most, 0)), False

    def to_give(self, unstarted: int) -> int:
        """How many of its `unstarted` samples this worker should leave to others that have room and find nothing."""
        self._look()
        idle = sum(other.in_flight < other.window and not other.waiting for other in self._others)
        if not idle or not unstarted or self._queue.pending(self._jobs, fresh=True):
            return 0
        return -(-unstarted * idle // (idle + 1))

    def others_may_give(self) -> bool:
        """Whether another worker of this model holds samples that it has not begun, and no other model needs a slot."""
        self._look()
        if not any(other.waiting for other in self._others):
            return False
        return not any(n for job, n in self._queue.pending_counts().items() if job not in self._jobs)

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._read_at + FRESH:
            return
        self._read_at = now
        statuses = [_read(path, WorkerStatus) for path in self._paths.workers.glob("w*.json")]
        self._others = [
            s
            for s in statuses
            if s is not None
            and (s.model, s.phase) == (self._model, "working")
            and s.worker != self._name
            and time.time() - s.time < SILENT
        ]
        supervisor = _read(self._paths.supervisor, SupervisorStatus)
        started = supervisor.at_work.get(self._model, 1) if supervisor and time.time() - supervisor.time < SILENT else 1
        self._workers = max(started, len(self._others) + 1)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
