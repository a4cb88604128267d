"""The runs under a jobs folder: the unfinished ones, the latest, the one with a given name. Changes nothing."""

from __future__ import annotations

from pathlib import Path

from vlmeval_mp.core.errors import ConfigError, did_you_mean
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.runs.listing import Listing


def _records(jobs: JobsPaths) -> list[Path]:
    return sorted(p for p in jobs.root.glob("*/run.json") if not p.parent.name.startswith("."))


def every(jobs: JobsPaths) -> list[RunPaths]:
    """Return all runs under `jobs`, by name."""
    return [RunPaths(record.parent) for record in _records(jobs)]


def unfinished(jobs: JobsPaths) -> list[RunPaths]:
    """Return the runs under `jobs` with shards that are neither done nor failed, oldest first."""
    runs = [RunPaths(p.parent) for p in _records(jobs)]
    left = [r for r in runs if not is_finished(r)]
    return sorted(left, key=lambda r: r.record.stat().st_mtime)


def is_finished(paths: RunPaths) -> bool:
    """Return whether there is a run at `paths` whose shards are all done or failed."""
    return paths.record.exists() and not Listing(paths.queue).any_left()


def latest(jobs: JobsPaths) -> RunPaths:
    """Return the run in which something happened last.

    Raises:
        ConfigError: there is none.
    """
    runs = _records(jobs)
    if not runs:
        raise ConfigError(
            f"there is no run under {jobs.root}; start one with launch, or name another folder with --jobs"
        )
    newest = max(runs, key=lambda p: max(q.stat().st_mtime for q in (p, p.parent / "workers") if q.exists()))
    return RunPaths(newest.parent)


def named(jobs: JobsPaths, name: str) -> RunPaths:
    """Return the run called `name`.

    Raises:
        ConfigError: there is none; the message names those that there are.
    """
    paths = jobs.run(name)
    if not paths.record.exists():
        there = [record.parent.name for record in _records(jobs)]
        others = f"there are: {', '.join(there[:10])}" if there else "nor any other"
        raise ConfigError(f"there is no run {name!r} under {jobs.root}; {did_you_mean(name, there, others)}")
    return paths


def chosen(jobs: JobsPaths, run: str | None) -> RunPaths:
    """Return the run that a command means: by name, by the path of its folder, or the latest if `run` is None.

    Raises:
        ConfigError: there is no such run.
    """
    if run is None:
        return latest(jobs)
    given = Path(run)
    return RunPaths(given.resolve()) if (given / "run.json").exists() else named(jobs, run)
