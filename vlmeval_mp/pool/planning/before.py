"""Warnings of a launch before its workers start: missing files, a missing judge or key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import RunRecord, RunSpec
from vlmeval_mp.pool.planning import inputs, scoring
from vlmeval_mp.runs.merge import dataset_of
from vlmeval_mp.runs.planning import Remark


def remarks(
    paths: RunPaths, record: RunRecord, asked: RunSpec, environ: Mapping[str, str], *, scored: bool = True
) -> list[str]:
    """Return a sentence for each thing that will cost samples or, if the run is `scored`, scores; none of it keeps the
    run from going on.
    """
    found = (*_missing(paths, record), *scoring.remarks(asked, environ, scored=scored))
    return [f"{r.about}: {r.text}" for r in found]


def _missing(paths: RunPaths, record: RunRecord) -> Iterable[Remark]:
    """Yield what is missing of each data set. One that lacks nothing is not read sample by sample."""
    seen = set()
    for job in record.jobs:
        if job.dataset in seen:
            continue
        seen.add(job.dataset)
        dataset = dataset_of(paths, job)
        if dataset.holds(inputs.LOST.encode()):
            yield from inputs.look(dataset, job).remarks(job.dataset)
