"""Reads one TSV into the files of a data set's folder.

Owns the two passes: the TSV into drafts on disk, and, once every row is known, the drafts into samples. Memory holds
one row at a time, plus the indexes. Knows nothing of how the folder is published or found again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DatasetInfo, DataSpec, Media, Sample
from vlmeval_mp.datasets import benchmarks, rows
from vlmeval_mp.datasets.mediafiles import FileFinder, MediaFolder
from vlmeval_mp.datasets.optioncheck import OptionCheck
from vlmeval_mp.datasets.rows import REFERENCE_CHARACTERS, Draft, RowParser
from vlmeval_mp.datasets.tsv import Reader, Row
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS
from vlmeval_mp.scoring.base import COMPAT_VERSION

log = logging.getLogger(__name__)

DIGEST_VERSION = 2
"""Part of every digest; grows when the same TSV would give other samples, whatever is in it."""
READER_VERSION = 4
"""Grows when some TSV would give other samples: what an older reader stored is read again. Where a rule of a later
version made the difference, the digest says so; all other data sets keep theirs, and with it their runs."""


class Reading:
    """One pass over the TSV into drafts on disk, and one over the drafts, when every row is known, into samples."""

    def __init__(
        self, spec: DataSpec, reader: Reader, finder: FileFinder, folder: Path, images: MediaFolder | None = None
    ) -> None:
        self._spec = spec
        self._reader = reader
        self._folder = folder
        layout = VIDEO_BENCHMARKS.get(spec.layout)
        if layout is not None and not layout.columns <= {*reader.columns}:
            layout = None
        stored = images or MediaFolder(folder)
        asked = benchmarks.PLACEHOLDER if spec.prompt in benchmarks.PICTURED else ""
        self._finder = finder
        self._check = OptionCheck(reader, spec)
        self._parser = RowParser(reader, stored, finder, spec.name, layout, spec.use_subtitle, asked, self._check.where)
        self._referred: dict[str, Draft | None] = {}
        """index that is referred to -> a draft whose image it is, None if only list elements may mean it"""
        self._yes_no: set[bool] = set()
        self._left_out: set[str] = set()
        """indexes of the rows without an image, if the data set does without them"""

    def run(self, stat: os.stat_result) -> DatasetInfo:
        self._write_drafts()
        self._warn()
        digest = hashlib.sha256(f"{self._reader.digest}\n{DIGEST_VERSION}\n{self._spec.type}\n".encode())
        if self._parser.layout is not None:
            digest.update(f"{self._spec.layout}\n{self._spec.use_subtitle}\n".encode())
        if self._left_out or self._parser.asked:
            digest.update(f"{len(self._left_out)} left out\n{self._parser.asked}\n".encode())
        if self._check.other:
            digest.update(f"options {self._check.other}\n".encode())
        if self._check.otherwise:
            digest.update(f"options read otherwise {self._check.otherwise}\n".encode())
        kinds: Counter[str] = Counter()
        images = videos = count = 0
        with (self._folder / "samples.jsonl").open("wb") as file:
            for sample in self._samples():
                file.write(msgspec.json.encode(sample) + b"\n")
                count += 1
                kinds[sample.kind] += 1
                images = max(images, sum(media.kind == "image" for media in sample.media))
                videos = max(videos, sum(media.kind == "video" for media in sample.media))
                for media in (*sample.media, *filter(None, [sample.subtitles])):
                    if not media.file.startswith("media/"):
                        digest.update(f"{media.digest or '-'}\n".encode())
        (self._folder / "drafts.jsonl").unlink()
        self._finder.refuse_if_all_outside(str(self._reader.path))
        return DatasetInfo(
            name=self._spec.name,
            digest=digest.hexdigest(),
            source=str(self._reader.path),
            source_size=stat.st_size,
            source_mtime_ns=stat.st_mtime_ns,
            samples=count,
            kinds=dict(kinds),
            max_images=images,
            max_videos=videos,
            columns=self._reader.columns,
        )

    def _write_drafts(self) -> None:
        with (self._folder / "drafts.jsonl").open("wb") as file:
            place = 0
            for row in self._reader:
                if self._spec.skip_noimg and _without_image(row):
                    self._left_out.add(row.index)
                    continue
                draft = self._parser.draft(row, place)
                place += 1
                file.write(msgspec.json.encode(draft) + b"\n")
                self._check.look(row, draft.sample)
                if draft.sample.answer:
                    self._yes_no.add(rows.is_yes_no(draft.sample.answer))
                if draft.refers and not self._referred.get(draft.refers):
                    self._referred[draft.refers] = draft
                for index in draft.elements.values():
                    self._referred.setdefault(index)

        if not place:
            raise ConfigError(f"{self._reader.path}: no row has an image; say skip_noimg: false to ask them without")

    def _warn(self) -> None:
        """Say what a reader of the scores must know of the file."""
        path = self._reader.path
        if self._left_out:
            log.warning("%s: %d rows without an image are left out", path, len(self._left_out))
        for warning in self._check.warnings():
            log.warning("%s: %s", path, warning)
        official = benchmarks.md5(Path(self._spec.path).stem)
        if official and official != self._reader.md5:
            log.warning(
                "%s: its MD5 is %s, that of the official file (ms-vlmeval %s) %s; scores may not compare",
                path, self._reader.md5, COMPAT_VERSION, official,
            )  # fmt: skip

    def _drafts(self) -> Iterator[Draft]:
        decode = msgspec.json.Decoder(Draft).decode
        with (self._folder / "drafts.jsonl").open("rb") as file:
            yield from map(decode, file)

    def _samples(self) -> Iterator[Sample]:
        targets = self._targets() if self._referred else {}
        general = rows.kind_of_file(self._spec.type, self._reader.columns, self._yes_no == {True})
        for draft in self._drafts():
            sample = draft.sample
            media = rows.resolve(draft, targets)
            is_video = any(each.kind == "video" for each in media)
            kind = rows.kind_of_video(sample) if is_video and not self._spec.type else general
            error = sample.error
            if draft.refers and not media:
                number = self._reader.numbers[draft.refers]
                own = self._reader.numbers[sample.index]
                error = f"{self._reader.path.name} row {own}, column 'image': row {number} has no image"
            yield msgspec.structs.replace(
                sample, media=media, kind=sample.kind if draft.typed else kind, error=sample.error or error
            )

    def _targets(self) -> dict[str, tuple[Media, ...]]:
        """Return the media of every row that is referred to; refuses references to nothing or to another reference."""
        for index, draft in self._referred.items():
            if draft is not None and index not in self._reader.numbers:
                self._refuse(draft, f"refers to index {index!r}, which no row has; file names belong into 'image_path'")
        targets: dict[str, tuple[Media, ...]] = {index: () for index in self._referred if index in self._left_out}
        for draft in self._drafts():
            index = draft.sample.index
            if index not in self._referred:
                continue
            referring = self._referred[index]
            if not draft.refers:
                targets[index] = draft.sample.media
            elif referring is not None:
                number = self._reader.numbers[index]
                self._refuse(
                    referring, f"refers to row {number}, which is itself a reference; name the row with the image"
                )
        return targets

    def _refuse(self, draft: Draft, problem: str) -> NoReturn:
        self._reader.refuse(self._reader.numbers[draft.sample.index], draft.sample.index, "image", problem)


def _without_image(row: Row) -> bool:
    image = row.cells.get("image")
    return image is not None and not image[:REFERENCE_CHARACTERS].strip()
