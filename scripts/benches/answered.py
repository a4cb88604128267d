"""A run that is answered without engines: by workers' own modules, in the order in which full windows would answer."""

from __future__ import annotations

import random
from pathlib import Path

from common import command

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Prediction, RunRecord
from vlmeval_mp.runs import checkpoint, owners
from vlmeval_mp.runs.checkpoint import Answer, Checkpoint
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import Entry
from vlmeval_mp.runs.snapshot import read_record


def submitted(jobs: Path, tsv: Path, name: str) -> tuple[RunPaths, RunRecord]:
    """Queue a run of the fake engine on `tsv`, which nobody works on."""
    command(jobs, "submit", "--engine", "fake", "--model", "fake", "--data", str(tsv), "--run", name)
    paths = RunPaths(jobs / name)
    return paths, read_record(paths)


def answer(paths: RunPaths, record: RunRecord, window: int, samples: int = 0, writers: int = 8) -> None:
    """Answer `samples`, or everything: a writer has a full window of shards at a time, and answers it in any order."""
    (job,) = record.jobs
    queue, order, me = Queue(paths.queue), random.Random(0), owners.current()
    lines = [Checkpoint(paths.checkpoints, f"w{number}-bench") for number in range(writers)]
    for turn in range(-(-(samples or job.samples) // window)):
        claims = [e for _ in range(window // record.spec.shard_size) if (e := queue.claim(me, [job.name]))]
        _answer(queue, claims, lines[turn % writers], order)
    for each in lines:
        each.close()


def _answer(queue: Queue, claims: list[Entry], lines: Checkpoint, order: random.Random) -> None:
    rows = [row for entry in claims for row in range(entry.shard.first, entry.shard.last + 1)]
    order.shuffle(rows)
    job = claims[0].shard.job
    found: dict[int, Answer] = {
        row: lines.record(job, Prediction(index=str(row), row=row, prediction=f"{order.getrandbits(64):016x}"))
        for row in rows
    }
    lines.sync()
    queue.complete([(entry, checkpoint.pin(entry.shard, found, "bench")) for entry in claims])
