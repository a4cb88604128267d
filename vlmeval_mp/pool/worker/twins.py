"""Asks samples once more that another worker is very slow with, when this worker has nothing of its own to do.

Only where a second answer is equal to the first by the request alone, and never a sample that any dead engine had. The
answer goes to the worker that holds the sample, which takes whichever comes first and cancels the other. A sample is a
straggler once it was in another engine for longer than 99 of 100 take, from when this worker first saw it there. While
this worker's own are in its engine, a twin would slow them: and of an engine that has just begun, nobody knows how long
its samples take.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Job, ModelSpec, Prediction, Sample, WorkerStatus
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.engines import registry
from vlmeval_mp.pool.worker.asking import Asker
from vlmeval_mp.pool.worker.pace import Pace
from vlmeval_mp.pool.worker.recording import HeldShard
from vlmeval_mp.pool.worker.sharing import Sharing
from vlmeval_mp.runs import inflight, suspects
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.twins import Key, TwinFiles

LEAST_SECONDS = 1.0
"""A sample that is in an engine for less is no straggler, however quick the others are."""
TAKE_SECONDS = 0.3
"""Seconds between two looks whether somebody has answered what this worker waits for."""


def may_differ(model: ModelSpec) -> bool:
    """Return whether a second answer of `model` may be another one, or costs money: then nothing is asked twice.

    A model class draws its tokens as its own code says, whatever the sampling of the request is.
    """
    known, sampling = registry.entry(model.engine), model.sampling
    drawn = sampling.temperature > 0 and not (known.seeded and sampling.seed is not None)
    return known.remote or known.model_class or drawn


class Twins:
    """Twins of one worker, whose jobs are `jobs`; `numbers` are the jobs' numbers in the run's record.

    `asked` counts those that were begun; `group` is the task group of their tasks. The first worker that tries a sample
    asks it, so that one try for each is enough.
    """

    def __init__(
        self,
        paths: RunPaths,
        queue: Queue,
        sharing: Sharing,
        asker: Asker,
        model: ModelSpec,
        jobs: Mapping[str, Job],
        datasets: Mapping[str, Dataset],
        numbers: Mapping[str, int],
        pace: Pace,
    ) -> None:
        self.asked = 0
        self.group: asyncio.TaskGroup | None = None
        self._paths, self._queue, self._sharing, self._asker, self._pace = paths, queue, sharing, asker, pace
        self._jobs, self._datasets = jobs, datasets
        self._names = {number: name for name, number in numbers.items()}
        self._files = TwinFiles(paths.twins)
        self._never = may_differ(model)
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._tried: set[Key] = set()
        self._seen: dict[tuple[str, Key], float] = {}
        self._ended = asyncio.Event()

    # --- asking for others -----------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return bool(self._tasks)

    @property
    def expected(self) -> bool:
        """True if other workers' engines had samples at the last look that may become stragglers."""
        return bool(self._seen)

    @property
    def patience(self) -> float:
        """Seconds after which a sample is a straggler."""
        return max(LEAST_SECONDS, self._pace.usual() or self._sharing.usual())

    async def look(self, *, idle: bool) -> None:
        """Ask what has become a straggler if this worker is `idle`; end what its own worker has answered meanwhile."""
        if self._never or self.group is None:
            return
        there = await asyncio.to_thread(self._in_other_engines)
        waited_for = {key for _, key in there}
        for key, task in self._tasks.items():
            if key not in waited_for:
                task.cancel()
        now = time.monotonic()
        self._seen = {place: self._seen.get(place, now) for place in there}
        if not idle:
            return
        late = [(since, key) for (_, key), since in self._seen.items() if since <= now - self.patience]
        due = sorted(late, key=self._last_first)
        room = self._asker.window_size - self._asker.in_engine - self._asker.rendering
        for _, key in due:
            if room <= 0:
                return
            if key not in self._tried:
                self._tried.add(key)
                if self._files.begin(*key):
                    self._begin(key)
                    room -= 1

    def _last_first(self, late: tuple[float, Key]) -> tuple[float, int, int]:
        """Order samples that were seen at one look: an engine comes to the first rows of the first job by itself."""
        since, (job, row) = late
        return since, -self._sharing.order.index(job), -row

    def _in_other_engines(self) -> set[tuple[str, Key]]:
        """Return the owners and keys of what other workers of this model wait for at the end of a run, without any
        suspects.
        """
        found: set[tuple[str, Key]] = set()
        others = self._sharing.others_at_the_end()
        claimed = [entry for entry in self._queue.entries("claimed") if not entry.deaths] if others else []
        for other in others:
            rows = self._rows_of(other)
            for shard in (entry.shard for entry in claimed if entry.owner == other.owner):
                mine = [row for job, row in rows if job == shard.job and shard.first <= row <= shard.last]
                found |= {(other.owner, (shard.job, row)) for row in mine}
        return found

    def _rows_of(self, other: WorkerStatus) -> list[Key]:
        had = inflight.read(self._paths.in_flight(other.worker))
        return [(self._names[number], row) for number, row in had if number in self._names]

    def _begin(self, key: Key) -> None:
        assert self.group is not None
        self.asked += 1
        task = self._tasks[key] = self.group.create_task(self._ask(*key))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _ask(self, job: str, row: int) -> None:
        sample = await asyncio.to_thread(self._sample, job, row)
        prediction = await self._asker.predict(self._jobs[job], sample) if sample else None
        if prediction is not None and prediction.error is None:  # a failure is for its own worker to meet
            await asyncio.to_thread(self._files.publish, job, prediction)

    def _sample(self, job: str, row: int) -> Sample | None:
        if suspects.read(self._paths.suspects, job).together[row]:
            return None
        (sample,) = self._datasets[job].samples(row, row)
        return sample

    def cancel(self) -> None:
        """Ask nothing for others any more."""
        self._never = True
        for task in self._tasks.values():
            task.cancel()

    # --- taking what others have answered --------------------------------------------------------------------------

    async def take_until_end(
        self,
        waiting: Mapping[Key, tuple[HeldShard, asyncio.Task[None]]],
        record: Callable[[HeldShard, Prediction], None],
    ) -> None:
        """Look every while whether others have answered any of `waiting`; cancel its task then and `record` theirs."""
        while not self._ended.is_set():
            for key in await asyncio.to_thread(self._files.answered) & waiting.keys():
                prediction = await asyncio.to_thread(self._files.take, *key)
                held, task = waiting.get(key, (None, None))
                if prediction is not None and held is not None and task is not None and key[1] not in held.answers:
                    task.cancel()
                    record(held, prediction)
            try:
                async with asyncio.timeout(TAKE_SECONDS):
                    await self._ended.wait()
            except TimeoutError:
                continue

    def end(self) -> None:
        """Let `take_until_end` return."""
        self._ended.set()
