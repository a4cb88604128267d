"""Reads the rows of published video benchmarks, and finds their files.

`requests.videosets` has the facts about each. A file with the name of a benchmark and all of its columns is read as
that benchmark; any other by the general columns. Knows nothing of prompts but their names, and opens no video.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, Media, Sample
from vlmeval_mp.requests.videoprompts import listed_options
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS, VideoBenchmark, subtitled


def defaults(name: str) -> dict[str, Any]:
    """Return fields of `DataSpec` that the benchmark called `name` wants; none if it is none of these."""
    layout = VIDEO_BENCHMARKS.get(name)
    return {"layout": name, "prompt": layout.prompt, "scorer": layout.scorer} if layout else {}


def check(spec: DataSpec) -> None:
    """Raise `ConfigError` where `spec` wants of its benchmark what that does not have."""
    layout, where = VIDEO_BENCHMARKS.get(spec.layout), f"data.{spec.name}"
    if spec.fps and layout is not None and not layout.fps:
        other = f"{spec.layout}_MP4"
        raise ConfigError(f"{where}.fps: {spec.layout} has no rule for frames a second; say nframe, or take {other}")
    if spec.use_subtitle and (layout is None or not layout.subtitles):
        raise ConfigError(f"{where}.use_subtitle: only {' and '.join(subtitled())} have subtitles here; leave it out")
    if spec.use_subtitle and layout is not None and spec.prompt != layout.prompt:
        raise ConfigError(f"{where}.prompt: only {layout.prompt!r} shows subtitles; leave one of the two out")


def folders(name: str) -> list[Path]:
    """Return where VLMEvalKit keeps the files of the benchmark called `name`: Hugging Face's cache, the newest revision
    first.

    Behind them, the whole folder of the data set there, to which the files of a revision are links.
    """
    layout = VIDEO_BENCHMARKS.get(name)
    if layout is None:
        return []
    found: list[Path] = []
    for hub in _hubs():
        cached = hub / f"datasets--{layout.repo.replace('/', '--')}"
        revisions = [path for path in (cached / "snapshots").glob("*") if path.is_dir()]
        found += sorted(revisions, key=lambda path: path.stat().st_mtime, reverse=True)
        if cached.is_dir():  # LongVideoBench's files are unpacked into the folder itself
            found.append(cached)
    return found


def _hubs() -> list[Path]:
    """Return Hugging Face's caches: that of its library, and that of VLMEvalKit, which adds "hub" to any of these."""
    given = [os.environ[n] for n in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME") if os.environ.get(n)]
    named = [path for each in given for path in (Path(each), Path(each) / "hub")]
    return list(dict.fromkeys([*named, Path("~/.cache/huggingface/hub").expanduser()]))


# --- rows ------------------------------------------------------------------------------------------------------


class CellError(Exception):
    """A cell that cannot be understood: its column, and what is wrong with it."""

    def __init__(self, column: str, problem: str) -> None:
        super().__init__(column, problem)
        self.column, self.problem = column, problem


def video_name(layout: VideoBenchmark, text: Mapping[str, str]) -> str:
    """Return the file name of a row's video.

    Raises:
        CellError: a cell it is made of is empty.
    """
    name = _named(layout.video, text)
    if not name:
        raise CellError("video", "is empty")
    return name


def subtitles_name(layout: VideoBenchmark, text: Mapping[str, str]) -> str:
    """Return the file name of a row's subtitles.

    Raises:
        CellError: the row names none, or a time that they need is no number.
    """
    for column in layout.numbers:
        _number(text, column)
    name = _named(layout.subtitles, text)
    if not name:
        raise CellError("subtitle_path", "is empty")
    return name


def clipped(layout: VideoBenchmark, text: Mapping[str, str], video: Media) -> Media:
    """Return `video` with what the row says of its frames.

    Raises:
        CellError: a bound is no number.
    """
    bound = layout.clip and text.get("bound", "").strip().lower() in ("true", "1", "1.0")
    clip = (_number(text, "start"), _number(text, "end")) if bound else None
    rate = layout.rates.get(text.get("data_type", "").strip(), 0.0)
    return msgspec.structs.replace(video, frames=layout.frames, clip=clip, rate=rate)


def understood(layout: VideoBenchmark, text: Mapping[str, str], sample: Sample) -> Sample:
    """Return `sample` with options, answer, category and split as the benchmark's columns say.

    `extra` keeps every column as it was written; an `answer` that became a letter is kept there too.

    Raises:
        CellError: the options are no list, or a number is none.
    """
    elements = listed_options(text.get(layout.options, "")) if layout.options else []
    if layout.options and not elements:
        raise CellError(layout.options, "is not a list of options")
    lead = re.compile(f"^{layout.lead}")
    given = text.get(layout.answer, "")
    letter = _letter(layout, given, elements)
    kept = {"answer": given} if layout.answer == "answer" and letter != given else {}
    return msgspec.structs.replace(
        sample,
        kind=layout.kind,
        options=dict(zip(string.ascii_uppercase, (re.sub(lead, "", each) for each in elements), strict=False)),
        answer=letter,
        category=text.get(layout.category, ""),
        l2_category=text.get(layout.l2_category, ""),
        split=text.get(layout.split, ""),
        extra=sample.extra | kept,
    )


def _letter(layout: VideoBenchmark, answer: str, elements: list[str]) -> str:
    """Return the answer as a letter, if the benchmark's scorer wants one.

    An answer that is none of the options stays.
    """
    if layout.answer_is == "element":
        places = [place for place, element in enumerate(elements) if element == answer]
        return string.ascii_uppercase[places[-1]] if places else answer
    if layout.answer_is == "place":
        place = int(_number({layout.answer: answer}, layout.answer))
        return string.ascii_uppercase[place] if 0 <= place < len(elements) else answer
    return answer


def _named(pattern: str, text: Mapping[str, str]) -> str:
    cells = {name: text.get(name, "").strip() for _, name, _, _ in string.Formatter().parse(pattern) if name}
    return pattern.format_map(cells).replace("//", "/") if all(cells.values()) else ""


def _number(text: Mapping[str, str], column: str) -> float:
    try:
        return float(text.get(column, ""))
    except ValueError:
        raise CellError(column, f"{text.get(column, '')[:40]!r} is not a number") from None
