"""A clock of a worker's occupations: each second of the process belongs to exactly one of them.

Knows nothing of what is done; the worker says when its occupation changes, and any thread may read the sums.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from vlmeval_mp.core.records import Occupation


class Clock:
    """Sums up seconds by occupation. `now` is a monotonic clock; `before` are seconds that `first` has already had."""

    def __init__(self, first: Occupation, before: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spent: dict[Occupation, float] = {first: before}
        self._occupation: tuple[Occupation, float] = (first, now())

    def enter(self, occupation: Occupation) -> None:
        """Spend the time from now on with `occupation`."""
        before, since = self._occupation
        if occupation == before:
            return
        now = self._now()
        self._spent[before] = self._spent.get(before, 0.0) + now - since
        self._occupation = (occupation, now)

    def read(self) -> dict[Occupation, float]:
        """Return the seconds of each occupation so far; their sum is the age of the worker."""
        spent = dict(self._spent)
        occupation, since = self._occupation
        spent[occupation] = spent.get(occupation, 0.0) + self._now() - since
        return spent


def occupation(in_engine: int, rendering: int, window: int) -> Occupation:
    """Return what a worker does that has `in_engine` requests in the engine and is rendering as many others.

    The engine counts as busy unless rendering holds it up: it has less than a quarter of what there is for it.
    """
    if not in_engine:
        return "rendering" if rendering else "idle"
    return "rendering" if 4 * in_engine < min(window, in_engine + rendering) else "busy"
