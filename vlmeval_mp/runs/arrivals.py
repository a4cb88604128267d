"""Take files into a run that its data set lacked when the run began and that have arrived since.

A sample counts as the same if all that was there is unchanged, and what is new stands where a file was missing. Then
the run goes on with the data set as it is now. Anything else that changed is refused as ever.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import Job, RunRecord, Sample, Shard
from vlmeval_mp.datasets.store import Dataset, prepare
from vlmeval_mp.runs import fingerprint, kept
from vlmeval_mp.runs.index import search
from vlmeval_mp.runs.merge import dataset_of


def take(paths: RunPaths, record: RunRecord) -> tuple[RunRecord, list[str]]:
    """Read the run's data sets again and take what arrived; return the run's record now and a line for each data set.

    The record is written in one step, after the samples are in the run's folder.

    Raises:
        ConfigError: something else changed, and is named; nothing was taken.
    """
    store = JobsPaths(paths.root.parent).datasets
    now = {d.name: prepare(d, store) for d in record.spec.datasets}
    jobs, said, was = list(record.jobs), [], {}
    for place, job in enumerate(record.jobs):
        if now[job.dataset].folder.name == job.folder:
            continue
        rows = _arrived(paths, job, now[job.dataset])
        jobs[place] = msgspec.structs.replace(job, folder=now[job.dataset].folder.name)
        key = f"data.{job.dataset}.content"
        if key not in was:
            was[key] = record.fingerprint.get(key, "")
            said.append(f"{job.dataset}: files of {rows:,} samples that were missing are there now")
    fresh = fingerprint.fingerprint_of(record.spec, now)
    taken = msgspec.structs.replace(
        record,
        jobs=tuple(jobs),
        fingerprint=record.fingerprint | {key: fresh[key] for key in was},
        provenance=record.provenance | {f"{key} before {_today()}": digest for key, digest in was.items()},
    )
    fingerprint.refuse_changed(taken, fresh)
    if was:
        kept.keep(paths, [dataset.folder for dataset in now.values()])
        files.atomic_write(paths.record, msgspec.json.format(msgspec.json.encode(taken)) + b"\n")
    return taken, said


def _arrived(paths: RunPaths, job: Job, now: Dataset) -> int:
    """Return how many samples of `job` have files now that they had not; refuse any other difference."""
    before = dataset_of(paths, job)
    if len(before) != len(now):
        raise ConfigError(f"{job.dataset} had {len(before):,} samples when this run began and has {len(now):,} now")
    arrived = []
    for old, new in zip(_all(before), _all(now), strict=True):
        if old != new:
            if not only_appeared(old, new):
                raise ConfigError(
                    f"{job.dataset}: sample {new.index} is not what it was when this run began, and its answer would "
                    "not mix with others; undo the change, or start a new run with --run NAME"
                )
            arrived.append(new)
    _refuse_answered(paths, job, arrived)
    return len(arrived)


def _all(dataset: Dataset) -> list[Sample]:
    return dataset.samples(0, len(dataset) - 1) if len(dataset) else []


def only_appeared(old: Sample, new: Sample) -> bool:
    """Return whether `new` is `old` but for files that were missing there."""
    if not (old.error or any(media.error for media in (*old.media, *filter(None, [old.subtitles])))):
        return False
    if _texts(old) != _texts(new):
        return False
    if len(old.media) != len(new.media):
        return not old.media
    pairs = [*zip(old.media, new.media, strict=True), (old.subtitles, new.subtitles)]
    return all(was == now or (was is not None and bool(was.error)) for was, now in pairs)


def _texts(sample: Sample) -> Sample:
    return msgspec.structs.replace(sample, media=(), subtitles=None, error="", ready=())


def _refuse_answered(paths: RunPaths, job: Job, arrived: Sequence[Sample]) -> None:
    whole = Shard(job=job.name, first=0, last=job.samples - 1)
    answers = search(paths.checkpoints, whole).answers if arrived and job.samples else {}
    for sample in arrived:
        answer = answers.get(sample.row)
        if answer is not None and answer.prediction.error is None:
            raise ConfigError(
                f"{job.dataset}: sample {sample.index} was answered without a file that is there now, so its answer "
                "would not mix with new ones; start a new run with --run NAME"
            )


def _today() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
