"""The score of a finished job, read from its summary without the rest of that file."""

from __future__ import annotations

from pathlib import Path

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.records import Struct


class MetricValue(Struct, frozen=True):
    """A metric's name, its value and its 95 % interval; where `value` is None, what it lies between.

    `as_reported`: the value is another evaluator's, in a unit of its own.
    """

    metric: str
    value: float | None
    interval: tuple[float, float] | None
    as_reported: bool = False


class _Summary(Struct, frozen=True):
    primary_metric: str
    metrics: dict[str, float | None]
    interval: tuple[float, float] | None = None
    bounds: tuple[float, float] | None = None
    as_reported: bool = False


def read(summary: Path) -> MetricValue | None:
    """Return what `summary` says first; None where there is no such file, or no number in it."""
    found = jsonfiles.read_if_whole(summary, _Summary)
    if found is None or not found.primary_metric:
        return None
    value = found.metrics.get(found.primary_metric)
    return MetricValue(found.primary_metric, value, found.bounds or found.interval, found.as_reported)
