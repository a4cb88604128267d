"""The frozen description of a run: models, data sets, jobs; and the shards of its jobs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vlmeval_mp.core.records.base import Json, Struct

Count = Annotated[int, Meta(ge=0, description="a whole number of at least 0")]


class Sampling(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of sampling, within the bounds of the engines. The default is greedy: a score can be repeated."""

    temperature: Annotated[float, Meta(ge=0, le=1000, description="a number from 0 to 1000")] = 0.0
    top_p: Annotated[float, Meta(gt=0, le=1, description="a number above 0 and at most 1")] = 1.0
    top_k: Annotated[int, Meta(ge=-1, description="a whole number of at least -1")] = -1
    max_tokens: Annotated[int, Meta(ge=1, description="a whole number of at least 1")] = 512
    repetition_penalty: Annotated[float, Meta(gt=0, le=1000, description="a number above 0 and at most 1000")] = 1.0
    presence_penalty: Annotated[float, Meta(ge=-2, le=2, description="a number from -2 to 2")] = 0.0
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="a whole number of 64 bits")] | None = None
    stop: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...], Meta(description="a list of texts that are not empty")
    ] = ()


class MediaLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of media: larger ones are refused or scaled down before they reach an engine.

    `refuse_pixels`: an image of more pixels than this (header, before decoding) is a per-sample error. `max_pixels`
    scales a larger image down, aspect kept; 0 keeps every image as it is. `max_frames` bounds one video.
    """

    refuse_pixels: Count = 100_000_000
    max_pixels: Count = 0
    max_frames: Count = 768
    video_max_pixels: Count = 0


class ModelSpec(Struct, frozen=True):
    """One model of a run. `path` is a folder, a hub id, or a name the engine knows.

    `roles` decides how a benchmark's system text and begun answer (`videoprompts`) are sent; "" does it as VLMEvalKit
    does for such an engine. `video`: "native", or "images" for a model that takes frames as pictures only.
    `reasoning` is the pair of marks that enclose the model's reasoning, where `scoring.reading.reasoning` does not know
    them. `processor` has arguments of its processor that hold for one data set only, by the data set's name.
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
    reasoning: tuple[str, ...] = ()


class DataSpec(Struct, frozen=True):
    """One data set of a run. `path` is the TSV; `type` is a `Kind`, or "" to tell it by the columns.

    `scorer` is a family of `scoring.families`, "vlmevalkit" for VLMEvalKit's own evaluator, or "" for the one of each
    sample's kind. `layout` names the video benchmark (`datasets.videobench`) whose columns the file has, "" for the
    general ones. With `skip_noimg`, rows whose `image` cell is empty are left out, as VLMEvalKit does; None leaves it
    to the data set. With `circular` each choice is asked with its options in every rotation, and is right if all are.
    `order` is the seed of a random order of the rows; 0 keeps that of the file.
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
    circular: bool = False
    order: int = 0


class Job(Struct, frozen=True):
    """One model on one data set. `name` is unique within the run and safe as a file name."""

    name: str
    model: str
    dataset: str
    folder: str
    samples: int


class RunSpec(Struct, frozen=True):
    """One frozen configuration: everything that can change an answer, and nothing about the machine.

    `batch_size` 0 leaves the window to the engine. `scoring` ("strict", "compat" or "official") and `judge` with its
    `judge_args` change no answer, nor do `cluster` and `group`, columns by which samples are right or wrong together,
    and by which they are counted together. With `stop_at` a job ends when half its 95 % interval is that many
    percentage points; 0 asks everything.
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
    judge_args: Json = {}
    cluster: str = ""
    group: str = ""
    stop_at: float = 0.0


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
    """The content of a `done` file: the places of a shard's answers, and their digest.

    `digest` is the SHA-256 over the chosen lines in row order. Nothing appended after `end` of a span can change it.
    `withdrawn` are lines within the spans that no longer counted then, as (file, offset).
    """

    shard: Shard
    spans: tuple[Span, ...]
    digest: str
    failed: int
    worker: str
    withdrawn: tuple[tuple[str, int], ...] = ()
