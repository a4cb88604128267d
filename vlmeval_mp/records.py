"""Every value that crosses a process or disk border, and the in-memory requests that engines serve.

Plain data only: no I/O, no defaults read from the environment. On-disk types are frozen `msgspec.Struct`s;
unknown fields are refused where a user writes the file and tolerated where we do (old readers, new
writers). The words are those of DESIGN §6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

Kind = Literal["mcq", "yorn", "vqa"]
Phase = Literal["starting", "loading", "working", "draining", "stopped", "failed"]
Json = dict[str, Any]


class Struct(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all on-disk values."""


# --- samples ---------------------------------------------------------------------------------------------------


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
        """Whether the video is less than its file, or no file: a clip of it, or a folder of frames."""
        return self.clip is not None or self.rate > 0


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


class DatasetInfo(Struct, frozen=True):
    """What `dataset.json` in a data set's folder says of it."""

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


# --- prompts ---------------------------------------------------------------------------------------------------


class TextPart(Struct, frozen=True, tag="text"):
    text: str


class ImagePart(Struct, frozen=True, tag="image"):
    media: Media


class Subtitles(Struct, frozen=True):
    """How the subtitles of a video come into its prompt; which of its lines do depends on the frames that are taken.

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


# --- requests and completions ----------------------------------------------------------------------------------


class Sampling(Struct, frozen=True, forbid_unknown_fields=True):
    """How text is drawn. The default is greedy, so that a score can be repeated."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int = 512
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


class MediaLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What is refused or scaled before it reaches an engine.

    `refuse_pixels`: an image of more pixels than this (header, before decoding) is a per-sample error. `max_pixels`
    scales a larger image down, aspect kept; 0 keeps every image as it is. `max_frames` bounds one video.
    """

    refuse_pixels: int = 100_000_000
    max_pixels: int = 0
    max_frames: int = 768
    video_max_pixels: int = 0


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one video: `pixels` is uint8 (T, H, W, 3); `indices` are their places in the source video."""

    pixels: np.ndarray
    fps: float
    total: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request comes from: for an engine that builds its own prompt of a sample, or is given media as files.

    `folder` is what relative media files are in.
    """

    sample: Sample
    data: DataSpec
    folder: Path


@dataclass(frozen=True, slots=True)
class Request:
    """What goes into an engine.

    `images` are the decoded RGB pictures of the `ImagePart`s in order of appearance, `videos` those of the
    `VideoPart`s; `videos` is empty for an engine that takes videos whole. A last message of the assistant is the
    beginning of the answer, which the engine continues. `processor` holds what this request's pictures are processed
    with besides the engine's own arguments.
    """

    id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    images: tuple[Image.Image, ...] = ()
    videos: tuple[Frames, ...] = ()
    source: Source | None = None
    processor: Json = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of decoded pixels that this request keeps in memory."""
        return sum(i.width * i.height * 3 for i in self.images) + sum(int(v.pixels.nbytes) for v in self.videos)


@dataclass(frozen=True, slots=True)
class Completion:
    """What comes out of an engine. `finish_reason` is "stop" or "length"."""

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Prediction(Struct, frozen=True):
    """A sample's recorded outcome: text, or an error saying why there is none. Failure is never text.

    `source` is the file that an answer was imported from, "" for one that this run asked for.
    """

    index: str
    row: int
    prediction: str = ""
    error: str | None = None
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    source: str = ""


class Score(Struct, frozen=True):
    """A scorer's verdict on one prediction. `value` is in 0..1, or None where the sample could not be scored.

    In compat mode it is -1 where ms-vlmeval takes a failed answer off the sum (MLVU).
    """

    index: str
    value: float | None
    extracted: str = ""
    note: str = ""


# --- runs ------------------------------------------------------------------------------------------------------


class ModelSpec(Struct, frozen=True):
    """One model of a run. `path` is a folder, a hub id, or a name the engine knows.

    `roles` says what becomes of a benchmark's system text and begun answer (`videoprompts`); "" is what VLMEvalKit does
    with the engine's like. `video`: "native", or "images" for a model that takes frames as pictures only.
    `processor` has arguments of its processor that hold for one data set only, by the data set's name.
    """

    name: str
    path: str
    engine: str
    engine_args: Json = {}
    sampling: Sampling = Sampling()
    prompt: str = "default"
    system_prompt: str = ""
    post_process: str = ""
    roles: str = ""
    video: str = "native"
    processor: dict[str, Json] = {}


class DataSpec(Struct, frozen=True):
    """One data set of a run. `path` is the TSV; `type` is a `Kind`, or "" to tell it by the columns.

    `scorer` is a family of `scoring.families`, "vlmevalkit" for VLMEvalKit's own evaluator, or "" for the one of each
    sample's kind. `layout` names the video benchmark (`datasets.videobench`) whose columns the file has, "" for the
    general ones. With `skip_noimg`, rows whose `image` cell is empty are left out, as VLMEvalKit
    does; None leaves it to the data set.
    """

    name: str
    path: str
    type: str = ""
    prompt: str = "default"
    nframe: int = 0
    fps: float = 0.0
    limit: int = 0
    scorer: str = ""
    layout: str = ""
    use_subtitle: bool = False
    skip_noimg: bool | None = None


class Job(Struct, frozen=True):
    """One model on one data set. `name` is unique within the run and safe as a file name."""

    name: str
    model: str
    dataset: str
    folder: str
    samples: int


class RunSpec(Struct, frozen=True):
    """One frozen configuration: everything that can change an answer, and nothing about the machine.

    `batch_size` 0 leaves the window to the engine. `scoring` ("strict" or "compat") and `judge` change no answer.
    """

    name: str
    models: tuple[ModelSpec, ...]
    datasets: tuple[DataSpec, ...]
    media: MediaLimits = MediaLimits()
    shard_size: int = 32
    batch_size: int = 0
    max_workers: int = 0
    scoring: str = "strict"
    judge: str = ""


class RunRecord(Struct, frozen=True):
    """`run.json`: written once. `fingerprint` maps a readable field path to the value that was frozen."""

    version: int
    spec: RunSpec
    jobs: tuple[Job, ...]
    fingerprint: dict[str, str]
    provenance: dict[str, str]


class Shard(Struct, frozen=True):
    """A contiguous range of one job's rows, both ends included."""

    job: str
    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


class Span(Struct, frozen=True):
    """Bytes [start, end) of one checkpoint file, relative to the run's checkpoint folder."""

    file: str
    start: int
    end: int


class Done(Struct, frozen=True):
    """What a shard's `done` file pins: where its answers are, and their digest.

    `digest` is the SHA-256 over the chosen lines in row order. Nothing appended after `end` of a span can change it.
    """

    shard: Shard
    spans: tuple[Span, ...]
    digest: str
    failed: int
    worker: str


# --- telemetry: losing any of it loses nothing ------------------------------------------------------------------


class Served(Struct, frozen=True):
    """What one worker did of one job: when (wall clock) its first request began and its last answer came, how many."""

    first: float
    last: float
    answered: int


class Notice(Struct, frozen=True):
    """What an engine waits for instead of answering, and why.

    It is so `since` (wall clock) and will be waited for `most` seconds; `over` is what to say when it is past.
    """

    text: str
    over: str
    since: float
    most: float
    why: str = ""


class WorkerStatus(Struct, frozen=True):
    """A worker's heartbeat. `beat` grows by one each time; `time` is the writer's wall clock, for display only."""

    worker: str
    pid: int
    owner: str
    host: str
    model: str
    devices: str
    gpus: tuple[str, ...] = ()
    phase: Phase = "starting"
    job: str = ""
    answered: int = 0
    failed: int = 0
    in_flight: int = 0
    window: int = 0
    rate: float = 0.0
    held: dict[str, int] = {}
    spans: dict[str, Served] = {}
    beat: int = 0
    time: float = 0.0
    started: float = 0.0
    message: str = ""
    notice: Notice | None = None


class GpuStats(Struct, frozen=True):
    """One GPU as NVML sees it; memory in bytes, utilisation in percent."""

    uuid: str
    index: int
    name: str
    memory_used: int
    memory_total: int
    utilization: int


class Event(Struct, frozen=True):
    """One line for the screen and the supervisor's log: what happened, when (wall clock), how bad."""

    time: float
    text: str
    level: Literal["info", "warning", "error"] = "info"


class Tally(Struct, frozen=True):
    """Running totals over the scored part of a job."""

    value: float = 0.0
    scored: int = 0
    unscored: int = 0
    failed: int = 0


class SupervisorStatus(Struct, frozen=True):
    """The supervisor's heartbeat: what only it knows."""

    pid: int
    owner: str
    phase: Phase = "starting"
    time: float = 0.0
    started: float = 0.0
    tallies: dict[str, Tally] = {}
    rates: dict[str, float] = {}
    finished: tuple[str, ...] = ()
    gpus: tuple[GpuStats, ...] = ()
    events: tuple[Event, ...] = ()


# --- results ---------------------------------------------------------------------------------------------------


class Counts(Struct, frozen=True, omit_defaults=False):
    """Every report shows the first four: `total = scored + unscored + failed`.

    `truncated` (ended by the token limit) and `empty` are answered samples, however they were scored.
    """

    total: int
    scored: int
    unscored: int
    failed: int
    truncated: int = 0
    empty: int = 0


class OtherMode(Struct, frozen=True, omit_defaults=False):
    """What the scoring mode that was not asked for says; `differ` samples are judged differently.

    Its metrics leave out `unscored` answered samples, such as those that ms-vlmeval gives to a judge.
    """

    scoring: str
    metrics: dict[str, float | None]
    differ: int
    unscored: int = 0


class Summary(Struct, frozen=True, omit_defaults=False):
    """`summary.json` of one job. Metrics are fractions in 0..1, unless the name ends in `_points`.

    `stderr` is the standard error of the primary metric, `stderrs` has that of each. `imported`: answers that were
    taken over from a file, by file. With `as_reported` the metrics are another evaluator's own numbers in its own unit,
    and `counts.scored` are the samples that they rest on. `notes` say what a reader of the numbers must know, `problem`
    why scoring failed; both are sentences. `by` has what else a
    benchmark is broken down by: a column of its file, or two ("duration/domain"), to a group per value.
    """

    model: str
    dataset: str
    primary_metric: str
    metrics: dict[str, float | None]
    stderr: float | None
    counts: Counts
    by_category: dict[str, dict[str, float | int | None]]
    by_l2_category: dict[str, dict[str, float | int | None]]
    by_split: dict[str, dict[str, float | int | None]]
    scorers: dict[str, int]
    scoring: str
    stderrs: dict[str, float | None] = {}
    other: OtherMode | None = None
    imported: dict[str, int] = {}
    as_reported: bool = False
    notes: tuple[str, ...] = ()
    problem: str = ""
    by: dict[str, dict[str, dict[str, float | int | None]]] = {}
