"""The fair share of a worker: the samples that it may claim, and those that it gives back to idle workers.

Near the end of a run no worker holds more than `remaining / workers`, and what it prepares ahead of its window shrinks
with the pending samples, so that the last samples go to the worker with a place for them. A full worker claims at
least an eighth of its window at a time. A worker with room that finds nothing says so in its heartbeat only. Workers
that still load have a share for as long as they may be expected. Fairness is telemetry's: where a heartbeat is lost, a
worker holds more or less than its share, and no answer is lost or asked twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import SupervisorStatus, WorkerStatus
from vlmeval_mp.runs.owners import Owner
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import Entry

FRESH = 0.5
"""Seconds for which heartbeats that were read are good."""
SILENT = 10.0
"""Seconds without a heartbeat after which nobody counts on a worker."""
AHEAD = 32
"""Samples prepared ahead of a full window while there is plenty."""
PATIENCE = 5.0
"""Seconds from its first claim on for which a worker leaves a share to workers that still load; more where its own
loading took long."""


def share(left: int, workers: int) -> int:
    """Return samples that each of `workers` may hold of what is `left`, rounded up."""
    return -(-left // max(1, workers))


def least(window: int) -> int:
    """Return samples that a worker with a full window claims at least: each claim near the end costs a few
    file operations.
    """
    return max(1, window // 8)


def most_to_hold(left: int, pending: int, workers: int, window: int) -> int:
    """Return samples that one of `workers` may hold of what is `left`, of which `pending` belong to nobody yet.

    Besides its share a window and what is prepared ahead: half of its share of what is pending, so that nearly nothing
    waits behind a full window when nothing is pending any more.
    """
    ahead = min(AHEAD, max(least(window), pending // (2 * workers)))
    return min(share(left, workers), window + ahead)


class Sharing:
    """Claims for one worker called `name` that serves `jobs` of `model`, one after the other.

    For `patience` seconds from the first claim on, workers that still load have a share, too.
    """

    def __init__(self, paths: RunPaths, queue: Queue, owner: Owner, name: str, model: str, jobs: Sequence[str]) -> None:
        self.patience = PATIENCE
        self._paths, self._queue, self._owner, self._name, self._model = paths, queue, owner, name, model
        self._jobs = list(jobs)
        self._others: list[WorkerStatus] = []
        self._workers = 1
        self._read_at = self._began = 0.0

    @property
    def order(self) -> Sequence[str]:
        """The names of the jobs, first those that are claimed first."""
        return self._jobs

    def claim(self, own: int, window: int) -> tuple[Entry | None, int]:
        """Claim what this worker may have, given `own` samples that it holds without an answer and its window.

        If what is pending is left to others for now, the number tells after how many answers of its own this worker
        may have some of it; 0 where nothing is pending.
        """
        self._look()
        pending = self._queue.pending(self._jobs)
        if self._workers == 1 or pending > 2 * self._workers * (window + AHEAD):
            return self._queue.claim(self._owner, self._jobs), 0
        pending = self._queue.pending(self._jobs, fresh=True)
        if not pending:
            return None, 0
        most = most_to_hold(self._left(own, pending), pending, self._workers, window)
        missing = own + (least(window) if own >= window else 1) - most
        if missing > 0:
            return None, missing
        return self._queue.claim(self._owner, self._jobs, max(most - own, 1)), 0

    def _left(self, own: int, pending: int) -> int:
        """Return how many samples of this model have no answer yet, as far as heartbeats tell."""
        mine = set(self._jobs)
        claimed = Counter[str]()
        for entry in self._queue.entries("claimed"):
            if entry.shard.job in mine:
                claimed[entry.owner] += entry.shard.size
        claimed[str(self._owner)] = own
        for other in self._others:
            claimed[other.owner] = max(0, claimed[other.owner] - sum(other.held.values()))
        return pending + claimed.total()

    def to_give(self, unstarted: int) -> int:
        """Return how many of its `unstarted` samples this worker should leave to others that have room and
        find nothing.
        """
        self._look()
        idle = sum(other.in_flight < other.window and not other.waiting for other in self._others)
        if not idle or not unstarted or self._queue.pending(self._jobs, fresh=True):
            return 0
        return -(-unstarted * idle // (idle + 1))

    def others_may_give(self) -> bool:
        """Return whether another worker of this model holds samples that it has not begun, and no other
        model needs a slot.
        """
        self._look()
        if not any(other.waiting for other in self._others):
            return False
        return not any(n for job, n in self._queue.pending_counts().items() if job not in self._jobs)

    def others_at_the_end(self) -> list[WorkerStatus]:
        """Return the other workers of this model; none while anything waits for any worker's engine."""
        self._look()
        if any(other.waiting for other in self._others) or any(self._queue.pending_counts().values()):
            return []
        return self._others

    def usual(self) -> float:
        """Return the latency that 99 of 100 samples of the slowest other worker stay below; 0 if nobody knows."""
        return max((other.usual for other in self._others), default=0.0)

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._read_at + FRESH:
            return
        self._read_at = now
        statuses = jsonfiles.read_listed(self._paths.workers.glob("w*.json"), WorkerStatus)
        self._others = [
            s
            for s in statuses
            if (s.model, s.phase) == (self._model, "working")
            and s.worker != self._name
            and time.time() - s.time < SILENT
        ]
        self._workers = len(self._others) + 1
        self._began = self._began or now
        supervisor = (
            jsonfiles.read_if_whole(self._paths.supervisor, SupervisorStatus)
            if now < self._began + self.patience
            else None
        )
        if supervisor is not None and time.time() - supervisor.time < SILENT:
            self._workers = max(self._workers, supervisor.at_work.get(self._model, 1))
