"""Estimates of when a run ends: from the unanswered samples, the speed of the workers and the time to load. Pure.

An estimate and nothing more; None wherever nothing was measured that it could rest on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from vlmeval_mp.core.records import SERVING, WorkerStatus

SOON = 1.0
"""The least estimate, in seconds, while a sample is left."""
OVERDUE = 0.2
"""The share of its age that a sample takes longer which has outlived what is usual: long ones are of a long tail."""


def seconds_left(
    left: Mapping[str, int], workers: Sequence[WorkerStatus], startup: Mapping[str, float], now: float
) -> float | None:
    """Return the seconds until every model has answered; `left` has its unanswered samples, `workers` all that live.

    `startup` is how long a worker of a model took to start the last time here. A model that no worker has answered with
    yet is taken to be as fast as the others; workers that are free move on to it, and load it first. Never less than
    what the oldest sample in an engine still needs.
    """
    waiting = {model: samples for model, samples in left.items() if samples > 0}
    if not waiting:
        return 0.0
    speeds = _speeds(workers)
    if not workers or not speeds:
        return None
    usual = sum(speeds.values()) / len(speeds)
    seconds = {model: samples / speeds.get(model, usual) for model, samples in waiting.items()}
    at_work = Counter(worker.model for worker in workers)
    seen = _loading_seconds(workers) or sum(startup.values()) / max(1, len(startup))
    loading = [
        max(0.0, startup.get(worker.model, seen) - (now - worker.started))
        for worker in workers
        if worker.phase not in SERVING
    ]
    untouched = [startup.get(model, seen) for model in waiting if not at_work[model]]
    rounds = math.ceil(len(untouched) / len(workers))
    spread = (sum(seconds.values()) + sum(loading)) / len(workers) + rounds * max(untouched, default=0.0)
    return max(SOON, spread, _oldest(workers))


def seconds_to_drain(workers: Sequence[WorkerStatus]) -> float | None:
    """Return the seconds until `workers` have answered what is in their engines, and nothing else."""
    draining = [worker for worker in workers if worker.phase in SERVING and worker.in_flight]
    if not draining:
        return None
    bulk = [worker.in_flight / worker.rate for worker in draining if worker.rate > 0]
    return max(SOON, _oldest(draining), *bulk) if bulk else None


def _speeds(workers: Sequence[WorkerStatus]) -> dict[str, float]:
    """Return samples/s of one worker of each model, of those models that were answered with."""
    rates: dict[str, list[float]] = {}
    for worker in workers:
        if worker.phase in SERVING and worker.rate > 0:
            rates.setdefault(worker.model, []).append(worker.rate)
    return {model: sum(found) / len(found) for model, found in rates.items()}


def _loading_seconds(workers: Sequence[WorkerStatus]) -> float:
    """Return what starting and loading took the workers that serve now; 0 where none does."""
    serving = [worker for worker in workers if worker.phase in SERVING]
    return sum(worker.startup for worker in serving) / len(serving) if serving else 0.0


def _oldest(workers: Sequence[WorkerStatus]) -> float:
    """Return what the sample that has been in an engine for longest still needs, by what is usual there."""
    needs = [
        worker.usual - worker.oldest if worker.oldest <= worker.usual else OVERDUE * worker.oldest
        for worker in workers
        if worker.in_flight and worker.usual > 0
    ]
    return max(needs, default=0.0)
