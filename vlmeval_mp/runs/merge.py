"""A finished job's predictions in data set order, from what its shards rest on. Reads only; knows no score."""

from __future__ import annotations

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Job, Prediction, Sample
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.runs import checkpoint, kept
from vlmeval_mp.runs.queue import Queue


def dataset_of(paths: RunPaths, job: Job) -> Dataset:
    """Return the data set of a job of the run at `paths`: the run's own copy, or the one in the shared store.

    Raises:
        ConfigError: neither is there.
    """
    return Dataset(kept.folder_of(paths, job))


def merge(paths: RunPaths, job: Job) -> tuple[list[Sample], list[Prediction]]:
    """Samples and predictions of `job` that are final, both in data set order.

    A row of a shard that was given up has a prediction with the reason as its error. Rows of unfinished shards are
    left out of both.

    Raises:
        StorageError: what a shard rests on is damaged; the message says how to have it answered again.
    """
    queue = Queue(paths.queue)
    dones = [queue.read_done(name) for name in queue.done_names() if name.startswith(f"{job.name}.")]
    predictions = {p.row: p for d in dones if d.shard.job == job.name for p in checkpoint.load(paths.checkpoints, d)}
    samples = dataset_of(paths, job).samples(0, job.samples - 1) if job.samples else []
    for failure in queue.failures():
        if failure.shard.job == job.name:
            for sample in samples[failure.shard.first : failure.shard.last + 1]:
                given_up = Prediction(index=sample.index, row=sample.row, error=f"shard given up: {failure.reason}")
                predictions.setdefault(sample.row, given_up)
    final = [s for s in samples if s.row in predictions]
    return final, [predictions[s.row] for s in final]
