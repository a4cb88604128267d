"""The times at which the frames of a video are shown, for files without a constant rate. Decodes nothing.

Rules in seconds (frames a second, clips, subtitles) look frames up by their times. A video with even times is left to
the rate in its header, so that its frames stay those that VLMEvalKit takes.
"""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

FAR_SECONDS = 0.25
"""A frame that is shown further from its turn than this, and than `FAR_TURNS` turns, makes a video uneven."""
FAR_TURNS = 1.25
"""More than one, because the rate in a header may forget how long the last frame is shown."""
NEAR_RATES = 0.01
"""A header whose two rates differ by less than this share has even times."""


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """The times of an uneven video in seconds from its first frame, ascending, and a grid of `rate` points a second.

    A frame stands on every point of the grid from its own time until the next frame's.
    """

    times: tuple[float, ...]
    end: float
    rate: float

    @property
    def total(self) -> int:
        """The number of points on the grid."""
        return max(1, round(self.end * self.rate))

    def frame_at(self, point: int) -> int:
        """Return the place of the frame that is shown at a point of the grid."""
        return max(0, bisect.bisect_right(self.times, point / self.rate + 1e-6) - 1)

    def point_of(self, frame: int) -> int:
        """Return the point of the grid at which the frame in this place begins."""
        return round(self.times[frame] * self.rate)

    def first(self, count: int) -> FrameTimes:
        """Return the times of the first `count` frames alone."""
        return FrameTimes(self.times[:count], min(self.end, self.times[count]), self.rate)


def is_even(stream: Any) -> bool:
    """Return whether the header of a video stream promises even times."""
    average, base = stream.average_rate, stream.base_rate
    return bool(stream.frames and average and base) and abs(average / base - 1) < NEAR_RATES


def uneven(path: Path, rate: float) -> FrameTimes | None:
    """Return the times of the video at `path` if they do not follow `rate`; None if they do, or make no sense."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        if stream is None:
            return None
        base = float(stream.base_rate or 0)
        stamps = [(p.pts, p.duration or 0) for p in container.demux(stream) if p.size]
        if len(stamps) < 2 or any(pts is None for pts, _ in stamps):
            return None
        stamps.sort()
        second = float(stream.time_base)
    times = tuple((pts - stamps[0][0]) * second for pts, _ in stamps)
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        return None
    far = max(FAR_SECONDS, FAR_TURNS / rate)
    if all(abs(time - place / rate) <= far for place, time in enumerate(times)):
        return None
    last = max(stamps[-1][1] * second, median(later - earlier for earlier, later in itertools.pairwise(times)))
    return FrameTimes(times, times[-1] + last, max(base, (len(times) - 1) / times[-1]))
