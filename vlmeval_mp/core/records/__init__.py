"""Every value that crosses a process or disk border, and the in-memory requests that engines serve.

Plain data only: no I/O, no defaults read from the environment. On-disk types are frozen `msgspec.Struct`s;
unknown fields are refused where a user writes the file and tolerated where we do (old readers, new
writers).
"""

from __future__ import annotations

from vlmeval_mp.core.records.base import Json, Kind, Struct
from vlmeval_mp.core.records.outcomes import (
    Counts,
    Health,
    OtherMode,
    Prediction,
    Reading,
    Score,
    Stop,
    Summary,
    Together,
)
from vlmeval_mp.core.records.requests import Completion, Draft, Frames, Rendered, Request, Source
from vlmeval_mp.core.records.runs import (
    DataSpec,
    Done,
    Job,
    MediaLimits,
    ModelSpec,
    RunRecord,
    RunSpec,
    Sampling,
    Shard,
    Span,
)
from vlmeval_mp.core.records.samples import (
    FIELDS,
    DatasetInfo,
    ImagePart,
    Media,
    Message,
    Part,
    Sample,
    Subtitles,
    TextPart,
    VideoPart,
)
from vlmeval_mp.core.records.status import (
    Event,
    GpuStats,
    Notice,
    Occupation,
    Phase,
    Served,
    Spent,
    SupervisorStatus,
    Tally,
    WorkerStatus,
)

__all__ = [
    "FIELDS",
    "Completion",
    "Counts",
    "DataSpec",
    "DatasetInfo",
    "Done",
    "Draft",
    "Event",
    "Frames",
    "GpuStats",
    "Health",
    "ImagePart",
    "Job",
    "Json",
    "Kind",
    "Media",
    "MediaLimits",
    "Message",
    "ModelSpec",
    "Notice",
    "Occupation",
    "OtherMode",
    "Part",
    "Phase",
    "Prediction",
    "Reading",
    "Rendered",
    "Request",
    "RunRecord",
    "RunSpec",
    "Sample",
    "Sampling",
    "Score",
    "Served",
    "Shard",
    "Source",
    "Span",
    "Spent",
    "Stop",
    "Struct",
    "Subtitles",
    "Summary",
    "SupervisorStatus",
    "Tally",
    "TextPart",
    "Together",
    "VideoPart",
    "WorkerStatus",
]
