"""The values that the supervisor gives a worker on its command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Assignment:
    """One worker's name, model, devices and way of working.

    `device` is "cuda" or "cpu"; `devices` names them for people; `gpus` holds their UUIDs. `window` is how many
    requests the engine gets at once, 0 for the engine's own default. `verbose` makes the worker log each answer.
    `render_processes` is how many processes open and process media for an engine that can use them.
    """

    name: str
    model: str
    device: str
    devices: str
    gpus: tuple[str, ...]
    tensor_parallel: int
    window: int
    engine_args: dict[str, Any]
    verbose: bool = False
    render_processes: int = 0
