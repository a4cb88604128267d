"""A data set, read once into a folder that all workers share.

    <store>/<name>-<digest>/dataset.json     DatasetInfo
                            samples.jsonl    one Sample a line, in the order of the TSV
                            origin.json      what the folder rests on besides the TSV's bytes
                            media/           images that the TSV held as base64, bytes unchanged, named by digest

Files that a TSV names are referenced where they are. Guarantees: the folder appears in one step and complete, so a
killed reading leaves nothing half-done and two launchers at once are safe; while TSV and named files stay as they are
it is found again without reading the TSV; memory does not grow with the size of the media.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import time
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.errors import ConfigError, StorageError
from vlmeval_mp.core.files import ABANDONED_AFTER, BLOCK, atomic_write, sync_file_system, sync_folder
from vlmeval_mp.core.paths import slug
from vlmeval_mp.core.records import DatasetInfo, DataSpec, Sample, Struct
from vlmeval_mp.datasets import arrangement, benchmarks, names
from vlmeval_mp.datasets.mediafiles import FileFinder
from vlmeval_mp.datasets.reading import READER_VERSION, Reading
from vlmeval_mp.datasets.rows import KINDS
from vlmeval_mp.datasets.tsv import Reader
from vlmeval_mp.datasets.vlmevalkit import OfficialReading
from vlmeval_mp.requests.prompts import READY
from vlmeval_mp.vlmevalkit import client

AT_ONCE = 1024
"""Samples that are read at once where all of a data set are looked at."""


class Origin(Struct, frozen=True, omit_defaults=False):
    """`origin.json`. `type` is the `DataSpec`'s with what else makes other samples, or says which VLMEvalKit made the
    prompts.

    `files` maps each named file to its (size, mtime_ns); `missing`: some name was not found.
    """

    type: str
    reader: int
    files: dict[str, tuple[int, int]]
    missing: bool
    layout: str = ""
    use_subtitle: bool = False


class Dataset:
    """A finished folder: `info`, and any range of its samples.

    Raises:
        ConfigError: the folder is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.info = folder, info_in(folder)
        try:
            with (folder / "samples.jsonl").open("rb", buffering=0) as file:
                self._ends, digest = _measured(file)
                self._descriptor = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._descriptor)
        except OSError as error:
            raise _unusable(folder, error) from error
        altered = self.info.stored and digest != self.info.stored
        if altered or len(self._ends) != self.info.samples:
            raise ConfigError(f"{folder}/samples.jsonl is damaged; delete {folder} and launch again")
        self._decode = msgspec.json.Decoder(Sample).decode

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Sample]:
        for first, last in self._parts():
            yield from self.samples(first, last)

    def holds(self, text: bytes) -> bool:
        """Return whether `text` stands in any sample as it is stored."""
        return any(text in self._lines(first, last) for first, last in self._parts())

    def samples(self, first: int, last: int) -> list[Sample]:
        """Return the samples of rows `first` to `last`, both included."""
        if not 0 <= first <= last < len(self):
            raise IndexError(f"rows {first} to {last} of {self.info.name}, which has {len(self)}")
        return [self._decode(line) for line in self._lines(first, last).split(b"\n")]

    def _parts(self) -> Iterator[tuple[int, int]]:
        """Yield the first and last rows of parts that are read at once."""
        for first in range(0, len(self), AT_ONCE):
            yield first, min(first + AT_ONCE, len(self)) - 1

    def _lines(self, first: int, last: int) -> bytes:
        """Return the lines of rows `first` to `last`. They are read, not mapped: pages of a map count as memory."""
        start = self._ends[first - 1] + 1 if first else 0
        length = self._ends[last] - start
        try:
            found = os.pread(self._descriptor, length, start)
        except OSError as error:
            raise StorageError(f"{self.folder}/samples.jsonl cannot be read: {error.strerror or error}") from error
        if len(found) != length:
            raise StorageError(f"{self.folder}/samples.jsonl was cut meanwhile; delete {self.folder} and launch again")
        return found


def info_in(folder: Path) -> DatasetInfo:
    """Return what is known of the data set in `folder`, without a look at its samples.

    Raises:
        ConfigError: it is not there, or damaged.
    """
    try:
        return jsonfiles.read(folder / "dataset.json", DatasetInfo)
    except (OSError, StorageError) as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{folder} is no usable data set folder ({error}); delete it and launch again")


def _measured(file: BinaryIO) -> tuple[array[int], str]:
    """Return where each line of `file` ends, and the SHA-256 of all of it."""
    ends, digest, start = array("Q"), hashlib.sha256(), 0
    while block := file.read(BLOCK):
        digest.update(block)
        place = -1
        while (place := block.find(b"\n", place + 1)) >= 0:
            ends.append(start + place)
        start += len(block)
    return ends, digest.hexdigest()


def prepare(spec: DataSpec, store: Path) -> Dataset:
    """Return the data set of `spec` under `store`, read now unless it was read before. `spec.limit` plays no part.

    Raises:
        ConfigError: the TSV is malformed or missing; names row and column.
        StorageError: the folder cannot be written.
    """
    if spec.type and spec.type not in KINDS:
        raise ConfigError(f"data set {spec.name!r}: type {spec.type!r} is not one of {', '.join(KINDS)}")
    source = Path(spec.path).expanduser().resolve()
    try:
        stat = source.stat()
        file = source.open("rb")
    except OSError as error:
        raise ConfigError(f"data set {spec.name!r}: {source} cannot be read: {error.strerror or error}") from error
    official = spec.prompt == READY
    kind = f"{READY}: {client.version(client.interpreter())}" if official else _kind(spec)
    kind = " ".join(filter(None, [kind, arrangement.described(spec)]))
    with file:
        for folder in sorted(store.glob(f"{slug(spec.name)}-*")):
            if (ready := _ready(folder, spec, kind, source, stat)) is not None:
                return ready
        try:
            store.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_abandoned(store)
            with _temporary_folder(store) as folder:
                if official:
                    theirs = OfficialReading(spec, folder)
                    info, finder = theirs.run(stat), theirs.finder
                else:
                    finder = FileFinder((source.parent, *names.media_folders(spec)))
                    needed = ("index",) if spec.prompt in benchmarks.PICTURED else ("index", "question")
                    info = Reading(spec, Reader(file, source, needed), finder, folder).run(stat)
                info = arrangement.arrange(folder, info, spec)
                with (folder / "samples.jsonl").open("rb") as stored:
                    digest = hashlib.file_digest(stored, "sha256").hexdigest()
                info = msgspec.structs.replace(info, stored=digest)
                origin = Origin(kind, READER_VERSION, finder.seen, finder.missing, spec.layout, spec.use_subtitle)
                (folder / "origin.json").write_bytes(msgspec.json.encode(origin))
                (folder / "dataset.json").write_bytes(msgspec.json.encode(info))
                return _publish(folder, store / f"{slug(spec.name)}-{info.digest[:12]}", info)
        except OSError as error:
            raise StorageError(f"data set {spec.name!r}: cannot be stored in {store}: {error}") from error


def _kind(spec: DataSpec) -> str:
    """Return what of `spec` makes other samples of the same file."""
    said = (
        spec.type,
        "skip_noimg" if spec.skip_noimg else "",
        "pictured" if spec.prompt in benchmarks.PICTURED else "",
    )
    return " ".join(filter(None, said))


# --- the folder ------------------------------------------------------------------------------------------------


def _ready(folder: Path, spec: DataSpec, kind: str, source: Path, stat: os.stat_result) -> Dataset | None:
    """Return the data set in `folder` if another reading of `source` would give the same, else None."""
    try:
        info = jsonfiles.read(folder / "dataset.json", DatasetInfo)
        given = (spec.name, str(source), stat.st_size, stat.st_mtime_ns)
        if (info.name, info.source, info.source_size, info.source_mtime_ns) != given:
            return None
        origin = _origin(folder)
        wanted = (kind, READER_VERSION, spec.layout, spec.use_subtitle)
        same = (origin.type, origin.reader, origin.layout, origin.use_subtitle) == wanted
        return Dataset(folder) if same and not origin.missing and _unchanged(origin) else None
    except (OSError, ValueError, StorageError, ConfigError):
        return None


def _origin(folder: Path) -> Origin:
    return jsonfiles.read(folder / "origin.json", Origin)


def _unchanged(origin: Origin) -> bool:
    """Return whether every file that the samples name is as it was when they were read."""
    stats = ((Path(name).stat(), seen) for name, seen in origin.files.items())
    return all((stat.st_size, stat.st_mtime_ns) == seen for stat, seen in stats)


def _publish(folder: Path, target: Path, info: DatasetInfo) -> Dataset:
    sync_file_system(folder)  # one call instead of an fsync for each of perhaps 100,000 images
    while True:
        try:
            folder.rename(target)
            break
        except OSError:
            if not target.is_dir():
                raise
        with contextlib.suppress(OSError, ValueError, ConfigError, StorageError):
            if (there := _found_at_another_path(folder, target, info)) is not None:
                return there
        aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        with contextlib.suppress(FileNotFoundError):
            target.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(target.parent)
    return Dataset(target)


def _found_at_another_path(folder: Path, target: Path, info: DatasetInfo) -> Dataset | None:
    """Let `target` be found by the path that `folder` was read from, too: both hold the same content.

    The samples of `target` stay, and with them their digest and the files that they name. None where they may not stand
    for those of `folder`: a file that they name has changed, or another version of the reader made other samples.
    """
    read, stored = _origin(folder), _origin(target)
    if not _unchanged(stored):
        return None
    dataset = Dataset(target)
    if stored.reader != read.reader and dataset.info.stored != info.stored:
        return None
    files = stored.files | read.files
    origin = msgspec.structs.replace(read, files=files, missing=read.missing or stored.missing)
    atomic_write(target / "origin.json", msgspec.json.encode(origin))
    dataset.info = msgspec.structs.replace(info, stored=dataset.info.stored)
    atomic_write(target / "dataset.json", msgspec.json.encode(dataset.info))
    return dataset


@contextlib.contextmanager
def _temporary_folder(store: Path) -> Iterator[Path]:
    folder = store / f".reading-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(store: Path) -> None:
    """Remove what a killed reading left: a temporary folder that nobody holds and nobody changed for an hour."""
    for folder in store.glob(".*.tmp"):
        try:
            newest = max(path.stat().st_mtime for path in (folder, folder / "drafts.jsonl") if path.exists())
            if time.time() - newest < ABANDONED_AFTER:
                continue
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
        except (OSError, ValueError):
            continue
