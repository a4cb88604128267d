"""The task of the process that measures prompts, and its result. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from vlmeval_mp.core.records import Job, RunSpec, Struct
from vlmeval_mp.runs.planning import PromptSizes


class Task(Struct, frozen=True, omit_defaults=False):
    """The samples to measure for one model: `rows` by job name. `store` holds the data set folders."""

    spec: RunSpec
    model: str
    jobs: tuple[Job, ...]
    rows: dict[str, tuple[int, ...]]
    store: str
    device: str
    tensor_parallel: int
    window: int
    engine_args: dict[str, Any]


class Measurement(Struct, frozen=True, omit_defaults=False):
    """The measured sizes by job name. `error` says why there are none; `able` False: the engine cannot measure."""

    sizes: dict[str, PromptSizes] = {}
    context: int = 0
    settings: dict[str, Any] = {}
    error: str = ""
    able: bool = True
