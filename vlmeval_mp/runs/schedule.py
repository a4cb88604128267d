"""The end of a run whose workers move on to another model, and load it first, when theirs has nothing left. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate


def seconds(work: Mapping[str, float], ready: Iterable[tuple[str, float]], startup: Mapping[str, float]) -> float:
    """Return the seconds until all `work` is done, which has the worker-seconds left of each model.

    `ready` has, for each worker, its model and the seconds until it can answer; `startup` has what it takes to load a
    model. A worker that is free goes to the model with most work for each of its workers. Infinite without a worker.
    """
    left = {model: needed for model, needed in work.items() if needed > 0}
    at_work: dict[str, list[float]] = {model: [] for model in left}
    free = []
    for model, wait in ready:
        if model in left:
            at_work[model].append(wait)
        else:
            free.append(0.0)
    end = 0.0
    while left:
        for since in free:
            model = max(left, key=lambda m: left[m] / (len(at_work[m]) + 1))
            at_work[model].append(since + startup.get(model, 0.0))
        ends = {model: together(left[model], at_work[model]) for model in left}
        done = min(ends, key=lambda model: ends[model])
        end = ends[done]
        del left[done]
        free = [end for _ in at_work.pop(done)]
    return end


def together(work: float, ready: Iterable[float]) -> float:
    """Return when workers that are ready at these times have done `work` together; infinite without one."""
    times = sorted(ready)
    for number, waits in enumerate(accumulate(times), 1):
        end = (work + waits) / number
        if number == len(times) or end <= times[number]:
            return end
    return math.inf
