"""Decides when a worker claims its next shard, and when it has nothing more to wait for.

What may be claimed is `sharing`'s matter, what becomes of a shard the loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from vlmeval_mp.pool.worker.sharing import Sharing
from vlmeval_mp.pool.worker.twins import Twins
from vlmeval_mp.runs.shards import Entry

LINGER = 10.0
"""Seconds that a worker with nothing to do waits at most for others to give something back."""
WAIT_FIRST, WAIT_MOST, WAIT_HUNGRY = 0.05, 1.0, 0.25
"""Seconds between two claims that find nothing: the first time, in the end, and most while the window is half empty."""


class Claims:
    """Claims one shard after the other for a worker that has `window` places in its engine.

    `own` tells how many samples it holds without an outcome, `in_flight` how many of them were submitted, and
    `has_room` lets others know by a heartbeat that a place is free.
    """

    def __init__(
        self,
        sharing: Sharing,
        twins: Twins,
        window: int,
        own: Callable[[], int],
        in_flight: Callable[[], int],
        has_room: Callable[[], None],
    ) -> None:
        self._sharing, self._twins, self._window = sharing, twins, window
        self._own, self._in_flight, self._has_room = own, in_flight, has_room
        self._room, self._answers_to_room = asyncio.Event(), 0
        self._ended = False

    def end(self) -> None:
        """Claim nothing more."""
        self._ended = True
        self._room.set()

    def answered(self) -> None:
        """Take notice that a sample in flight has its outcome."""
        self._answers_to_room -= 1
        if self._answers_to_room <= 0:
            self._room.set()

    async def entries(self) -> AsyncIterator[Entry]:
        """Yield claimed shards until there is none even after everything in flight is answered."""
        pause, idle = WAIT_FIRST, 0.0
        while not self._ended:
            under_way = self._in_flight()
            entry, missing = await asyncio.to_thread(self._sharing.claim, self._own(), self._window)
            if entry is not None:
                yield entry
                pause, idle = WAIT_FIRST, 0.0
                continue
            if not missing:
                await self._twins.look(idle=not self._in_flight())
                if not self._in_flight():
                    if under_way:  # what was being given back while the claim looked may be pending now
                        continue
                    if not await self._may_come(idle):
                        return
                self._has_room()
            idle = 0.0 if self._in_flight() else idle + pause
            await self._pause(pause, missing or -(-self._in_flight() // 2))
            hungry = not missing and 2 * self._in_flight() < self._window
            pause = min(WAIT_HUNGRY if hungry else WAIT_MOST, 2 * pause)

    async def _may_come(self, idle: float) -> bool:
        """Return whether others may give something back, or wait for something that could be asked once more."""
        if self._twins.running or (self._twins.expected and idle < LINGER + self._twins.patience):
            return True
        return idle < LINGER and await asyncio.to_thread(self._sharing.others_may_give)

    async def _pause(self, seconds: float, answers: int) -> None:
        """Wait for at most `seconds`: until there were that many answers, or the worker drains."""
        self._answers_to_room = answers
        self._room.clear()
        if self._ended:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._room.wait()
