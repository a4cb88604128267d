"""Frames of a video file, or of a folder that holds its frames as pictures, as RGB.

Owns decoding, and what is refused before it; which frames are taken is `frames`' matter. Blocking, and safe in many
threads. Raises whatever a decoder raises: `media` says which file it was.
"""

from __future__ import annotations

import functools
import logging
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Frames, Media, MediaLimits
from vlmeval_mp.requests import frames, frametimes
from vlmeval_mp.requests.frametimes import FrameTimes

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

MAX_VIDEO_BYTES = 2 << 30
"""Decoded pixels of one video above which it is refused: a few such requests at once would take the host's memory."""


def open_video(path: Path, media: Media, limits: MediaLimits, nframe: int, fps: float) -> Frames:
    """Return frames of a video as VLMEvalKit takes them: `nframe` by the rule of `media`, or `fps` a second; limited.

    The header's frame count is believed until the stream ends before it; then the frames that were really decoded
    are counted and the choice is made again. `Frames.fps` is the rate of the source. Of a video whose frames are not
    evenly spaced in time, seconds are looked up in its time stamps; its `indices` then count points of a finer grid, so
    that they tell the time at `fps`, as always.

    Raises:
        RequestError: there is no video stream, no frame, or a frame is too large.
        Exception: whatever the decoder raises.
    """
    if path.is_dir():
        return open_folder(path, media, limits, nframe, fps)
    import av

    total, spaced = 0, None
    while True:
        with av.open(str(path)) as container:
            stream = _stream(container, limits)
            rate = media.rate or float(stream.average_rate or stream.guessed_rate or 1)
            if not total:
                spaced = None if media.rate or frametimes.is_even(stream) else frametimes.uneven(path, rate)
                total = len(spaced.times) if spaced else stream.frames or _count(path)
            size = fitted(stream.width, stream.height, limits.video_max_pixels)
            picked = _picked(media, total, rate, nframe, fps, limits, spaced)
            _refuse_too_many(len(picked.frames), size)
            pixels, decoded = _decode(container.decode(stream), picked.frames, size)
        if pixels is not None:
            if spaced:
                _tell_uneven(str(path))
            return Frames(pixels=pixels, fps=picked.rate, total=picked.total, indices=picked.indices)
        if not decoded:
            raise RequestError("has no frame that can be decoded")
        total, spaced = decoded, spaced and spaced.first(decoded)


@dataclass(frozen=True, slots=True)
class _FramePick:
    """The frames that are taken, by their places in the stream, and as `indices` of `total` at `rate` a second."""

    frames: tuple[int, ...]
    indices: tuple[int, ...]
    rate: float
    total: int


def _picked(
    media: Media, total: int, rate: float, nframe: int, fps: float, limits: MediaLimits, spaced: FrameTimes | None
) -> _FramePick:
    """Return which frames are taken: of an uneven video by time where the rule is one in seconds, else by count."""
    if spaced is None:
        indices = _chosen(media, total, rate, nframe, fps, limits)
        return _FramePick(indices, indices, rate, total)
    if media.clip is not None or (fps > 0 and not nframe):
        points = _chosen(media, spaced.total, spaced.rate, nframe, fps, limits)
        return _FramePick(tuple(spaced.frame_at(point) for point in points), points, spaced.rate, spaced.total)
    taken = _chosen(media, total, rate, nframe, fps, limits)
    return _FramePick(taken, tuple(spaced.point_of(frame) for frame in taken), spaced.rate, spaced.total)


@functools.cache
def _tell_uneven(path: str) -> None:
    log.warning("%s: its frames are not evenly spaced in time; seconds are looked up in its time stamps", path)


def open_folder(path: Path, media: Media, limits: MediaLimits, nframe: int, fps: float) -> Frames:
    """Return frames of a video that is a folder of pictures 00001.jpg, 00002.jpg, …, `media.rate` of them a second."""
    import numpy as np
    from PIL import Image

    total = sum(1 for _ in path.iterdir())
    if not total:
        raise RequestError("is a folder without frames")
    rate = media.rate or 1.0
    indices = _chosen(media, total, rate, nframe, fps, limits, first=1)
    pictures: list[np.ndarray] = []
    for index in indices:
        with Image.open(path / f"{index:05d}.jpg", formats=("JPEG", "PNG")) as image:
            if image.width * image.height > limits.refuse_pixels:
                shape = f"{image.width} x {image.height} pixels"
                raise RequestError(f"has frames of {shape}; more than {limits.refuse_pixels:,} are refused")
            size = pictures[0].shape[1::-1] if pictures else fitted(*image.size, limits.video_max_pixels)
            _refuse_too_many(len(indices), size)
            picture = image.convert("RGB")
        pictures.append(np.asarray(picture if picture.size == size else picture.resize(size)))
    return Frames(pixels=np.stack(pictures), fps=rate, total=total, indices=indices)


def fitted(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Return the largest size of this aspect with at most `max_pixels`; 0 sets no limit."""
    if not max_pixels or width * height <= max_pixels:
        return width, height
    scale = (max_pixels / (width * height)) ** 0.5
    # a side that would vanish is 1, and the other then takes what is left
    if width * scale < 1:
        return 1, max_pixels
    if height * scale < 1:
        return max_pixels, 1
    return int(width * scale), int(height * scale)


def _chosen(
    media: Media, total: int, rate: float, nframe: int, fps: float, limits: MediaLimits, first: int = 0
) -> tuple[int, ...]:
    try:
        return frames.choose(media, total, rate, nframe, fps, limits.max_frames or sys.maxsize, first)
    except ValueError as error:
        raise RequestError(str(error)) from error


def _refuse_too_many(count: int, size: tuple[int, int]) -> None:
    if count * size[0] * size[1] * 3 > MAX_VIDEO_BYTES:
        shape = f"{count} frames of {size[0]} x {size[1]} pixels"
        raise RequestError(f"would give {shape}, more than fit; take fewer frames or set video_max_pixels")


def _stream(container: Any, limits: MediaLimits) -> Any:
    """Return the picture stream of an open video, its frames small enough by the header. A cover picture is none."""
    stream = container.streams.best("video")
    if stream is not None and _is_cover(stream):
        stream = next((each for each in container.streams.video if not _is_cover(each)), None)
    if stream is None:
        raise RequestError("has no video stream")
    if stream.width * stream.height > limits.refuse_pixels:
        shape = f"{stream.width} x {stream.height} pixels"
        raise RequestError(f"has frames of {shape}; more than {limits.refuse_pixels:,} are refused")
    stream.thread_count = 1  # requests are prepared side by side; a thread per core for each would only crowd them
    return stream


def _is_cover(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _count(path: Path) -> int:
    """Return number of frames of a container whose header does not say: its packets, not decoded."""
    import av

    with av.open(str(path)) as container:
        total = sum(1 for packet in container.demux(container.streams.best("video")) if packet.size)
    if not total:
        raise RequestError("has no frame")
    return total


def _decode(frames: Iterator[Any], indices: Sequence[int], size: tuple[int, int]) -> tuple[np.ndarray | None, int]:
    """Return the pixels of the frames at `indices`, which ascend; None if there are fewer. And how many were decoded.

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
    """Return RGB pixels of a frame, turned and mirrored as its display matrix says (a phone held upright, a selfie).

    The matrix maps a place (x, y) of the frame to (a x + c y, b x + d y) on the screen; it is taken as the nearest one
    that turns by right angles, mirrored or not.
    """
    import numpy as np

    pixels: np.ndarray = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    a, b, c, d = _display_matrix(frame)
    if abs(a) + abs(d) < abs(b) + abs(c):
        pixels, across, down = np.swapaxes(pixels, 0, 1), c, b
    else:
        across, down = a, d
    pixels = pixels[:, ::-1] if across < 0 else pixels
    return pixels[::-1] if down < 0 else pixels


def _display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """Return a, b, c and d of a frame's display matrix; that of an upright picture if it has none."""
    found = next((bytes(each) for each in frame.side_data if each.type.name == "DISPLAYMATRIX"), b"")
    if len(found) != struct.calcsize("=9i"):
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", found)
    return a, b, c, d
