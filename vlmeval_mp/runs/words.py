"""Durations and scores as short texts for people. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

DASH = "–"
POINTS = "_points"
"""The end of the name of a metric that is no fraction."""


def duration(seconds: float | None) -> str:
    """Return `4s`, `2m 05s`, `1h 02m`, `3d 04h`; a dash where unknown."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d {hours % 24:02}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    return f"{minutes}m {whole % 60:02}s" if minutes else f"{whole}s"


def as_reported(value: float | None) -> str:
    """Return another evaluator's number in its own unit, which may be a fraction or percent: `0.3333`, `60.00`."""
    return DASH if value is None else f"{value:.4g}" if abs(value) < 1 else f"{value:,.2f}"


def score(metric: str, value: float | None, interval: tuple[float, float] | None, *, reported: bool = False) -> str:
    """Return a metric in percent, or in points, with half its 95 % interval: `91.2 ±1.4`; `0.4–99.7` where it only has
    bounds.

    The half is rounded up, so that it is never zero. `reported` is for another evaluator's number.
    """
    if reported:
        return as_reported(value)
    scale = 1 if metric.endswith(POINTS) else 100
    if value is None:
        return DASH if interval is None else "–".join(f"{scale * end:,.1f}" for end in interval)
    half = "" if interval is None else f" ±{math.ceil(5 * scale * (interval[1] - interval[0]) - 1e-9) / 10:,.1f}"
    return f"{scale * value:,.1f}{half}"


def spoken(metric: str) -> str:
    """Return a metric's name as words: `f1`, `total points`."""
    return (metric.removesuffix(POINTS) + " points" if metric.endswith(POINTS) else metric).replace("_", " ")


def limits(settings: Mapping[str, Any]) -> str:
    """Return `max_model_len 32,768, enable_prefix_caching on, limit_mm_per_prompt image 1`."""
    return ", ".join(f"{key} {_setting(value)}" for key, value in settings.items())


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return " and ".join(f"{key} {inner}" for key, inner in value.items()) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,}" if isinstance(value, int) else str(value)
