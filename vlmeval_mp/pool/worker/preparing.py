"""Threads that prepare what the engine will be asked next, while the event loop goes on.

Handing one small picture to a thread and its pixels back costs several times what decoding it does. So a thread takes
as many as wait, one after the other, and hands over what is ready every few milliseconds; further threads join only
while work is left after that time, as it is with large pictures and videos, and where pictures are rendered as well.
What takes long is known beforehand, and never has the last of several threads while small things come too. Knows
nothing of what is prepared.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from vlmeval_mp.requests.longmedia import may_begin

HAND_OVER_SECONDS = 0.002
"""Seconds that a thread works before it hands over its results, and before another thread joins it."""


class HasBytes(Protocol):
    """A value that occupies `nbytes` bytes of memory."""

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=HasBytes)


Work = tuple[Callable[[], T], "asyncio.Future[T]"]
"""The function that makes one thing, and the future that waits for it."""


class Preparer(Generic[T]):
    """Prepares with up to `threads` threads, and nothing further while more than `most_bytes` are held.

    At most `quick` of the threads, by default all, are at things that do not take long. Belongs to one event loop:
    every method is called from it.
    """

    def __init__(self, threads: int, most_bytes: int, *, quick: int = 0) -> None:
        self._threads, self._most_bytes, self._most_quick = threads, most_bytes, quick or threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare")
        self._quick: deque[Work[T]] = deque()
        self._long: deque[Work[T]] = deque()
        self._long_active = self._quick_active = self._since_quick = 0
        self._active = 0
        self._check: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()
        self._held = 0

    async def prepare(self, make: Callable[[], T], *, long: bool = False) -> T:
        """Run `make` in a thread and return its value; its bytes count as held until `release` gets them.

        `long` says that it takes much longer than others.

        Raises:
            Exception: whatever `make` raises.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        self._since_quick = self._since_quick + 1 if long else 0
        (self._long if long else self._quick).append((make, outcome))
        self._staff(loop)
        try:
            return await outcome
        except asyncio.CancelledError:
            if outcome.done() and not outcome.cancelled() and outcome.exception() is None:
                self.release(outcome.result().nbytes)  # it was handed over, and nobody came for it any more
            raise

    def release(self, nbytes: int) -> None:
        """Count `nbytes` of something prepared as free again."""
        if not nbytes:
            return
        with self._lock:
            self._held -= nbytes
        self._staff(asyncio.get_running_loop())

    def _staff(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a thread if work is queued; add another one only after `HAND_OVER_SECONDS`."""
        if not self._has_work() or self._active == self._threads:
            return
        if not self._active:
            self._active += 1
            self._pool.submit(self._work, loop)
        elif self._check is None:
            self._check = loop.call_later(HAND_OVER_SECONDS, self._join_in, loop)

    def _join_in(self, loop: asyncio.AbstractEventLoop) -> None:
        self._check = None
        if self._has_work() and self._active < self._threads:
            self._active += 1
            self._pool.submit(self._work, loop)
            self._staff(loop)

    def _has_work(self) -> bool:
        """Return whether a further thread would find something to do."""
        with self._lock:
            return not self._is_full() and (self._may_be_quick() or bool(self._long and self._may_be_long()[0]))

    def _is_full(self) -> bool:
        return self._held > self._most_bytes

    def _may_be_quick(self) -> bool:
        return bool(self._quick) and self._quick_active < self._most_quick

    def _may_be_long(self) -> tuple[bool, bool]:
        return may_begin(self._long_active, self._threads, self._since_quick)

    def _take(self, after_quick: bool) -> tuple[Work[T], bool] | None:
        """Return what is next and whether it is long, for a thread that is through with something quick, or not."""
        with self._lock:
            self._quick_active -= after_quick
            if self._is_full():
                return None
            for queue in (self._quick, self._long):
                while queue and queue[0][1].done():  # the task that waited was cancelled
                    queue.popleft()
            allowed, first = self._may_be_long()
            may_be_quick = self._may_be_quick()
            if self._long and (first or (allowed and not may_be_quick)):
                self._long_active += 1
                return self._long.popleft(), True
            if not may_be_quick:
                return None
            self._quick_active += 1
            return self._quick.popleft(), False

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare until nothing waits or memory is short; runs in the thread."""
        ready: list[tuple[asyncio.Future[T], T | BaseException]] = []
        since = time.monotonic()
        after_quick = False
        while taken := self._take(after_quick):
            (make, outcome), long = taken
            after_quick = not long
            if long and ready:  # nobody waits for a video whose picture is there
                loop.call_soon_threadsafe(self._hand_over, loop, ready, False)
                ready, since = [], time.monotonic()
            made = self._make(make, long)
            ready.append((outcome, made))
            if time.monotonic() - since > HAND_OVER_SECONDS:
                loop.call_soon_threadsafe(self._hand_over, loop, ready, False)
                ready, since = [], time.monotonic()
        loop.call_soon_threadsafe(self._hand_over, loop, ready, True)

    def _make(self, make: Callable[[], T], long: bool) -> T | BaseException:
        made: T | BaseException
        try:
            made = make()
        except BaseException as error:  # a panic in Rust code is no `Exception`; whoever waits must know of it
            made = error
        with self._lock:
            self._held += 0 if isinstance(made, BaseException) else made.nbytes
            self._long_active -= long
        return made

    def _hand_over(
        self, loop: asyncio.AbstractEventLoop, ready: list[tuple[asyncio.Future[T], T | BaseException]], ended: bool
    ) -> None:
        for outcome, made in ready:
            if isinstance(made, BaseException):
                if not outcome.done():
                    outcome.set_exception(made)
            elif outcome.done():  # the task that waited was cancelled
                self.release(made.nbytes)
            else:
                outcome.set_result(made)
        self._active -= ended
        self._staff(loop)  # work may have been queued just after this thread found none
