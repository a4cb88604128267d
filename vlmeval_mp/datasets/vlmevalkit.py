"""Reads a benchmark through VLMEvalKit's own class: its rows, and the prompts of its `build_prompt`.

Owns what such a data set's folder holds: samples that carry their messages, so that no worker needs `vlmeval`, and the
pictures, bytes unchanged. Knows nothing of how the folder is published or found again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import string
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Literal, cast

import msgspec

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import (
    FIELDS,
    DatasetInfo,
    DataSpec,
    ImagePart,
    Json,
    Kind,
    Media,
    Message,
    Part,
    Sample,
    TextPart,
)
from vlmeval_mp.datasets.mediafiles import FileFinder, MediaFolder
from vlmeval_mp.vlmevalkit import client

log = logging.getLogger(__name__)

KIND_OF: dict[str, Kind] = {"MCQ": "mcq", "Y/N": "yorn"}
_ROLES = ("system", "user", "assistant")


class OfficialReading:
    """One pass over the rows that VLMEvalKit's class gives."""

    def __init__(self, spec: DataSpec, folder: Path) -> None:
        self._spec, self._folder = spec, folder
        self._place = Path(spec.path)
        self._dumped = folder / "dumped"
        self._images = MediaFolder(folder)
        self._kept: dict[str, Media] = {}
        self._columns: dict[str, None] = {}
        self.finder = FileFinder((self._place.parent,))

    def run(self, stat: os.stat_result) -> DatasetInfo:
        """Write `samples.jsonl` and the pictures.

        Raises:
            ConfigError: the data set has no rows, an index stands twice, or VLMEvalKit cannot use it from local files.
            DependencyError: there is no usable `vlmeval`.
        """
        self._dumped.mkdir()
        request = {"do": "prompts", "dataset": self._place.stem, "media": str(self._dumped)}
        rows = client.ask(request, lmu_data=self._place.parent)
        digest = hashlib.sha256(next(rows)["version"].encode())
        drafts, end = self._drafts(rows, digest)
        for warning in end["warnings"]:
            log.warning("%s: %s", self._spec.name, warning)
        kind = KIND_OF.get(end["type"], "vqa")
        if not drafts:
            raise ConfigError(f"data set {self._spec.name!r}: {self._place} has no rows that {end['class']} would ask")
        if all(sample.error for sample in drafts.values()):
            first = next(iter(drafts.values()))
            raise ConfigError(
                f"data set {self._spec.name!r}: none of the {len(drafts)} rows of {self._place} can be asked; "
                f"the first, index {first.index!r}: {first.error}"
            )
        samples = [msgspec.structs.replace(sample, kind=kind) for sample in drafts.values()]
        (self._folder / "samples.jsonl").write_bytes(b"".join(msgspec.json.encode(s) + b"\n" for s in samples))
        shutil.rmtree(self._dumped)
        return DatasetInfo(
            name=self._spec.name,
            digest=digest.hexdigest(),
            source=str(self._place.resolve()),
            source_size=stat.st_size,
            source_mtime_ns=stat.st_mtime_ns,
            samples=len(samples),
            kinds={kind: len(samples)},
            max_images=max(len(s.media) for s in samples),
            max_videos=0,
            columns=("index", *self._columns),
        )

    def _drafts(self, rows: client.Answer, digest: hashlib._Hash) -> tuple[dict[str, Sample], Json]:
        drafts: dict[str, Sample] = {}
        for row in rows:
            if "end" in row:
                end: Json = row["end"]
                return drafts, end
            index = row["index"]
            if index in drafts:
                raise ConfigError(f"data set {self._spec.name!r}: the index {index!r} stands twice in {self._place}")
            drafts[index] = self._sample(row)
            media = [m.digest or m.error for m in drafts[index].media]
            texts = [m for m in row.get("messages", ()) if m["type"] == "text"]
            digest.update(json.dumps([index, row["columns"], texts, media, row.get("fault", "")]).encode())
        raise ConfigError(f"data set {self._spec.name!r}: VLMEvalKit gave no end of its rows")

    def _sample(self, row: Json) -> Sample:
        text: dict[str, str] = row["columns"]
        self._columns.update(dict.fromkeys(text))
        fields: Json = {field: text.get(column, "") for column, field in FIELDS.items()}
        ready, error = self._messages(row.get("messages", ())), row.get("fault", "")
        options = [letter for letter in string.ascii_uppercase if text.get(letter)]
        return Sample(
            index=row["index"],
            row=row["row"],
            kind="vqa",
            options={letter: text[letter] for letter in options},
            media=tuple(part.media for message in ready for part in message.parts if isinstance(part, ImagePart)),
            extra={c: v for c, v in text.items() if c not in FIELDS and c not in options},
            error=error,
            ready=ready,
            **fields,
        )

    def _messages(self, parts: list[dict[str, str]]) -> tuple[Message, ...]:
        return tuple(
            Message(role=_role(role), parts=tuple(map(self._part, of_role)))
            for role, of_role in groupby(parts, lambda part: part["role"])
        )

    def _part(self, part: Mapping[str, str]) -> Part:
        return TextPart(text=part["value"]) if part["type"] == "text" else ImagePart(media=self._media(part["value"]))

    def _media(self, name: str) -> Media:
        """Return the media of a picture: copied if VLMEvalKit wrote it from the TSV, else the file as it lies there."""
        if name not in self._kept:
            path = Path(name)
            if path.is_relative_to(self._dumped):
                self._kept[name] = self._images.keep(path.read_bytes())
            else:
                self._kept[name] = self.finder.image(name)
        return self._kept[name]


def _role(name: str) -> Literal["system", "user", "assistant"]:
    return cast("Literal['system', 'user', 'assistant']", name) if name in _ROLES else "user"
