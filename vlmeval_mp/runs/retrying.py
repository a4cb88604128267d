"""Finds the failed samples of a run, and makes their shards pending again.

Nothing is deleted. The old outcome stays in its checkpoint; a `.withdrawn` file beside it says that the line no longer
counts, and what the finished shard rested on moves to `queue/past/`. The steps stand in an order in which a kill
between any two leaves a run that resumes:

    withdraw lines → pardon suspects → say which shards → each: shard pending → move its `done` file

After a kill before the third step the run is as it was, and the same call again does everything. From there on it is
an unfinished run, and the next launch does the rest.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

from vlmeval_mp.core import files, jsonfiles
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Job, RunRecord, Shard, SupervisorStatus
from vlmeval_mp.runs import checkpoint, ending, reopening, stops
from vlmeval_mp.runs.holding import hold
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.listing import Listing
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.suspects import Suspects


@dataclass(frozen=True, slots=True)
class Failure:
    """One sample without an answer, and why."""

    job: Job
    row: int
    error: str


def failures(paths: RunPaths, record: RunRecord) -> list[Failure]:
    """Return the failed samples of every job: in finished shards, in unfinished ones, and in shards that were given up.

    Those behind the end of a job that was stopped early do not count.

    Raises:
        StorageError: what a shard rests on is damaged.
    """
    return [failure for job in record.jobs for failure in _of_job(paths, job)]


def _of_job(paths: RunPaths, job: Job) -> Iterator[Failure]:
    listing = Listing(paths.queue)
    listing.read_news(job.name)
    dones = [done for done in listing.done.values() if done.shard.job == job.name]
    finished = {row for done in dones for row in _rows(done.shard)}
    found: dict[int, str | None] = {}
    with Index(paths.checkpoints, job.name, job.samples) as index:
        index.refresh()
        for done in dones:
            if done.failed:
                found |= {p.row: p.error for p in index.load(done)}
        if len(finished) < job.samples:
            whole = Shard(job=job.name, first=0, last=job.samples - 1)
            for row, answer in index.found(whole).answers.items():
                if row not in finished:
                    found[row] = answer.prediction.error
    for given_up in listing.failures():
        if given_up.shard.job == job.name:
            for row in _rows(given_up.shard):
                found.setdefault(row, None if row in finished else f"shard given up: {given_up.reason}")
    end = stops.expected(paths, job)
    for row, error in sorted(found.items()):
        if error is not None and row < end:
            yield Failure(job, row, error)


def _rows(shard: Shard) -> range:
    return range(shard.first, shard.last + 1)


def reopen(paths: RunPaths, chosen: Collection[Failure]) -> None:
    """Make the shards of `chosen` pending, such that these samples are asked again and answered ones are not.

    Raises:
        ConfigError: somebody works on the run.
        StorageError: the disk failed; the run resumes, and the same call again, or a launch, does the rest.
    """
    ending.refuse_running(paths)
    rows: dict[str, set[int]] = {}
    for failure in chosen:
        rows.setdefault(failure.job.name, set()).add(failure.row)
    name = f"{int(time.time())}-{os.getpid()}-{secrets.token_hex(3)}"
    with hold(paths, paths.root.name):
        for job, mine in rows.items():
            checkpoint.withdraw_failures(paths.checkpoints, job, mine, name)
        suspects = Suspects(paths.suspects, name)
        suspects.pardon(rows)
        suspects.close()
        queue = Queue(paths.queue)
        queue.read_news()
        settled = [done.shard for done in queue.done.values()] + [failed.shard for failed in queue.failures()]
        reopening.reopen(queue, [s for s in settled if not rows.get(s.job, set()).isdisjoint(_rows(s))])
        _forget_counts(paths)


def _forget_counts(paths: RunPaths) -> None:
    """Take out of the last launch's status how many samples have an answer: fewer have one now."""
    status = jsonfiles.read_if_whole(paths.supervisor, SupervisorStatus)
    if status is not None and status.kept:
        files.atomic_write(paths.supervisor, jsonfiles.encode(msgspec.structs.replace(status, kept={})))
