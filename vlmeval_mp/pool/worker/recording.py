"""Makes a worker's answers durable: lines on disk at once, synced within a second, finished shards marked.

Knows nothing of engines or of how an answer came about.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Job, Prediction, Sample
from vlmeval_mp.runs import checkpoint
from vlmeval_mp.runs.checkpoint import Answer, Checkpoint
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import Entry
from vlmeval_mp.runs.suspects import Suspicion

log = logging.getLogger("vlmeval_mp.worker")

SYNC_SECONDS = 1.0


@dataclass(slots=True)
class HeldShard:
    """A claimed shard: what is still to be answered, the answers so far by row, and which rows are suspected.

    `gone` are checkpoint lines that no longer count.
    """

    entry: Entry
    job: Job
    todo: list[Sample]
    answers: dict[int, Answer]
    suspicion: Suspicion
    gone: frozenset[tuple[str, int]] = frozenset()
    submitted: int = -1
    """the last row that was prepared for the engine"""
    end: int = sys.maxsize
    """the first row that was given back"""

    @property
    def complete(self) -> bool:
        return len(self.answers) == self.entry.shard.size


class Recorder:
    """Writes the answers of one worker and completes its shards. `held` are its claimed shards by name.

    `worker` is the name that a finished shard bears, and the first part of that of the checkpoint files.
    """

    def __init__(self, paths: RunPaths, queue: Queue, worker: str) -> None:
        self.held: dict[str, HeldShard] = {}
        self._paths, self._queue, self._worker = paths, queue, worker
        # no process had this name before
        self._writer = f"{worker}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        self._checkpoint = Checkpoint(paths.checkpoints, self._writer)
        self._complete: asyncio.Queue[HeldShard | None] = asyncio.Queue()
        # of its own: engines encode pictures on the loop's threads, and a commit must not wait behind two hundred
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def prepare(self, job: str) -> None:
        """Create what the answers of `job` are written to; call it off the event loop, before `hold`.

        Raises:
            StorageError: the disk is full or failing.
        """
        self._checkpoint.open(job)

    def hold(self, held: HeldShard) -> None:
        """Take up a claimed shard, which may be complete already."""
        self.held[held.entry.name] = held
        self._note_complete(held)

    def keep(self, held: HeldShard, entry: Entry | None) -> None:
        """Go on with `entry`, the first part of what `held` was; None if nothing of it is this worker's any more."""
        self.held.pop(held.entry.name, None)
        if entry is None:
            return
        held.entry = entry
        held.answers = {row: answer for row, answer in held.answers.items() if row <= entry.shard.last}
        self.hold(held)

    def record(self, held: HeldShard, prediction: Prediction) -> None:
        """Append a prediction; it survives this process from here on, and a power cut after the next commit.

        Raises:
            StorageError: the disk is full or failing.
        """
        held.answers[prediction.row] = self._checkpoint.record(
            held.job.name, msgspec.structs.replace(prediction, at=round(time.time(), 2))
        )
        self._note_complete(held)

    def _note_complete(self, held: HeldShard) -> None:
        if held.complete:
            self._complete.put_nowait(held)

    def end(self) -> None:
        """Let `commit_until_end` return after the shards that are complete by now."""
        self._complete.put_nowait(None)

    async def commit_until_end(self) -> None:
        """Make answers durable at least once a second, and complete shards done, off the event loop.

        Raises:
            StorageError: the disk is full or failing.
        """
        ended = False
        while not ended:
            batch = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SYNC_SECONDS):
                    batch.append(await self._complete.get())
            while not self._complete.empty():
                batch.append(self._complete.get_nowait())
            ended = None in batch
            shards = [held for held in batch if held is not None]
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, shards)
            for held in shards:
                self.held.pop(held.entry.name, None)

    def _commit(self, batch: Sequence[HeldShard]) -> None:
        self._checkpoint.sync()
        finished = [(h.entry, checkpoint.pin(h.entry.shard, h.answers, self._worker, h.gone)) for h in batch]
        for _, done in finished:
            checkpoint.sync_spans(self._paths.checkpoints, done, self._writer)
        if not finished:
            return
        for (entry, _), won in zip(finished, self._queue.complete(finished), strict=True):
            if not won:
                log.warning("%s was finished by another worker first; this result is not used", entry.name)

    def release(self) -> None:
        """Give back the shards that are not complete."""
        for held in self.held.values():
            self._queue.release(held.entry)

    def close(self) -> None:
        """Close the files; what they hold is durable then."""
        self._thread.shutdown()
        self._checkpoint.close()
