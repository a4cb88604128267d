"""What is happening in a run, as a pure fold over what is on disk plus `now`.

Owns no file and keeps nothing: `snapshot.read` gathers the facts, `fold` turns them into a `RunState`, and the live
display, `status`, `--json` and the tests all use that same value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vlmeval_mp.core.records import (
    Event,
    GpuStats,
    Notice,
    Phase,
    RunRecord,
    Spent,
    Struct,
    SupervisorStatus,
    Tally,
    WorkerStatus,
)
from vlmeval_mp.runs import notices

STALE_AFTER = 15.0
"""Seconds without a heartbeat after which a worker is shown as silent."""
GONE = "process is gone"


class JobState(Struct, frozen=True, omit_defaults=False):
    """One job. `done` counts samples with an answer or an error; `score` is the running mean over the scored ones.

    `interval` is the 95 % interval of the score. `health` has the scored replies so far and how many show each sign.
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


class WorkerState(Struct, frozen=True, omit_defaults=False):
    """One worker; `age` is seconds since its last heartbeat, `gpus` the live figures of its GPUs.

    `message` says what `notice` says, if that is what there is to say.
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


class RunState(Struct, frozen=True, omit_defaults=False):
    """The whole run at one moment. `rate` is samples/s now, `eta` seconds to go (None while unknown)."""

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
    spent: Spent | None = None

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


def noticed(snapshot: Snapshot) -> dict[str, Notice | None]:
    """Return each live worker's current notice, None for a worker that stopped cleanly; crashed ones are left out."""
    alive = {w.worker: w.notice for w in snapshot.workers if w.worker in snapshot.live}
    return alive | {w.worker: None for w in snapshot.workers if w.phase == "stopped" and w.notice is None}


def fold(snapshot: Snapshot, now: float) -> RunState:
    """Return the run's state at wall-clock time `now`."""
    supervisor = snapshot.supervisor
    live = [w for w in snapshot.workers if w.worker in snapshot.live]
    held = _held_samples(live)
    tallies: Mapping[str, Tally] = supervisor.tallies if supervisor else {}
    finished = set(supervisor.finished) if supervisor else set()
    jobs = []
    for job in snapshot.record.jobs:
        counts = snapshot.shards.get(job.name, ShardCounts())
        tally = tallies.get(job.name)
        all_done = counts.pending == counts.claimed == 0
        asked = counts.done_samples + counts.failed_shard_samples
        jobs.append(
            JobState(
                name=job.name,
                model=job.model,
                dataset=job.dataset,
                total=job.samples - counts.skipped_samples,
                done=min(job.samples - counts.skipped_samples, asked + held.get(job.name, 0)),
                failed=counts.failed_samples + counts.failed_shard_samples,
                shards_pending=counts.pending,
                shards_claimed=counts.claimed,
                shards_done=counts.done,
                shards_failed=counts.failed,
                score=tally.value / tally.scored if tally and tally.scored else None,
                finished=job.name in finished or (all_done and counts.settled >= job.samples),
                interval=tally.interval if tally else None,
                health=tally.health if tally else {},
            )
        )
    total, done = sum(j.total for j in jobs), sum(j.done for j in jobs)
    workers = [
        _worker_state(w, w.worker in snapshot.live, supervisor, now) for w in snapshot.workers if _current(w, snapshot)
    ]
    rate = sum(w.rate for w in workers)
    return RunState(
        run=snapshot.record.spec.name,
        folder=snapshot.folder,
        phase=_phase(supervisor, snapshot.supervisor_alive),
        running=snapshot.supervisor_alive,
        total=total,
        done=done,
        failed=sum(j.failed for j in jobs),
        rate=rate,
        eta=(total - done) / rate if rate > 0 and snapshot.supervisor_alive else None,
        elapsed=max(0.0, (now if snapshot.supervisor_alive else supervisor.time) - supervisor.started)
        if supervisor
        else 0.0,
        jobs=tuple(jobs),
        workers=tuple(workers),
        events=supervisor.events if supervisor else (),
        spent=supervisor.spent if supervisor else None,
    )


def _phase(supervisor: SupervisorStatus | None, alive: bool) -> Phase:
    if supervisor is None or not (alive or supervisor.phase == "failed"):
        return "stopped"
    return supervisor.phase


def _current(worker: WorkerStatus, snapshot: Snapshot) -> bool:
    """Whether the worker is alive or belongs to the last launch; what earlier launches left behind is not shown."""
    supervisor = snapshot.supervisor
    return worker.worker in snapshot.live or supervisor is None or worker.time >= supervisor.started


def _held_samples(workers: Iterable[WorkerStatus]) -> dict[str, int]:
    """Answered samples per job inside shards that live workers still hold."""
    held: dict[str, int] = {}
    for worker in workers:
        for job, answered in worker.held.items():
            held[job] = held.get(job, 0) + answered
    return held


def _worker_state(worker: WorkerStatus, alive: bool, supervisor: SupervisorStatus | None, now: float) -> WorkerState:
    gpus = tuple(g for g in supervisor.gpus if g.uuid in worker.gpus) if supervisor else ()
    age = max(0.0, now - worker.time)
    ended = worker.phase in ("stopped", "failed")
    notice = worker.notice if alive and not ended else None
    return WorkerState(
        worker=worker.worker,
        pid=worker.pid,
        devices=worker.devices,
        model=worker.model,
        job=worker.job,
        phase=worker.phase if alive or ended else "failed",
        answered=worker.answered,
        failed=worker.failed,
        in_flight=worker.in_flight if alive and not ended else 0,
        window=worker.window,
        rate=worker.rate if alive and not ended else 0.0,
        age=age,
        silent=alive and not ended and age > STALE_AFTER,
        gpus=gpus,
        message=worker.message or (notices.brief(notice, now) if notice else "" if alive or ended else GONE),
        notice=notice,
    )
