"""The sentences of a launch's log: ready workers, the first answer, each score, the total. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from vlmeval_mp.core.records import SERVING, Summary, TimeSpent
from vlmeval_mp.runs.state import RunState, Snapshot
from vlmeval_mp.runs.words import duration, limits, score


class Story:
    """Turns snapshots into sentences, each once."""

    def __init__(self) -> None:
        self._ready: set[str] = set()
        self._limited: set[str] = set()
        self._answered = False

    def changes(self, snapshot: Snapshot) -> Iterator[str]:
        """Yield what has happened since the last call."""
        for worker in snapshot.workers:
            if worker.phase in SERVING and worker.worker in snapshot.live and worker.owner not in self._ready:
                self._ready.add(worker.owner)
                yield f"{worker.worker} is ready with {worker.model} after {duration(worker.startup)}"
                if worker.limits and worker.model not in self._limited:
                    self._limited.add(worker.model)
                    yield f"{worker.model}: {limits(worker.limits)}"
        begun = snapshot.supervisor.started if snapshot.supervisor else 0.0
        answers = [s.last for w in snapshot.workers if w.owner in self._ready and w.answered for s in w.spans.values()]
        if answers and not self._answered:
            self._answered = True
            yield "first answer" + (f" {duration(min(answers) - begun)} after the start" if begun else "")


def name_of(model: str, dataset: str, *, alone: bool) -> str:
    """Return how an event names a job; `alone`: there is one model, which needs no name."""
    return dataset if alone else f"{model} on {dataset}"


def scored(summary: Summary, *, alone: bool) -> str:
    """Return `DigitsMCQ done: 91.2 ± 1.4`."""
    name = name_of(summary.model, summary.dataset, alone=alone)
    if summary.problem:
        return f"{name} done, without a score: {summary.problem}"
    value, interval = summary.metrics.get(summary.primary_metric), summary.bounds or summary.interval
    said = score(summary.primary_metric, value, interval, reported=summary.as_reported)
    failed = f", {summary.counts.failed:,} failed" if summary.counts.failed else ""
    return f"{name} done: {said}{failed}"


def total(state: RunState, spent: TimeSpent) -> str:
    """Return what a launch comes to: `finished: 1,540 of 1,540 samples in 2m 05s, 3 failed; 12.3 samples/s`."""
    failed = f", {state.failed:,} failed" if state.failed else ""
    speed = f"; {spent.samples / spent.serving:.1f} samples/s" if spent.serving > 0 else ""
    ended = "finished" if state.finished else "stopped"
    return f"{ended}: {state.done:,} of {state.total:,} samples in {duration(state.elapsed)}{failed}{speed}"
