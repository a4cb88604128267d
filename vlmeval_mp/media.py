"""Messages to a request: opens, checks and decodes the media, in order, as RGB.

Owns what a picture is (its first frame, upright, on white, 8 bit), what is refused before decoding, and which frames of
a video are taken. Blocking, and safe in many threads: decoders release the GIL and no library-wide setting is touched.
A text-only request loads neither PIL, av nor numpy. Whatever is wrong with the media is a `RequestError` that names the
image or video, its file and the fault. A truncated picture is refused, never filled up with grey.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vlmeval_mp.errors import RequestError
from vlmeval_mp.records import (
    Frames,
    ImagePart,
    Media,
    MediaLimits,
    Message,
    Request,
    Sampling,
    VideoPart,
)

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

T = TypeVar("T")

DEFAULT_NFRAME = 8
"""Frames of a video when neither `nframe` nor `fps` is given."""

MAX_VIDEO_BYTES = 2 << 30
"""Decoded pixels of one video above which it is refused: a few such requests at once would take the host's memory."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The image formats that are opened; Pillow knows more, some of which start other programs."""


def prepare(
    request_id: str,
    messages: tuple[Message, ...],
    sampling: Sampling,
    folder: Path,
    limits: MediaLimits,
    nframe: int,
    fps: float,
    whole_videos: bool = False,
) -> Request:
    """The request that asks `messages`; media files are absolute, or relative to the data set's `folder`.

    With `whole_videos`, a video need only be there: the engine opens it.

    Raises:
        RequestError: a picture or video is missing, damaged, too large or of no known format.
    """
    parts = [part for message in messages for part in message.parts]
    pictures = [part.media for part in parts if isinstance(part, ImagePart)]
    clips = [part.media for part in parts if isinstance(part, VideoPart)]
    images = [_open("image", n, m, folder, lambda path: open_image(path, limits)) for n, m in enumerate(pictures, 1)]
    if whole_videos:
        for number, clip in enumerate(clips, 1):
            _open("video", number, clip, folder, Path.stat)
        return Request(request_id, messages, sampling, tuple(images))
    videos = [
        _open("video", n, m, folder, lambda path: open_video(path, limits, nframe, fps)) for n, m in enumerate(clips, 1)
    ]
    return Request(request_id, messages, sampling, tuple(images), tuple(videos))


def _open(kind: str, number: int, media: Media, folder: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of one file. Errors name it as the data set does, so that they are alike on every machine."""
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
    """The first frame of an image file as RGB, upright, transparency on white, scaled down to `limits.max_pixels`.

    `limits.refuse_pixels` is checked against the header. Pillow's own guard refuses above 179 megapixels whatever the
    limit; it is process-wide, so it stays as it is.

    Raises:
        RequestError: the image is too large.
        Exception: whatever the decoder raises.
    """
    from PIL import Image, ImageOps

    try:
        opened = Image.open(path, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestError(f"is refused before decoding: {error}") from error
    with opened as image:
        width, height = image.size
        if width * height > limits.refuse_pixels:
            raise RequestError(f"has {width} x {height} pixels; more than {limits.refuse_pixels:,} are refused")
        image.load()
        try:
            upright = ImageOps.exif_transpose(image)
        except Exception:  # damaged EXIF: the picture itself is whole, and viewers show it
            upright = image
        return _fit(_rgb(upright), limits.max_pixels)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _eight_bit(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    from PIL import Image

    opaque = Image.new("RGB", image.size, "white")
    rgba = image.convert("RGBA")
    opaque.paste(rgba, mask=rgba.getchannel("A"))
    return opaque


def _eight_bit(image: Image.Image) -> Image.Image:
    """Gray of 16 bits or more as 8 bits: the whole range is scaled, where a plain conversion would clip to white."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image).astype(np.float32))
    top = 65535.0 if image.mode != "F" else 255.0 if values.max(initial=0.0) > 1.0 else 1.0
    return Image.fromarray(np.rint(np.clip(values / top, 0.0, 1.0) * 255.0).astype(np.uint8))


def _fit(image: Image.Image, max_pixels: int) -> Image.Image:
    size = _fitted(image.width, image.height, max_pixels)
    if size == image.size:
        return image
    from PIL import Image

    return image.resize(size, Image.Resampling.BICUBIC)


def _fitted(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The largest size of this aspect with at most `max_pixels`; 0 sets no limit."""
    if not max_pixels or width * height <= max_pixels:
        return width, height
    scale = (max_pixels / (width * height)) ** 0.5
    # a side that would vanish is 1, and the other then takes what is left
    if width * scale < 1:
        return 1, max_pixels
    if height * scale < 1:
        return max_pixels, 1
    return int(width * scale), int(height * scale)


def _fault(path: Path, error: Exception) -> str:
    """What is wrong with a file that a decoder refused with `error`."""
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


# --- videos ----------------------------------------------------------------------------------------------------


def open_video(path: Path, limits: MediaLimits, nframe: int, fps: float) -> Frames:
    """Frames of a video as VLMEvalKit takes them: `nframe` spread evenly, or `fps` a second; at most `max_frames`.

    The header's frame count is believed until the stream ends before it; then the frames that were really decoded
    are counted and the choice is made again. `Frames.fps` is the rate of the source.

    Raises:
        RequestError: there is no video stream, no frame, or a frame is too large.
        Exception: whatever the decoder raises.
    """
    import av

    total = 0
    while True:
        with av.open(str(path)) as container:
            stream = _stream(container, limits)
            total = total or stream.frames or _count(path)
            rate = float(stream.average_rate or stream.guessed_rate or 1)
            size = _fitted(stream.width, stream.height, limits.video_max_pixels)
            indices = frame_indices(total, rate, nframe, fps, limits.max_frames or sys.maxsize)
            if len(indices) * size[0] * size[1] * 3 > MAX_VIDEO_BYTES:
                shape = f"{len(indices)} frames of {size[0]} x {size[1]} pixels"
                raise RequestError(f"would give {shape}, more than fit; take fewer frames or set video_max_pixels")
            pixels, decoded = _decode(container.decode(stream), indices, size)
        if pixels is not None:
            return Frames(pixels=pixels, fps=rate, total=total, indices=indices)
        if not decoded:
            raise RequestError("has no frame that can be decoded")
        total = decoded


def frame_indices(total: int, rate: float, nframe: int, fps: float, most: int) -> tuple[int, ...]:
    """Which of `total` frames are taken: every `rate / fps`-th if `fps` is given, else `nframe` spread evenly."""
    if fps > 0 and not nframe:
        step = rate / fps
        count = max(1, int(total / rate * fps))
        if count <= most:
            return tuple(min(int(i * step), total - 1) for i in range(count))
        nframe = most
    nframe = min(nframe or DEFAULT_NFRAME, most)
    step = total / (nframe + 1)
    return tuple(int(i * step) for i in range(1, nframe + 1))


def _stream(container: Any, limits: MediaLimits) -> Any:
    """The picture stream of an open video, its frames small enough by the header."""
    stream = container.streams.best("video")
    if stream is None:
        raise RequestError("has no video stream")
    if stream.width * stream.height > limits.refuse_pixels:
        shape = f"{stream.width} x {stream.height} pixels"
        raise RequestError(f"has frames of {shape}; more than {limits.refuse_pixels:,} are refused")
    stream.thread_count = 1  # requests are prepared side by side; a thread per core for each would only crowd them
    return stream


def _count(path: Path) -> int:
    """Number of frames of a container whose header does not say: its packets, not decoded."""
    import av

    with av.open(str(path)) as container:
        total = sum(1 for packet in container.demux(container.streams.best("video")) if packet.size)
    if not total:
        raise RequestError("has no frame")
    return total


def _decode(frames: Iterator[Any], indices: Sequence[int], size: tuple[int, int]) -> tuple[np.ndarray | None, int]:
    """The pixels of the frames at `indices`, which ascend; None if there are fewer. And how many were decoded.

    From the start, one by one: seeking lands on other frames in files with broken time stamps.
    """
    import numpy as np

    pixels: np.ndarray | None = None
    taken = decoded = 0
    for frame in frames:
        while indices[taken] == decoded:
            picture = _upright(frame, size)
            if pixels is None:
                pixels = np.empty((len(indices), *picture.shape), np.uint8)
            pixels[taken] = picture
            taken += 1
            if taken == len(indices):
                return pixels, decoded + 1
        decoded += 1
    return None, decoded


def _upright(frame: Any, size: tuple[int, int]) -> np.ndarray:
    """RGB pixels of a frame, turned as its display matrix says (a phone held upright)."""
    import numpy as np

    pixels = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    return np.rot90(pixels, k=round(frame.rotation / 90) % 4)
