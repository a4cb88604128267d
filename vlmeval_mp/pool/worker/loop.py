"""The life of one worker: one process, one group of devices, one model, one engine.

    claim → ask → record → complete

A worker keeps a window of samples in its engine, refilled one by one across shard and data set borders, and claims the
next shard when the window has room. An engine that cannot go on ends the process. Knows nothing of other workers: what
they answered it reads from the checkpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial

import msgspec

from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import Job, Json, Phase, RunRecord, Sample, WorkerStatus
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.engines.base import HasLimits
from vlmeval_mp.pool.worker import ordering
from vlmeval_mp.pool.worker.alone import Alone
from vlmeval_mp.pool.worker.asking import Asker
from vlmeval_mp.pool.worker.assignment import Assignment
from vlmeval_mp.pool.worker.claiming import Claims
from vlmeval_mp.pool.worker.clock import Clock, occupation
from vlmeval_mp.pool.worker.counts import Counts
from vlmeval_mp.pool.worker.giving import Giver
from vlmeval_mp.pool.worker.heartbeat import Heart, birth
from vlmeval_mp.pool.worker.opening import Opener
from vlmeval_mp.pool.worker.outcomes import Outcomes
from vlmeval_mp.pool.worker.pace import Pace
from vlmeval_mp.pool.worker.recording import HeldShard, Recorder
from vlmeval_mp.pool.worker.sharing import AHEAD, PATIENCE, Sharing
from vlmeval_mp.pool.worker.stages import Stages
from vlmeval_mp.pool.worker.twins import Twins
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.inflight import InFlight
from vlmeval_mp.runs.owners import Owner
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.twins import Key
from vlmeval_mp.runs.words import limits

log = logging.getLogger("vlmeval_mp.worker")

CLOSE_SECONDS = 20.0


class Worker:
    """Serves one model of one run until its queue is empty or it is asked to drain.

    `owner` is this process, if that has a name already, and `stages` those of its start.

    Raises:
        ConfigError: the engine refuses its arguments.
    """

    def __init__(
        self,
        paths: RunPaths,
        record: RunRecord,
        assignment: Assignment,
        owner: Owner | None = None,
        stages: Stages | None = None,
    ) -> None:
        self.owner = owner or owners.current()
        self.paths, self.assignment = paths, assignment
        self.jobs = {j.name: j for j in record.jobs if j.model == assignment.model}
        store = JobsPaths(paths.root.parent).datasets
        self.datasets: dict[str, Dataset] = {j.name: Dataset(store / j.folder) for j in self.jobs.values()}
        model = next(m for m in record.spec.models if m.name == assignment.model)
        self.numbers = {j.name: number for number, j in enumerate(record.jobs)}
        self.pace, self.stages = Pace(), stages or Stages(paths.log(assignment.name))
        self.asker = Asker(record.spec, model, self.jobs, self.datasets, assignment, self._in_engine, self._opening)
        self.engine = self.asker.engine
        places = self.asker.window_size + self.asker.openers
        self.in_flight_file = InFlight(paths.in_flight(assignment.name), places)
        self.ahead = asyncio.Semaphore(self.asker.window_size + AHEAD)
        self.queue = Queue(paths.queue)
        self.recorder = Recorder(paths, self.queue, assignment.name)
        self.opener = Opener(paths, self.jobs, self.datasets, self.recorder)
        self.counts = Counts()
        self.outcomes = Outcomes(self.recorder, self.counts, verbose=assignment.verbose)
        self.draining, self.had_no_room = False, True
        self.phase: Phase = "starting"
        self.message = self.ended_by = ""
        self.in_flight = 0
        self.limits: Json = {}
        ordered = ordering.most_to_read_first(self.jobs, self.datasets)
        self.sharing = Sharing(paths, self.queue, self.owner, assignment.name, assignment.model, ordered)
        self.giver = Giver(self.queue, self.recorder, self.sharing)
        self.tasks: dict[Key, tuple[HeldShard, asyncio.Task[None]]] = {}
        self.twins = Twins(
            paths, self.queue, self.sharing, self.asker, model, self.jobs, self.datasets, self.numbers, self.pace
        )
        window = self.asker.window_size
        self.claims = Claims(
            self.sharing, self.twins, window, self.outcomes.unanswered, self._under_way, self._tell_room
        )
        self.clock = Clock("start", owners.age(self.owner))
        self.asker.changed = self._tell_clock
        self.heart = Heart(paths.worker(assignment.name), self.status)

    # --- the main loop ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Load, serve, close.

        Raises:
            VlmevalError: the engine or the disk cannot go on; what was answered is safe.
        """
        self.heart.start()
        self.clock.enter("loading")
        self._enter("loading")
        await self.engine.start()
        self.sharing.patience = max(PATIENCE, self.clock.read().get("loading", 0.0) / 2)
        self.stages.end()
        if isinstance(self.engine, HasLimits):
            self.limits = self.engine.limits()
            log.info("limits: %s", limits(self.limits))
        gc.collect()  # what was loaded stays: looking through it again would stop the feeding for half a second
        gc.freeze()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, self.drain)  # after start: engines set handlers of their own
        self._tell_clock()
        self._enter("draining" if self.draining else "working")
        async with asyncio.TaskGroup() as background:
            background.create_task(self.recorder.commit_until_end())
            giving = background.create_task(self.giver.give_until_end())
            taking = background.create_task(self.twins.take_until_end(self.tasks, self.outcomes.take))
            await self._serve()
            self.giver.end()
            self.twins.end()
            await asyncio.gather(giving, taking)  # a shard that is being cut is complete only then
            self.clock.enter("draining")
            self.outcomes.record_rest()
            self.recorder.end()
        self.recorder.release()
        self.phase = "stopped"

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as answers:
            self.twins.group = answers
            async for entry in self.claims.entries():
                held = await asyncio.to_thread(self.opener.open, entry)
                self.counts.job = self.counts.job or held.job.name
                self.recorder.hold(held)
                self.had_no_room = True
                suspected = [s for s in held.todo if held.suspicion.together[s.row]]
                for sample in held.todo:
                    if held.suspicion.together[sample.row]:
                        continue
                    await self.ahead.acquire()
                    if self.draining:
                        return
                    if sample.row >= held.end:
                        self.ahead.release()
                        break
                    self.in_flight += 1
                    task = answers.create_task(self._answer(held, sample))
                    # no `finally` of the task itself: one that is cancelled before its first step never comes to it
                    task.add_done_callback(partial(self._is_over, held.job.name, sample.row))
                    self.giver.submitted(held, sample.row, task)
                    self.tasks[held.job.name, sample.row] = (held, task)
                if suspected:
                    await self._serve_alone(held, suspected)

    def _tell_room(self) -> None:
        """Let others know at once, not by the next heartbeat, that this worker has room and finds nothing."""
        if self.asker.in_engine < self.asker.window_size and self.had_no_room:
            self.had_no_room = False
            self.heart.now()

    @contextlib.contextmanager
    def _in_engine(self, job: Job, sample: Sample) -> Iterator[None]:
        self.giver.begun(job.name, sample.row)
        with self.in_flight_file.holds(self.numbers[job.name], sample.row), self.pace.measures():
            yield

    def _opening(self, job: Job, sample: Sample) -> AbstractContextManager[None]:
        return self.in_flight_file.holds(self.numbers[job.name], sample.row)

    def _under_way(self) -> int:
        """Return how many samples are being asked and shards being cut: while there are any, this worker stays."""
        return self.in_flight + self.giver.giving

    async def _answer(self, held: HeldShard, sample: Sample) -> None:
        self.counts.ask(held.job.name)
        prediction = await self.asker.predict(held.job, sample)
        if prediction is not None:
            self.outcomes.take(held, prediction)

    def _is_over(self, job: str, row: int, _task: object = None) -> None:
        """Make room for another sample, whatever became of this one."""
        self.giver.begun(job, row)
        self.tasks.pop((job, row), None)
        self.in_flight -= 1
        self.ahead.release()
        self.claims.answered()

    async def _serve_alone(self, held: HeldShard, suspected: Sequence[Sample]) -> None:
        """Ask the samples that were in an engine when it died one at a time, with nothing else in this engine."""
        while self.in_flight:  # rare and short: a poll is simpler than one more event to keep right
            await asyncio.sleep(0.01)
        log.warning("%s: %d samples were in an engine that died; they run alone", held.entry.name, len(suspected))
        alone = Alone(self.paths, held, self.datasets[held.job.name])
        for sample in alone.in_order(suspected):
            if self.draining:
                return
            given_up = alone.given_up(sample)
            if given_up is not None:
                self.outcomes.record(held, given_up)
                continue
            if not self.counts.proven:
                await self._prove(alone)
            await self.ahead.acquire()
            self.in_flight += 1
            self.heart.now()  # if this one kills, it is known that the one before did not
            try:
                await self._answer(held, sample)
            finally:
                self._is_over(held.job.name, sample.row)

    async def _prove(self, alone: Alone) -> None:
        """See the engine answer a sample that nobody suspects; its answer is not kept."""
        innocent = alone.innocent()
        if innocent is not None:
            await self.asker.predict(alone.job, innocent)
        self.counts.proven = True  # where every sample is suspected there is no innocent to ask

    # --- telemetry and end -----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Finish what the engine has, claim nothing more."""
        self.draining = True
        self.claims.end()
        self.twins.cancel()
        self.asker.drain()
        if self.phase == "working":
            self._tell_clock()
            self._enter("draining")

    def _enter(self, phase: Phase) -> None:
        """Change the phase and write a heartbeat at once."""
        self.phase = phase
        self.heart.now()

    def _tell_clock(self) -> None:
        asker = self.asker
        now = "draining" if self.draining else occupation(asker.in_engine, asker.rendering, asker.window_size)
        self.clock.enter(now)

    def status(self) -> WorkerStatus:
        held: Counter[str] = Counter()
        self.stages.look()
        for shard in list(self.recorder.held.values()):
            held[shard.job.name] += len(shard.answers)
        return msgspec.structs.replace(
            birth(self.assignment, self.owner, self.stages),
            phase=self.phase,
            job=self.counts.job,
            answered=self.counts.answered,
            failed=self.counts.failed,
            waiting=0 if self.draining else self.giver.waiting(),
            in_flight=self.asker.in_engine,  # those that are prepared ahead wait for room in the window
            window=self.asker.window_size,
            held=dict(held),
            spans=dict(self.counts.spans),
            message=self.message,
            notice=self.engine.notice,
            proven=self.counts.proven,
            ended_by=self.ended_by,
            spent=self.clock.read(),
            tokens_in=self.asker.tokens_in,
            tokens_out=self.asker.tokens_out,
            oldest=self.pace.oldest(),
            usual=self.pace.usual(),
            rendering=self.asker.rendering,
            asked_twice=self.twins.asked,
            limits=self.limits,
            stages=dict(self.stages.seconds),
        )

    async def close(self) -> None:
        """Close engine and files; bounded, because results are safe and an engine may hang in its shutdown."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.engine.close()
        except Exception as error:
            log.warning("the engine did not close cleanly: %r", error)
        try:
            self.outcomes.record_rest()
            self.recorder.close()
        finally:
            self.heart.stop()
