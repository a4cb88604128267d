"""The life of one worker: one process, one group of devices, one model, one engine.

    claim → ask → record → complete

A worker keeps a window of samples in its engine, refilled one by one across shard and data set borders, and claims the
next shard when the window has room. An engine that cannot go on ends the process. Knows nothing of other workers: what
they answered it reads from the checkpoints.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import Phase, Prediction, RunRecord, Sample, Served, WorkerStatus
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.pool.worker.asking import Asker, failed
from vlmeval_mp.pool.worker.assignment import Assignment
from vlmeval_mp.pool.worker.heartbeat import Heart
from vlmeval_mp.pool.worker.recording import Held, Recorder
from vlmeval_mp.runs import checkpoint, owners
from vlmeval_mp.runs.queue import Entry, Queue

log = logging.getLogger("vlmeval_mp.worker")

AHEAD = 32
"""Samples prepared ahead of a full window."""
ALONE_AFTER_DEATHS = 3
"""A shard whose workers died this often runs its samples one at a time, to find the one that kills."""
ALONE_LIMIT = 2
"""A sample whose worker died this often while it ran alone is given up."""
CLOSE_SECONDS = 20.0


class Worker:
    """Serves one model of one run until its queue is empty or it is asked to drain.

    Raises:
        ConfigError: the engine refuses its arguments.
    """

    def __init__(self, paths: RunPaths, record: RunRecord, assignment: Assignment) -> None:
        self.owner = owners.current()
        self.paths, self.assignment = paths, assignment
        self.jobs = {j.name: j for j in record.jobs if j.model == assignment.model}
        store = JobsPaths(paths.root.parent).datasets
        self.datasets: dict[str, Dataset] = {j.name: Dataset(store / j.folder) for j in self.jobs.values()}
        model = next(m for m in record.spec.models if m.name == assignment.model)
        self.asker = Asker(record.spec, model, self.jobs, self.datasets, assignment)
        self.engine = self.asker.engine
        self.ahead = asyncio.Semaphore(self.asker.window_size + AHEAD)
        self.queue = Queue(paths.queue)
        writer = f"{assignment.name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        self.recorder = Recorder(paths, self.queue, assignment.name, writer)
        self.draining = False
        self.phase: Phase = "starting"
        self.message = self.current_job = ""
        self.answered = self.failed = self.in_flight = 0
        self.spans: dict[str, Served] = {}
        self.started = time.time()
        self.heart = Heart(paths.worker(assignment.name), self.status)

    # --- the main loop ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Load, serve, close.

        Raises:
            VlmevalError: the engine or the disk cannot go on; what was answered is safe.
        """
        self.heart.start()
        self._enter("loading")
        await self.engine.start()
        gc.collect()  # what was loaded stays: looking through it again would stop the feeding for half a second
        gc.freeze()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.drain)  # after start: engines set handlers of their own
        self._enter("draining" if self.draining else "working")
        async with asyncio.TaskGroup() as background:
            background.create_task(self.recorder.commit_until_end())
            await self._serve()
            self.recorder.end()
        self.recorder.release()
        self.phase = "stopped"

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as answers:
            async for held in self._claims():
                if held.entry.deaths >= ALONE_AFTER_DEATHS:
                    await self._serve_alone(held)
                    continue
                for sample in held.todo:
                    await self.ahead.acquire()
                    if self.draining:
                        return
                    self.in_flight += 1
                    answers.create_task(self._answer(held, sample))

    async def _claims(self) -> AsyncIterator[Held]:
        """Yield claimed shards until there is none even after everything in flight is answered."""
        while not self.draining:
            entry = await asyncio.to_thread(self.queue.claim, self.owner, list(self.jobs))
            if entry is not None:
                held = await asyncio.to_thread(self._open, entry)
                self.current_job = self.current_job or held.job.name
                self.recorder.hold(held)
                yield held
            elif self.in_flight:
                await asyncio.sleep(0.05)
            else:
                return

    def _open(self, entry: Entry) -> Held:
        """Return a claimed shard with its samples and the answers that any worker has recorded for it."""
        shard = entry.shard
        found = checkpoint.search(self.paths.checkpoints, shard) if entry.attempt else checkpoint.Found()
        samples = self.datasets[shard.job].samples(shard.first, shard.last)
        todo = [s for s in samples if s.row not in found.answers]
        return Held(entry, self.jobs[shard.job], todo, found.answers, found.alone)

    async def _answer(self, held: Held, sample: Sample, *, alone: bool = False) -> None:
        try:
            if held.job.name not in self.spans:
                now = time.time()
                self.spans[held.job.name] = Served(first=now, last=now, answered=0)
            name_it = partial(self.recorder.intend, held, sample.row) if alone else None
            prediction = await self.asker.predict(held.job, sample, name_it)
            if prediction is not None:
                self._record(held, prediction)
        finally:
            self.in_flight -= 1
            self.ahead.release()

    def _record(self, held: Held, prediction: Prediction) -> None:
        job = held.job.name
        self.recorder.record(held, prediction)
        if self.assignment.verbose:  # repr: a model's line breaks and escapes must not look like the log's own
            outcome = repr(prediction.prediction) if prediction.error is None else f"failed: {prediction.error!r}"
            log.info("%s %r: %s", job, prediction.index, outcome)
        self.current_job = job  # the one last claimed may wait behind a window of others
        self.answered += 1
        self.failed += prediction.error is not None
        span = self.spans.get(job)
        if span is not None:
            self.spans[job] = Served(first=span.first, last=time.time(), answered=span.answered + 1)

    async def _serve_alone(self, held: Held) -> None:
        """Answer a suspect shard sample by sample with nothing else in the engine, naming each before it runs."""
        while self.in_flight:  # rare and short: a poll is simpler than one more event to keep right
            await asyncio.sleep(0.01)
        log.warning("%s: %d workers died with it; its samples run one at a time", held.entry.name, held.entry.deaths)
        for sample in held.todo:
            if self.draining:
                return
            attempts = held.lone_attempts[sample.row]
            if attempts >= ALONE_LIMIT and held.entry.deaths >= ALONE_AFTER_DEATHS + ALONE_LIMIT:
                reason = f"the worker died {attempts} times while this sample ran alone; it was given up"
                self._record(held, failed(sample, reason))
                continue
            await self.ahead.acquire()
            self.in_flight += 1
            await self._answer(held, sample, alone=True)
            self.heart.now()  # if the next one kills, it is known that this one did not

    # --- telemetry and end -----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Finish what the engine has, claim nothing more."""
        self.draining = True
        self.asker.drain()
        if self.phase == "working":
            self._enter("draining")

    def _enter(self, phase: Phase) -> None:
        """Change the phase and write a heartbeat at once."""
        self.phase = phase
        self.heart.now()

    def status(self) -> WorkerStatus:
        held: Counter[str] = Counter()
        for shard in list(self.recorder.held.values()):
            held[shard.job.name] += len(shard.answers)
        return WorkerStatus(
            worker=self.assignment.name,
            pid=os.getpid(),
            owner=str(self.owner),
            host=self.owner.host,
            model=self.assignment.model,
            devices=self.assignment.devices,
            gpus=self.assignment.gpus,
            phase=self.phase,
            job=self.current_job,
            answered=self.answered,
            failed=self.failed,
            in_flight=self.asker.in_engine,  # those that are prepared ahead wait for room in the window
            window=self.asker.window_size,
            held=dict(held),
            spans=dict(self.spans),
            started=self.started,
            message=self.message,
            notice=self.engine.notice,
        )

    async def close(self) -> None:
        """Close engine and files; bounded, because results are safe and an engine may hang in its shutdown."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.engine.close()
        except Exception as error:
            log.warning("the engine did not close cleanly: %r", error)
        try:
            self.recorder.close()
        finally:
            self.heart.stop()
