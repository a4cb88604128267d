"""Writes the pictures of a request as files, for model classes that take paths. Uses the original where it is equal.

An image is passed as it lies on disk if every reader sees the same picture in it (`plainfile`); any other picture, and
each frame of a video, becomes a PNG in a folder of this process. `close` removes the folder. Blocking; knows no model.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vlmeval_mp.core.records import Frames, ImagePart, Media, Request, VideoPart
from vlmeval_mp.engines.plainfile import plain_kind, write_png

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Clip:
    """A video as files: itself, or its frames as images."""

    kind: Literal["video", "image"]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestFiles:
    """A request and its files, for each image and each video in order. `made` are to be removed once it is answered."""

    request: Request
    images: tuple[str, ...]
    videos: tuple[Clip, ...]
    made: tuple[Path, ...]


class MediaFiles:
    """Makes the files of requests, in any thread."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._numbers = itertools.count()

    def of(self, request: Request) -> RequestFiles:
        """Return the request with a file for each picture.

        Raises:
            OSError: a file cannot be written.
        """
        parts = [part for message in request.messages for part in message.parts]
        made: list[Path] = []
        pictures = [part.media for part in parts if isinstance(part, ImagePart)]
        images = tuple(
            self._image(media, image, request, made) for media, image in zip(pictures, request.images, strict=True)
        )
        clips = [part.media for part in parts if isinstance(part, VideoPart)]
        decoded = iter(request.videos)
        all_decoded = len(request.videos) == len(clips)  # else those that are no files: see `media.prepare`
        videos = tuple(
            self._frames(next(decoded), made) if all_decoded or clip.is_clip else Clip("video", (_path(clip, request),))
            for clip in clips
        )
        return RequestFiles(request, images, videos, tuple(made))

    def discard(self, asked: RequestFiles) -> None:
        for path in asked.made:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _image(self, media: Media, image: Image.Image, request: Request, made: list[Path]) -> str:
        path = _path(media, request)
        return path if path and plain_kind(Path(path), image) else self._written(image, made)

    def _frames(self, frames: Frames, made: list[Path]) -> Clip:
        from PIL import Image

        return Clip("image", tuple(self._written(Image.fromarray(pixels), made) for pixels in frames.pixels))

    def _written(self, image: Image.Image, made: list[Path]) -> str:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="vlmeval-mp-"))
        path = self._folder / f"{next(self._numbers)}.png"
        made.append(path)
        write_png(image, path)
        return str(path)


def _path(media: Media, request: Request) -> str:
    """Return where the media lies on disk; "" where that is not known."""
    if not media.file:
        return ""
    folder = request.origin.folder if request.origin else Path()
    return str(folder / media.file)
