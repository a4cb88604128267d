"""Shards between folders: `pending/ → claimed/ → done/` or `failed/`. The folder a shard's file is in is its state.

A pending or claimed shard is an empty file whose name says everything, so no claim can be torn:

    pending/<job>.<first>-<last>@<attempt>-<deaths>
    claimed/<job>.<first>-<last>@<attempt>-<deaths>@<owner>
    done/<job>.<first>-<last>.json      what its answers rest on; created once, never replaced
    failed/<job>.<first>-<last>.json    why it was given up

What decides is the rename of a uniquely named file, or the no-replace link of a `done` file. The lock only keeps
claimers from running into each other; every method is correct without it. Knows nothing of samples or answers.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from filelock import FileLock, Timeout

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import StorageError, VlmevalError
from vlmeval_mp.core.records import Done, Shard, Struct
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.owners import Owner

log = logging.getLogger(__name__)

FOLDERS = ("pending", "claimed", "done", "failed")
MAX_DEATHS = 200
"""A shard whose workers died from inside this often is given up; a sample that kills is found long before."""
LOCK_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A pending or claimed shard, as its file name says. `deaths` counts claims in which an engine died from inside."""

    shard: Shard
    attempt: int
    deaths: int
    owner: str = ""

    @property
    def name(self) -> str:
        tail = f"@{self.owner}" if self.owner else ""
        return f"{stem(self.shard)}@{self.attempt}-{self.deaths}{tail}"


class Failure(Struct, frozen=True):
    """Content of a file in `failed/`."""

    shard: Shard
    reason: str


def stem(shard: Shard) -> str:
    return f"{shard.job}.{shard.first:07d}-{shard.last:07d}"


def parse(name: str) -> Entry | None:
    """The entry a file name stands for; None for a name that is not ours."""
    head, _, tail = name.partition("@")
    counts, _, owner = tail.partition("@")
    job, _, rows = head.rpartition(".")
    first, _, last = rows.partition("-")
    attempt, _, deaths = counts.partition("-")
    if not (job and first.isdigit() and last.isdigit() and attempt.isdigit() and deaths.isdigit()):
        return None
    return Entry(Shard(job=job, first=int(first), last=int(last)), int(attempt), int(deaths), owner)


def shards_of(job: str, samples: int, size: int) -> list[Shard]:
    """`samples` rows of `job` cut into contiguous shards of at most `size`."""
    return [Shard(job=job, first=i, last=min(i + size, samples) - 1) for i in range(0, samples, size)]


def create(folder: Path, shards: Iterable[Shard]) -> None:
    """Lay out a new queue with all `shards` pending. The caller publishes the folder as a whole."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    for shard in shards:
        (folder / "pending" / Entry(shard, 0, 0).name).touch()
    files.sync_folder(folder / "pending")


class Queue:
    """One run's queue, as one process sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / "lock", timeout=LOCK_TIMEOUT)
        self._seen: list[Entry] = []

    def claim(self, owner: Owner, jobs: Sequence[str]) -> Entry | None:
        """Take the first pending shard of `jobs` (in that order); None if there is none.

        The listing is kept between calls: an entry that others took meanwhile costs one failed rename, and the folder
        is listed again before None is returned.
        """
        with self._transition():
            for fresh in (False, True):
                if fresh:
                    self._seen = self._pending(jobs)
                while self._seen:
                    claimed = self._take(self._seen.pop(), owner)
                    if claimed is not None:
                        return claimed
        return None

    def _pending(self, jobs: Sequence[str]) -> list[Entry]:
        """Pending entries of `jobs`, the next one last."""
        order = {job: place for place, job in enumerate(jobs)}
        found = [e for e in self.entries("pending") if e.shard.job in order]
        return sorted(found, key=lambda e: (order[e.shard.job], e.shard.first), reverse=True)

    def _take(self, entry: Entry, owner: Owner) -> Entry | None:
        claimed = Entry(entry.shard, entry.attempt, entry.deaths, str(owner))
        if not self._move("pending", entry, "claimed", claimed):
            return None
        if self._done_path(entry.shard).exists():  # a worker that was taken for dead finished it meanwhile
            self._forget(claimed)
            return None
        return claimed

    def complete(self, finished: Sequence[tuple[Entry, Done]]) -> list[bool]:
        """Publish what `finished` shards rest on; for each, False if another worker had done so first.

        The answers must be durable before this is called. On return the `done` files are.

        Raises:
            StorageError: they may not be; the claims are still held.
        """
        won = [
            files.publish_new(self._done_path(entry.shard), msgspec.json.encode(done), sync_parent=False)
            for entry, done in finished
        ]
        files.sync_folder(self.folder / "done")
        for entry, _ in finished:
            self._forget(entry)
        return won

    def release(self, entry: Entry, *, begun: bool = True) -> None:
        """Give a claim back unfinished; nobody died.

        With `begun=False` nothing of it was asked: it counts as no attempt, but for the first, from which on what the
        checkpoints hold of a shard is looked up.
        """
        attempt = entry.attempt + 1 if begun else max(1, entry.attempt)
        self._move("claimed", entry, "pending", Entry(entry.shard, attempt, entry.deaths))

    def reap(
        self, is_dead: Callable[[Owner], bool], *, to_blame: Callable[[Entry], bool] = lambda _: True
    ) -> list[Entry]:
        """Return the claims of dead owners to pending; gives the reaped entries as they were.

        `to_blame` tells whether a dead owner's engine had samples of an entry when it died from inside; the entry then
        counts one death more, and whoever claims it next looks up which samples are suspected.
        """
        reaped = []
        with self._transition():
            for entry in self.entries("claimed"):
                if not _holds(entry, is_dead):
                    continue
                if self._done_path(entry.shard).exists():
                    self._forget(entry)
                elif entry.deaths + 1 >= MAX_DEATHS:
                    self.fail(entry, f"its workers died {MAX_DEATHS} times and no sample of it could be found to blame")
                else:
                    deaths = entry.deaths + to_blame(entry)
                    if self._move("claimed", entry, "pending", Entry(entry.shard, entry.attempt + 1, deaths)):
                        reaped.append(entry)
        return reaped

    def restore(self, shards: Iterable[Shard]) -> int:
        """Make pending what is in no folder, such as a shard whose damaged `done` file was moved away; gives how many.

        What is answered of it is looked up in the checkpoints, not asked again.
        """
        known = {stem(e.shard) for folder in ("pending", "claimed") for e in self.entries(folder)}
        known |= {p.stem for folder in ("done", "failed") for p in (self.folder / folder).iterdir()}
        missing = [s for s in shards if stem(s) not in known]
        for shard in missing:
            (self.folder / "pending" / Entry(shard, 1, 0).name).touch()
        return len(missing)

    def fail(self, entry: Entry, reason: str) -> None:
        """Give a claimed shard up for this run."""
        failure = msgspec.json.encode(Failure(shard=entry.shard, reason=reason))
        files.publish_new(self.folder / "failed" / f"{stem(entry.shard)}.json", failure)
        self._forget(entry)

    def entries(self, folder: str) -> list[Entry]:
        """What is pending or claimed now, in no particular order."""
        return [e for p in (self.folder / folder).iterdir() if (e := parse(p.name)) is not None]

    def done_names(self) -> list[str]:
        """File names in `done/`; with `read_done` they give what each rests on."""
        return [p.name for p in (self.folder / "done").iterdir() if not p.name.startswith(".")]

    def read_done(self, name: str) -> Done:
        """What `done/<name>` pins.

        Raises:
            StorageError: the file is damaged.
        """
        return _decode(self.folder / "done" / name, Done)

    def failures(self) -> list[Failure]:
        return [_decode(p, Failure) for p in (self.folder / "failed").iterdir() if not p.name.startswith(".")]

    def _done_path(self, shard: Shard) -> Path:
        return self.folder / "done" / f"{stem(shard)}.json"

    def _forget(self, entry: Entry) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "claimed" / entry.name).unlink()

    def _move(self, source: str, old: Entry, target: str, new: Entry) -> bool:
        """Rename; True if this call did it. On NFS an error may hide success, so our own unique target decides."""
        to = self.folder / target / new.name
        try:
            (self.folder / source / old.name).rename(to)
        except FileNotFoundError:
            return bool(new.owner) and to.exists()
        except OSError as error:
            raise StorageError(f"cannot move {old.name} to {target}: {error.strerror or error}") from error
        return True

    @contextlib.contextmanager
    def _transition(self) -> Iterator[None]:
        """Hold the lock if it can be had; go on without it if it cannot."""
        held = False
        try:
            self._lock.acquire()
            held = True
        except (Timeout, OSError, NotImplementedError) as error:
            log.warning("the queue lock cannot be had (%s); going on without it, which is slower but safe", error)
        try:
            yield
        finally:
            if held:
                self._lock.release()


T = TypeVar("T")


def _holds(entry: Entry, condition: Callable[[Owner], bool]) -> bool:
    """Whether `condition` holds for the owner of a claim; a name that is no process's owns nothing."""
    try:
        return condition(owners.parse(entry.owner))
    except VlmevalError:
        return True


def _decode(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StorageError(
            f"{path} cannot be read: {error}; move it away and launch again to have its shard looked up again"
        ) from error
