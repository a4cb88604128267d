"""Estimates of when a run ends: from the unanswered samples, their pace and the time to load. Pure.

An estimate and nothing more; None wherever nothing was measured that it could rest on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from vlmeval_mp.core.records import ENDED, SERVING, Struct, WorkerStatus
from vlmeval_mp.runs import schedule
from vlmeval_mp.runs.paces import Pace

SOON = 1.0
"""The least estimate, in seconds, while a sample is left."""
OVERDUE = 0.5
"""The share of its age that a sample takes longer which has outlived what is usual: long ones are of a long tail, so
that the older one is, the longer it still takes."""
FRESH = 30.0
"""Seconds since a job's last answer for which its rate is shown, and for which its worker is taken to go on with it."""


class Waiting(Struct, frozen=True):
    """A job with `left` unanswered samples; `pace` None is unknown. `open` tells that free workers can still join."""

    name: str
    model: str
    left: int
    pace: Pace | None = None
    open: bool = True


def seconds_left(
    jobs: Iterable[Waiting],
    workers: Sequence[WorkerStatus],
    startup: Mapping[str, float],
    now: float,
    coming: Mapping[str, int] | None = None,
) -> float | None:
    """Return the seconds until every job is answered by `workers`, those that live.

    `startup` is how long a worker of a model took to start the last time here. `coming` counts, by model, the workers
    that were started and have not said anything yet. Workers that are free move on to a model that nobody has loaded,
    and load it first. Never less than what the oldest sample in an engine still needs, or a job that nobody can join.
    """
    waiting = [job for job in jobs if job.left > 0]
    coming = coming or {}
    if not waiting:
        return 0.0
    if not (workers or any(coming.values())) or any(job.pace is None for job in waiting):
        return None
    loads = _loading_seconds(waiting, workers, startup)
    ready = [(w.model, _until_ready(w, loads.get(w.model, 0.0), now)) for w in workers]
    ready += [(model, loads.get(model, 0.0)) for model, number in coming.items() for _ in range(number)]
    spread = schedule.seconds(_work(waiting, workers, now), ready, loads)
    last = [seconds for job in waiting if not job.open and (seconds := seconds_of_job(job, workers, now))]
    return max(SOON, spread, _oldest(workers), *last)


def seconds_of_job(job: Waiting, workers: Sequence[WorkerStatus], now: float) -> float | None:
    """Return the seconds until those who are at `job` have answered it; None while nobody is, or nothing tells.

    What has passed since its last answer, or since it was first asked, is off; and where its pace is that of other data
    sets, it takes as long again as it has been waited for.
    """
    spans = [span for w in workers if w.phase in SERVING and w.in_flight and (span := w.spans.get(job.name))]
    fresh = [span for span in spans if not span.answered or now - span.last <= FRESH]
    at_it = fresh or ([] if job.open else spans)
    if not at_it or not job.left or job.pace is None:
        return None
    last = max((span.last for span in at_it if span.answered), default=min(span.first for span in at_it))
    waited = max(0.0, now - last)
    needed = job.left * job.pace.seconds / len(at_it)
    return max(SOON, max(needed - waited, OVERDUE * waited) if job.pace.known else max(needed, waited))


def rate_of_job(job: str, worker: WorkerStatus, now: float) -> float:
    """Return the samples/s of one job that a worker has answered, as long as it goes on with it."""
    span = worker.spans.get(job)
    if span is None or span.last <= span.first or now - span.last > FRESH or worker.phase in ENDED:
        return 0.0
    return span.answered / (span.last - span.first)


def seconds_to_drain(workers: Sequence[WorkerStatus], paces: Mapping[str, Pace]) -> float | None:
    """Return the seconds until `workers` have answered what is in their engines, and nothing else.

    A worker without a rate goes by the pace of the slowest job that it was asked about.
    """
    draining = [worker for worker in workers if worker.phase in SERVING and worker.in_flight]
    bulk = []
    for worker in draining:
        known = [paces[job].seconds for job in worker.spans if job in paces]
        pace = 1 / worker.rate if worker.rate > 0 else max(known, default=0.0)
        bulk += [worker.in_flight * pace] if pace else []
    return max(SOON, _oldest(draining), *bulk) if bulk else None


def _work(waiting: Iterable[Waiting], workers: Iterable[WorkerStatus], now: float) -> dict[str, float]:
    """Return the worker-seconds that each model still takes; what engines have spent on what comes next is off."""
    spent: dict[str, float] = defaultdict(float)
    for worker in workers:
        spent[worker.model] += _since_answer(worker, now)
    found: dict[str, float] = defaultdict(float)
    for job in waiting:
        found[job.model] += job.left * job.pace.seconds if job.pace else 0.0
    return {model: max(needed - spent[model], OVERDUE * spent[model]) for model, needed in found.items()}


def _until_ready(worker: WorkerStatus, startup: float, now: float) -> float:
    return 0.0 if worker.phase in SERVING else max(0.0, startup - (now - worker.started))


def _since_answer(worker: WorkerStatus, now: float) -> float:
    """Return for how long the engine has been at work on what comes next."""
    if not worker.in_flight or not worker.spans:
        return 0.0
    return max(0.0, now - max(span.last for span in worker.spans.values()))


def _loading_seconds(
    waiting: Iterable[Waiting], workers: Sequence[WorkerStatus], startup: Mapping[str, float]
) -> dict[str, float]:
    """Return what it takes to load each model: as the last time, else as long as it took those that serve now."""
    serving = [worker.startup for worker in workers if worker.phase in SERVING]
    usual = fmean(serving or startup.values() or [0.0])
    return {job.model: startup.get(job.model, usual) for job in waiting}


def _oldest(workers: Sequence[WorkerStatus]) -> float:
    """Return what the sample that has been in an engine for longest still needs, by what is usual there."""
    needs = [
        worker.usual - worker.oldest if worker.oldest <= worker.usual else OVERDUE * worker.oldest
        for worker in workers
        if worker.in_flight and worker.usual > 0
    ]
    return max(needs, default=0.0)
