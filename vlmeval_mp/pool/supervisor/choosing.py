"""Chooses the model of a free slot: the one with most work left for each of its workers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import fmean

from vlmeval_mp.core.records import ServingSpan
from vlmeval_mp.runs import history


def pace(models: Mapping[str, str], served: Mapping[tuple[str, str], ServingSpan]) -> dict[str, float]:
    """Return worker-seconds per sample of each model that has answered any; `models` are those of the jobs.

    `served` are spans by (owner, job).
    """
    seconds: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    for job, spent in history.worker_seconds(served).items():
        seconds[models[job]] += spent  # type: ignore[assignment]
    for (_, job), span in served.items():
        samples[models[job]] += span.answered
    return {model: seconds[model] / samples[model] for model in seconds if samples[model] and seconds[model]}


def most_left(waiting: Mapping[str, float], at_work: Mapping[str, int], paces: Mapping[str, float]) -> str | None:
    """Return the model whose `waiting` samples would take longest if it had one worker more; None if none waits.

    A model without a pace is taken to be as fast as those that have one.
    """
    usual = fmean(paces.values()) if paces else 1.0

    def seconds(model: str) -> float:
        return waiting[model] * paces.get(model, usual) / (at_work.get(model, 0) + 1)

    best = max(waiting, key=seconds, default=None)
    return best if best is not None and waiting[best] > 0 else None
