"""The supervisor's reports: events, rates, and `workers/supervisor.json`. A lost file costs nothing."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from vlmeval_mp.core import files, jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import (
    Answered,
    Event,
    GpuStats,
    Occupation,
    Phase,
    ServingSpan,
    SupervisorStatus,
    Tally,
    TimeSpent,
    WorkerStatus,
)
from vlmeval_mp.pool.supervisor.past import Usual
from vlmeval_mp.runs import history
from vlmeval_mp.runs.owners import Owner

log = logging.getLogger("vlmeval_mp.supervisor")

Level = Literal["info", "warning", "error"]
LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
COUNTING = 1.0
"""Seconds between two looks at what the answers of each job took; workers say it once a second."""
CLOCK_SLACK = 1.0
"""Seconds by which a worker of this launch may seem to have started before its supervisor."""


class Telemetry:
    """Events and rates of one launch, and the file that shows them."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self.phase: Phase = "starting"
        self._path, self._owner = path, str(owner)
        self._started, self._ended = time.time(), 0.0
        self._before, self._earlier = _earlier(path)
        self._events: deque[Event] = deque(maxlen=50)
        self._served: dict[tuple[str, str], ServingSpan] = {}
        self._workers: dict[str, WorkerStatus] = {}
        self._answered: dict[str, Answered] = {}
        self._due = 0.0
        self._lost = DeadTime()
        self.at_work: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.usual = Usual()

    def event(self, text: str, level: Level = "info") -> None:
        """Tell people one thing, on the screen and in the log."""
        self._events.append(Event(time=time.time(), text=text, level=level))
        log.log(LEVELS[level], "%s", text)

    def end(self, seconds: float | None = None) -> None:
        """Note that every job has its results now, or had them `seconds` after the start. The first time counts."""
        if not self._ended:
            self._ended = time.time() if seconds is None else self._started + seconds

    def note_served(self, workers: Iterable[WorkerStatus]) -> None:
        """Take from the heartbeats of this launch's workers what they have answered and when."""
        for worker in workers:
            if worker.started >= self._started - CLOCK_SLACK:
                self._workers[worker.owner] = worker
                self._served |= {(worker.owner, job): span for job, span in worker.spans.items()}
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + COUNTING
            self._answered = history.answered(self._served)

    def note_death(self, slot: str, last_beat: float) -> None:
        """Count time as lost, from a worker's last heartbeat on, until `note_start`."""
        self._lost.begin(slot, last_beat)

    def note_start(self, slot: str) -> None:
        """End the loss of time that a death on `slot` brought, if there was one."""
        self._lost.end(slot, time.time())

    def spent(self) -> TimeSpent:
        """Return where the worker-seconds of this launch went so far."""
        return spent(self._workers.values(), self._served, self._lost.seconds(time.time()))

    def workers(self) -> list[WorkerStatus]:
        """Return the last heartbeats of the workers of this launch, ended ones included."""
        return list(self._workers.values())

    def served(self) -> dict[tuple[str, str], ServingSpan]:
        """Return what each worker, by its owner, did of each job in this launch."""
        return dict(self._served)

    def write_time(self, path: Path) -> None:
        """Write where the time of this launch went; a full disk costs a warning only."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.atomic_write(path, msgspec.json.format(jsonfiles.encode(self.spent())), durable=False)
        except (OSError, StorageError) as error:
            log.warning("%s", error)

    def write(
        self, tallies: dict[str, Tally], finished: tuple[str, ...], gpus: tuple[GpuStats, ...]
    ) -> SupervisorStatus:
        """Write and return the current status; a full disk costs a warning only."""
        status = SupervisorStatus(
            pid=os.getpid(),
            owner=self._owner,
            phase=self.phase,
            at_work=self.at_work,
            time=time.time(),
            started=self._started,
            tallies=tallies,
            rates=self._earlier | rates(self._served),
            finished=finished,
            gpus=gpus,
            events=tuple(self._events),
            spent=self.spent(),
            before=self._before,
            startup=self.usual.startup,
            stages=self.usual.stages,
            answered=self._answered,
            paces=self.usual.paces,
            model_paces=self.usual.model_paces,
            ended=self._ended,
            kept=self.kept,
        )
        try:
            files.atomic_write(self._path, jsonfiles.encode(status), durable=False)
        except StorageError as error:
            log.warning("%s", error)
        return status


def _earlier(path: Path) -> tuple[float, dict[str, float]]:
    """Return the seconds that earlier launches worked on the run, and their samples/s of each job."""
    last = jsonfiles.read_if_whole(path, SupervisorStatus)
    if last is None:
        return 0.0, {}
    return last.before + max(0.0, (last.ended or last.time) - last.started), last.rates


class GpuHistory:
    """The last utilisations of each GPU, `EVERY` seconds apart."""

    KEPT, EVERY = 24, 2.0

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = {}
        self._due = 0.0

    def with_recent(self, stats: Iterable[GpuStats], now: float) -> tuple[GpuStats, ...]:
        """Return `stats` with what was seen before them; `now` is a monotonic clock."""
        found, due = list(stats), now >= self._due
        if due:
            self._due = now + self.EVERY
        for gpu in found if due else ():
            self._seen.setdefault(gpu.uuid, deque(maxlen=self.KEPT)).append(gpu.utilization)
        return tuple(msgspec.structs.replace(gpu, recent=tuple(self._seen.get(gpu.uuid, ()))) for gpu in found)


class DeadTime:
    """Seconds that slots had no worker because one had died."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._over = 0.0

    def begin(self, slot: str, at: float) -> None:
        self._since.setdefault(slot, at)

    def end(self, slot: str, at: float) -> None:
        self._over += max(0.0, at - self._since.pop(slot, at))

    def seconds(self, now: float) -> float:
        return self._over + sum(max(0.0, now - since) for since in self._since.values())


def spent(workers: Iterable[WorkerStatus], served: Mapping[tuple[str, str], ServingSpan], lost: float) -> TimeSpent:
    """Return the sums over all workers of a launch; `lost` seconds belong to none of them."""
    seconds: Counter[Occupation] = Counter()
    tokens_in = tokens_out = asked_twice = 0
    for worker in workers:
        for occupation, spent_on_it in worker.spent.items():
            seconds[occupation] += spent_on_it  # type: ignore[assignment]
        tokens_in += worker.tokens_in
        tokens_out += worker.tokens_out
        asked_twice += worker.asked_twice
    if lost:
        seconds["lost"] += lost  # type: ignore[assignment]
    spans = list(served.values())
    serving = max((s.last for s in spans), default=0.0) - min((s.first for s in spans), default=0.0)
    answered = sum(s.answered for s in spans)
    return TimeSpent(dict(seconds), answered, tokens_in, tokens_out, serving, asked_twice)


def rates(served: Mapping[tuple[str, str], ServingSpan]) -> dict[str, float]:
    """Return samples/s of each job over all workers, from its first request to its last answer."""
    by_job: dict[str, list[ServingSpan]] = {}
    for (_, job), span in served.items():
        by_job.setdefault(job, []).append(span)
    found = {}
    for job, spans in by_job.items():
        seconds = max(s.last for s in spans) - min(s.first for s in spans)
        if seconds > 0:
            found[job] = sum(s.answered for s in spans) / seconds
    return found
