"""What is known of a job's answers while it goes on: the score with its interval, and the health of the replies.

Telemetry: what a finished job publishes is made anew from all of its answers. Knows no file.
"""

from __future__ import annotations

from vlmeval_mp.core.records import Prediction, Sample, Score, Tally
from vlmeval_mp.scoring import health
from vlmeval_mp.scoring.metrics.running import Running


class Live:
    """One job so far, sample by sample in any order."""

    def __init__(self) -> None:
        self._score, self._signs = Running(), health.Signs()
        self._unscored = self._failed = 0
        self._told: set[str] = set()

    def add(self, sample: Sample, prediction: Prediction, verdict: Score, strict: Score) -> None:
        """Take in one sample, its verdict in the mode that is published, and that of strict rules."""
        if prediction.error is not None:
            self._failed += 1
            return
        self._signs.add(sample, prediction, strict)
        if verdict.value is None:
            self._unscored += 1
        else:
            self._score.add(sample, verdict.value)

    def tally(self) -> Tally:
        """Return what there is to show."""
        return Tally(
            value=self._score.value,
            scored=self._score.count,
            unscored=self._unscored,
            failed=self._failed,
            interval=self._score.interval(),
            health=dict(self._signs.counts),
        )

    def news(self) -> list[str]:
        """Return a sentence for each sign that has come beyond its threshold since the last call."""
        counts = self._signs.counts
        fresh = [sign for sign in health.beyond(counts, counts["replies"]) if sign not in self._told]
        self._told.update(fresh)
        return [health.sentence(sign, counts[sign], counts["replies"]) for sign in fresh]
