"""Numbers of a summary as texts for people: value, 95 % interval, share of the axis. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from vlmeval_mp.core.records import Summary
from vlmeval_mp.runs.words import POINTS, as_reported

Z = 1.959964
"""The normal quantile of a 95 % interval."""
_NO_NUMBER = "–"

Group = dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number to show. `low` and `high` bound its 95 % interval, in the unit of `value`; None where there is none.

    `of` is the length of the axis: 100 for percent, 0 where the unit has no end. `reported`: they are another
    evaluator's, whose unit may be a fraction.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    of: float = 100.0
    reported: bool = False

    @property
    def text(self) -> str:
        """Two decimals, as published scores have."""
        return _NO_NUMBER if self.value is None else self.number(self.value)

    def number(self, value: float, digits: int = 2) -> str:
        """Return a value in the unit of this figure as text, with `digits` decimals if that is percent or points."""
        return as_reported(value) if self.reported else f"{value:,.{digits}f}"

    @property
    def interval(self) -> str:
        """`low – high`, or "" where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.number(self.low, 1)} – {self.number(self.high, 1)}"

    @property
    def plus_minus(self) -> str:
        """Half the interval as "± 1.40", "" where there is none."""
        return "" if self.low is None or self.high is None else f"± {self.number((self.high - self.low) / 2)}"

    def share(self, number: float | None) -> float:
        """Return where `number` is on the axis, in percent of its length; 0 where there is no axis."""
        return 0.0 if number is None or not self.of else round(min(100.0, max(0.0, 100 * number / self.of)), 2)


def figure(summary: Summary, metric: str | None = None) -> Figure:
    """Return one metric of `summary`, the primary one unless named."""
    name = metric or summary.primary_metric
    primary = name == summary.primary_metric
    found = summary.intervals.get(name) or (summary.interval if primary else None)
    stderr = summary.stderr if primary else summary.stderrs.get(name)
    return _figure(name, summary.metrics.get(name), stderr, found, reported=summary.as_reported)


def figure_of(summary: Summary, group: Group) -> Figure:
    """Return the primary metric of one group of `summary`."""
    name = summary.primary_metric
    found = group.get("low"), group.get("high")
    interval = (found[0], found[1]) if found[0] is not None and found[1] is not None else None
    return _figure(name, group.get(name), group.get("stderr"), interval, reported=summary.as_reported)


def _figure(
    name: str,
    value: float | None,
    stderr: float | None,
    interval: tuple[float, float] | None,
    *,
    reported: bool,
) -> Figure:
    unit = 1.0 if reported or name.endswith(POINTS) else 100.0
    axis = 100.0 if unit == 100.0 else 0.0
    if value is None:
        return Figure(None, of=axis, reported=reported)
    if interval is None and stderr is not None:
        interval = (value - Z * stderr, value + Z * stderr)
        if axis:
            interval = (max(0.0, interval[0]), min(1.0, interval[1]))
    low, high = (unit * interval[0], unit * interval[1]) if interval else (None, None)
    return Figure(unit * value, low, high, axis, reported)
