"""Samples, their media, and the messages that ask them."""

from __future__ import annotations

from typing import Literal

from vlmeval_mp.core.records.base import Kind, Struct


class Media(Struct, frozen=True):
    """One image or video of a sample, or the subtitles of a video.

    `file` is absolute, or relative to the data set's folder under `jobs/.datasets/`; a video may be a folder of frames.
    `digest` is the SHA-256 of the bytes. `error` says why the media cannot be used (found while the data set was read);
    then `file` may be empty. Of a video, `frames` names the rule by which they are taken, `clip` the seconds (from, to)
    that the question is about, and `rate` the frames a second, where the file does not say.
    """

    kind: Literal["image", "video", "subtitles"]
    file: str = ""
    digest: str = ""
    error: str = ""
    frames: Literal["", "segments"] = ""
    clip: tuple[float, float] | None = None
    rate: float = 0.0

    @property
    def is_clip(self) -> bool:
        """True if the video is only a part of its file, or a folder of frames."""
        return self.clip is not None or self.rate > 0


FIELDS = {
    "question": "question",
    "hint": "hint",
    "answer": "answer",
    "category": "category",
    "l2-category": "l2_category",
    "split": "split",
}
"""Columns of a TSV that have a field of their own in `Sample`, with its name. Other columns are in `extra`."""


class Sample(Struct, frozen=True):
    """One data set row to be answered. `row` is its 0-based place in the data set, `index` its id in the file.

    `ready` are messages that were made when the data set was read, by code that workers do not need.
    """

    index: str
    row: int
    kind: Kind
    question: str = ""
    options: dict[str, str] = {}
    answer: str = ""
    hint: str = ""
    category: str = ""
    l2_category: str = ""
    split: str = ""
    media: tuple[Media, ...] = ()
    subtitles: Media | None = None
    extra: dict[str, str] = {}
    error: str = ""
    ready: tuple[Message, ...] = ()

    def cell(self, column: str) -> str:
        """Return what the data set's file has in `column`, "" for nothing. Pictures are not kept as cells."""
        if column in self.extra:  # also what a benchmark's own columns were before they became an answer's letter
            return self.extra[column]
        return str(getattr(self, FIELDS[column])) if column in FIELDS else self.options.get(column, "")


class DatasetInfo(Struct, frozen=True):
    """The content of `dataset.json` in a data set's folder.

    `stored` is the SHA-256 of its `samples.jsonl`, "" in a folder that an earlier version made.
    """

    name: str
    digest: str
    source: str
    source_size: int
    source_mtime_ns: int
    samples: int
    kinds: dict[str, int]
    max_images: int
    max_videos: int
    columns: tuple[str, ...]
    stored: str = ""


class TextPart(Struct, frozen=True, tag="text"):
    text: str


class ImagePart(Struct, frozen=True, tag="image"):
    media: Media


class Subtitles(Struct, frozen=True):
    """The subtitles of a video, and their places in its prompt; the frames that are taken decide which lines are used.

    Between the frames, at their times, or else listed behind them, `before` and `after` around the list. `media` None:
    there are none, and the list is empty. `origin` is when (seconds of the subtitles) the video begins, `duration` when
    (likewise) it ends.
    """

    media: Media | None = None
    between: bool = False
    before: str = ""
    after: str = ""
    origin: float = 0.0
    duration: float = 0.0


class VideoPart(Struct, frozen=True, tag="video"):
    """`subtitles` are resolved when the request is prepared; an engine never sees them.

    Where the frames are sent as images, `label` stands before each, "{}" in it the frame's number from 1, and a line
    break behind it.
    """

    media: Media
    subtitles: Subtitles | None = None
    label: str = ""


Part = TextPart | ImagePart | VideoPart


class Message(Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]
