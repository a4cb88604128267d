"""Makes a sample of a row: the meaning of each column in VLMEvalKit's convention.

Owns the columns and the kinds. A fault of a row becomes `Sample.error` or `Media.error`; a fault of the file is the
reader's. A row may refer to the image of a row that comes later, so this gives a `Draft`, and `resolve` makes it final
once all rows are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import msgspec

from vlmeval_mp.core.literals import literal, strings
from vlmeval_mp.core.records import FIELDS, Kind, Media, Sample, Struct
from vlmeval_mp.datasets import videobenchmarks
from vlmeval_mp.datasets.mediafiles import FileFinder, MediaFolder
from vlmeval_mp.datasets.options import CONVENTION, OptionColumns
from vlmeval_mp.datasets.tsv import Reader, Row
from vlmeval_mp.requests.videosets import VideoBenchmark

REFERENCE_CHARACTERS = 64
"""An `image` of at most this many characters is the index of the row that holds the picture."""

KINDS: dict[str, Kind] = {"mcq": "mcq", "yorn": "yorn", "y/n": "yorn", "open": "vqa", "vqa": "vqa"}
"""Values of a `type` column, in lower case."""

_OPTIONS = CONVENTION.by_letter
_MEDIA = ("image", "image_path", "video", "video_path")


class Draft(Struct, frozen=True):
    """A sample whose references are not resolved.

    `refers` is the index of the row that holds all its media; `elements` maps a place in `media` to an index whose
    image belongs there if there is such a row. `kind` of the sample is final only if `typed`.
    """

    sample: Sample
    typed: bool
    refers: str = ""
    elements: dict[int, str] = {}


@dataclass(frozen=True, slots=True)
class RowParser:
    """Reads the rows of one file; `dataset` is the name under which videos may be kept in a folder.

    A `layout` says what the columns of a published video benchmark mean; `subtitles`: whether its rows name theirs.
    `asked` takes the place of a question that is in the picture. `options` says where options are.
    """

    reader: Reader
    images: MediaFolder
    files: FileFinder
    dataset: str
    layout: VideoBenchmark | None = None
    subtitles: bool = False
    asked: str = ""
    options: OptionColumns = CONVENTION

    def draft(self, row: Row, place: int) -> Draft:
        """Return the row as a draft, of the sample that is at `place` in the data set."""
        columns = self.reader.columns
        text = {c: self.reader.text(row, c) for c in columns if c not in ("index", *_MEDIA) or c == "image_path"}
        fields: dict[str, Any] = {name: text.get(column, "") for column, name in FIELDS.items()}
        declared = KINDS.get(text.get("type", "").strip().lower())
        media, error, refers, elements = self._media(row) if self.layout is None else ((), "", "", {})
        if self.asked:
            fields["question"] = self.asked
        elif not fields["question"].strip():
            error = self._fault(row, "question", "is empty")
        options = self.options.of(text)
        answer = self.options.answer(fields["answer"], options)
        given = {"answer": fields["answer"]} if answer != fields["answer"] else {}
        fields["answer"] = answer
        typed = declared is not None or (self.options.foreign and bool(options))
        sample = Sample(
            index=row.index,
            row=place,
            kind=declared or ("mcq" if typed else "vqa"),
            options=options,
            media=media,
            subtitles=None,
            extra={c: v for c, v in text.items() if v and c not in FIELDS and c not in _OPTIONS} | given,
            error=error,
            **fields,
        )
        if self.layout is not None:
            return Draft(sample=self._understood(self.layout, row, text, sample), typed=True)
        return Draft(sample=sample, typed=typed, refers=refers, elements=elements)

    def _understood(self, layout: VideoBenchmark, row: Row, text: Mapping[str, str], sample: Sample) -> Sample:
        """Return `sample` as the columns of `layout` have it, with its video."""
        # the columns that name media are no text of a general row
        files: dict[str, str] = {c: self.reader.text(row, c) for c in ("video", "video_path") if c in row.cells}
        text = {**text, **files}
        sample = msgspec.structs.replace(sample, extra={**files, **sample.extra})
        try:
            sample = videobenchmarks.understood(layout, text, sample)
            name = videobenchmarks.video_name(layout, text)
            found = self.files.frames(name) if text.get("data_type") == "frame" else self._video(name)
            video = videobenchmarks.clipped(layout, text, found)
            media = (self._placed(row, "video", video),)
            spoken = self.files.subtitles(videobenchmarks.subtitles_name(layout, text)) if self.subtitles else None
            return msgspec.structs.replace(sample, media=media, subtitles=spoken)
        except videobenchmarks.CellError as fault:
            return msgspec.structs.replace(sample, error=sample.error or self._fault(row, fault.column, fault.problem))

    def _fault(self, row: Row, column: str, problem: str) -> str:
        return f"{self.reader.path.name} row {row.number}, column {column!r}: {problem}"

    def _media(self, row: Row) -> tuple[tuple[Media, ...], str, str, dict[int, str]]:
        """Return the media of a row: what it holds, its error, the row it refers to, the rows its elements refer to."""
        image = row.cells.get("image", b"").strip()
        if image:
            return self._image(row, image)
        for column in ("image_path", "video_path", "video"):
            names = self.reader.text(row, column).strip()
            if names:
                media, error = self._named(row, column, names)
                return media, error, "", {}
        absent = next((column for column in _MEDIA if column in row.cells), "")
        return (), self._fault(row, absent, "is empty") if absent else "", "", {}

    def _image(self, row: Row, image: bytes) -> tuple[tuple[Media, ...], str, str, dict[int, str]]:
        if image.startswith(b"[") and image.endswith(b"]"):
            listed = _list_literal(image)
            if isinstance(listed, str):
                return (), self._fault(row, "image", listed), "", {}
            media = tuple(self._stored(row, value.encode()) for value in listed)
            short = {place: value for place, value in enumerate(listed) if len(value) <= REFERENCE_CHARACTERS}
            return media, "", "", short
        if len(image) <= REFERENCE_CHARACTERS and not image.startswith(b"data:"):
            return (), "", self.reader.text(row, "image").strip(), {}
        return (self._stored(row, image),), "", "", {}

    def _stored(self, row: Row, value: bytes) -> Media:
        media = self.images.add(value)
        return self._placed(row, "image", media)

    def _named(self, row: Row, column: str, value: str) -> tuple[tuple[Media, ...], str]:
        names: list[str] | str = [value]
        if value.startswith("[") and value.endswith("]"):
            names = _list_literal(value.encode())
        if isinstance(names, str):
            return (), self._fault(row, column, names)
        found = map(self.files.image if column == "image_path" else self._video, names)
        return tuple(self._placed(row, column, media) for media in found), ""

    def _video(self, name: str) -> Media:
        names = [name] if PurePosixPath(name).suffix else [f"{name}.mp4", name]
        folders = ("", "videos/", "video/", f"{self.dataset}/")
        return self.files.video([folder + each for each in names for folder in folders])

    def _placed(self, row: Row, column: str, media: Media) -> Media:
        return msgspec.structs.replace(media, error=self._fault(row, column, media.error)) if media.error else media


def _list_literal(value: bytes) -> list[str] | str:
    """Return the strings of a list literal, or what is wrong with it."""
    try:
        text = value.decode("utf-8")
        listed = strings(text) or literal(text)
    except ValueError as error:
        why = f": {error}" if "commas" in str(error) else ""
        return f"looks like a list, but is not a valid list literal{why}"
    if listed is None:
        return "looks like a list, but is not a valid list literal"
    if not isinstance(listed, list):
        return "looks like a list, but is not one"
    if not listed:
        return "is an empty list"
    if None in listed:
        return f"has nothing in place {listed.index(None) + 1} of its list"
    return [str(value) for value in listed]


def resolve(draft: Draft, targets: Mapping[str, tuple[Media, ...]]) -> tuple[Media, ...]:
    """Return the media of a draft, where `targets` holds those of the rows that are referred to."""
    if draft.refers:
        return targets[draft.refers]
    media = list(draft.sample.media)
    for place, index in draft.elements.items():
        target = targets.get(index, ())
        if len(target) == 1:
            media[place] = target[0]
    return tuple(media)


def kind_of_file(declared: str, columns: tuple[str, ...], answers_yes_no: bool) -> Kind:
    """Return the kind of the rows of a file: as declared, else by its columns, else by its answers."""
    if declared:
        return KINDS[declared]
    if "A" in columns and "B" in columns:
        return "mcq"
    return "yorn" if answers_yes_no else "vqa"


def kind_of_video(sample: Sample) -> Kind:
    """Return the kind of one row of a video file, whose rows may differ."""
    if "A" in sample.options and "B" in sample.options:
        return "mcq"
    return "yorn" if is_yes_no(sample.answer) else "vqa"


def is_yes_no(answer: str) -> bool:
    return answer.strip().lower() in ("yes", "no")
