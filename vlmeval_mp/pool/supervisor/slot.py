"""One place for a worker, and the memory of the workers that ran there."""

from __future__ import annotations

from dataclasses import dataclass

from vlmeval_mp.pool.devices.gpus import DeviceGroup
from vlmeval_mp.pool.launchers.base import Handle

BACKOFF_FIRST, BACKOFF_MOST = 0.25, 30.0


@dataclass(slots=True)
class Slot:
    """One device group and the worker on it, if any.

    `deaths` counts those in a row that brought no answer, `kills` those among them that came from outside;
    `memory_kills` is the kernel's count of processes killed for memory when the worker started. `stuck` says why the
    worker is being killed, at `kill_at`; `stalls` counts the workers here that were stuck in a row, `idle_ends` those
    that ended in order and had answered nothing. `log_start` is how long the log was when the worker was started.
    `late` tells that nothing was left for its model while it still loaded.
    """

    name: str
    group: DeviceGroup
    handle: Handle | None = None
    model: str = ""
    deaths: int = 0
    kills: int = 0
    memory_kills: int = 0
    start_after: float = 0.0
    ended: float = 0.0
    parked: bool = False
    stuck: str = ""
    kill_at: float = 0.0
    stalls: int = 0
    idle_ends: int = 0
    log_start: int = 0
    late: bool = False


def back_off(times: int) -> float:
    """Return how many seconds a slot rests after what went wrong `times` times in a row."""
    return min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** max(0, times - 1))
