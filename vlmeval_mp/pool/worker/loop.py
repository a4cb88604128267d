"""The life of one worker: one process, one group of devices, one model, one engine.

    claim → read → prompt → prepare → generate → append → complete

A worker keeps a window of samples in its engine, refilled one by one across shard and data set borders, and claims the
next shard when the window has room. A sample that cannot be served becomes a prediction with an error; an engine that
cannot go on ends the process. Knows nothing of other workers: what they answered it reads from the checkpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vlmeval_mp.core import credentials
from vlmeval_mp.core.errors import (
    RequestError,
)
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import (
    DataSpec,
    Job,
    Phase,
    Prediction,
    Request,
    RunRecord,
    Sample,
    Served,
    Source,
    WorkerStatus,
)
from vlmeval_mp.datasets.store import Dataset, open_dataset
from vlmeval_mp.engines import registry
from vlmeval_mp.engines.base import Engine, EngineSpec
from vlmeval_mp.pool.worker.heartbeat import Heart
from vlmeval_mp.pool.worker.preparing import Preparer
from vlmeval_mp.requests import media, prompts, videoprompts
from vlmeval_mp.requests.frames import DEFAULT_NFRAME
from vlmeval_mp.runs import checkpoint, owners
from vlmeval_mp.runs.checkpoint import Answer, Checkpoint
from vlmeval_mp.runs.queue import Entry, Queue

log = logging.getLogger("vlmeval_mp.worker")

SYNC_SECONDS = 1.0
AHEAD = 32
"""Samples prepared ahead of a full window."""
PREPARED_BYTES = 1 << 30
"""Decoded pixels in memory above which nothing further is prepared."""
ALONE_AFTER_DEATHS = 3
"""A shard whose workers died this often runs its samples one at a time, to find the one that kills."""
ALONE_LIMIT = 2
"""A sample whose worker died this often while it ran alone is given up."""
CLOSE_SECONDS = 20.0


@dataclass(slots=True)
class Held:
    """A claimed shard: what is still to be answered, and the answers so far by row."""

    entry: Entry
    job: Job
    todo: list[Sample]
    answers: dict[int, Answer]
    alone: Counter[int]

    @property
    def complete(self) -> bool:
        return len(self.answers) == self.entry.shard.size


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the supervisor gives a worker on its command line."""

    name: str
    model: str
    device: str
    devices: str
    gpus: tuple[str, ...]
    tensor_parallel: int
    window: int
    engine_args: dict[str, Any]
    verbose: bool = False


class Worker:
    """Serves one model of one run until its queue is empty or it is asked to drain."""

    def __init__(self, paths: RunPaths, record: RunRecord, assignment: Assignment) -> None:
        self.owner = owners.current()
        self.writer = f"{assignment.name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        self.paths, self.record, self.assignment = paths, record, assignment
        self.model = next(m for m in record.spec.models if m.name == assignment.model)
        self.specs = {d.name: d for d in record.spec.datasets}
        self.benchmarks = {d.name: Path(d.path).stem for d in record.spec.datasets}
        self.jobs = {j.name: j for j in record.jobs if j.model == assignment.model}
        store = JobsPaths(paths.root.parent).datasets
        self.datasets: dict[str, Dataset] = {j.name: open_dataset(store / j.folder) for j in self.jobs.values()}
        self.queue = Queue(paths.queue)
        self.checkpoint = Checkpoint(paths.checkpoints, self.writer)
        self.engine = self._build_engine()
        self.window_size = assignment.window or self.engine.default_window
        self.window = asyncio.Semaphore(self.window_size)
        self.ahead = asyncio.Semaphore(self.window_size + AHEAD)
        self.preparer = Preparer[Request](min(8, len(os.sched_getaffinity(0))), PREPARED_BYTES)
        self.held: dict[str, Held] = {}
        self.finished: asyncio.Queue[Held | None] = asyncio.Queue()
        self.draining = False
        self.phase: Phase = "starting"
        self.message = self.current_job = ""
        self.answered = self.failed = self.in_flight = self.asked = 0
        self.spans: dict[str, Served] = {}
        self.started = time.time()
        self.heart = Heart(paths.worker(assignment.name), self.status)

    def _build_engine(self) -> Engine:
        counts = [self._most_media(job, dataset) for job, dataset in self.datasets.items()]
        spec = EngineSpec(
            model=self.model.path,
            args=self.assignment.engine_args,
            device=self.assignment.device,
            tensor_parallel=self.assignment.tensor_parallel,
            max_images=max((images for images, _ in counts), default=0),
            max_videos=max((videos for _, videos in counts), default=0),
            window=self.assignment.window,
        )
        return registry.engine_class(self.model.engine)(spec)

    def _most_media(self, job: str, dataset: Dataset) -> tuple[int, int]:
        """The most images and videos that one request about `dataset` carries."""
        spec, info = self.specs[self.jobs[job].dataset], dataset.info
        if not self._as_images(spec):
            return info.max_images, info.max_videos
        frames = spec.nframe or (self.record.spec.media.max_frames if spec.fps else DEFAULT_NFRAME)
        return info.max_images + frames * info.max_videos, 0

    def _as_images(self, spec: DataSpec) -> bool:
        """Whether the frames of videos are sent as images: where the model wants it, and where subtitles part them."""
        return self.model.video == "images" or (spec.use_subtitle and videoprompts.parts_frames(spec.prompt))

    def _video(self, spec: DataSpec) -> media.Video:
        return "whole" if self.engine.whole_videos else "images" if self._as_images(spec) else "native"

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
            background.create_task(self._commit_until_told())
            await self._serve()
            self.finished.put_nowait(None)
        for held in self.held.values():
            self.queue.release(held.entry)
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
        """Shards of this worker's model, until there are none even after everything in flight is answered."""
        while not self.draining:
            entry = await asyncio.to_thread(self.queue.claim, self.owner, list(self.jobs))
            if entry is not None:
                held = await asyncio.to_thread(self._open, entry)
                self.held[entry.name] = held
                self.current_job = self.current_job or held.job.name
                if held.complete:
                    self.finished.put_nowait(held)
                yield held
            elif self.in_flight:
                await asyncio.sleep(0.05)
            else:
                return

    def _open(self, entry: Entry) -> Held:
        """Read a claimed shard's samples and what anybody has answered of them already."""
        shard = entry.shard
        found = checkpoint.search(self.paths.checkpoints, shard) if entry.attempt else checkpoint.Found()
        samples = self.datasets[shard.job].samples(shard.first, shard.last)
        todo = [s for s in samples if s.row not in found.answers]
        return Held(entry, self.jobs[shard.job], todo, found.answers, found.alone)

    async def _answer(self, held: Held, sample: Sample, *, alone: bool = False) -> None:
        try:
            prediction = await self._predict(held.job, sample, alone)
            if prediction is not None:
                self._record(held, prediction)
        finally:
            self.in_flight -= 1
            self.ahead.release()

    async def _predict(self, job: Job, sample: Sample, alone: bool) -> Prediction | None:
        """The sample's outcome; None if the worker was asked to drain before the engine had it.

        A sample that runs alone is named in the checkpoint just before the engine gets it.
        """
        failed = Prediction(index=sample.index, row=sample.row)
        if job.name not in self.spans:
            now = time.time()
            self.spans[job.name] = Served(first=now, last=now, answered=0)
        try:
            if sample.error:
                raise RequestError(sample.error)
            request = await self._prepare(job, sample)
            nbytes = request.nbytes
            try:
                async with self.window:
                    if self.draining:
                        return None
                    if alone:
                        self.checkpoint.intend(job.name, sample.row)
                    self.asked += 1
                    try:
                        done = await self.engine.generate(request)
                    finally:
                        self.asked -= 1
            finally:
                self.preparer.release(nbytes)
        except RequestError as error:
            return _with_error(failed, credentials.masked(str(error), os.environ))
        return Prediction(
            index=sample.index,
            row=sample.row,
            prediction=done.text,
            finish_reason=done.finish_reason,
            prompt_tokens=done.prompt_tokens,
            completion_tokens=done.completion_tokens,
        )

    async def _prepare(self, job: Job, sample: Sample) -> Request:
        spec: DataSpec = self.specs[job.dataset]
        messages = prompts.build(
            sample,
            spec.prompt,
            model=self.model.prompt,
            dataset=self.benchmarks[spec.name],
            system=self.model.system_prompt,
            roles=self.model.roles or registry.ROLES.get(self.model.engine, "user"),
        )
        folder, limits = self.datasets[job.name].folder, self.record.spec.media
        source = Source(sample, spec, folder)
        if not sample.media:
            return Request(sample.index, messages, self.model.sampling, source=source)
        asked = sample.index, messages, self.model.sampling
        make = partial(media.prepare, *asked, folder, limits, spec.nframe, spec.fps, self._video(spec))
        request = await self.preparer.prepare(make)
        return replace(request, source=source, processor=self.model.processor.get(self.benchmarks[spec.name], {}))

    def _record(self, held: Held, prediction: Prediction) -> None:
        held.answers[prediction.row] = self.checkpoint.record(held.job.name, prediction)
        if self.assignment.verbose:  # repr: a model's line breaks and escapes must not look like the log's own
            said = repr(prediction.prediction) if prediction.error is None else f"failed: {prediction.error!r}"
            log.info("%s %r: %s", held.job.name, prediction.index, said)
        self.current_job = held.job.name  # the one last claimed may wait behind a window of others
        self.answered += 1
        self.failed += prediction.error is not None
        span = self.spans.get(held.job.name)
        if span is not None:
            self.spans[held.job.name] = Served(first=span.first, last=time.time(), answered=span.answered + 1)
        if held.complete:
            self.finished.put_nowait(held)

    async def _serve_alone(self, held: Held) -> None:
        """Answer a suspect shard sample by sample with nothing else in the engine, naming each before it runs."""
        while self.in_flight:  # rare and short: a poll is simpler than one more event to keep right
            await asyncio.sleep(0.01)
        log.warning("%s: %d workers died with it; its samples run one at a time", held.entry.name, held.entry.deaths)
        for sample in held.todo:
            if self.draining:
                return
            if held.alone[sample.row] >= ALONE_LIMIT and held.entry.deaths >= ALONE_AFTER_DEATHS + ALONE_LIMIT:
                reason = f"the worker died {held.alone[sample.row]} times while this sample ran alone; it was given up"
                self._record(held, _with_error(Prediction(index=sample.index, row=sample.row), reason))
                continue
            await self.ahead.acquire()
            self.in_flight += 1
            await self._answer(held, sample, alone=True)
            self.heart.now()  # if the next one kills, it is known that this one did not

    # --- durability ------------------------------------------------------------------------------------------------

    async def _commit_until_told(self) -> None:
        """Make answers durable at least once a second, and finished shards done, off the event loop.

        None in the queue says that no further shard follows.
        """
        told = False
        while not told:
            batch = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SYNC_SECONDS):
                    batch.append(await self.finished.get())
            while not self.finished.empty():
                batch.append(self.finished.get_nowait())
            told = None in batch
            shards = [held for held in batch if held is not None]
            await asyncio.to_thread(self._commit, shards)
            for held in shards:
                del self.held[held.entry.name]

    def _commit(self, batch: Sequence[Held]) -> None:
        self.checkpoint.sync()
        finished = [(h.entry, checkpoint.pin(h.entry.shard, h.answers, self.assignment.name)) for h in batch]
        for _, done in finished:
            checkpoint.sync_spans(self.paths.checkpoints, done, self.writer)
        if not finished:
            return
        for (entry, _), won in zip(finished, self.queue.complete(finished), strict=True):
            if not won:
                log.warning("%s was finished by another worker first; this result is not used", entry.name)

    # --- telemetry and end -----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Finish what the engine has, claim nothing more."""
        self.draining = True
        if self.phase == "working":
            self._enter("draining")

    def _enter(self, phase: Phase) -> None:
        """A change of phase is shown at once, not with the next beat."""
        self.phase = phase
        self.heart.now()

    def status(self) -> WorkerStatus:
        held: Counter[str] = Counter()
        for shard in list(self.held.values()):
            held[shard.job.name] += len(shard.answers)
        return WorkerStatus(
            worker=self.assignment.name,
            pid=os.getpid(),
            owner=str(self.owner),
            host=self.owner.host,
            model=self.model.name,
            devices=self.assignment.devices,
            gpus=self.assignment.gpus,
            phase=self.phase,
            job=self.current_job,
            answered=self.answered,
            failed=self.failed,
            in_flight=self.asked,  # those that are prepared ahead wait for room in the window
            window=self.window_size,
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
            self.checkpoint.close()
        finally:
            self.heart.stop()


def _with_error(prediction: Prediction, error: str) -> Prediction:
    return Prediction(index=prediction.index, row=prediction.row, error=error)
