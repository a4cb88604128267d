"""Answers that were given elsewhere, into a run: as checkpoint lines of a writer of their own, under claims.

A run is as it would be had a worker given these answers: shards that are answered in full are done, the others pending
again, and their next worker asks only what is missing. Each line says which file it is from. What the run has answered
itself is never replaced. Knows no file format; takes texts by index.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Done, Job, Prediction, Shard
from vlmeval_mp.runs import checkpoint, owners
from vlmeval_mp.runs.checkpoint import Answer, Checkpoint
from vlmeval_mp.runs.merge import dataset_of
from vlmeval_mp.runs.queue import Entry, Queue


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of it: answers taken, rows the run had answered itself, rows that are left to be asked."""

    taken: int
    had: int
    left: int


def take(paths: RunPaths, job: Job, answers: Mapping[str, str], source: str) -> Taken:
    """Record `answers` (text by index) of `job`, given in `source`, for its rows that have none.

    Shards that a worker holds at the moment are left to it.

    Raises:
        StorageError: an answer is not durable; claims are given back.
    """
    queue, owner = Queue(paths.queue), owners.current()
    queue.reap(lambda each: owners.is_dead(each) is True, to_blame=lambda _: False)  # an import that was killed
    whole = Shard(job=job.name, first=0, last=job.samples - 1)
    samples = dataset_of(paths, job).samples(0, job.samples - 1) if job.samples else []
    held = []
    while (entry := queue.claim(owner, [job.name])) is not None:
        held.append(entry)
    try:
        known = checkpoint.search(paths.checkpoints, whole).answers
        free = {row for entry in held for row in range(entry.shard.first, entry.shard.last + 1)} - known.keys()
        new = [s for s in samples if s.row in free and s.index in answers]
        own = _record(paths, job, [Prediction(s.index, s.row, answers[s.index], source=source) for s in new])
        given = {**known, **own}
        done = [(entry, _pinned(paths, entry, given)) for entry in held if _whole(entry, given)]
        if done:
            queue.complete(done)
        finished = {entry.name for entry, _ in done}
        held = [entry for entry in held if entry.name not in finished]
    finally:
        for entry in held:
            queue.release(entry, begun=False)
    return Taken(taken=len(new), had=len(known), left=job.samples - len(given))


def _record(paths: RunPaths, job: Job, predictions: list[Prediction]) -> dict[int, Answer]:
    if not predictions:
        return {}
    writer = f"import-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    lines = Checkpoint(paths.checkpoints, writer)
    try:
        return {prediction.row: lines.record(job.name, prediction) for prediction in predictions}
    finally:
        lines.close()


def _whole(entry: Entry, answers: Mapping[int, Answer]) -> bool:
    return all(row in answers for row in range(entry.shard.first, entry.shard.last + 1))


def _pinned(paths: RunPaths, entry: Entry, answers: Mapping[int, Answer]) -> Done:
    done = checkpoint.pin(entry.shard, answers, "import")
    checkpoint.sync_spans(paths.checkpoints, done, "")
    return done
