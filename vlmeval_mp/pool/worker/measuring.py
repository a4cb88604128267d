"""Measures prompts of a run's data sets for `plan`, as a worker would make them, with nothing loaded but a processor.

Started as `python -m vlmeval_mp.pool.worker.measuring OUT`, with a `Task` as JSON on its standard input; it writes a
`Measurement` to OUT. What engines print goes to its own streams.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import msgspec

from vlmeval_mp.core import files, jsonfiles
from vlmeval_mp.core.errors import RequestError, VlmevalError
from vlmeval_mp.core.records import Job
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.engines.base import CanMeasure, Length, Ruler
from vlmeval_mp.pool.worker.asking import Asker
from vlmeval_mp.pool.worker.assignment import Assignment
from vlmeval_mp.pool.worker.task import Measurement, Task
from vlmeval_mp.requests import media
from vlmeval_mp.runs.planning import PromptSizes, even_rows

SECONDS = 20.0
"""Time for one data set; minutes of video are not decoded for an estimate."""


def measure(task: Task) -> Measurement:
    """Measure what `task` asks for."""
    model = next(m for m in task.spec.models if m.name == task.model)
    jobs = {job.name: job for job in task.jobs}
    datasets = {name: Dataset(Path(task.store) / job.folder) for name, job in jobs.items()}
    place = Assignment(
        "plan", task.model, task.device, "", (), task.tensor_parallel, task.window, dict(task.engine_args)
    )
    try:
        asker = Asker(task.spec, model, jobs, datasets, place)
        if not isinstance(asker.engine, CanMeasure):
            return Measurement(able=False)
        ruler = asker.engine.ruler()
    except VlmevalError as error:
        return Measurement(error=str(error))
    sizes = {name: _sizes(asker, ruler, job, datasets[name], task.rows[name]) for name, job in jobs.items()}
    return Measurement(sizes, ruler.context, ruler.settings)


def _sizes(asker: Asker, ruler: Ruler, job: Job, dataset: Dataset, rows: Sequence[int]) -> PromptSizes:
    lengths, refused, end = dict[int, Length](), "", time.monotonic() + SECONDS
    for row in rows:
        if time.monotonic() > end:
            break
        (sample,) = dataset.samples(row, row)
        if sample.error:
            continue
        try:
            lengths[row] = ruler.measure(media.open_draft(asker.draft(job, sample)))
        except RequestError as error:
            refused = refused or f"sample {sample.index}: {error}"
    if not lengths:
        return PromptSizes(refused=refused)
    even = [lengths[row] for row in even_rows(job.samples) if row in lengths] or list(lengths.values())
    return PromptSizes(
        measured=len(lengths),
        mean=fmean(length.tokens for length in even),
        most=max(length.tokens for length in lengths.values()),
        media_mean=fmean(length.media for length in even),
        media_most=max(length.media for length in lengths.values()),
        refused=refused,
    )


def main() -> None:
    """Measure what the standard input asks for and leave."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    files.atomic_write(Path(sys.argv[1]), jsonfiles.encode(measure(task)), durable=False)


if __name__ == "__main__":
    main()
