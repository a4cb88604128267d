"""Reads the answers of a data set without its pictures, to score predictions from elsewhere.

Columns and kinds are those of a run, but nothing is stored and no file is opened: an image or video that is absent,
broken or only named does not affect its sample. A digest of the cell identifies media, so that samples about the same
picture are recognised.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, Media, Sample
from vlmeval_mp.datasets.mediafiles import FileFinder, MediaFolder
from vlmeval_mp.datasets.reading import Reading
from vlmeval_mp.datasets.rows import REFERENCE_CHARACTERS
from vlmeval_mp.datasets.tsv import Reader


def read(spec: DataSpec) -> list[Sample]:
    """Return the samples of the TSV at `spec.path`; a column `question` may be missing.

    Raises:
        ConfigError: the TSV is malformed or missing; names row and column.
    """
    path = Path(spec.path)
    try:
        with path.open("rb") as file:
            return _samples(spec, file, path)
    except OSError as error:
        raise ConfigError(f"data set {spec.name!r}: {path} cannot be read: {error.strerror or error}") from error


def of_rows(spec: DataSpec, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[Sample]:
    """Return the samples of a table that is already read, whose `columns` are those of a TSV.

    Raises:
        ConfigError: as `read`.
    """
    named = [_column(column, rows) for column in columns]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(named)
    writer.writerows([row[column] for column in columns] for row in rows)
    return _samples(spec, io.BytesIO(text.getvalue().encode()), Path(spec.path))


def _column(column: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Return `column`, or what it is in truth: a column `image` of short texts that are no indexes holds file names."""
    if column != "image" or any(len(row[column]) > REFERENCE_CHARACTERS for row in rows):
        return column
    return column if {row[column] for row in rows} <= {row["index"] for row in rows} else "image_path"


def _samples(spec: DataSpec, file: BinaryIO, path: Path) -> list[Sample]:
    with tempfile.TemporaryDirectory(prefix="vlmeval-mp-gold-") as folder:
        reading = _GoldReading(spec, Reader(file, path, needed=("index",)), _NoFiles(()), Path(folder), _NoImages())
        return [msgspec.structs.replace(sample, error="") for sample in reading.gold()]


def _mark(text: str | bytes) -> str:
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


class _NoImages(MediaFolder):
    """Keeps no image."""

    def __init__(self) -> None:
        pass

    def add(self, text: bytes) -> Media:
        return Media(kind="image", digest=_mark(text))


class _NoFiles(FileFinder):
    """Looks for no file."""

    def image(self, name: str) -> Media:
        return Media(kind="image", digest=_mark(name))

    def video(self, names: list[str]) -> Media:
        return Media(kind="video", digest=_mark(names[0]))

    def frames(self, name: str) -> Media:
        return self.video([name])


class _GoldReading(Reading):
    """A reading for which a reference to no row, or to another reference, is a name like any."""

    def gold(self) -> Iterator[Sample]:
        self._write_drafts()
        yield from self._samples()

    def _targets(self) -> dict[str, tuple[Media, ...]]:
        targets = {index: (Media(kind="image", digest=_mark(index)),) for index in self._referred}
        return targets | {
            draft.sample.index: draft.sample.media
            for draft in self._drafts()
            if draft.sample.index in targets and not draft.refers
        }
