"""The time that samples spend in a worker's engine: the usual one, and that of the oldest sample now.

From both the supervisor tells an engine that is slow from one that is stuck. Any thread may read.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator

KEPT = 500
"""Latencies from which the usual one is computed."""


class Pace:
    """Latencies of one worker's samples in seconds of `now`, a monotonic clock."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._begun: dict[int, float] = {}
        self._numbers = itertools.count()
        self._latencies: deque[float] = deque(maxlen=KEPT)

    @contextlib.contextmanager
    def measures(self) -> Iterator[None]:
        """Count one sample as in the engine for as long as the context lasts; a failed one has no latency."""
        number, begun = next(self._numbers), self._now()
        self._begun[number] = begun
        try:
            yield
            self._latencies.append(self._now() - begun)
        finally:
            del self._begun[number]

    def oldest(self) -> float:
        """Return for how long the sample that is in the engine longest has been there; 0 if none is."""
        begun = list(self._begun.values())
        return self._now() - min(begun) if begun else 0.0

    def usual(self) -> float:
        """Return the latency that 99 of 100 samples stay below; 0 before the first answer."""
        known = sorted(self._latencies)
        return known[min(len(known) - 1, int(0.99 * len(known)))] if known else 0.0
