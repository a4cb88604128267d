"""An overview of all runs in a jobs folder: state, progress, scores and size. Only reads."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from vlmeval_mp.core.errors import VlmevalError
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import Struct, Summary
from vlmeval_mp.runs import find, results, snapshot
from vlmeval_mp.runs.state import RunState, fold


class Scored(Struct, frozen=True, omit_defaults=False):
    """The primary metric of one scored job, as its summary has it.

    `as_reported`: the value is another evaluator's, in a unit of its own.
    """

    model: str
    dataset: str
    metric: str
    value: float | None
    as_reported: bool


class Entry(Struct, frozen=True, omit_defaults=False):
    """One run. `state` is "running", "complete", "incomplete", "queued" or "damaged"; `size` is in bytes on disk.

    `scores` has the scored jobs; `problem` says why a run is damaged.
    """

    name: str
    folder: str
    state: str
    done: int = 0
    total: int = 0
    failed: int = 0
    scores: tuple[Scored, ...] = ()
    size: int = 0
    changed: float = 0.0
    problem: str = ""


def entries(jobs: JobsPaths) -> list[Entry]:
    """Return the runs under `jobs`, the one in which something happened last first."""
    return sorted(map(entry_of, find.every(jobs)), key=lambda entry: -entry.changed)


def entry_of(paths: RunPaths) -> Entry:
    """Return the line about one run; a damaged run's line gives the damage."""
    size, changed = _weigh(paths.root)
    name, folder = paths.root.name, str(paths.root)
    try:
        reader = snapshot.Reader(paths)
        state = fold(reader.read(), time.time())
        summaries = [results.read_summary(paths.results(job.model, job.dataset)) for job in reader.record.jobs]
    except VlmevalError as error:
        return Entry(name, folder, "damaged", size=size, changed=changed, problem=str(error))
    scores = tuple(_score(summary) for summary in summaries if summary is not None)
    return Entry(name, folder, _state(state), state.done, state.total, state.failed, scores, size, changed)


def _score(summary: Summary) -> Scored:
    metric = summary.primary_metric
    return Scored(summary.model, summary.dataset, metric, summary.metrics.get(metric), summary.as_reported)


def _state(state: RunState) -> str:
    if state.running:
        return "running"
    return "complete" if state.finished else "incomplete" if state.done else "queued"


def _weigh(root: Path) -> tuple[int, float]:
    """Return bytes on disk and the time of the last change; what is also elsewhere (a hard link) weighs nothing."""
    size, changed = 0, 0.0
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                stat = (Path(folder) / name).lstat()
                size += stat.st_blocks * 512 if stat.st_nlink == 1 else 0
                changed = max(changed, stat.st_mtime)
    return size, changed


def size_text(size: float) -> str:
    """Return a number of bytes as people say it."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
