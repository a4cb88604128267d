"""Makes a request from messages: opens, checks and decodes the media, in order, as RGB.

Owns what a picture is (its first frame, upright, on white, 8 bit), what is refused before decoding, and how a video's
frames and subtitles become parts of a message. Blocking, and safe in many threads: decoders release the GIL and no
library-wide setting is touched. A text-only request loads neither PIL, av nor numpy. Whatever is wrong with the media
is a `RequestError` that names the image or video, its file and the fault. A truncated picture is refused, never filled
up with grey.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from vlmeval_mp.core.errors import MediaError, RequestError
from vlmeval_mp.core.records import (
    Draft,
    Frames,
    ImagePart,
    Media,
    MediaLimits,
    Message,
    Part,
    Request,
    Sampling,
    Subtitles,
    TextPart,
    VideoPart,
)
from vlmeval_mp.requests import pictures, subtitles, videoas
from vlmeval_mp.requests.kept import MediaCache
from vlmeval_mp.requests.pictures import FORMATS
from vlmeval_mp.requests.video import fitted, open_video
from vlmeval_mp.requests.videoas import VideoAs

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")


def prepare(
    request_id: str,
    messages: tuple[Message, ...],
    sampling: Sampling,
    folder: Path,
    limits: MediaLimits,
    nframe: int,
    fps: float,
    video: VideoAs = "native",
    kept: MediaCache | None = None,
) -> Request:
    """Return the request that asks `messages`; media files are absolute, or relative to the data set's `folder`.

    `video` says how videos go (`videoas`); one that goes whole need only be there. Subtitles are among the texts of the
    messages that come back. What `kept` has is not opened again, and what is opened is kept there.

    Raises:
        RequestError: a picture or video is missing, damaged, too large or of no known format.
    """
    opened = _MediaOpener(folder, limits, nframe, fps, video, kept)
    asked = tuple(
        msgspec.structs.replace(message, parts=tuple(p for part in message.parts for p in opened.parts(part)))
        for message in messages
    )
    return Request(request_id, asked, sampling, tuple(opened.images), tuple(opened.videos))


def open_draft(draft: Draft, kept: MediaCache | None = None) -> Request:
    """Return the request of `draft`, its media opened as `prepare` does.

    Raises:
        MediaError: what `prepare` has to say.
    """
    asked = draft.id, draft.messages, draft.sampling, draft.folder, draft.limits, draft.nframe, draft.fps, draft.video
    try:
        return replace(prepare(*asked, kept), processor=draft.processor, origin=draft.origin)
    except RequestError as error:
        raise MediaError(str(error)) from error


class _MediaOpener:
    """The media of one request, opened part by part."""

    def __init__(
        self, folder: Path, limits: MediaLimits, nframe: int, fps: float, video: VideoAs, kept: MediaCache | None
    ) -> None:
        self.images: list[Image.Image] = []
        self.videos: list[Frames] = []
        self._folder, self._limits, self._nframe, self._fps = folder, limits, nframe, fps
        self._wanted, self._kept = video, kept
        self._numbers = {"image": 0, "video": 0}

    def parts(self, part: Part) -> tuple[Part, ...]:
        """Return what `part` becomes, now that its frames are known."""
        if isinstance(part, ImagePart):
            self.images.append(self._open(part.media, lambda path: open_image(path, self._limits)))
        elif isinstance(part, VideoPart):
            media, sent_as = part.media, videoas.of_part(self._wanted, part)
            if sent_as == "whole" and part.subtitles is None:
                self._open(media, Path.stat)
                return (part,)
            frames = self._open(media, lambda path: open_video(path, media, self._limits, self._nframe, self._fps))
            return self._video(part, frames, sent_as)
        return (part,)

    def _video(self, part: VideoPart, frames: Frames, sent_as: VideoAs) -> tuple[Part, ...]:
        spoken = part.subtitles
        if spoken is not None and spoken.between:
            return self._between(part.media, frames, spoken)
        listed: tuple[Part, ...] = ()
        if spoken is not None:
            lines = self._spoken(spoken, lambda text: subtitles.listed(text, frames.fps, frames.indices), "")
            listed = (TextPart(text=spoken.before + lines + spoken.after),)
        if sent_as == "images":
            return (*(p for place in range(len(frames.indices)) for p in self._labelled(part, frames, place)), *listed)
        if sent_as == "native":
            self.videos.append(frames)
        return (VideoPart(media=part.media), *listed)

    def _between(self, media: Media, frames: Frames, spoken: Subtitles) -> tuple[Part, ...]:
        times = [index / frames.fps for index in frames.indices]
        order = self._spoken(
            spoken, lambda text: subtitles.between(text, times, spoken.origin, spoken.duration), [*range(len(times))]
        )
        return tuple(
            TextPart(text=each) if isinstance(each, str) else self._frame(media, frames, each) for each in order
        )

    def _labelled(self, part: VideoPart, frames: Frames, place: int) -> tuple[Part, ...]:
        frame = self._frame(part.media, frames, place)
        if not part.label:
            return (frame,)
        return TextPart(text=part.label.format(place + 1)), frame, TextPart(text="\n")

    def _frame(self, media: Media, frames: Frames, place: int) -> Part:
        """Return one frame as an image; its digest is unique to the frame, so that caches tell it from the others."""
        from PIL import Image

        self.images.append(Image.fromarray(frames.pixels[place]))
        digest = media.digest and f"{media.digest}-{frames.indices[place]}"
        return ImagePart(media=Media(kind="image", digest=digest))

    def _open(self, media: Media, read: Callable[[Path], T]) -> T:
        self._numbers[media.kind] += 1
        if self._kept is None or read is Path.stat:
            return _open(media.kind, self._numbers[media.kind], media, self._folder, read)
        key = media, self._folder, self._limits, self._nframe, self._fps
        found: T | None = self._kept.get(key)
        if found is None:
            found = _open(media.kind, self._numbers[media.kind], media, self._folder, read)
            self._kept.put(key, found)
        return found

    def _spoken(self, spoken: Subtitles, read: Callable[[str], T], silence: T) -> T:
        if spoken.media is None:
            return silence
        return _open("subtitles", 1, spoken.media, self._folder, lambda path: read(path.read_text("utf-8-sig")))


def _open(kind: str, number: int, media: Media, folder: Path, read: Callable[[Path], T]) -> T:
    """Return what `read` makes of one file.

    Errors name it as the data set does, so that they are alike on every machine.
    """
    where = f"{kind} {number} ({media.file})" if media.file else f"{kind} {number}"
    if media.error:
        raise RequestError(f"{where}: {media.error}")
    path = folder / media.file
    try:
        return read(path)
    except RequestError as error:
        raise RequestError(f"{where} {error}") from error
    except Exception as error:  # a decoder may raise anything at all on hostile bytes
        raise RequestError(f"{where} {_fault(path, error)}") from error


# --- images ----------------------------------------------------------------------------------------------------


def open_image(path: Path, limits: MediaLimits) -> Image.Image:
    """Return the first frame of an image file as RGB, upright, transparency on white, scaled down to
    `limits.max_pixels`.

    `limits.refuse_pixels` is checked against the header. Pillow's own guard refuses above 179 megapixels whatever the
    limit; it is process-wide, so it stays as it is.

    Raises:
        RequestError: the image is too large.
        Exception: whatever the decoder raises.
    """
    from PIL import Image, ImageOps

    try:
        opened = pictures.identify(path)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestError(f"is refused before decoding: {error}") from error
    with opened as image:
        width, height = image.size
        if width * height > limits.refuse_pixels:
            raise RequestError(f"has {width} x {height} pixels; more than {limits.refuse_pixels:,} are refused")
        whole = pictures.load(image, path)
        try:
            upright = ImageOps.exif_transpose(whole)
        except Exception:  # damaged EXIF: the picture itself is whole, and viewers show it
            upright = whole
        return _fit(_rgb(upright), limits.max_pixels)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return pictures.eight_bit(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    from PIL import Image

    opaque = Image.new("RGB", image.size, "white")
    rgba = image.convert("RGBA")
    opaque.paste(rgba, mask=rgba.getchannel("A"))
    return opaque


def _fit(image: Image.Image, max_pixels: int) -> Image.Image:
    size = fitted(image.width, image.height, max_pixels)
    if size == image.size:
        return image
    from PIL import Image

    return image.resize(size, Image.Resampling.BICUBIC)


def _fault(path: Path, error: Exception) -> str:
    """Return what is wrong with a file that a decoder refused with `error`."""
    if isinstance(error, FileNotFoundError):
        return "does not exist any more"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as failure:
        return f"cannot be read: {failure.strerror or failure}"
    if not head:
        return "is empty (0 bytes)"
    hint = f"; it is text, beginning {head.decode()!r}" if head.isascii() and b"\0" not in head else ""
    return f"cannot be decoded ({_reason(error)}){hint}"


def _reason(error: Exception) -> str:
    name = type(error).__name__
    if name == "UnidentifiedImageError":
        return f"its header is not that of a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file"
    return f"{name}: {getattr(error, 'strerror', None) or error}"
