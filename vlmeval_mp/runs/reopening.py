"""Makes finished and failed shards pending again. A kill in the middle loses nothing: the next launch does the rest.

`queue/reopening.json` lists the shards before the first of them is moved. The call that wrote the file, or the next
launch, moves the shards that are left and then deletes the file. The caller must be the only one that works on the run.
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

ADVICE = "delete it and give the same `vlmeval-mp retry` again"


class Plan(Struct, frozen=True):
    """Content of `reopening.json`."""

    shards: tuple[Shard, ...]


def reopen(queue: Queue, shards: Sequence[Shard]) -> None:
    """Make `shards` pending; their files in `done/` and `failed/` move to `past/` and stay there.

    Raises:
        StorageError: the disk failed; a later call of `finish` does the rest.
    """
    finish(queue)
    if shards:
        files.atomic_write(queue.folder / REOPENING, jsonfiles.encode(Plan(tuple(shards))))
        finish(queue)


def finish(queue: Queue) -> int:
    """Complete a reopening that was interrupted; return the number of its shards, 0 if there was none.

    Raises:
        StorageError: the disk failed, or `reopening.json` is damaged.
    """
    path = queue.folder / REOPENING
    try:
        plan = jsonfiles.read(path, Plan, ADVICE)
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
    """Make one shard pending and then move its old files away, so that it is in some folder at every moment."""
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
