"""What the process that measures prompts is given, and what it gives back. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from vlmeval_mp.core.records import Job, RunSpec, Struct
from vlmeval_mp.runs.planning import PromptSizes


class Task(Struct, frozen=True, omit_defaults=False):
    """Which samples of which jobs of one model to measure: `rows` by job name. `store` holds the data set folders."""

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
    """What was measured, by job name. `error` says why nothing was; `able` False: the engine cannot measure."""

    sizes: dict[str, PromptSizes] = {}
    context: int = 0
    settings: dict[str, Any] = {}
    error: str = ""
    able: bool = True
