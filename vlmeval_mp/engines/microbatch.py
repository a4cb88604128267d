"""Makes one-by-one requests out of a synchronous batch call: collects, calls in one thread, bisects on failure.

For engines whose library only knows "a list in, a list out". A request that makes its batch fail is found by halving
and fails alone. Knows nothing of models; the batch function says what a failure means by what it raises:
`EngineError` when the engine is unusable, `MemoryError` when the batch was too large, anything else when a request is
at fault.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from vlmeval_mp.core.errors import EngineError, RequestError
from vlmeval_mp.core.records import Completion
from vlmeval_mp.engines.chattemplate import reason

T = TypeVar("T")
Outcome = Completion | RequestError


class MicroBatcher(Generic[T]):
    """Feeds `call` with up to `size` requests at a time, waiting at most `wait` seconds for a batch to fill.

    `call` gives one outcome a request, in order; a `RequestError` among them is that request's own.
    """

    def __init__(self, call: Callable[[Sequence[T]], Sequence[Outcome]], size: int, wait: float) -> None:
        self.size = size
        self._call = call
        self._wait = wait
        self._queue: asyncio.Queue[tuple[T, asyncio.Future[Completion]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._loop: asyncio.Task[None] | None = None
        self._broken: EngineError | None = None

    async def submit(self, request: T) -> Completion:
        if self._broken is not None:
            raise EngineError(str(self._broken))
        if self._loop is None:
            self._loop = asyncio.create_task(self._serve_forever())
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((request, answer))
        return await answer

    async def close(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
            self._loop = None
        await asyncio.to_thread(self._thread.shutdown)

    async def _serve_forever(self) -> None:
        while True:
            batch = await self._collect()
            try:
                outcomes = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._outcomes, [request for request, _ in batch]
                )
            except EngineError as error:
                self._break(batch, error)
                return
            for (_, answer), outcome in zip(batch, outcomes, strict=True):
                settle(answer, outcome)

    async def _collect(self) -> list[tuple[T, asyncio.Future[Completion]]]:
        batch = [await self._queue.get()]
        if self._queue.qsize() < self.size - 1:
            await asyncio.sleep(self._wait)
        while len(batch) < self.size and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return [waiting for waiting in batch if not waiting[1].done()]

    def _outcomes(self, requests: Sequence[T]) -> list[Outcome]:
        """Return one outcome a request, in order; runs in the batch thread."""
        if not requests:
            return []
        try:
            return list(self._call(requests))
        except EngineError:
            raise
        except Exception as error:
            if len(requests) == 1:
                return [error if isinstance(error, RequestError) else RequestError(reason(error))]
            half = len(requests) // 2
            if isinstance(error, MemoryError):
                self.size = min(self.size, half)
        # outside the handler: its traceback would keep the failed batch's tensors alive while the halves are tried
        return self._outcomes(requests[:half]) + self._outcomes(requests[half:])

    def _break(self, batch: list[tuple[T, asyncio.Future[Completion]]], error: EngineError) -> None:
        """Tell everyone who waits that the engine is gone; nobody may wait for ever."""
        self._broken = error
        while not self._queue.empty():
            batch.append(self._queue.get_nowait())
        for _, answer in batch:
            settle(answer, EngineError(str(error)))


def settle(answer: asyncio.Future[Completion], outcome: Completion | Exception) -> None:
    """Hand over one outcome, unless its caller has given up meanwhile."""
    if answer.done():
        return
    if isinstance(outcome, Completion):
        answer.set_result(outcome)
    else:
        answer.set_exception(outcome)
