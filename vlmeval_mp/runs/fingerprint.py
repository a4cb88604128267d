"""The fingerprint of a run: all settings that can change an answer, kept as readable keys and values.

The rule: each field of a spec is in the fingerprint, unless `LEFT_OUT` names it. A field that has its default value is
not written (apart from `ALWAYS_WRITTEN`), so that a run that was frozen before the field existed stays the same run.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from vlmeval_mp import __version__
from vlmeval_mp.core import credentials
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, ModelSpec, RunRecord, RunSpec
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.engines.registry import entry, refuses_system
from vlmeval_mp.requests import prompts
from vlmeval_mp.vlmevalkit import classes

LEFT_OUT: dict[type[msgspec.Struct], dict[str, str]] = {
    RunSpec: {
        "name": "says which run it is",
        "models": "stand field by field",
        "datasets": "stand field by field",
        "shard_size": "says how the work is cut",
        "batch_size": "says how much is asked at once",
        "max_workers": "says who works",
        "scoring": "reads answers, makes none",
        "judge": "reads answers, makes none",
        "judge_args": "read answers, make none",
        "cluster": "reads answers, makes none",
        "group": "reads answers, makes none",
    },
    ModelSpec: {
        "name": "is part of each key",
        "engine": "stands with the versions of its packages",
        "engine_args": "stand one by one, without those that change the speed only",
        "post_process": "reads answers, makes none",
        "reasoning": "reads answers, makes none",
    },
    DataSpec: {
        "name": "is part of each key",
        "path": "the digest of the content stands for it",
        "type": "is in the digest of the content",
        "layout": "is in the digest of the content",
        "skip_noimg": "is in the digest of the content",
        "scorer": "reads answers, makes none",
    },
}
"""Fields that are not in the fingerprint under their own name, and why."""

ALWAYS_WRITTEN: dict[type[msgspec.Struct], frozenset[str]] = {
    RunSpec: frozenset({"media"}),
    ModelSpec: frozenset({"path", "prompt", "sampling"}),
    DataSpec: frozenset({"prompt", "nframe", "fps", "limit"}),
}
"""Fields that the first runs wrote with their defaults too. No new field belongs in this table."""

FULL_DIGEST_BYTES = 1 << 30
SAMPLE_BYTES = 1 << 20
SHOWN = 200
"""Characters of a changed value that a refusal shows."""
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt")


def fingerprint_of(spec: RunSpec, datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """Return everything that can change an answer of `spec`, by a readable path. `datasets` go by data set name."""
    found = dict(_fields(spec))
    for model in spec.models:
        where = f"model.{model.name}"
        found |= {f"{where}.{key}": value for key, value in _fields(model)}
        found[f"{where}.weights"] = weights_digest(Path(model.path))
        found[f"{where}.engine"] = " ".join([model.engine, *_versions(model.engine)])
        for key, value in sorted(model.engine_args.items()):
            if key not in entry(model.engine).neutral:
                found[f"{where}.engine_args.{key}"] = _json(value)
        if _folds(model, spec.datasets):
            found[f"{where}.system_turn"] = "at the head of the user's"
        if entry(model.engine).model_class:
            found[f"{where}.source"] = classes.source_digest(model.engine_args)
    for data in spec.datasets:
        where = f"data.{data.name}"
        found[f"{where}.content"] = datasets[data.name].info.digest
        found |= {f"{where}.{key}": value for key, value in _fields(data)}
    return found


def _folds(model: ModelSpec, datasets: Iterable[DataSpec]) -> bool:
    """Return whether a template without system turns changes the prompts; with `roles: user` it never does."""
    told = bool(model.system_prompt) or any(prompts.may_instruct(data.prompt) for data in datasets)
    return told and model.roles != "user" and refuses_system(model.engine, model.path)


def _fields(spec: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """Yield the fields of `spec` that are in the fingerprint, each with its value as text."""
    kind = type(spec)
    for field in msgspec.structs.fields(kind):
        value = getattr(spec, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if field.name in LEFT_OUT[kind] or (value == default and field.name not in ALWAYS_WRITTEN[kind]):
            continue
        yield field.name, _json(value) if isinstance(value, msgspec.Struct | dict | tuple) else str(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def refuse_changed(record: RunRecord, new: Mapping[str, str]) -> None:
    """Hold a frozen run against the fingerprint `new`.

    Arguments that count as neutral by now are not compared: a run may have been frozen before they were.

    Raises:
        ConfigError: the two differ; the message names each field.
    """
    neutral = {f"model.{m.name}.engine_args.{key}" for m in record.spec.models for key in entry(m.engine).neutral}
    old = {key: value for key, value in record.fingerprint.items() if key not in neutral}
    changed = [
        f"  {key}: was {_short(old.get(key, 'not there'))}, is {_short(new.get(key, 'not there'))}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if changed:
        name = record.spec.name
        contents = all(line.partition(":")[0].endswith(".content") for line in changed)
        hint = (
            f"\nIf files that were missing have arrived, and nothing else: vlmeval-mp retry {name}" if contents else ""
        )
        raise ConfigError(
            f"run {record.spec.name!r} exists with another configuration, "
            "and its answers would not mix with new ones:\n"
            + "\n".join(changed)
            + "\nUndo the change to go on, or start a new run with --run NAME."
            + hint
        )


def _short(value: str) -> str:
    return value if len(value) <= SHOWN else f"{value[:SHOWN]}… ({len(value):,} characters)"


def weights_digest(folder: Path) -> str:
    """Return the digest of a local model's files; "" for a hub id.

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


def _versions(engine: str) -> list[str]:
    found = []
    for package in entry(engine).packages:
        try:
            found.append(f"{package}=={importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def provenance() -> dict[str, str]:
    """Return who made this run, where and with what; for people, never compared."""
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
