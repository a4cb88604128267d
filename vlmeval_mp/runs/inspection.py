"""Checks a run's folder when a launch begins: damaged files, foreign files, and temporary files of killed processes.

Damaged files of the queue move to `queue/dead/`, all at once; what they stood for is then in no folder, and
`Queue.restore` makes it pending again, with the answers that are still whole. Files that are none of ours stay where
they are, are named, and play no part. The caller holds the run's lock.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vlmeval_mp.core import files, jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Done, Job, RunRecord, Shard, Stop
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.listing import read_fact, read_failure
from vlmeval_mp.runs.owners import start_time
from vlmeval_mp.runs.queue import FOLDERS
from vlmeval_mp.runs.shards import parse, parse_stem

SHOWN = 5

Inside = Mapping[Path, list[Path]]
"""Each folder of a run, with the visible files and folders in it."""


@dataclass(slots=True)
class Findings:
    """The findings: files moved to `dead/`, files that are skipped, and the number of removed temporary files."""

    dead: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    litter: int = 0

    def sentences(self) -> list[str]:
        """Return what there is to tell people."""
        said = []
        if self.dead:
            said.append(
                f"{_files(self.dead)} damaged and in queue/dead/ now ({_shown(self.dead)}); "
                "what they stood for is looked up and asked again"
            )
        if self.foreign:
            said.append(f"{_files(self.foreign)} not ours and skipped ({_shown(self.foreign)})")
        return said


def inspect(paths: RunPaths, record: RunRecord) -> Findings:
    """Put away what is damaged in the run's queue, and remove litter; return what was found.

    Raises:
        StorageError: a damaged file could not be moved.
    """
    jobs, found = {job.name: job for job in record.jobs}, Findings()
    inside = dict(_walk(paths.root))
    visible = {folder: [path for path in held if path.name[0] != "."] for folder, held in inside.items()}
    found.foreign = [str(path.relative_to(paths.queue)) for path in _foreign(paths.queue, jobs, visible)]
    damaged = {*_misplaced(paths.queue, jobs, visible), *_damaged_done(paths, jobs, visible)}
    damaged.update(_damaged_failed(paths, jobs, visible), _damaged_stops(paths, visible))
    for path in sorted(damaged):
        found.dead.append(str(path.relative_to(paths.queue)))
        _bury(paths.queue / "dead", path)
    found.litter = sweep_litter(path for held in inside.values() for path in held)
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield `folder` and each folder below it, with the files and folders that are in it."""
    for place, folders, names in os.walk(folder):
        yield Path(place), [Path(place, name) for name in sorted([*folders, *names])]


def _foreign(queue: Path, jobs: Mapping[str, Job], inside: Inside) -> Iterator[Path]:
    """Yield what is in the queue's folders and has no name of a shard."""
    for path in inside.get(queue / "pending", ()):
        if not (path.name in jobs if path in inside else parse(path.name)):
            yield path
    for folder in (*(queue / "pending" / job for job in jobs), queue / "claimed"):
        yield from (path for path in inside.get(folder, ()) if parse(path.name) is None)
    for folder in (queue / "done", queue / "failed"):
        yield from (path for path in inside.get(folder, ()) if parse_stem(path.name) is None)


def _misplaced(queue: Path, jobs: Mapping[str, Job], inside: Inside) -> Iterator[Path]:
    """Yield files of shards that the run does not have."""
    for folder in (*(queue / "pending" / job for job in jobs), queue / "pending", queue / "claimed"):
        for path in inside.get(folder, ()):
            entry = parse(path.name)
            if entry is not None and not (_is_in(entry.shard, jobs) and folder.name in (entry.shard.job, *FOLDERS)):
                yield path
    for folder in (queue / "done", queue / "failed"):
        for path in inside.get(folder, ()):
            shard = parse_stem(path.name)
            if shard is not None and not _is_in(shard, jobs):
                yield path


def _is_in(shard: Shard, jobs: Mapping[str, Job]) -> bool:
    return shard.job in jobs and 0 <= shard.first <= shard.last < jobs[shard.job].samples


def _shard_of(path: Path, jobs: Mapping[str, Job]) -> Shard | None:
    shard = parse_stem(path.name)
    return shard if shard is not None and _is_in(shard, jobs) else None


def _damaged_done(paths: RunPaths, jobs: Mapping[str, Job], inside: Inside) -> Iterator[Path]:
    """Yield each `done` file that cannot be read, is another shard's, or whose answers are not as they were."""
    whole: dict[str, list[tuple[Path, Done]]] = {}
    for path in inside.get(paths.queue / "done", ()):
        if (shard := _shard_of(path, jobs)) is None:
            continue
        try:
            fact = read_fact(path)
        except StorageError:
            yield path
            continue
        cut_outside = not isinstance(fact, Done) and not shard.first < fact.cut <= shard.last
        if fact.shard != shard or cut_outside:
            yield path
        elif isinstance(fact, Done):
            whole.setdefault(shard.job, []).append((path, fact))
    for job, facts in whole.items():
        with Index(paths.checkpoints, job, jobs[job].samples) as index:
            index.refresh()
            for path, done in facts:
                try:
                    index.load(done)
                except StorageError:
                    yield path


def _damaged_failed(paths: RunPaths, jobs: Mapping[str, Job], inside: Inside) -> Iterator[Path]:
    for path in inside.get(paths.queue / "failed", ()):
        shard = _shard_of(path, jobs)
        try:
            if shard is not None and read_failure(path).shard != shard:
                yield path
        except StorageError:
            yield path


def _damaged_stops(paths: RunPaths, inside: Inside) -> Iterator[Path]:
    for path in inside.get(paths.queue / "stopped", ()):
        if jsonfiles.read_if_whole(path, Stop) is None:
            yield path


def _bury(dead: Path, path: Path) -> None:
    try:
        dead.mkdir(exist_ok=True)
        path.rename(dead / f"{path.parent.name}.{path.name}.{time.time_ns()}")
    except OSError as error:
        raise StorageError(f"cannot move {path} to {dead}: {error.strerror or error}") from error


def sweep_litter(paths: Iterable[Path]) -> int:
    """Delete those of `paths` that a killed process left half-written; return how many."""
    swept = 0
    for path in paths:
        with contextlib.suppress(OSError):
            if is_litter(path):
                path.unlink()
                swept += 1
    return swept


def is_litter(path: Path) -> bool:
    """Return whether `path` is a temporary file or folder whose writer is gone.

    A process of another host has no number here, so what was changed a short while ago may still be in use.

    Raises:
        OSError: the path cannot be looked at.
    """
    writer = files.writer(path)
    if writer is None or start_time(writer) is not None:
        return False
    return time.time() - path.stat().st_mtime > files.ABANDONED_AFTER


def _files(names: list[str]) -> str:
    return "1 file of the queue is" if len(names) == 1 else f"{len(names):,} files of the queue are"


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
