"""Gives back what a worker holds and has not begun, once another worker of its model has nothing to do."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from vlmeval_mp.pool.worker.recording import HeldShard, Recorder
from vlmeval_mp.pool.worker.sharing import Sharing
from vlmeval_mp.runs.queue import Queue

log = logging.getLogger("vlmeval_mp.worker")

GIVE_SECONDS = 0.3
"""Seconds between two looks whether another worker has nothing to do."""


class Giver:
    """Knows which samples of a worker wait for its engine, and takes those back that others should have.

    A sample is `submitted` when a task prepares it, and `begun` once the engine has it or it has an outcome. `giving`
    counts the shards that are being cut: what comes of them is not pending yet, and maybe nobody takes it.
    """

    def __init__(self, queue: Queue, recorder: Recorder, sharing: Sharing) -> None:
        self._queue, self._recorder, self._sharing = queue, recorder, sharing
        self._waiting: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        self.giving = 0

    def submitted(self, held: HeldShard, row: int, task: asyncio.Task[None]) -> None:
        """Take notice that `task` prepares a row."""
        held.submitted = row
        self._waiting[held.job.name, row] = task

    def begun(self, job: str, row: int) -> None:
        """Take notice that a row cannot be given back any more."""
        self._waiting.pop((job, row), None)

    def waiting(self) -> int:
        """Return samples that are held and not in the engine yet."""
        held = list(self._recorder.held.values())
        return len(self._waiting) + sum(h.submitted < s.row < h.end for h in held for s in h.todo)

    def end(self) -> None:
        """Let `give_until_end` return."""
        self._ended.set()

    async def give_until_end(self) -> None:
        """Look every while whether somebody has nothing to do.

        Raises:
            StorageError: the disk is full or failing.
        """
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GIVE_SECONDS):
                    await self._ended.wait()
            wanted = await asyncio.to_thread(self._sharing.to_give, self.waiting())
            for held in reversed(list(self._recorder.held.values())):
                if wanted > 0 and not held.suspicion.together and not self._ended.is_set():
                    wanted -= await self._give(held, wanted)

    async def _give(self, held: HeldShard, wanted: int) -> int:
        """Give back at most `wanted` samples from the end of a shard, none of which was begun; return how many."""
        shard, job = held.entry.shard, held.job.name
        begun = [s.row for s in held.todo if s.row <= held.submitted and (job, s.row) not in self._waiting]
        first = max([shard.first, *(row for row in begun if row <= shard.last)]) + 1
        rows = [s.row for s in held.todo if first <= s.row <= shard.last][-wanted:]
        if not rows or held.complete:
            return 0
        held.end = rows[0]
        for row in rows:
            task = self._waiting.pop((job, row), None)
            if task is not None:
                task.cancel()
        self.giving += 1
        try:
            kept = await asyncio.to_thread(self._queue.cut, held.entry, held.end)
        finally:
            self.giving -= 1
        if kept is None:
            log.warning("%s is not this worker's any more; what it still answers of it is not lost", held.entry.name)
        self._recorder.keep(held, kept)
        return len(rows)
