"""A view of a queue's folders, for readers that change nothing.

Finished shards never change, so a `Listing` that is kept reads each `done` file once.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Literal

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Done, Shard
from vlmeval_mp.runs.shards import Cut, Entry, Failure, parse, parse_stem, stem

REOPENING = "reopening.json"
"""Says in a queue's folder which shards are to be pending again; it is there only while that goes on."""

ADVICE = "move it away and launch again to have its shard looked up again"


class Listing:
    """One run's queue, as one process sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: dict[str, Done] = {}
        """finished shards, by file name; `read_news` brings it up to date"""
        self.cuts: dict[str, Cut] = {}
        """shards that were cut in two, likewise"""

    def done_path(self, shard: Shard) -> Path:
        """Return the file that says how `shard` ended."""
        return self.folder / "done" / f"{stem(shard)}.json"

    def any_left(self) -> bool:
        """Return whether a shard is pending or claimed, or is to be so again."""
        reopening = (self.folder / REOPENING).exists()
        return reopening or bool(_names(self.folder / "claimed")) or any(self.pending_counts().values())

    def entries(self, folder: Literal["pending", "claimed"]) -> list[Entry]:
        """Return what is pending or claimed now, in no particular order."""
        if folder == "claimed":
            return entries_in(self.folder / "claimed")
        flat, jobs = _pending(self.folder)
        return [*flat, *(entry for job in jobs for entry in entries_in(self.folder / "pending" / job))]

    def pending_counts(self) -> dict[str, int]:
        """Return how many shards of each job are pending, without reading their names."""
        flat, jobs = _pending(self.folder)
        found = {job: len(_names(self.folder / "pending" / job)) for job in jobs}
        for entry in flat:
            found[entry.shard.job] = found.get(entry.shard.job, 0) + 1
        return found

    def done_names(self) -> list[str]:
        """Return file names in `done/`, of shards that are finished or cut."""
        return [name for name in _names(self.folder / "done") if parse_stem(name) is not None]

    def read_news(self, job: str = "") -> None:
        """Read what became done or was cut since the last call into `done` and `cuts`; with a `job`, only that job's.

        Raises:
            StorageError: a file is damaged; the others are read all the same.
        """
        damage: StorageError | None = None
        for name in _names(self.folder / "done"):
            if name in self.done or name in self.cuts or (job and not name.startswith(f"{job}.")):
                continue
            if parse_stem(name) is None:
                continue
            try:
                fact = read_fact(self.folder / "done" / name)
            except StorageError as error:
                damage = damage or error
                continue
            if isinstance(fact, Cut):
                self.cuts[name] = fact
            else:
                self.done[name] = fact
        if damage is not None:
            raise damage

    def is_settled(self, shard: Shard) -> bool:
        """Return whether `shard` was done or cut when `read_news` was called last."""
        name = f"{stem(shard)}.json"
        return name in self.done or name in self.cuts

    def failures(self) -> list[Failure]:
        """Return the shards that were given up."""
        folder = self.folder / "failed"
        return [read_failure(folder / name) for name in _names(folder) if parse_stem(name) is not None]

    def failed_stems(self) -> set[str]:
        """Return what the names of the files of shards that were given up begin with."""
        return {name.removesuffix(".json") for name in _names(self.folder / "failed")}


def entries_in(folder: Path) -> list[Entry]:
    """Return the pending or claimed shards whose files are in `folder`."""
    return [entry for name in _names(folder) if (entry := parse(name)) is not None]


def read_fact(path: Path) -> Done | Cut:
    """Return what a file in `done/` says.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        content = _content(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error}; {ADVICE}") from error
    if content.startswith(b'{"cut":'):
        return jsonfiles.decode(content, Cut, path, ADVICE)
    return jsonfiles.decode(content, Done, path, ADVICE)


def _content(path: Path) -> bytes:
    """Return what is in a small file. A third of the cost of `Path.read_bytes`, where there are 30,000 of them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(partial(os.read, descriptor, 1 << 14), b""))
    finally:
        os.close(descriptor)


def _pending(folder: Path) -> tuple[list[Entry], list[str]]:
    """Return the pending shards outside of any job's folder (older versions had no such folders), and those folders."""
    flat, jobs = [], []
    with os.scandir(folder / "pending") as found:
        for item in found:
            if item.is_dir():
                jobs.append(item.name)
            elif (entry := parse(item.name)) is not None:
                flat.append(entry)
    return flat, jobs


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [item.name for item in found]
    except FileNotFoundError:
        return []


def read_failure(path: Path) -> Failure:
    """Return what a file in `failed/` says.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        return jsonfiles.read(path, Failure, ADVICE)
    except FileNotFoundError as error:
        raise StorageError(f"{path} cannot be read: {error}; {ADVICE}") from error
