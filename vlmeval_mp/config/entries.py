"""The valid keys of a config file: a struct for the file itself, one for a `model` entry, one for a `data` entry.

A value that is None or empty is not given. The description of a type is how a message says what the value must be.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vlmeval_mp.core.convert import keys
from vlmeval_mp.core.records import Json, Kind, MediaLimits
from vlmeval_mp.core.records.runs import Count

MOST_POINTS = 25.0
MARKS = 'the marks around its reasoning, such as ["<think>", "</think>"]'

Text = Annotated[str, Meta(description="text")]
Switch = Annotated[bool, Meta(description="true or false")]
Object = Annotated[Json, Meta(description="an object of argument → value")]
Entry = Annotated[Json, Meta(description="an object, {} if there is nothing to set")]
Models = Annotated[dict[str, Entry], Meta(description='an object of name → settings, such as {"my-model": {}}')]
Datasets = Annotated[dict[str, Entry], Meta(description='an object of name → settings, such as {"my-data": {}}')]
Points = Annotated[
    float, Meta(ge=0, lt=MOST_POINTS, description=f"a number of percentage points from 0 to {MOST_POINTS:g}")
]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a config file beside its entries hold for all entries, unless an entry says otherwise."""

    model: Models = {}
    data: Datasets = {}
    engine: Text | None = None
    engine_args: Object = {}
    sampling: Object = {}
    media: MediaLimits = MediaLimits()
    limit: Count = 0
    batch_size: Annotated[int, Meta(ge=0, description='a whole number of at least 0, or "auto"')] | Literal["auto"] = 0
    max_workers: Count = 0
    shard_size: Annotated[int, Meta(ge=1, description="a whole number of at least 1")] = 32
    scoring: Literal["strict", "compat", "official"] = "strict"
    judge: Text = ""
    judge_args: Object = {}
    cluster: Text = ""
    group: Text = ""
    circular: Switch = False
    stop_at: Points = 0.0


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of `model`. `model_path` is VLMEvalKit's word for `path`."""

    path: Text | None = None
    model_path: Text | None = None
    engine: Text | None = None
    engine_args: Object = {}
    sampling: Object = {}
    prompt: Text = "default"
    system_prompt: Text = ""
    post_process: Literal["", "last_boxed"] = ""
    roles: Literal["", "user", "system", "chat"] = ""
    video: Literal["native", "images"] = "native"
    processor: Annotated[dict[str, Object], Meta(description="an object of data set → arguments")] = {}
    reasoning: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(description=MARKS)] = ()

    def __post_init__(self) -> None:
        if len(self.reasoning) not in (0, 2):
            raise ValueError(f"reasoning must be {MARKS}")


class DataEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of `data`. `dataset` is VLMEvalKit's word for `path`."""

    path: Text | None = None
    dataset: Text | None = None
    type: Literal["", Kind] = ""
    prompt: Text = "default"
    nframe: Count = 0
    fps: Annotated[float, Meta(ge=0, description="a number of frames per second")] = 0.0
    limit: Count | None = None
    scorer: Text = ""
    use_subtitle: Switch = False
    skip_noimg: Switch | None = None
    circular: Switch | None = None

    def __post_init__(self) -> None:
        if self.nframe and self.fps:
            raise ValueError("nframe and fps exclude each other; keep one")


MODEL_KEYS = keys(ModelEntry)
DATA_KEYS = keys(DataEntry)
