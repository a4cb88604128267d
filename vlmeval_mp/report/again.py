"""Asks a random sample of a run again, as a run of its own, and counts the answers that agree."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import Job, Media, ModelSpec, Prediction, RunRecord, RunSpec, Sample, Struct
from vlmeval_mp.report.bundle import with_media
from vlmeval_mp.report.pictures import place_of
from vlmeval_mp.runs import kept, results, snapshot, submit
from vlmeval_mp.runs.merge import info_of, merge
from vlmeval_mp.scoring import score

NAME = "verify"


class Answer(Struct, frozen=True, omit_defaults=False):
    """One sample asked again. `same`: word for word; `same_verdict`: judged alike by the run's rules."""

    model: str
    dataset: str
    index: str
    same: bool
    same_verdict: bool
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes against the first run: the engine ("" for the same), its arguments, and models' folders by name."""

    engine: str = ""
    engine_args: Mapping[str, Any] | None = None
    models: Mapping[str, str] | None = None


def queue(original: RunPaths, jobs: JobsPaths, count: int, seed: int, changes: Changes) -> RunPaths:
    """Queue `count` answered samples of a run, drawn with `seed`, as a run of its own under `jobs`.

    Raises:
        ConfigError: nothing was answered, or a model is not where it should be.
    """
    record = snapshot.read_record(original)
    answered = [(job, sample) for job in record.jobs for sample in _answered(original, job)]
    if not answered:
        raise ConfigError(f"run {original.root.name} has no answer to ask again")
    drawn = random.Random(seed).sample(answered, min(count, len(answered)))
    chosen: dict[str, list[Sample]] = {}
    for job, sample in drawn:
        chosen.setdefault(job.name, []).append(sample)
    planned: list[Job] = []
    folders: list[Path] = []
    for job in record.jobs:
        if job.name in chosen:
            rows = sorted(chosen[job.name], key=lambda sample: sample.row)
            folders.append(_dataset(original, jobs, job, rows, len(folders)))
            planned.append(msgspec.structs.replace(job, folder=folders[-1].name, samples=len(rows)))
    spec = _changed(record.spec, changes, {job.model for job in planned})
    paths = jobs.run(NAME)
    submit.publish(paths, RunRecord(record.version, spec, tuple(planned), {}, record.provenance), folders)
    return paths


def _answered(paths: RunPaths, job: Job) -> list[Sample]:
    samples, predictions = merge(paths, job)
    return [s for s, p in zip(samples, predictions, strict=True) if p.error is None and not p.imported_from]


def _dataset(original: RunPaths, jobs: JobsPaths, job: Job, samples: Sequence[Sample], number: int) -> Path:
    """Write a data set of the drawn samples, whose media are where they are now."""
    places = kept.places_of(original, job)

    def here(media: Media) -> Media:
        place = place_of(media, places)
        return media if place is None else msgspec.structs.replace(media, file=str(place.resolve()))

    folder = jobs.datasets / f"{NAME}-{number}"
    folder.mkdir(parents=True)
    moved = [msgspec.structs.replace(with_media(s, here), row=row) for row, s in enumerate(samples)]
    content = b"".join(msgspec.json.encode(s) + b"\n" for s in moved)
    stored = hashlib.sha256(content).hexdigest()
    info = msgspec.structs.replace(info_of(original, job), samples=len(moved), stored=stored)
    files.atomic_write(folder / "samples.jsonl", content)
    files.atomic_write(folder / "dataset.json", msgspec.json.encode(info))
    return folder


def _changed(spec: RunSpec, changes: Changes, used: set[str]) -> RunSpec:
    named = dict(changes.models or {})
    models = [model for model in spec.models if model.name in used]
    if "" in named:
        if len(models) > 1:
            raise ConfigError(f"several models were run ({', '.join(m.name for m in models)}); say --model NAME=FOLDER")
        named[models[0].name] = named.pop("")
    if strangers := named.keys() - {model.name for model in spec.models}:
        raise ConfigError(f"--model {min(strangers)}=…: the run has no such model; it has {', '.join(used)}")
    return msgspec.structs.replace(
        spec,
        name=NAME,
        models=tuple(_model(model, changes, named.get(model.name, "")) for model in models),
        shard_size=min(spec.shard_size, 8),
    )


def _model(model: ModelSpec, changes: Changes, path: str) -> ModelSpec:
    changed = msgspec.structs.replace(model, path=path or model.path, engine=changes.engine or model.engine)
    if changes.engine and changes.engine != model.engine:
        changed = msgspec.structs.replace(changed, engine_args={})
    if changes.engine_args:
        changed = msgspec.structs.replace(changed, engine_args={**changed.engine_args, **changes.engine_args})
    return submit.resolved_model(changed)


def compared(original: RunPaths, again: RunPaths) -> list[Answer]:
    """Return what became of each sample that was asked again and is final, in the order of the run."""
    record = snapshot.read_record(original)
    jobs = {job.name: job for job in record.jobs}
    found = []
    for job in snapshot.read_record(again).jobs:
        before = dict(zip(*_by_index(original, jobs[job.name]), strict=True))
        rules = results.rules_of(record.spec, job)
        for sample, now in zip(*merge(again, job), strict=True):
            then = before[sample.index]
            verdicts = [score(sample, p, rules).value for p in (then, now)] if rules.by_rules else [None, None]
            same = now.error is None and now.prediction == then.prediction
            alike = same or (now.error is None and rules.by_rules and verdicts[0] == verdicts[1])
            told = now.prediction if now.error is None else f"failed: {now.error}"
            found.append(Answer(job.model, job.dataset, sample.index, same, alike, then.prediction, told))
    return found


def _by_index(paths: RunPaths, job: Job) -> tuple[list[str], list[Prediction]]:
    samples, predictions = merge(paths, job)
    return [sample.index for sample in samples], predictions
