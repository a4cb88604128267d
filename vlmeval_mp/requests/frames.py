"""Chooses the frames of a video by VLMEvalKit's rules. Pure; knows no file and no decoder.

`spread` is the rule of most data sets, `segments` that of MVBench and MVBench_MP4 (ms-vlmeval 0.0.20,
`VideoBaseDataset.save_video_frames` and `MVBench.get_index`). A rate of frames per second has one rule for all.
"""

from __future__ import annotations

from vlmeval_mp.core.records import Media

DEFAULT_NFRAME = 8
"""Frames of a video when neither `nframe` nor `fps` is given."""


def choose(
    media: Media, total: int, rate: float, nframe: int, fps: float, most: int, first: int = 0
) -> tuple[int, ...]:
    """Return which frames of `media` are taken, ascending: `total` of them, numbered from `first`, at `rate` a second.

    `fps` frames a second if it is given without `nframe`, else `nframe`, by the rule of the data set; at most `most`.

    Raises:
        ValueError: the clip that the sample names lies outside the video.
    """
    if fps > 0 and not nframe:
        step = rate / fps
        count = max(1, int(total / rate * fps))
        if count <= most:
            return tuple(first + min(int(i * step), total - 1) for i in range(count))
        nframe = most
    count = min(nframe or DEFAULT_NFRAME, most)
    if media.frames == "segments":
        return segments(first, total - 1 + first, rate, media.clip, count)
    step = total / (count + 1)
    return tuple(first + int(i * step) for i in range(1, count + 1))


def segments(first: int, last: int, rate: float, clip: tuple[float, float] | None, count: int) -> tuple[int, ...]:
    """Return about the middle of each of `count` equal pieces of frames `first` to `last`, or of the clip (in seconds)
    there.

    Raises:
        ValueError: the clip begins behind the last frame.
    """
    if clip is not None:
        first, last = max(first, round(clip[0] * rate)), min(round(clip[1] * rate), last)
    if last < first:
        raise ValueError(f"has no frame between second {clip[0]:g} and {clip[1]:g}" if clip else "has no frame")
    size = (last - first) / count
    return tuple(int(first + size / 2 + round(size * i)) for i in range(count))
