"""Results of a job while it goes on: its score and interval, reasons of failures, the replies' health.

Telemetry: what a finished job publishes is made anew from all of its answers. Knows no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from vlmeval_mp.core.records import Prediction, Sample, Score, Summary, Tally
from vlmeval_mp.runs.reasons import Reasons
from vlmeval_mp.runs.verdicts import Slim
from vlmeval_mp.scoring import health
from vlmeval_mp.scoring.base import Rules, ScoredSample
from vlmeval_mp.scoring.families import aggregator_of
from vlmeval_mp.scoring.metrics.running import RunningValues

SO_FAR = " so far"
PATIENCE = 20.0
"""The benchmark's own metric, once it was computed, is shown for this many times as long as that took, before it is
computed again: so it costs a twentieth of the time at most."""


class Live:
    """One job so far, sample by sample in any order, scored by `rules`. `now` is a monotonic clock."""

    def __init__(self, rules: Rules, now: Callable[[], float] = time.monotonic) -> None:
        self._score, self._watch, self._reasons = RunningValues(), health.Watch(), Reasons()
        self._look = health.LEAST
        self._unscored = self._failed = 0
        self._told: set[str] = set()
        self._slim, self._scored = Slim(rules), list[ScoredSample]()
        self._rules, self._now, self._due = rules, now, 0.0
        self._own = Tally()

    def add(self, sample: Sample, prediction: Prediction, verdict: Score, strict: Score) -> None:
        """Take in one sample, its verdict in the mode that is published, and that of strict rules."""
        self._scored.append(self._slim.scored(sample, prediction, verdict))
        if prediction.error is not None:
            self._failed += 1
            self._reasons.add(prediction.error)
            return
        self._watch.add(sample, prediction, verdict, strict)
        if verdict.value is None:
            self._unscored += 1
        else:
            self._score.add(sample, verdict.value)

    def tally(self) -> Tally:
        """Return what there is to show."""
        if self._score.count and self._now() >= self._due:
            begun, first = self._now(), not self._own.metric
            self._own = self._measure()
            took = self._now() - begun
            self._due = begun + took + (0.0 if first else PATIENCE * took)  # the first time imports what it needs, too
        return Tally(
            value=self._score.value,
            scored=self._score.count,
            unscored=self._unscored,
            failed=self._failed,
            interval=self._own.interval if self._own.metric else self._score.interval(),
            health=dict(self._watch.counts),
            metric=self._own.metric,
            score=self._own.score,
            reasons=self._reasons.counts(),
            as_reported=self._own.as_reported,
        )

    def _measure(self) -> Tally:
        """Return the benchmark's own metric over the samples so far; without one, the mean stands."""
        metrics = aggregator_of(self._rules.scorer, circular=self._rules.circular)(self._scored, self._rules.mode)
        name, found = next(iter(metrics.items()))
        return Tally() if found.value is None else Tally(metric=name, score=found.value, interval=found.interval)

    def published(self, summary: Summary) -> Tally:
        """Return the tally of a finished job: with what its summary says, and nothing else."""
        self._own = Tally(
            metric=summary.primary_metric,
            score=summary.metrics.get(summary.primary_metric),
            interval=summary.bounds or summary.interval,
            as_reported=summary.as_reported,
        )
        self._due = float("inf")
        return self.tally()

    def news(self) -> list[str]:
        """Return a sentence for each thing that has come beyond its threshold since the last call.

        All of them are looked for again when there are twice as many replies, or when a sign is beyond its own.
        """
        counts = self._watch.counts
        fresh = [sign for sign in health.beyond(counts, counts["replies"]) if sign not in self._told]
        if not fresh and counts["replies"] < self._look:
            return []
        self._look = 2 * max(counts["replies"], health.LEAST)
        found = {name: said for name, said in health.findings(self._watch.health(), SO_FAR) if name not in self._told}
        self._told.update(found)
        return list(found.values())
