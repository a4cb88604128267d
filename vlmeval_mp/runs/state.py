"""The state of a run as a pure function of the facts on disk and the time `now`.

Owns no file and keeps nothing: `snapshot.read` gathers the facts, `fold` turns them into a `RunState`, and the live
display, `status`, `--json` and the tests all use that same value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from vlmeval_mp.core.records import (
    ENDED,
    SERVING,
    STARTING,
    Event,
    GpuStats,
    Job,
    Notice,
    Phase,
    RunRecord,
    Struct,
    SupervisorStatus,
    Tally,
    TimeSpent,
    WorkerStatus,
    stage_name,
)
from vlmeval_mp.runs import forecast, notices, paces
from vlmeval_mp.runs.forecast import Waiting
from vlmeval_mp.runs.measured import MetricValue

STALE_AFTER = 15.0
"""Seconds without a heartbeat after which a worker is shown as silent."""
GONE = "process is gone"


class JobState(Struct, frozen=True, omit_defaults=False):
    """One job. `done` counts samples with an answer or an error; `score` is the benchmark's `metric` over those so far.

    While `metric` is "", it is the mean over the scored ones. `interval` is its 95 % interval. `health` has the scored
    replies so far and how many show each sign, `reasons` how many samples failed for each reason. `rate` is samples/s
    now, 0 while nobody answers of it; `eta` are the seconds to go, None while nobody is at it or nothing tells. With
    `as_reported`, `score` is another evaluator's, in a unit of its own.
    """

    name: str
    model: str
    dataset: str
    total: int
    done: int
    failed: int
    shards_pending: int
    shards_claimed: int
    shards_done: int
    shards_failed: int
    score: float | None
    finished: bool
    interval: tuple[float, float] | None = None
    health: dict[str, int] = {}
    metric: str = ""
    reasons: dict[str, int] = {}
    rate: float = 0.0
    eta: float | None = None
    as_reported: bool = False


class WorkerState(Struct, frozen=True, omit_defaults=False):
    """One worker; `age` is seconds since its last heartbeat, `gpus` the live figures of its GPUs.

    `message` is the text of `notice` if it has no other. While the worker loads, or waits for its first answer, `stage`
    names that, `stage_seconds` is its duration so far and `stage_usual` its duration last time here (0: unknown).
    Tokens are per second.
    """

    worker: str
    pid: int
    devices: str
    model: str
    job: str
    phase: Phase
    answered: int
    failed: int
    in_flight: int
    window: int
    rate: float
    age: float
    silent: bool
    gpus: tuple[GpuStats, ...]
    message: str
    notice: Notice | None = None
    stage: str = ""
    stage_seconds: float = 0.0
    stage_usual: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0


class RunState(Struct, frozen=True, omit_defaults=False):
    """The whole run at one moment. `rate` is samples/s now, `eta` seconds to go (None while unknown).

    `elapsed` are the seconds that launches of it worked on it, up to the last job's results. `tokens_in` and
    `tokens_out` are per second.
    """

    run: str
    folder: str
    phase: Phase
    running: bool
    total: int
    done: int
    failed: int
    rate: float
    eta: float | None
    elapsed: float
    jobs: tuple[JobState, ...]
    workers: tuple[WorkerState, ...]
    events: tuple[Event, ...]
    spent: TimeSpent | None = None
    tokens_in: float = 0.0
    tokens_out: float = 0.0

    @property
    def finished(self) -> bool:
        return all(job.finished for job in self.jobs)


class ShardCounts(Struct, frozen=True):
    """Shards and samples of one job by queue folder, and the failed samples of its done shards."""

    pending: int = 0
    claimed: int = 0
    done: int = 0
    failed: int = 0
    done_samples: int = 0
    failed_shard_samples: int = 0
    failed_samples: int = 0
    claimed_samples: int = 0
    skipped_samples: int = 0
    """samples that are not asked, because the job was stopped early"""

    @property
    def settled(self) -> int:
        """Samples of shards that are done or given up, and those that nobody asks any more."""
        return self.done_samples + self.failed_shard_samples + self.skipped_samples


class Snapshot(Struct, frozen=True):
    """The facts of one moment, as read from disk."""

    record: RunRecord
    folder: str
    shards: dict[str, ShardCounts]
    workers: tuple[WorkerStatus, ...]
    supervisor: SupervisorStatus | None
    supervisor_alive: bool
    live: tuple[str, ...] = ()
    """names of the workers whose process is known to be alive"""
    measured: dict[str, MetricValue] = {}
    """what the summaries of finished jobs say, where no supervisor is there to know it"""


def noticed(snapshot: Snapshot) -> dict[str, Notice | None]:
    """Return each live worker's current notice, None for a worker that stopped cleanly; crashed ones are left out."""
    alive = {w.worker: w.notice for w in snapshot.workers if w.worker in snapshot.live}
    return alive | {w.worker: None for w in snapshot.workers if w.phase == "stopped" and w.notice is None}


def fold(snapshot: Snapshot, now: float) -> RunState:
    """Return the run's state at wall-clock time `now`."""
    supervisor, alive = snapshot.supervisor, snapshot.supervisor_alive
    live = [w for w in snapshot.workers if w.worker in snapshot.live]
    held = _held_samples(_holders(snapshot, live))
    jobs = [_job_state(job, snapshot, held.get(job.name, 0)) for job in snapshot.record.jobs]
    waiting = _waiting(jobs, snapshot)
    eta = _eta(waiting, live, supervisor, now) if alive else None
    if alive:
        jobs = [_with_speed(job, waiting[job.name], live, now, eta) for job in jobs]
    total, done = sum(j.total for j in jobs), sum(j.done for j in jobs)
    current = [w for w in snapshot.workers if _current(w, snapshot)]
    if not current and not alive:
        current = list(snapshot.workers)  # the last launch had nothing to start any for
    workers = [_worker_state(w, w.worker in snapshot.live, supervisor, now) for w in current]
    return RunState(
        run=snapshot.record.spec.name,
        folder=snapshot.folder,
        phase=_phase(snapshot, jobs, live),
        running=alive,
        total=total,
        done=done,
        failed=sum(j.failed for j in jobs),
        rate=sum(w.rate for w in workers),
        eta=eta,
        elapsed=_elapsed(supervisor, alive, now) if supervisor else 0.0,
        jobs=tuple(jobs),
        workers=tuple(workers),
        events=supervisor.events if supervisor else (),
        spent=supervisor.spent if supervisor else None,
        tokens_in=sum(w.tokens_in for w in workers),
        tokens_out=sum(w.tokens_out for w in workers),
    )


def _job_state(job: Job, snapshot: Snapshot, held: int) -> JobState:
    counts = snapshot.shards.get(job.name, ShardCounts())
    supervisor, alive = snapshot.supervisor, snapshot.supervisor_alive
    tally = supervisor.tallies.get(job.name, Tally()) if supervisor else Tally()
    measured = snapshot.measured.get(job.name)
    settled = counts.pending == counts.claimed == 0 and counts.settled >= job.samples
    total = job.samples - counts.skipped_samples
    kept = supervisor.kept.get(job.name, 0) if supervisor else 0
    done = min(total, max(counts.done_samples + counts.failed_shard_samples + held, kept))
    score = tally.score if tally.metric else tally.value / tally.scored if tally.scored else None
    return JobState(
        name=job.name,
        model=job.model,
        dataset=job.dataset,
        total=total,
        done=done,
        failed=counts.failed_samples + counts.failed_shard_samples,
        shards_pending=counts.pending,
        shards_claimed=counts.claimed,
        shards_done=counts.done,
        shards_failed=counts.failed,
        score=measured.value if measured else score,
        # a supervisor that is there says itself when the results are; without one, nothing more is to come
        finished=job.name in supervisor.finished if supervisor and alive else settled,
        interval=measured.interval if measured else tally.interval,
        health=tally.health,
        metric=measured.metric if measured else tally.metric,
        reasons=tally.reasons,
        as_reported=measured.as_reported if measured else tally.as_reported,
    )


def _waiting(jobs: Sequence[JobState], snapshot: Snapshot) -> dict[str, Waiting]:
    """Return what is left of each job, with its pace."""
    left = {job.name: job.total - job.done for job in jobs}
    known = snapshot.supervisor or SupervisorStatus(pid=0, owner="")
    pace = paces.of_jobs(snapshot.record.jobs, left, known.answered, known.paces, known.model_paces)
    return {
        job.name: Waiting(job.name, job.model, left[job.name], pace.get(job.name), open=job.shards_pending > 0)
        for job in jobs
    }


def _with_speed(
    job: JobState, waiting: Waiting, live: Sequence[WorkerStatus], now: float, whole: float | None
) -> JobState:
    """Return `job` with its rate and its seconds to go, as long as something of it is left.

    It takes no longer than the `whole` run: more workers may come to it.
    """
    if not waiting.left:
        return job
    rate = sum(forecast.rate_of_job(job.name, worker, now) for worker in live)
    eta = forecast.seconds_of_job(waiting, live, now)
    return msgspec.structs.replace(job, rate=rate, eta=eta if eta is None or whole is None else min(eta, whole))


def _eta(
    waiting: Mapping[str, Waiting], live: Sequence[WorkerStatus], supervisor: SupervisorStatus | None, now: float
) -> float | None:
    """Return the seconds to go; None where nothing is left, or nothing tells."""
    there = [worker for worker in live if worker.phase not in ENDED]
    if supervisor and supervisor.phase == "draining":
        return forecast.seconds_to_drain(there, {n: job.pace for n, job in waiting.items() if job.pace})
    if not any(job.left for job in waiting.values()):
        return None
    startup, at_work = (supervisor.startup, supervisor.at_work) if supervisor else ({}, {})
    coming = Counter(at_work) - Counter(worker.model for worker in there)
    return forecast.seconds_left(waiting.values(), there, startup, now, coming)


def _elapsed(supervisor: SupervisorStatus, alive: bool, now: float) -> float:
    end = supervisor.ended or (now if alive else supervisor.time)
    return supervisor.before + max(0.0, end - supervisor.started)


def _phase(snapshot: Snapshot, jobs: Sequence[JobState], live: Sequence[WorkerStatus]) -> Phase:
    supervisor = snapshot.supervisor
    if jobs and all(job.finished for job in jobs):
        return "finished"
    if supervisor is None or not (snapshot.supervisor_alive or supervisor.phase == "failed"):
        return "stopped"
    if supervisor.phase == "working":
        if all(job.done >= job.total for job in jobs):
            return "scoring"
        phases = {worker.phase for worker in live}
        if phases.isdisjoint(SERVING):
            return "loading" if "loading" in phases else "starting"
    return supervisor.phase


def _current(worker: WorkerStatus, snapshot: Snapshot) -> bool:
    """Return whether the worker is alive or belongs to the last launch.

    What earlier launches left behind is not shown.
    """
    supervisor = snapshot.supervisor
    return worker.worker in snapshot.live or supervisor is None or worker.time >= supervisor.started


def _holders(snapshot: Snapshot, live: Sequence[WorkerStatus]) -> Sequence[WorkerStatus]:
    """Return the workers whose answers stand in unfinished shards: while a run drains, nobody takes over the shards
    of one that has ended.
    """
    if not (snapshot.supervisor_alive and snapshot.supervisor and snapshot.supervisor.phase == "draining"):
        return live
    ended = [w for w in snapshot.workers if w.phase == "stopped" and _current(w, snapshot)]
    return [*live, *ended]


def _held_samples(workers: Iterable[WorkerStatus]) -> dict[str, int]:
    """Return, per job, the answered samples inside shards that live workers still hold."""
    held: dict[str, int] = {}
    for worker in workers:
        for job, answered in worker.held.items():
            held[job] = held.get(job, 0) + answered
    return held


def _worker_state(worker: WorkerStatus, alive: bool, supervisor: SupervisorStatus | None, now: float) -> WorkerState:
    gpus = tuple(g for g in supervisor.gpus if g.uuid in worker.gpus) if supervisor else ()
    age = max(0.0, now - worker.time)
    ended = worker.phase in ENDED
    at_work = alive and not ended
    notice = worker.notice if at_work else None
    stage, since = _stage(worker) if at_work and notice is None else ("", now)
    return WorkerState(
        worker=worker.worker,
        pid=worker.pid,
        devices=worker.devices,
        model=worker.model,
        job=worker.job,
        phase=worker.phase if alive or ended else "failed",
        answered=worker.answered,
        failed=worker.failed,
        in_flight=worker.in_flight if at_work else 0,
        window=worker.window,
        rate=worker.rate if at_work else 0.0,
        age=age,
        silent=at_work and age > STALE_AFTER,
        gpus=gpus,
        message=worker.message or (notices.brief(notice, now) if notice else "" if alive or ended else GONE),
        notice=notice,
        stage=stage,
        stage_seconds=max(0.0, now - since),
        stage_usual=_usual(worker, supervisor) if stage else 0.0,
        tokens_in=worker.tokens_in_rate if at_work else 0.0,
        tokens_out=worker.tokens_out_rate if at_work else 0.0,
    )


def _usual(worker: WorkerStatus, supervisor: SupervisorStatus | None) -> float:
    if supervisor is None or worker.phase == "working":
        return 0.0
    if not worker.stage:
        return supervisor.startup.get(worker.model, 0.0)
    return supervisor.stages.get(worker.model, {}).get(stage_name(worker.stage), 0.0)


def _stage(worker: WorkerStatus) -> tuple[str, float]:
    """Return what a worker without an answer does, and since when; "" for one that answers."""
    if worker.phase in STARTING:
        return worker.stage or worker.phase, worker.stage_since or worker.started
    if worker.phase == "working" and not worker.answered and worker.in_flight:
        return "first answers", worker.time - worker.oldest
    return "", worker.time
