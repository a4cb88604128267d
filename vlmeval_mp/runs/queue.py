"""The queue of a run: a shard's state is the folder of its file: `pending/ → claimed/ → done/` or `failed/`.

A pending or claimed shard is an empty file whose name says everything, so no claim can be torn:

    pending/<job>/<job>.<first>-<last>@<attempt>-<deaths>
    claimed/<job>.<first>-<last>@<attempt>-<deaths>@<owner>
    done/<job>.<first>-<last>.json      what its answers rest on, or where it was cut; created once, never replaced
    failed/<job>.<first>-<last>.json    why it was given up
    past/…                              what was in `done/` or `failed/` until its failed samples were asked again

What decides is the rename of a uniquely named file, or the no-replace link of a `done` file. The lock only keeps
claimers from running into each other; every method is correct without it. A shard is either done as a whole or cut,
never both, because both are the same file. Knows nothing of samples or answers.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from vlmeval_mp.core import faultpoints, files, jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Done, Shard
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.listing import Listing, entries_in, read_fact
from vlmeval_mp.runs.owners import Owner
from vlmeval_mp.runs.shards import Cut, Entry, Failure, parse, parts, stem

log = logging.getLogger(__name__)

FOLDERS = ("pending", "claimed", "done", "failed")
MAX_DEATHS = 200
"""A shard whose workers died from inside this often is given up; a sample that kills is found long before."""
LOCK_TIMEOUT = 10.0


def create(folder: Path, shards: Iterable[Shard]) -> None:
    """Lay out a new queue with all `shards` pending. The caller publishes the folder as a whole."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    jobs = set()
    for shard in shards:
        place = folder / "pending" / shard.job
        if shard.job not in jobs:
            jobs.add(shard.job)
            place.mkdir()
        (place / Entry(shard, 0, 0).name).touch()
    for job in jobs:
        files.sync_folder(folder / "pending" / job)
    files.sync_folder(folder / "pending")


class Queue(Listing):
    """One run's queue, as one process sees it. One thread claims; others may meanwhile complete, cut and release."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lock = FileLock(folder / "lock", timeout=LOCK_TIMEOUT)
        self._kept: dict[str, list[Entry]] = {}
        self._migrated = self._warned = False

    # --- claiming ----------------------------------------------------------------------------------------------

    def claim(self, owner: Owner, jobs: Sequence[str], most: int = 0) -> Entry | None:
        """Take the first pending shard of `jobs` (in that order); None if there is none.

        Of a shard of more than `most` samples only the first `most` are taken, and the rest stays pending; 0 takes it
        whole. The listing is kept between calls: an entry that others took meanwhile costs one failed rename, and the
        jobs' folders are listed again before None is returned. Nobody is locked out by a claim that finds nothing.
        """
        if not any(self._kept.get(job) for job in jobs) and not self._list(jobs):
            return None
        with self._transition():
            for fresh in (False, True):
                if fresh:
                    self._list(jobs)
                for entry in self._popped(jobs):
                    claimed = self._take(entry, owner)
                    if claimed is None:
                        continue
                    if not 0 < most < claimed.shard.size:
                        return claimed
                    if (part := self.cut(claimed, claimed.shard.first + most)) is not None:
                        self._keep(claimed.shard, part)
                        return part
                    self._settle(claimed)
        return None

    def pending(self, jobs: Sequence[str], *, fresh: bool = False) -> int:
        """Return samples of pending shards of `jobs`: by the kept listing, which may be out of date, or a new one."""
        if fresh:
            self._list(jobs)
        return sum(entry.shard.size for job in jobs for entry in self._kept.get(job, ()))

    def _list(self, jobs: Sequence[str]) -> int:
        """Read which shards of `jobs` are pending, the next one last; gives how many there are."""
        if not self._migrated:
            self._migrated = True
            self._migrate()
        for job in jobs:
            found = entries_in(self.folder / "pending" / job)
            found.sort(key=lambda entry: entry.shard.first, reverse=True)
            self._kept[job] = found
        return sum(len(self._kept[job]) for job in jobs)

    def _popped(self, jobs: Sequence[str]) -> Iterator[Entry]:
        for job in jobs:
            kept = self._kept.get(job, [])
            while kept:
                yield kept.pop()

    def _keep(self, whole: Shard, part: Entry) -> None:
        """Keep the rest of a shard as the next one that this process takes."""
        rest = Shard(job=whole.job, first=part.shard.last + 1, last=whole.last)
        self._kept.setdefault(whole.job, []).append(Entry(rest, part.attempt, part.deaths))

    def _take(self, entry: Entry, owner: Owner) -> Entry | None:
        claimed = Entry(entry.shard, entry.attempt, entry.deaths, str(owner))
        if not self._move(entry, claimed):
            return None
        faultpoints.reach("claimed")
        if self.done_path(entry.shard).exists():  # a worker that was taken for dead finished or cut it meanwhile
            self._settle(claimed)
            return None
        return claimed

    def _migrate(self) -> None:
        """Move pending shards of a run that was made before each job had a folder into those folders."""
        pending = self.folder / "pending"
        flat = [path for path in pending.iterdir() if not path.is_dir()]
        if not flat:
            return
        with self._transition():
            for path in flat:
                entry = parse(path.name)
                if entry is not None:
                    (pending / entry.shard.job).mkdir(exist_ok=True)
                    with contextlib.suppress(FileNotFoundError):  # somebody else is moving them too
                        path.rename(pending / entry.shard.job / path.name)

    # --- a claim's end -----------------------------------------------------------------------------------------

    def complete(self, finished: Sequence[tuple[Entry, Done]]) -> list[bool]:
        """Publish what `finished` shards rest on; for each, False if another worker had done so, or cut it, first.

        The answers must be durable before this is called. On return the `done` files are.

        Raises:
            StorageError: they may not be; the claims are still held.
        """
        won = [
            files.publish_new(self.done_path(entry.shard), jsonfiles.encode(done), sync_parent=False)
            for entry, done in finished
        ]
        files.sync_folder(self.folder / "done")
        faultpoints.reach("completed")
        for (entry, _), ours in zip(finished, won, strict=True):
            if ours:
                self._forget(entry)
            else:
                self._settle(entry)
        return won

    def cut(self, entry: Entry, row: int) -> Entry | None:
        """Make what `entry` has from `row` on pending for others; gives the claim on what is before.

        None: the shard was finished or cut by another, or taken from us, and this claim will be settled in `complete`.
        In whatever place this is interrupted, the `done` file says that there are two shards now, and a process that
        finds the claim of the whole makes pending what is missing of them.
        """
        head, tail = parts(entry.shard, row)
        content = jsonfiles.encode(Cut(cut=row, shard=entry.shard))
        if not files.publish_new(self.done_path(entry.shard), content):
            return None
        self.make_pending(Entry(tail, entry.attempt, entry.deaths))
        kept = Entry(head, entry.attempt, entry.deaths, entry.owner)
        return kept if self._move(entry, kept) else None

    def release(self, entry: Entry, *, begun: bool = True) -> None:
        """Give a claim back unfinished; nobody died.

        With `begun=False` nothing of it was asked: it counts as no attempt, but for the first, from which on what the
        checkpoints hold of a shard is looked up.
        """
        attempt = entry.attempt + 1 if begun else max(1, entry.attempt)
        self._move(entry, Entry(entry.shard, attempt, entry.deaths))

    def reap(
        self, is_dead: Callable[[Owner], bool], *, to_blame: Callable[[Entry], bool] = lambda _: True
    ) -> list[Entry]:
        """Return the claims of dead owners to pending; gives the reaped entries as they were.

        `to_blame` tells whether a dead owner's engine had samples of an entry when it died from inside; the entry then
        counts one death more, and the worker that claims it next looks up which samples are suspected.
        """
        reaped = []
        with self._transition():
            for entry in self.entries("claimed"):
                if not _holds(entry, is_dead):
                    continue
                deaths = entry.deaths + to_blame(entry)
                if self.done_path(entry.shard).exists():
                    self._settle(entry, deaths=deaths)
                elif deaths >= MAX_DEATHS:
                    self.fail(entry, f"its workers died {MAX_DEATHS} times and no sample of it could be found to blame")
                elif self._move(entry, Entry(entry.shard, entry.attempt + 1, deaths)):
                    reaped.append(entry)
        return reaped

    def release_host(self, host: str) -> list[Entry]:
        """Return the claims of every process of `host`, which is gone, to pending; gives them as they were."""
        return self.reap(lambda owner: owner.host == host, to_blame=lambda _: False)

    def withdraw(self, job: str, row: int) -> int:
        """Take pending shards of `job` from `row` on out of the queue, which nobody needs; gives how many."""
        unwanted = [e for e in entries_in(self.folder / "pending" / job) if e.shard.first >= row]
        for entry in unwanted:
            self._path(entry).unlink(missing_ok=True)
        return len(unwanted)

    def restore(self, shards: Iterable[Shard]) -> int:
        """Make pending what is in no folder, such as a shard whose damaged `done` file was moved away; gives how many.

        What is answered of it is looked up in the checkpoints, not asked again. `pending` is listed before `claimed`
        and without the lock, so a claim that is released in between seems to be in neither and becomes pending twice.
        That does no harm: the two claims of it race for one `done` file, beside which nothing stays pending here.
        """
        self.read_news()
        for entry in self.entries("pending"):
            if self.is_settled(entry.shard):
                self._settle(entry)
        known = {stem(e.shard) for e in (*self.entries("pending"), *self.entries("claimed"))}
        known |= self.failed_stems() | {name.removesuffix(".json") for name in self.done}
        missing, left = [], list(shards)
        while left:
            shard = left.pop()
            cut = self.cuts.get(f"{stem(shard)}.json")
            if cut is not None:
                left += cut.parts
            elif stem(shard) not in known:
                missing.append(shard)
        for shard in missing:
            self.make_pending(Entry(shard, 1, 0))
        return len(missing)

    def make_pending(self, entry: Entry) -> None:
        """Let `entry` stand among what is to be claimed, whatever else is there of it.

        Raises:
            StorageError: its file could not be created.
        """
        place = self.folder / "pending" / entry.shard.job
        try:
            place.mkdir(exist_ok=True)
            (place / entry.name).touch()
        except OSError as error:
            raise StorageError(f"cannot create {place / entry.name}: {error.strerror or error}") from error

    def fail(self, entry: Entry, reason: str) -> None:
        """Give a claimed shard up for this run."""
        failure = jsonfiles.encode(Failure(shard=entry.shard, reason=reason))
        files.publish_new(self.folder / "failed" / f"{stem(entry.shard)}.json", failure)
        self._forget(entry)

    # --- single steps ------------------------------------------------------------------------------------------

    def _settle(self, entry: Entry, deaths: int = 0) -> None:
        """End a claim whose `done` file is there: of a shard that was cut, make the parts pending that are nowhere."""
        fact = read_fact(self.done_path(entry.shard))
        for shard in fact.parts if isinstance(fact, Cut) else ():
            if not self._is_somewhere(shard):
                self.make_pending(Entry(shard, max(1, entry.attempt), max(deaths, entry.deaths)))
        self._forget(entry)

    def _is_somewhere(self, shard: Shard) -> bool:
        """Return whether any file stands for `shard`; looked for in the order in which a shard moves on."""
        name = stem(shard)
        return (
            any(entry.shard == shard for entry in entries_in(self.folder / "pending" / shard.job))
            or any(entry.shard == shard for entry in self.entries("claimed"))
            or self.done_path(shard).exists()
            or (self.folder / "failed" / f"{name}.json").exists()
        )

    def _path(self, entry: Entry) -> Path:
        """Return where the file of an entry is: with an owner it is claimed, else pending."""
        place = self.folder / "claimed" if entry.owner else self.folder / "pending" / entry.shard.job
        return place / entry.name

    def _forget(self, entry: Entry) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path(entry).unlink()

    def _move(self, old: Entry, new: Entry) -> bool:
        """Rename; True if this call did it. On NFS an error may hide success, so our own unique target decides."""
        source, target = self._path(old), self._path(new)
        try:
            try:
                source.rename(target)
            except FileNotFoundError:
                if new.owner or target.parent.is_dir():
                    return bool(new.owner) and target.exists()
                target.parent.mkdir(exist_ok=True)
                source.rename(target)
        except FileNotFoundError:
            return False
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
            if not self._warned:
                self._warned = True
                log.warning("the queue lock cannot be had (%s); going on without it, which is slower but safe", error)
        try:
            yield
        finally:
            if held:
                self._lock.release()


def _holds(entry: Entry, condition: Callable[[Owner], bool]) -> bool:
    """Return whether `condition` holds for the owner of a claim; a name that is no process's owns nothing."""
    owner = owners.parsed(entry.owner)
    return owner is None or condition(owner)
