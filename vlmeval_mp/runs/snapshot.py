"""Gathers the facts of one moment from a run's folder, for `state.fold`. Only reads, and survives damaged files.

A file that vanishes or cannot be parsed while it is read is left out: the next snapshot has it. Finished shards never
change, so a `Reader` that is kept reads each of them once.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.errors import ConfigError, StorageError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import ENDED, Done, Job, RunRecord, Shard, Stop, SupervisorStatus, WorkerStatus
from vlmeval_mp.runs import measured, owners, recorded, stops
from vlmeval_mp.runs.listing import Listing
from vlmeval_mp.runs.measured import MetricValue
from vlmeval_mp.runs.state import ShardCounts, Snapshot

HEARD_SECONDS = 60.0
"""The greatest age, in seconds, of the heartbeat of a process elsewhere that counts as alive."""


def read_record(paths: RunPaths) -> RunRecord:
    """Return the run's frozen record.

    Raises:
        ConfigError: there is no run there, or its record is damaged, of a later version, or names something outside.
    """
    try:
        return recorded.read(paths.record)
    except FileNotFoundError:
        raise ConfigError(f"there is no run at {paths.root}") from None


def read_supervisor(paths: RunPaths) -> SupervisorStatus | None:
    """Return the last heartbeat of the run's supervisor, alive or not."""
    return jsonfiles.read_if_whole(paths.supervisor, SupervisorStatus)


def living_supervisor(paths: RunPaths) -> SupervisorStatus | None:
    """Return the last heartbeat of the supervisor that is at work on the run, None if there is none."""
    status = read_supervisor(paths)
    ended = status is None or status.phase in ENDED or not is_alive(status.owner, status.time)
    return None if ended else status


class Reader:
    """Takes snapshots of one run."""

    def __init__(self, paths: RunPaths, record: RunRecord | None = None, queue: Listing | None = None) -> None:
        self.paths = paths
        self.record = record or read_record(paths)
        self.damage: StorageError | None = None
        self.queue = queue or Listing(paths.queue)
        self._settled: dict[str, _JobTotals] = defaultdict(_JobTotals)
        self._counted = 0
        self.stops: dict[str, Stop] = {}

    @property
    def done(self) -> dict[str, Done]:
        """Finished shards by file name, as of the last snapshot."""
        return self.queue.done

    def read(self) -> Snapshot:
        """Return the facts now."""
        supervisor = read_supervisor(self.paths)
        with contextlib.suppress(StorageError):
            self.stops = stops.read(self.paths)
        workers = self._workers()
        alive = supervisor is not None and is_alive(supervisor.owner, supervisor.time)
        return Snapshot(
            record=self.record,
            folder=str(self.paths.root),
            shards=self._shards(),
            workers=tuple(workers),
            supervisor=supervisor,
            supervisor_alive=alive,
            measured={} if alive else self._measured(),
            live=tuple(w.worker for w in workers if w.phase not in ENDED and is_alive(w.owner, w.time)),
        )

    def _measured(self) -> dict[str, MetricValue]:
        found = {j.name: measured.read(self.paths.summary(j.model, j.dataset)) for j in self.record.jobs}
        return {job: score for job, score in found.items() if score is not None}

    def _workers(self) -> list[WorkerStatus]:
        return jsonfiles.read_listed(sorted(self.paths.workers.glob("w*.json"), key=_natural), WorkerStatus)

    def _shards(self) -> dict[str, ShardCounts]:
        try:
            self.queue.read_news()
        except StorageError as error:
            self.damage = error
        for done in itertools.islice(self.queue.done.values(), self._counted, None):
            self._settled[done.shard.job].add(done)
        self._counted = len(self.queue.done)
        counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for job, pending in self.queue.pending_counts().items():
            counts[job]["pending"] += pending
        for entry in self.queue.entries("claimed"):
            counts[entry.shard.job]["claimed"] += 1
            counts[entry.shard.job]["claimed_samples"] += entry.shard.size
        for job, settled in self._settled.items():
            counts[job] |= {"done": settled.shards, "done_samples": settled.samples, "failed_samples": settled.failed}
        ended = [done.shard for done in self.queue.done.values()] if self.stops else []
        with contextlib.suppress(StorageError):
            for failure in self.queue.failures():
                ended.append(failure.shard)
                if not self.queue.is_settled(failure.shard):
                    counts[failure.shard.job]["failed"] += 1
                    counts[failure.shard.job]["failed_shard_samples"] += failure.shard.size
        for each in self.record.jobs:
            if each.name in self.stops:
                mine = [shard for shard in ended if shard.job == each.name]
                counts[each.name]["skipped_samples"] = _skipped(each, self.stops[each.name].asked, mine)
        return {job: ShardCounts(**by_folder) for job, by_folder in counts.items()}


@dataclass(slots=True)
class _JobTotals:
    """The totals of the finished shards of one job."""

    shards: int = 0
    samples: int = 0
    failed: int = 0

    def add(self, done: Done) -> None:
        self.shards += 1
        self.samples += done.shard.size
        self.failed += done.failed


def _skipped(job: Job, end: int, settled: Iterable[Shard]) -> int:
    """Return how many rows from `end` on, where `job` was stopped, are in none of its `settled` shards."""
    behind = {row for shard in settled for row in range(max(end, shard.first), shard.last + 1)}
    return job.samples - end - len(behind)


def _natural(path: Path) -> tuple[int, str]:
    return len(path.stem), path.stem


def is_alive(owner: str, last_beat: float) -> bool:
    """Return whether the process lives; where this host cannot tell, whether its heartbeat is recent."""
    named = owners.parsed(owner)
    if named is None:
        return False
    dead = owners.is_dead(named)
    return time.time() - last_beat < HEARD_SECONDS if dead is None else not dead
