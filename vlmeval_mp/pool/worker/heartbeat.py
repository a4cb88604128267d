"""A worker's pulse: a thread that writes `workers/<worker>.json` once a second, whatever the worker is doing.

A thread, because loading a model blocks the event loop for minutes. It is telemetry only: a beat that cannot be
written is logged and forgotten, and losing the file loses nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from vlmeval_mp.core import faultpoints, files, jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import WorkerStatus
from vlmeval_mp.pool.worker.assignment import Assignment
from vlmeval_mp.pool.worker.stages import Stages
from vlmeval_mp.runs.owners import Owner

log = logging.getLogger(__name__)

INTERVAL = 1.0
RATE_WINDOW = 20
"""Beats over which samples/s is averaged."""


class Heart:
    """Beats until `stop`. `read` gives the current status without `beat`, `time` and rates, from any thread."""

    def __init__(self, path: Path, read: Callable[[], WorkerStatus]) -> None:
        self._path = path
        self._read = read
        self._beat = 0
        self._seen: deque[tuple[float, int, int, int]] = deque(maxlen=RATE_WINDOW)
        self._stopped = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self.now()
        self._thread.start()

    def stop(self) -> None:
        """Write a last beat and end."""
        self._stopped.set()
        self._thread.join(timeout=5)
        self.now()

    def now(self) -> None:
        """Write one beat at once; any thread may call this."""
        with self._writing:
            self._write()

    def _write(self) -> None:
        faultpoints.reach("heartbeat")
        status = self._read()
        self._beat += 1
        if not status.answered:
            self._seen.clear()  # loading is no slow answering
        self._seen.append((time.monotonic(), status.answered, status.tokens_in, status.tokens_out))
        samples, tokens_in, tokens_out = self._rates()
        status = msgspec.structs.replace(
            status,
            beat=self._beat,
            time=time.time(),
            rate=samples,
            tokens_in_rate=tokens_in,
            tokens_out_rate=tokens_out,
        )
        try:
            files.atomic_write(self._path, jsonfiles.encode(status), durable=False)
        except StorageError as error:
            log.warning("heartbeat not written: %s", error)

    def _rates(self) -> tuple[float, ...]:
        """Return samples, tokens in and tokens out per second."""
        (begun, *first), (now, *last) = self._seen[0], self._seen[-1]
        return tuple((b - a) / (now - begun) if now > begun else 0.0 for a, b in zip(first, last, strict=True))

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL):
            self.now()


def birth(assignment: Assignment, owner: Owner, stages: Stages) -> WorkerStatus:
    """Return what a worker can say while it imports its engine, which takes seconds to minutes: who and where it is."""
    return WorkerStatus(
        worker=assignment.name,
        pid=os.getpid(),
        owner=str(owner),
        host=owner.host,
        model=assignment.model,
        devices=assignment.devices,
        gpus=assignment.gpus,
        started=stages.began,
        stage=stages.stage,
        stage_since=stages.since,
    )
