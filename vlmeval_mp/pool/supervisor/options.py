"""The options of a launch that cannot change an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vlmeval_mp.core.records import RunSpec
from vlmeval_mp.pool.supervisor.status import Level

DRAIN_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """The choices of one launch.

    `windows`, `engine_args` and `tensor_parallel` (GPUs of a worker; 1 if left out) go by model; a window of 0 leaves
    the choice to the engine. `asked` is the spec of this
    launch, of which only scoring counts here; None stands for the frozen one. `scored` False leaves the scores to a
    later `eval`. `verbose` makes each worker log its answers. Each worker gets `render_processes` to open and process
    media, where its engine can use them. `notes` become the first events of the launch. A worker is stuck that has a
    sample in its engine for more than `sample_timeout` seconds or makes no progress for `stall_timeout`; 0 leaves it to
    the run's pace. A drain lasts `drain_seconds` at most.
    """

    tensor_parallel: Mapping[str, int] = field(default_factory=dict)
    windows: Mapping[str, int] = field(default_factory=dict)
    engine_args: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    asked: RunSpec | None = None
    scored: bool = True
    verbose: bool = False
    render_processes: int = 0
    notes: tuple[tuple[Level, str], ...] = ()
    sample_timeout: float = 0.0
    stall_timeout: float = 0.0
    drain_seconds: float = DRAIN_SECONDS
