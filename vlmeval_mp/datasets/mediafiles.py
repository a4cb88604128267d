"""Finds a sample's media: base64 text in a cell, or a file that the cell names.

Owns decoding base64 strictly, storing bytes unchanged under their digest, and finding named files only inside the
folders they may come from. A fault becomes `Media.error`, never an exception: it costs one sample. Opens no image.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Media

WHOLE_DIGEST_BYTES = 16 << 20
EDGE_BYTES = 1 << 20
LINE = 120
"""The most characters of a line that base64 is taken to be wrapped at; a longer piece is a whole picture."""

_DATA_URI = re.compile(rb"data:[^,]{0,200},", re.IGNORECASE)
_BEGINS_PICTURE = re.compile(rb"iVBORw0KGgo|/9j/[24]|R0lGOD[dl]|UklGR")
"""Base64 of the first bytes of a PNG, JPEG, GIF or WEBP file."""
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_SIGNATURES = (
    (0, b"\x89PNG", "png"),
    (0, b"\xff\xd8", "jpg"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (4, b"ftypavif", "avif"),
    (4, b"ftyphei", "heic"),
    (4, b"jP  ", "jp2"),
)


class MediaFolder:
    """`media/` of a data set that is being read: every distinct image once, its bytes unchanged, named by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "media"
        self._folder.mkdir()
        self._known: dict[bytes, str] = {}

    def add(self, text: bytes) -> Media:
        """Return the image that base64 `text` holds; data URI, line breaks and missing padding are accepted."""
        data = decode_base64(text)
        return Media(kind="image", error=data) if isinstance(data, str) else self.keep(data)

    def keep(self, data: bytes) -> Media:
        """Return the image whose bytes are `data`."""
        digest = hashlib.sha256(data)
        name = self._known.get(digest.digest())
        if name is None:
            name = f"media/{digest.hexdigest()}.{_extension(data)}"
            self._known[digest.digest()] = name
            (self._folder.parent / name).write_bytes(data)
        return Media(kind="image", file=name, digest=digest.hexdigest())


def decode_base64(text: bytes) -> bytes | str:
    """Return the bytes that `text` holds, or what is wrong with it.

    Strict, because a tolerant decoder drops what is not base64 and gives a different picture without a word.
    """
    prefix = _DATA_URI.match(text)
    pieces = text[prefix.end() if prefix else 0 :].split()
    if _side_by_side(pieces):
        return "holds several pictures side by side; write them as a list, ['…', '…']"
    body = b"".join(pieces).rstrip(b"=")
    if not body:
        return "is empty"
    try:
        return base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        bad = _NOT_BASE64.search(body)
        if bad is None:
            return f"is cut base64: {len(body)} characters cannot be whole bytes"
        shown = bad.group().decode("ascii", "replace")
        return f"is not base64: character {shown!r} at {bad.start() + 1} of {len(body)}"


def _side_by_side(pieces: Sequence[bytes]) -> bool:
    """Return whether a piece begins another picture.

    A line of one picture may begin so, too (a JPEG may hold a thumbnail), but only behind a full line: a short piece,
    as long as the first.
    """
    line = len(pieces[0]) if pieces and len(pieces[0]) <= LINE else 0
    return any(
        _BEGINS_PICTURE.match(piece) and (before.endswith(b"=") or len(before) != line)
        for before, piece in pairwise(pieces)
    )


def _extension(data: bytes) -> str:
    return next((name for place, mark, name in _SIGNATURES if data.startswith(mark, place)), "bin")


class FileFinder:
    """Files that a TSV names, looked for under `roots` in their order, and what was seen of each.

    A TSV is not trusted: a name must stay inside a root, symbolic links resolved. A link to a folder that stands in a
    root was made by somebody who has that folder in mind, so its target is a root, too. `seen` maps each file to its
    (size, mtime_ns), so that a change can be noticed without reading it again; `missing` says whether some name was not
    found, so that a later reading looks again. `outside` are files that are there and in no root.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        given = dict.fromkeys(root.resolve() for root in roots)
        self.roots = tuple(dict.fromkeys([*given, *(target for root in given for target in _linked(root))]))
        self._home = next(iter(given), Path())
        self.outside: list[Path] = []
        self.seen: dict[str, tuple[int, int]] = {}
        self.missing = False
        self._digests: dict[Path, str] = {}

    def image(self, name: str) -> Media:
        before = len(self.outside)
        path = self._find([name])
        return self._media("image", path) if path else Media(kind="image", error=self._why_not_found(name, before))

    def video(self, names: list[str]) -> Media:
        """Return the first of `names` that exists."""
        before = len(self.outside)
        path = self._find(names)
        return self._media("video", path) if path else Media(kind="video", error=self._why_not_found(names[0], before))

    def frames(self, name: str) -> Media:
        """Return the folder called `name`, a video whose frames are pictures."""
        before = len(self.outside)
        path = self._find([name], folder=True)
        return self._media("video", path) if path else Media(kind="video", error=self._why_not_found(name, before))

    def subtitles(self, name: str) -> Media:
        before = len(self.outside)
        path = self._find([name])
        return (
            self._media("subtitles", path) if path else Media(kind="subtitles", error=self._why_not_found(name, before))
        )

    def _find(self, names: list[str], folder: bool = False) -> Path | None:
        candidates = (root / name for name in names if not _unsafe(name) for root in self.roots)
        return next((found for path in candidates if (found := self._inside(path, folder))), None)

    def _inside(self, path: Path, folder: bool) -> Path | None:
        try:
            resolved = path.resolve()
            usable = resolved.is_dir() if folder else resolved.is_file()
            if usable and not any(resolved.is_relative_to(root) for root in self.roots):
                self.outside.append(resolved)
                return None
        except (OSError, RuntimeError):  # a name too long for the file system, a loop of links
            return None
        return resolved if usable else None

    def refuse_if_all_outside(self, source: str) -> None:
        """Raise `ConfigError` where every file that `source` names is there, and none is in a folder that is opened."""
        if self.outside and not self.seen:
            place = self.outside[0]
            raise ConfigError(
                f"{source}: every file that it names is outside of its folders; the first is {place}. "
                f"{self._way(place)}"
            )

    def _way(self, place: Path) -> str:
        return f"To allow its folder, make a link to it beside the TSV: ln -s {place.parent} {self._home}/"

    def _why_not_found(self, name: str, before: int) -> str:
        self.missing = True
        if len(self.outside) > before:
            place = self.outside[-1]
            return f"file {name[:200]!r} is there ({place}), but outside of the data set's folders. {self._way(place)}"
        if _unsafe(name):
            return f"file name {name[:200]!r} leaves the data set's folder; only files inside it are opened"
        folders = ", ".join(str(root) for root in self.roots)
        return f"file {name[:200]!r} does not exist inside {folders}"

    def _media(self, kind: Literal["image", "video", "subtitles"], path: Path) -> Media:
        try:
            if path not in self._digests:
                stat = path.stat()
                self.seen[str(path)] = (stat.st_size, stat.st_mtime_ns)
                self._digests[path] = content_digest(path)
        except OSError as error:
            self.missing = True
            return Media(kind=kind, error=f"file {path} cannot be read: {error.strerror or error}")
        return Media(kind=kind, file=str(path), digest=self._digests[path])


def _linked(root: Path) -> list[Path]:
    """Return the folders that links in `root` lead to."""
    try:
        links = [path for path in root.iterdir() if path.is_symlink()] if root.is_dir() else []
        return sorted(path.resolve() for path in links if path.is_dir())
    except (OSError, RuntimeError):
        return []


def _unsafe(name: str) -> bool:
    return "\0" in name or ".." in Path(name).parts


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file of up to 16 MiB; of a larger one, that of its size and its first and last MiB.

    Edges and size tell long videos apart well enough, and nobody would wait for 100 GB to be read. For a folder of
    frames the digest is that of their names and sizes.
    """
    if path.is_dir():
        listed = sorted(f"{file.name} {file.stat().st_size}\n" for file in path.iterdir())
        return hashlib.sha256("".join(listed).encode("utf-8", "surrogateescape")).hexdigest()
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE_DIGEST_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(b"%d\n" % size)
        digest.update(file.read(EDGE_BYTES))
        file.seek(-EDGE_BYTES, os.SEEK_END)
        digest.update(file.read(EDGE_BYTES))
        return digest.hexdigest()
