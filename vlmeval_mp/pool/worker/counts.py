"""Counts a worker's answers for its heartbeats. Knows no engine and no file."""

from __future__ import annotations

import time
from collections.abc import Callable

from vlmeval_mp.core.records import Prediction, ServingSpan


class Counts:
    """Outcomes of one worker. `spans` has them by job, `job` is the one that the last outcome is of.

    `proven` tells that the engine has answered something. `now` is the wall clock.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.answered = self.failed = 0
        self.proven = False
        self.job = ""
        self.spans: dict[str, ServingSpan] = {}

    def ask(self, job: str) -> None:
        """Take notice that a sample of `job` is asked; its span begins with the first."""
        if job not in self.spans:
            now = self._now()
            self.spans[job] = ServingSpan(first=now, last=now, answered=0)

    def add(self, job: str, prediction: Prediction) -> None:
        """Count an outcome that was recorded."""
        self.job = job  # the one last claimed may wait behind a window of others
        self.answered += 1
        self.failed += prediction.error is not None
        self.proven = self.proven or prediction.error is None
        span = self.spans.get(job)
        if span is not None:
            self.spans[job] = ServingSpan(
                first=span.first,
                last=self._now(),
                answered=span.answered + 1,
                tokens_in=span.tokens_in + prediction.prompt_tokens,
                tokens_out=span.tokens_out + prediction.completion_tokens,
            )
