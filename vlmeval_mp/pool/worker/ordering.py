"""Orders the jobs of a worker: first the one with most to read, by a look at a few of its samples.

Large pictures keep an engine busy for longer than it takes to prepare them, so that a queue builds up in front of it;
small ones that come after them are prepared meanwhile. The other way round an engine begins with many small steps. At
the end of a run, small samples leave no worker with much more than others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vlmeval_mp.core.errors import VlmevalError
from vlmeval_mp.core.records import Job, Media, Sample
from vlmeval_mp.datasets.store import Dataset

LOOKED_AT = 16
"""Samples of a job, evenly spaced, that stand for all."""


def most_to_read_first(jobs: Mapping[str, Job], datasets: Mapping[str, Dataset]) -> list[str]:
    """Return the names of `jobs`, those with most bytes of text and media first; equal ones as they came."""
    if len(jobs) < 2:
        return list(jobs)
    return sorted(jobs, key=lambda name: -_bytes(jobs[name].samples, datasets[name]))


def _bytes(count: int, dataset: Dataset) -> float:
    """Return about how many bytes the first `count` samples of `dataset` are; 0 where they cannot be read."""
    rows = range(0, count, -(-count // LOOKED_AT)) if count else range(0)
    try:
        seen = [_size(dataset.samples(row, row)[0], dataset.folder) for row in rows]
    except (VlmevalError, ValueError):  # whoever asks them says it
        return 0.0
    return count * sum(seen) / len(seen) if seen else 0.0


def _size(sample: Sample, folder: Path) -> int:
    text = len(sample.question) + len(sample.hint) + sum(map(len, sample.options.values()))
    return text + sum(_file_size(media, folder) for media in sample.media)


def _file_size(media: Media, folder: Path) -> int:
    """Return the bytes of a medium, 0 for one that is not there: that is its sample's error, later."""
    try:
        return (folder / media.file).stat().st_size if media.file else 0
    except OSError:
        return 0
