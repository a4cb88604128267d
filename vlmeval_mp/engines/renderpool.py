"""The render processes of one worker: assigns drafts, limits memory, replaces processes that die.

Processes do what threads cannot: a model's processor is Python that holds the interpreter lock. Which draft a process
gets is `renderqueue`'s matter. No further draft is given out while what was rendered and not yet taken by the engine
exceeds a number of bytes. Knows no engine: see `renderprocess.Order`. Every method belongs to the event loop's thread,
which must be the main one: the kernel kills a render process when the thread that started it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from typing import Any

from vlmeval_mp.core.errors import EngineError, MediaError, RequestError
from vlmeval_mp.core.records import Draft, RenderedInput, Request
from vlmeval_mp.engines import rendertransport
from vlmeval_mp.engines.base import NotRenderedError
from vlmeval_mp.engines.renderprocess import BROKEN, MADE, READY, REFUSED, UNOPENED, Order, packed
from vlmeval_mp.engines.renderqueue import IN_FLIGHT, Job, Place, RenderQueue, files, medium
from vlmeval_mp.requests.longmedia import takes_long

log = logging.getLogger("vlmeval_mp.worker")

MOST_BYTES = 2 << 30
KEPT_BYTES = 256 << 20
DEATHS_OF_A_DRAFT = 2
FAILED_STARTS = 2
"""Starts in a row that come to nothing after which a place stays empty."""
START_SECONDS = 600.0
"""Seconds that a process may take to begin; importing vLLM takes 10 s, and minutes where a machine is overloaded."""
END_SECONDS = 2.0
"""For all processes together to end by themselves when the pool is closed."""


class RenderPool:
    """`count` render processes, alike, from `start` to `close`."""

    def __init__(self, count: int, target: str, argument: bytes, most_bytes: int = MOST_BYTES) -> None:
        why_not = rendertransport.probe()
        if why_not:
            log.warning("no shared memory for rendered requests (%s); they come through sockets", why_not)
        self._order = Order(target, argument, not why_not, KEPT_BYTES)
        self._places = [Place(number) for number in range(count)]
        self._queue = RenderQueue(self._places)
        self._most_bytes, self._held = most_bytes, 0
        self._numbers = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def usable(self) -> bool:
        """True if any process is there, or will be."""
        return not self._closed and any(p.process is not None for p in self._places)

    @property
    def held_bytes(self) -> int:
        """Bytes of rendered requests that are in this process's memory."""
        return self._held

    @property
    def pids(self) -> list[int]:
        return [p.process.pid for p in self._places if p.process is not None]

    def start(self) -> None:
        """Start the processes and return at once; what they load, they load beside the worker."""
        for place in self._places:
            self._start(place)

    def attach(self) -> None:
        """Begin to listen to the processes, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        for place in self._places:
            self._listen(place)

    async def render(self, draft: Draft) -> Request:
        """Return the request of `draft`, rendered.

        Raises:
            RequestError: what is wrong with the draft, in the words of the worker's own rendering.
            EngineError: the rendering itself is broken.
            NotRenderedError: no process is left.
        """
        if not self.usable:
            raise NotRenderedError
        loop = asyncio.get_running_loop()
        job = Job(self._numbers, draft, medium(draft), loop.create_future(), takes_long(draft))
        self._numbers += 1
        self._queue.put(job)
        self._give_out()
        return await job.outcome

    async def close(self) -> None:
        """End the processes; nothing that they have in hand is waited for."""
        self._closed = True
        ended = []
        for place in self._places:
            if place.process is not None:
                ended.append(place.process)
            self._hang_up(place)
            place.process = None
        deadline = time.monotonic() + END_SECONDS
        for process in ended:  # the end of its socket ends a process that waits; another may be in a decoder
            try:
                await asyncio.to_thread(process.wait, max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # --- drafts ----------------------------------------------------------------------------------------------------

    def _give_out(self) -> None:
        for turn in range(IN_FLIGHT):  # one for everybody before a second for anybody
            for place in self._places:
                while place.ready and len(place.given) <= turn and self._held <= self._most_bytes:
                    job = self._queue.next(place)
                    if job is None:
                        break
                    if job.outcome.done():  # whoever waited was cancelled
                        continue
                    place.given[job.number] = job
                    self._send(place, packed((job.number, job.draft)))

    def _came(self, place: Place, message: rendertransport.Message) -> None:
        number, said, value = message.value
        if number is None:
            self._began(place, said, value)
            return
        job = place.given.pop(number)
        if message.block is not None:
            self._hold(message)
        if job.outcome.done():  # whoever waited was cancelled
            return
        if said == MADE:
            d = job.draft
            job.outcome.set_result(
                Request(d.id, d.messages, d.sampling, origin=d.origin, rendered=RenderedInput(value))
            )
        elif said == UNOPENED:
            job.outcome.set_exception(MediaError(value))
        elif said == REFUSED:
            job.outcome.set_exception(RequestError(value))
        else:
            job.outcome.set_exception(EngineError(f"a request could not be rendered: {value}"))

    def _hold(self, message: rendertransport.Message) -> None:
        """Count the bytes of `message` until the last tensor in them is gone, in whatever thread that happens."""
        self._held += message.nbytes
        weakref.finalize(message.block, self._let_go_anywhere, message.nbytes).atexit = False

    def _let_go_anywhere(self, nbytes: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._let_go, nbytes)

    def _let_go(self, nbytes: int) -> None:
        self._held -= nbytes
        self._give_out()

    # --- processes -------------------------------------------------------------------------------------------------

    def _start(self, place: Place) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            # one that could not even begin without a GPU in sight may do with one
            env = environment(os.environ, hide_gpus=not place.failed_starts)
            argv = [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "vlmeval_mp.engines.renderprocess"]
            place.process = subprocess.Popen(
                [*argv, str(os.getpid()), str(theirs.fileno())],
                env=env,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        place.channel, place.receiver, place.ready = ours, rendertransport.Receiver(ours), False
        order = packed(self._order)
        if self._loop is None:  # it must begin now: the loop will stand still while the weights load
            ours.sendall(order)
        ours.setblocking(False)
        if self._loop is not None:
            self._send(place, order)
            self._listen(place)

    def _listen(self, place: Place) -> None:
        if place.channel is not None:
            assert self._loop is not None
            self._loop.add_reader(place.channel, self._read, place)
            self._flush(place)
            self._loop.call_later(START_SECONDS, self._end_if_it_has_not_begun, place, place.process)

    def _end_if_it_has_not_begun(self, place: Place, process: subprocess.Popen[bytes] | None) -> None:
        if process is not None and place.process is process and not place.ready:
            log.warning("render process %d has not begun within %.0f s", place.number, START_SECONDS)
            process.kill()  # which ends its socket, and `_read` sees to the rest

    def _began(self, place: Place, said: str, why: str) -> None:
        if said == READY:
            place.ready, place.failed_starts = True, 0
            self._give_out()
        elif said == BROKEN:
            log.warning("render process %d cannot begin: %s", place.number, why)

    def _read(self, place: Place) -> None:
        assert place.receiver is not None
        try:
            for message in place.receiver.receive():
                self._came(place, message)
        except (EOFError, OSError):
            self._died(place)
        self._give_out()

    def _send(self, place: Place, data: bytes) -> None:
        place.unsent += data
        if self._loop is not None:
            self._flush(place)

    def _flush(self, place: Place) -> None:
        """Send what the socket takes; the rest when it takes more. A process that is gone is found by `_read`."""
        assert self._loop is not None
        assert place.channel is not None
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while place.unsent:
                del place.unsent[: place.channel.send(place.unsent)]
        if place.unsent:
            self._loop.add_writer(place.channel, self._flush, place)
        else:
            self._loop.remove_writer(place.channel)

    def _hang_up(self, place: Place) -> None:
        if place.channel is not None:
            if self._loop is not None:
                self._loop.remove_reader(place.channel)
                self._loop.remove_writer(place.channel)
            assert place.receiver is not None
            place.receiver.close()
        place.channel, place.receiver, place.ready = None, None, False
        place.unsent.clear()

    def _died(self, place: Place) -> None:
        """Put another process in the place of one that is gone, and have what it had in hand rendered again."""
        assert place.process is not None
        self._hang_up(place)
        place.failed_starts += not place.ready
        place.process.kill()
        code = place.process.wait()
        lost, place.given = list(place.given.values()), {}
        log.warning("render process %d ended (%s); %d samples are rendered again", place.number, code, len(lost))
        if lost:
            lost[0].deaths += 1  # the others had not been begun
        place.process = None
        if place.failed_starts < FAILED_STARTS:
            self._start(place)
        for job in (job for job in reversed(lost) if not job.outcome.done()):
            if job.deaths >= DEATHS_OF_A_DRAFT:
                why = f"{files(job.draft)}: {job.deaths} render processes died while they rendered this sample"
                job.outcome.set_exception(MediaError(why))
            else:
                place.queue.appendleft(job)
        if place.process is None:
            self._dissolve(place)

    def _dissolve(self, place: Place) -> None:
        """Let the others have what waits for a place that stays empty; without others, the worker itself."""
        self._queue.dissolve(place)
        if self.usable:
            return
        log.warning("no render process is left; the worker renders by itself")
        for job in self._queue.clear():
            if not job.outcome.done():
                job.outcome.set_exception(NotRenderedError())


class HasPool:
    """An engine whose drafts are rendered in `_pool`, once there is one: a `CanRender`."""

    _pool: RenderPool | None = None

    @property
    def renders(self) -> bool:
        """True if `render` has processes."""
        return self._pool is not None and self._pool.usable

    async def render(self, draft: Draft) -> Request:
        """Return the request of `draft`, its media opened and processed in a render process.

        Raises:
            RequestError: as `generate` would, in the same words.
            EngineError: the rendering is broken.
            NotRenderedError: there is no render process (any more).
        """
        if self._pool is None:
            raise NotRenderedError
        return await self._pool.render(draft)

    async def _close_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()


def environment(environ: Mapping[str, str], *, hide_gpus: bool) -> dict[str, str]:
    """Return the environment of a render process: one thread, no GPU, its library's chatter left out."""
    found: dict[str, Any] = dict(environ) | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    found.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    return found | ({"CUDA_VISIBLE_DEVICES": ""} if hide_gpus else {})
