"""Puts subtitles of a video into its prompt: the lines that belong to the chosen frames. Pure; opens no file.

The rules are those of ms-vlmeval 0.0.20: `listed` is VideoMME's, `between` is LongVideoBench's
(`insert_subtitles_into_frames`). pysubs2 reads SubRip texts, as it does for VideoMME.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Cue = tuple[int, int, str]
"""Begin and end in milliseconds, and the text, its lines joined by a space."""


def cues(text: str) -> list[Cue]:
    """Return the cues of a SubRip text, in its order.

    Raises:
        ValueError: the text holds none; the message says so.
    """
    import pysubs2

    found = pysubs2.SSAFile.from_string(text, format_="srt")
    if not len(found):
        raise ValueError("holds no subtitle")
    return [(event.start, event.end, event.text.replace("\\N", " ")) for event in found]


def listed(text: str, rate: float, indices: Sequence[int]) -> str:
    """Return the line of a SubRip text that is spoken at each of the frames `indices`, `rate` a second.

    Silence adds none.
    """
    spoken = cues(text)
    lines = []
    for index in indices:
        now = round(index * (1000 / rate))
        line = next((words for begin, end, words in spoken if begin < now < end), "")
        if line.strip():
            lines.append(line)
    return "\n".join(lines)


def between(text: str, times: Sequence[float], origin: float, duration: float) -> list[int | str]:
    """Return frames (their places in `times`, which are seconds) and lines of LongVideoBench's JSON subtitles, in
    order.

    A line stands behind the last frame that is not later than its middle, if any frame is shown while it is spoken.

    Raises:
        ValueError: it is not such a JSON text.
    """
    try:
        spoken = [_line(entry, origin, duration) for entry in json.loads(text)]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"is no list of subtitles with times ({type(error).__name__}: {error})") from error
    placed: list[int | str] = []
    shown = 0
    for begin, end, words in spoken:
        middle = (begin + end) / 2
        while shown < len(times) and times[shown] <= middle:
            placed.append(shown)
            shown += 1
        if end - begin < 1:
            begin, end = middle - 0.5, middle + 0.5
        if any(begin < time < end for time in times):
            placed.append(f"{words}\n")
    return placed + list(range(shown, len(times)))


def _line(entry: dict[str, Any], origin: float, duration: float) -> tuple[float, float, str]:
    if "timestamp" in entry:
        begin, end = entry["timestamp"]
        # an end that is not known is no decimal number
        return begin - origin, (end if isinstance(end, float) else duration) - origin, entry["text"]
    return _seconds(entry["start"]) - origin, _seconds(entry["end"]) - origin, entry["line"]


def _seconds(stamp: str) -> float:
    hours, minutes, seconds = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
