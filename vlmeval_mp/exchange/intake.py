"""Records answers from elsewhere in a run, as checkpoint lines of a writer of their own, under claims.

A run is as it would be had a worker given these answers: shards that are answered in full are done, the others pending
again, and their next worker asks only what is missing. Each line says which file it is from. What the run has answered
itself is never replaced. Knows no file format; takes texts by index.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Done, Job, Prediction, Sample
from vlmeval_mp.runs import checkpoint, owners
from vlmeval_mp.runs.checkpoint import Checkpoint
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.merge import dataset_of
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import Entry

BATCH = 256
"""Shards that are published at a time."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The numbers of an import: answers taken, rows that the run had answered itself, rows still to be asked."""

    taken: int
    had: int
    left: int


def take(paths: RunPaths, job: Job, answers: Mapping[str, str], source: str) -> Intake:
    """Record `answers` (text by index) of `job`, given in `source`, for its rows that have none.

    Shards that a worker holds at the moment are left to it.

    Raises:
        StorageError: an answer is not durable; claims are given back.
    """
    queue, owner = Queue(paths.queue), owners.current()
    queue.reap(lambda each: owners.is_dead(each) is True, to_blame=lambda _: False)  # an import that was killed
    held: dict[str, Entry] = {}
    while (entry := queue.claim(owner, [job.name])) is not None:
        held[entry.name] = entry
    try:
        with Index(paths.checkpoints, job.name, job.samples) as index:
            index.refresh()
            had, known = index.answered, set(index.rows())
            free = (s for s in _samples(paths, job, held.values()) if s.row not in known and s.index in answers)
            new = (Prediction(s.index, s.row, answers[s.index], imported_from=source) for s in free)
            taken = _record(paths, job, new)
            index.refresh()
            _complete(paths, queue, held, index)
            left = job.samples - index.answered
    finally:
        for entry in held.values():
            queue.release(entry, begun=False)
    return Intake(taken=taken, had=had, left=left)


def _samples(paths: RunPaths, job: Job, held: Iterable[Entry]) -> Iterator[Sample]:
    """Yield the samples of claimed shards, in the order of the claims."""
    dataset = dataset_of(paths, job) if job.samples else None
    for entry in held if dataset else ():
        yield from dataset.samples(entry.shard.first, entry.shard.last) if dataset else ()


def _record(paths: RunPaths, job: Job, predictions: Iterable[Prediction]) -> int:
    """Make `predictions` durable; give how many there were."""
    writer = f"import-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    lines, count = Checkpoint(paths.checkpoints, writer), 0
    try:
        for prediction in predictions:
            lines.record(job.name, prediction)
            count += 1
    finally:
        lines.close()
    return count


def _complete(paths: RunPaths, queue: Queue, held: dict[str, Entry], index: Index) -> None:
    """Publish the claimed shards that are answered in full, and hold them no more."""
    waiting = list(held.values())
    for start in range(0, len(waiting), BATCH):
        done = [(entry, pinned) for entry in waiting[start : start + BATCH] if (pinned := _pinned(paths, entry, index))]
        if done:
            queue.complete(done)
        for entry, _ in done:
            del held[entry.name]


def _pinned(paths: RunPaths, entry: Entry, index: Index) -> Done | None:
    """Return what a shard rests on, if all its rows are answered."""
    found = index.found(entry.shard)
    if len(found.answers) < entry.shard.size:
        return None
    done = checkpoint.pin(entry.shard, found.answers, "import", found.withdrawn)
    checkpoint.sync_spans(paths.checkpoints, done, "")
    return done
