"""The video benchmarks whose TSVs VLMEvalKit writes: one entry each, with all facts about it.

A new benchmark is one entry of `VIDEO_BENCHMARKS`; its wording is an entry of `videoprompts.WORDINGS`, its scorer one
of `scoring.families.FAMILIES`, both named here. The facts are those of ms-vlmeval 0.0.20. They stand in this room
because configs, data sets and prompts all read them.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vlmeval_mp.core.records import Kind


@dataclass(frozen=True, slots=True)
class VideoBenchmark:
    """One benchmark: how it is asked and scored, the columns of its TSV, and its names in VLMEvalKit's configs.

    `prompt` and `scorer` are names of a wording and of a family. `md5` is that of the official TSV. `repo` is the
    Hugging Face data set that VLMEvalKit downloads. `video` and `subtitles` are file names out of columns, relative to
    the folder of the TSV; without `subtitles` the benchmark has none.

    `options` is a column with a list literal, whose elements begin with `lead` (a pattern) in addition to the option's
    text. The `answer` column holds a letter, an element of the list, the place of one (from 0), or a text. `numbers`
    are columns that subtitles need as numbers. `clip`: `start` and `end` bound the video where `bound` says so. `rates`
    maps `data_type` to frames a second, for what is no video file. `fps`: whether frames can be taken by a rate.

    `shortcuts` are the endings of its names in a VLMEvalKit config, such as "8frame" for `<benchmark>_8frame`. `joined`
    is the name under which VLMEvalKit joins this file with others (`ConcatVideoDataset`).
    """

    kind: Kind
    prompt: str
    scorer: str
    md5: str
    repo: str
    video: str
    category: str
    l2_category: str = ""
    split: str = ""
    options: str = ""
    lead: str = ""
    answer: str = "answer"
    answer_is: Literal["letter", "element", "place", "text"] = "text"
    subtitles: str = ""
    numbers: tuple[str, ...] = ()
    frames: Literal["", "segments"] = ""
    clip: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)
    fps: bool = True
    shortcuts: tuple[str, ...] = ()
    joined: str = ""

    @property
    def columns(self) -> set[str]:
        """The columns that a file must have to be read as this benchmark's."""
        named = {name for _, name, _, _ in string.Formatter().parse(self.video) if name}
        wanted = (self.category, self.options, self.answer, *(("bound", "start", "end") if self.clip else ()))
        return named | {column for column in wanted if column}


_LISTED: dict[str, Any] = {"kind": "mcq", "options": "candidates", "answer_is": "element"}
_MVBENCH: dict[str, Any] = {
    **_LISTED, "prompt": "mvbench", "scorer": "mvbench", "video": "{prefix}/{video}", "category": "task_type",
    "repo": "OpenGVLab/MVBench", "frames": "segments",
}  # fmt: skip
_MLVU: dict[str, Any] = {
    "video": "{prefix}/{video}", "repo": "MLVU/MVLU", "category": "task_type", "joined": "MLVU",
}  # fmt: skip
_TEMPCOMPASS: dict[str, Any] = {
    "video": "{prefix}/{video}{suffix}", "repo": "lmms-lab/TempCompass", "category": "dim", "split": "task_type",
    "joined": "TempCompass",
}  # fmt: skip
_NAMED = r"(?:[A-Z]\.|(?:Caption|Sentence|Option) \w+:)\s*"

VIDEO_BENCHMARKS: dict[str, VideoBenchmark] = {
    "Video-MME": VideoBenchmark(
        "mcq", "video-mme", "videomme", "85bdd91f9b29a99354c23b97ab7c113c", "lmms-lab/Video-MME", "{video_path}",
        category="task_type", l2_category="domain", split="duration",
        options="candidates", lead=r"[A-Z]\.\s*", answer_is="letter", subtitles="{subtitle_path}",
        shortcuts=("8frame", "64frame", "8frame_subs", "1fps", "0.5fps", "0.5fps_subs"),
    ),
    "MVBench": VideoBenchmark(
        **_MVBENCH, md5="fd21d36522cdedd46d84dc46715ad832",
        clip=True, rates={"frame": 3.0, "gif": 25.0}, fps=False, shortcuts=("8frame", "64frame"),
    ),
    "MVBench_MP4": VideoBenchmark(**_MVBENCH, md5="5c8c6f8b7972c2de65a629590f7c42f5", shortcuts=("8frame", "1fps")),
    "MLVU_MCQ": VideoBenchmark(
        **_LISTED, **_MLVU, prompt="mlvu-mcq", scorer="mlvu", md5="bb5c37e7cf8d43fc9a25c23d2b4633f5"
    ),
    "MLVU_OpenEnded": VideoBenchmark("vqa", "mlvu-open", "judge", "cee573a3627c6ac434ded704c60511ba", **_MLVU),
    "LongVideoBench": VideoBenchmark(
        "mcq", "longvideobench", "longvideobench", "82905eae3a5ae7383c5a8ee9655e1ab9", "longvideobench/LongVideoBench",
        "{video_path}", category="question_category", split="duration_group",
        options="candidates", answer="correct_choice", answer_is="place",
        subtitles="subtitles/{subtitle_path}", numbers=("starting_timestamp_for_subtitles", "duration"),
        shortcuts=("8frame", "8frame_subs", "64frame", "1fps", "0.5fps", "0.5fps_subs"),
    ),
    "TempCompass_MCQ": VideoBenchmark(
        **_LISTED, **_TEMPCOMPASS, prompt="tempcompass-mcq", scorer="tempcompass-mcq",
        md5="7efbb9e6d9dabacd22daf274852691dd", lead=_NAMED,
    ),
    "TempCompass_Captioning": VideoBenchmark(
        "vqa", "tempcompass-caption", "judge", "35be9bf2581ea7767f02e9a8f37ae1ab", **_TEMPCOMPASS
    ),
    "TempCompass_YorN": VideoBenchmark(
        "yorn", "tempcompass-yorn", "tempcompass-yesno", "c72c046d7fa0e82c8cd7462f2e844ea8", **_TEMPCOMPASS
    ),
}  # fmt: skip

OTHER_SHORTCUTS: dict[str, tuple[str, ...]] = {
    "MLVU": ("8frame", "64frame", "1fps"),
    "TempCompass": ("8frame", "64frame", "1fps", "0.5fps"),
    "WorldSense": ("8frame", "8frame_subs", "32frame", "32frame_subs", "1fps", "1fps_subs", "0.5fps", "0.5fps_subs"),
    "VideoMMMU": ("8frame", "64frame", "1fps", "0.5fps"),
    "MVU-Eval": ("8frame", "16frame"),
    "Video_Holmes": ("32frame", "64frame"),
}
"""The shortcuts of names that have no entry of their own: joined ones, and benchmarks that are not read here."""


def subtitled() -> tuple[str, ...]:
    """Return the names of the benchmarks whose subtitles can be shown."""
    return tuple(name for name, each in VIDEO_BENCHMARKS.items() if each.subtitles)


def joined() -> dict[str, tuple[str, ...]]:
    """Return the names that VLMEvalKit has no file of, and the benchmarks that it joins under each."""
    found: dict[str, tuple[str, ...]] = {}
    for name, each in VIDEO_BENCHMARKS.items():
        if each.joined:
            found[each.joined] = (*found.get(each.joined, ()), name)
    return found


def shortcuts() -> dict[str, tuple[str, ...]]:
    """Return the endings of each video data set's names in a VLMEvalKit config."""
    own = {name: each.shortcuts for name, each in VIDEO_BENCHMARKS.items() if each.shortcuts}
    return own | OTHER_SHORTCUTS
