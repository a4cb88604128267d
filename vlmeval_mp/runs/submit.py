"""Creates the folder of a run from its spec, or recognises the run that is already there.

Reads data sets once, through `datasets.store`; starts nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from vlmeval_mp.core import credentials, files, jsonfiles
from vlmeval_mp.core.errors import ConfigError, did_you_mean
from vlmeval_mp.core.paths import JobsPaths, RunPaths, slug
from vlmeval_mp.core.records import DataSpec, Job, ModelSpec, RunRecord, RunSpec
from vlmeval_mp.datasets import arrangement, names, videobenchmarks
from vlmeval_mp.datasets.store import Dataset, prepare
from vlmeval_mp.engines import argnames
from vlmeval_mp.engines.registry import entry
from vlmeval_mp.runs import fingerprint, inspection, kept, queue, snapshot
from vlmeval_mp.runs.recorded import RECORD_VERSION
from vlmeval_mp.runs.shards import shards_of
from vlmeval_mp.scoring import families
from vlmeval_mp.scoring.base import EVALUATOR, Rules

UNSAID = DataSpec(name="", path="")
ONE_PIECE = ("hallusion",)
"""Families whose groups are no pictures, so that a random order of pictures takes them apart."""
BUNDLED_MODELS = {"demo": Path(__file__).parent.parent / "demo" / "model"}


def default_engine() -> str:
    """Return "vllm" if it is installed, else "transformers"."""
    return "vllm" if importlib.util.find_spec("vllm") else "transformers"


def submit(spec: RunSpec, jobs: JobsPaths) -> tuple[RunPaths, RunRecord, bool]:
    """Queue `spec`, or find the run of that name if it is the same; the last value says whether it is new.

    Raises:
        ConfigError: a data set is malformed, or a run of that name has another fingerprint (what changed is named).
    """
    paths = jobs.run(spec.name)
    spec = resolved(spec)
    datasets = {d.name: prepare(d, jobs.datasets) for d in spec.datasets}
    _check_columns(spec, datasets)
    _check_stop(spec)
    planned = tuple(_job(m, d, datasets[d.name]) for m in spec.models for d in spec.datasets)
    wanted = fingerprint.fingerprint_of(spec, datasets)
    if paths.record.exists():
        record = snapshot.read_record(paths)
        if record.fingerprint == wanted or not discard_unanswered(paths):
            fingerprint.refuse_changed(record, wanted)
            kept.keep(paths, [dataset.folder for dataset in datasets.values()])
            return paths, record, False
    record = RunRecord(
        version=RECORD_VERSION, spec=spec, jobs=planned, fingerprint=wanted, provenance=fingerprint.provenance()
    )
    publish(paths, record, [dataset.folder for dataset in datasets.values()])
    published = snapshot.read_record(paths)
    fingerprint.refuse_changed(published, wanted)
    return paths, published, True


def check(paths: RunPaths, record: RunRecord) -> None:
    """Hold a run that is to go on against what is there now: its weights, its engine's version, its data.

    A data set folder that was deleted is made again.

    Raises:
        ConfigError: something changed, and is named.
    """
    store = JobsPaths(paths.root.parent).datasets
    folders = {j.dataset: store / j.folder for j in record.jobs}
    datasets = {
        d.name: Dataset(folders[d.name]) if folders[d.name].is_dir() else prepare(d, store)
        for d in record.spec.datasets
    }
    fingerprint.refuse_changed(record, fingerprint.fingerprint_of(record.spec, datasets))
    kept.keep(paths, [dataset.folder for dataset in datasets.values()])


def discard_unanswered(paths: RunPaths) -> bool:
    """Remove a run in which nothing was answered and nobody is at work, such as one whose first launch had a typo.

    Return whether it is gone.
    """
    if any(path.stat().st_size for path in paths.checkpoints.rglob("*.jsonl")):
        return False
    lock = FileLock(paths.supervisor_lock, timeout=0)
    try:
        with lock:
            shutil.rmtree(paths.root)
    except (Timeout, OSError):
        return False
    return True


def plan(spec: RunSpec, jobs: JobsPaths) -> tuple[list[Job], dict[str, Dataset]]:
    """Return the jobs that `submit` would queue, and the data sets by name, each opened once; queue nothing."""
    spec = resolved(spec)
    datasets = {d.name: prepare(d, jobs.datasets) for d in spec.datasets}
    return [_job(m, d, datasets[d.name]) for m in spec.models for d in spec.datasets], datasets


def resolved(spec: RunSpec) -> RunSpec:
    """Return `spec` with names turned into paths and each data set's own defaults filled in.

    Raises:
        ConfigError: there is no such engine, model folder, TSV or scorer.
    """
    models = tuple(map(resolved_model, spec.models))
    return msgspec.structs.replace(spec, models=models, datasets=tuple(resolved_data(d) for d in spec.datasets))


def resolved_model(model: ModelSpec) -> ModelSpec:
    """Return `model` with its name turned into a path.

    Raises:
        ConfigError: there is no such engine, argument or folder.
    """
    entry(model.engine, f"model.{model.name}")
    argnames.refuse_misspelt(f"model.{model.name}.engine_args", model.engine, model.engine_args)
    return msgspec.structs.replace(model, path=_model_path(model))


def _model_path(model: ModelSpec) -> str:
    """Return the folder of a bundled name, a local folder made absolute, or a hub id as it is."""
    engine = entry(model.engine)
    if engine.remote:
        return model.path  # a name that the endpoint knows
    if model.path in BUNDLED_MODELS:
        return str(BUNDLED_MODELS[model.path])
    local = Path(model.path).expanduser()
    if local.is_dir():
        return str(local.resolve())
    if local.exists():
        return model.path
    is_folder = model.path.startswith((".", "/", "~")) or model.path.count("/") > 1
    if is_folder and (engine.sized or engine.model_class):
        raise ConfigError(f"model.{model.name}.path: there is no folder {model.path}")
    return model.path


def resolved_data(data: DataSpec) -> DataSpec:
    """Return `data` with its TSV found and the defaults of its name filled in.

    Raises:
        ConfigError: there is no such TSV, or no such scorer.
        DependencyError: the scorer needs a package that is not installed.
    """
    defaults = names.defaults(data.path)
    if data.nframe or data.fps:
        defaults = {key: value for key, value in defaults.items() if key not in ("nframe", "fps")}
    unsaid = {key: value for key, value in defaults.items() if getattr(data, key) == getattr(UNSAID, key)}
    if data.scorer and data.scorer != EVALUATOR:
        families.require(data.scorer)
    data = msgspec.structs.replace(data, path=str(names.find(data.path)), **unsaid)
    videobenchmarks.check(data)
    arrangement.check(data)
    return data


def _check_stop(spec: RunSpec) -> None:
    """Raise `ConfigError` if a data set's score cannot be known from a part of its samples."""
    for data in spec.datasets if spec.stop_at else ():
        if not Rules(data.scorer).by_rules:
            raise ConfigError(
                f"stop_at: {data.name} is scored as a whole ({data.scorer}); ask it in a run without stop_at"
            )
        if data.scorer in ONE_PIECE:
            raise ConfigError(f"stop_at: {data.name} counts rows together that a part of it tears apart; leave it out")


def _check_columns(spec: RunSpec, datasets: Mapping[str, Dataset]) -> None:
    """Raise `ConfigError` if no data set has the column that `cluster` or `group` names."""
    there = {column for dataset in datasets.values() for column in dataset.info.columns}
    there |= {arrangement.QUESTION for data in spec.datasets if data.circular}
    for key in ("cluster", "group"):
        column = getattr(spec, key)
        if column and column not in there:
            hint = did_you_mean(column, sorted(there), f"there are: {', '.join(sorted(there))}")
            raise ConfigError(f"{key}: no data set has a column {column!r}; {hint}")


def _job(model: ModelSpec, data: DataSpec, dataset: Dataset) -> Job:
    samples = min(len(dataset), data.limit) if data.limit else len(dataset)
    if data.limit and data.circular:
        samples = arrangement.rows_of_questions(iter(dataset), data.limit)
    name = f"{slug(model.name, 60)}+{slug(data.name, 60)}"
    return Job(name=name, model=model.name, dataset=data.name, folder=dataset.folder.name, samples=samples)


def _remove_abandoned(jobs: Path) -> None:
    """Remove half-made folders of runs that a killed process left under `jobs`."""
    for folder in jobs.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if folder.is_dir() and inspection.is_litter(folder):
                shutil.rmtree(folder, ignore_errors=True)


def publish(paths: RunPaths, record: RunRecord, datasets: Sequence[Path]) -> None:
    """Lay the whole run folder out beside its place and rename it there: a killed submit leaves no half run."""
    credentials.refuse_kept(jsonfiles.encode(record).decode(), os.environ)
    building = files.temporary(paths.root)
    _remove_abandoned(paths.root.parent)
    building.mkdir(mode=0o700, parents=True)  # questions and answers are nobody else's business, unless said otherwise
    new = RunPaths(building)
    shards = [s for j in record.jobs for s in shards_of(j.name, j.samples, record.spec.shard_size)]
    queue.create(new.queue, shards)
    for folder in (new.workers, new.logs, new.checkpoints):
        folder.mkdir()
    kept.keep(new, datasets)
    files.atomic_write(new.record, msgspec.json.format(jsonfiles.encode(record)) + b"\n")
    files.sync_folder(building)
    try:
        building.rename(paths.root)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)
        if not paths.record.exists():  # else another launcher published the same run a moment ago
            raise ConfigError(f"{paths.root} exists and is no run; move it away or choose another --run name") from None
    files.sync_folder(paths.root.parent)
