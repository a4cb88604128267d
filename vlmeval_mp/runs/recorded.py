"""Reads `run.json` with care: the file may come from a later version, another machine, or an unknown person.

What this version does not know could change an answer, so it is refused and not passed over. Names become folders, so
one that could lead out of the run's folder is refused, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from vlmeval_mp import __version__
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import RunRecord

RECORD_VERSION = 1
MOST_BYTES = 64 << 20
"""Size from which a file is no record of ours; thousands of jobs take a few megabytes."""


def read(path: Path) -> RunRecord:
    """Return the record in `path`.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is damaged, of a later version, or names something outside its folder.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} cannot be read: it has more than {MOST_BYTES >> 20} MiB")
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    return parse(content, str(path))


def parse(content: bytes, where: str) -> RunRecord:
    """Return the record that `content` is; `where` names it in a refusal.

    Raises:
        ConfigError: as `read`.
    """
    try:
        raw = msgspec.json.decode(content)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{where} cannot be read: {error}") from error
    if isinstance(raw, dict) and isinstance(raw.get("version"), int) and raw["version"] > RECORD_VERSION:
        raise ConfigError(f"{where} was written by a later version; {_reader(raw)}")
    try:
        record = msgspec.convert(raw, RunRecord)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where} cannot be read: {error}") from error
    if unknown := next(_unknown(raw, record, ""), ""):
        raise ConfigError(f"{where} has a field {unknown} that this version does not know; {_reader(raw)}")
    _check_names(record, where)
    return record


def _reader(raw: Mapping[str, Any]) -> str:
    """Say which version reads a record."""
    provenance = raw.get("provenance")
    made = provenance.get("vlmeval_mp") if isinstance(provenance, dict) else None
    if isinstance(made, str) and made and made != __version__:
        return f"use vlmeval-mp {made}, which made it (this is {__version__})"
    return f"use the version that wrote it (this is {__version__})"


def _unknown(raw: Any, value: Any, place: str) -> Iterator[str]:
    """Yield the path of each key in `raw` that `value`, which was made of it, has no field for."""
    if isinstance(value, msgspec.Struct):
        for key, below in raw.items():
            path = f"{place}.{key}" if place else str(key)
            if key not in value.__struct_fields__:
                yield path
            else:
                yield from _unknown(below, getattr(value, key), path)
    elif isinstance(value, tuple):
        for number, (below, each) in enumerate(zip(raw, value, strict=True)):
            yield from _unknown(below, each, f"{place}[{number}]")


def _check_names(record: RunRecord, where: str) -> None:
    """Refuse names that could not be ours, such as one that leads out of the run's folder."""
    models, datasets = {m.name for m in record.spec.models}, {d.name for d in record.spec.datasets}
    for number, job in enumerate(record.jobs):
        for key, name in (("name", job.name), ("folder", job.folder)):
            if not name or name.startswith(".") or len(name) > 255 or set(name) & set("/\\\0@\n"):
                raise ConfigError(f"{where}: jobs[{number}].{key} {name!r} is no name of a folder here")
        if job.samples < 0 or job.model not in models or job.dataset not in datasets:
            raise ConfigError(f"{where}: jobs[{number}] is not one of the models on one of the data sets")
    if record.spec.shard_size < 1 or len({job.name for job in record.jobs}) != len(record.jobs):
        raise ConfigError(f"{where}: jobs have the same name twice, or shards have no size")
