"""Every value that crosses a process or disk border, and the in-memory requests that engines serve.

Plain data only: no I/O, no defaults read from the environment. On-disk types are frozen `msgspec.Struct`s;
unknown fields are refused where a user writes the file and tolerated where we do (old readers, new
writers).
"""

from __future__ import annotations

from vlmeval_mp.core.records.base import Json, Kind, Struct
from vlmeval_mp.core.records.outcomes import (
    Counts,
    GroupMetrics,
    Health,
    OtherMode,
    Prediction,
    Reading,
    Score,
    Stop,
    Summary,
)
from vlmeval_mp.core.records.requests import Completion, Draft, Frames, RenderedInput, Request, Source
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
    ServingSpan,
    SupervisorStatus,
    Tally,
    TimeSpent,
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
    "GroupMetrics",
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
    "RenderedInput",
    "Request",
    "RunRecord",
    "RunSpec",
    "Sample",
    "Sampling",
    "Score",
    "ServingSpan",
    "Shard",
    "Source",
    "Span",
    "Stop",
    "Struct",
    "Subtitles",
    "Summary",
    "SupervisorStatus",
    "Tally",
    "TextPart",
    "TimeSpent",
    "VideoPart",
    "WorkerStatus",
]
