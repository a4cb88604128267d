"""Finished and given-up shards of a queue made pending again, in a way that a kill at any moment only delays.

What is to be reopened is written down first, in `queue/reopening.json`. Whoever finds that file, the same call or the
next launch, does what is left of it, and deletes it at the end. Nobody else may be at work on the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlmeval_mp.core import files, jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Shard, Struct
from vlmeval_mp.runs.listing import REOPENING
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import Entry, stem


class Plan(Struct, frozen=True):
    """Content of `reopening.json`."""

    shards: tuple[Shard, ...]


def reopen(queue: Queue, shards: Sequence[Shard]) -> None:
    """Make `shards` pending; what each rested on moves to `past/` and stays there.

    Raises:
        StorageError: the disk failed; `finish` does the rest.
    """
    finish(queue)
    if shards:
        files.atomic_write(queue.folder / REOPENING, jsonfiles.encode(Plan(tuple(shards))))
        finish(queue)


def finish(queue: Queue) -> int:
    """Do what is left of a reopening that was killed; return how many shards it was about.

    Raises:
        StorageError: the disk failed, or the file that says what was to be done is damaged.
    """
    path = queue.folder / REOPENING
    try:
        plan = jsonfiles.read(path, Plan)
    except FileNotFoundError:
        return 0
    try:
        for shard in plan.shards:
            _reopen(queue, shard)
        files.sync_folder(queue.folder)
        path.unlink()
        files.sync_folder(queue.folder)
    except OSError as error:
        raise StorageError(f"cannot make shards pending again: {error.strerror or error}") from error
    return len(plan.shards)


def _reopen(queue: Queue, shard: Shard) -> None:
    """Make one shard pending, then put away what it rested on: at no moment it is in no folder."""
    name = stem(shard)
    queue.make_pending(Entry(shard, 1, 0))
    files.sync_folder(queue.folder / "pending" / shard.job)
    for folder in ("done", "failed"):
        source = queue.folder / folder / f"{name}.json"
        if source.exists():
            source.rename(_place_in_past(queue.folder / "past", name, folder))
            files.sync_folder(queue.folder / "past")
            files.sync_folder(queue.folder / folder)
    queue.done.pop(f"{name}.json", None)


def _place_in_past(past: Path, name: str, folder: str) -> Path:
    past.mkdir(exist_ok=True)
    return past / f"{name}.{folder}.{len(list(past.glob(f'{name}.*')))}.json"
