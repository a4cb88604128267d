"""What a supervisor tells about itself: events, rates, and `workers/supervisor.json`. Losing it loses nothing."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Event, GpuStats, Phase, Served, SupervisorStatus, Tally, WorkerStatus
from vlmeval_mp.runs.owners import Owner

log = logging.getLogger("vlmeval_mp.supervisor")

Level = Literal["info", "warning", "error"]
LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
CLOCK_SLACK = 1.0
"""Seconds by which a worker of this launch may seem to have started before its supervisor."""


class Telemetry:
    """Events and rates of one launch, and the file that shows them."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self.phase: Phase = "starting"
        self._path, self._owner = path, str(owner)
        self._started = time.time()
        self._events: deque[Event] = deque(maxlen=50)
        self._served: dict[tuple[str, str], Served] = {}

    def event(self, text: str, level: Level = "info") -> None:
        """Tell people one thing, on the screen and in the log."""
        self._events.append(Event(time=time.time(), text=text, level=level))
        log.log(LEVELS[level], "%s", text)

    def note_served(self, workers: Iterable[WorkerStatus]) -> None:
        """Take from the heartbeats of this launch's workers what they have answered and when."""
        for worker in workers:
            if worker.started >= self._started - CLOCK_SLACK:
                self._served |= {(worker.owner, job): span for job, span in worker.spans.items()}

    def write(
        self, tallies: dict[str, Tally], finished: tuple[str, ...], gpus: tuple[GpuStats, ...]
    ) -> SupervisorStatus:
        """Write and return the current status; a full disk costs a warning only."""
        status = SupervisorStatus(
            pid=os.getpid(),
            owner=self._owner,
            phase=self.phase,
            time=time.time(),
            started=self._started,
            tallies=tallies,
            rates=rates(self._served),
            finished=finished,
            gpus=gpus,
            events=tuple(self._events),
        )
        try:
            files.atomic_write(self._path, msgspec.json.encode(status), durable=False)
        except StorageError as error:
            log.warning("%s", error)
        return status


def rates(served: Mapping[tuple[str, str], Served]) -> dict[str, float]:
    """Return samples/s of each job over all workers, from its first request to its last answer."""
    by_job: dict[str, list[Served]] = {}
    for (_, job), span in served.items():
        by_job.setdefault(job, []).append(span)
    found = {}
    for job, spans in by_job.items():
        seconds = max(s.last for s in spans) - min(s.first for s in spans)
        if seconds > 0:
            found[job] = sum(s.answered for s in spans) / seconds
    return found
