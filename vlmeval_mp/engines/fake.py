"""A real engine without a model: scripted latency, deterministic answers, scripted faults.

Everything that is not the model is tested with it, so its answers depend on nothing but the request, and its faults
are the ones that real engines show: a refused request, a dead engine, a dead process, a hang, a straggler, a child
process that outlives a killed parent.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import msgspec

from vlmeval_mp.core.errors import EngineError, EngineKilledError, RequestError
from vlmeval_mp.core.records import Completion, Request, TextPart
from vlmeval_mp.engines.base import EngineSpec, Length, Ruler, arguments

LONGEST = 12.0
"""The longest latency of a request with a heavy tail, in multiples of the shortest one."""


class FakeArgs(msgspec.Struct, frozen=True, kw_only=True):
    """The fake engine's arguments. Faults are scripted by request id; seconds are wall clock.

    `answers` is "digest" (of all that was asked), "echo" (the request's last text), or a table id → text whose
    missing ids get the digest. `raise_engine` is a list of ids, or how many requests are served before the engine
    breaks. `once` is a folder that remembers which of `die`, `hang`, `raise_engine` and `start_error` have struck, so
    that each strikes once per id over all processes. `log` is a file that gets one line "id pid" per generated answer.
    `start_error` is what the engine fails with when it is started; above `oom_above` requests at once it runs out of
    memory. `tail` is the shape of a Pareto tail by which the latency is multiplied. Loading takes `load` seconds, and
    lasts until `ready_at` (seconds since the epoch), so that several workers can begin at the same moment. `context` is
    how many tokens a prompt and its answer may have, 0 for any number; `ruler` tells it, and nothing is refused for it.
    The pool reads `tensor_parallel_size`, as it does vLLM's.
    """

    latency: float = 0.0
    jitter: float = 0.0
    concurrency: int = 0
    load: float = 0.0
    ready_at: float = 0.0
    answers: Literal["digest", "echo"] | dict[str, str] = "digest"
    fail: frozenset[str] = frozenset()
    die: frozenset[str] = frozenset()
    hang: frozenset[str] = frozenset()
    raise_engine: frozenset[str] | int = frozenset()
    slow: dict[str, float] = {}
    tail: float = 0.0
    once: str = ""
    log: str = ""
    child: bool = False
    start_error: str = ""
    oom_above: int = 0
    context: int = 0
    tensor_parallel_size: int = 1


class FakeEngine:
    """Serves requests as scripted. A token is one character."""

    whole_videos = False
    notice = None

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.args = arguments("fake", spec.args, FakeArgs)
        self._slots = asyncio.Semaphore(self.args.concurrency) if self.args.concurrency else None
        self._log: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._accepted = self._in_flight = 0
        self._broken = ""

    def ruler(self) -> Ruler:
        return Ruler(self.args.context, lambda request: Length(sum(map(len, texts(request)))))

    async def start(self) -> None:
        if self.args.log:
            self._log = os.open(self.args.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if self.args.child:
            self._child = start_child()
        await asyncio.sleep(max(self.args.load, self.args.ready_at - time.time()))
        if self.args.start_error and self._first("start_error", ""):
            raise EngineError(self.args.start_error)

    async def generate(self, request: Request) -> Completion:
        self._in_flight += 1
        try:
            if self._slots is None:
                return await self._generate(request)
            async with self._slots:
                return await self._generate(request)
        finally:
            self._in_flight -= 1

    async def close(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    async def _generate(self, request: Request) -> Completion:
        if self._broken:
            raise EngineError(self._broken)
        self._check_child()
        if self.args.oom_above and self._in_flight > self.args.oom_above:
            self._broken = f"CUDA out of memory: {self._in_flight} requests at once"
            raise EngineError(self._broken)
        order, self._accepted = self._accepted, self._accepted + 1
        await self._strike(request.id, order)
        await asyncio.sleep(self._seconds(request.id))
        self._check_child()
        if request.id in self.args.fail:
            raise RequestError(f"scripted to fail: request {request.id!r}")
        text = self._answer(request)
        kept = text[: request.sampling.max_tokens]
        if self._log is not None:
            os.write(self._log, f"{request.id} {os.getpid()}\n".encode())
        return Completion(
            text=kept,
            finish_reason="stop" if kept == text else "length",
            prompt_tokens=sum(len(text) for text in texts(request)),
            completion_tokens=len(kept),
        )

    def _check_child(self) -> None:
        """Break when the child is dead, as an engine does whose model is in a process of its own."""
        code = None if self._child is None else self._child.poll()
        if code in (-signal.SIGKILL, -signal.SIGTERM):
            raise EngineKilledError(f"the engine's child was killed by {signal.Signals(-code).name} from outside")
        if code is not None:
            raise EngineError(f"the engine's child died (exit code {code})")

    async def _strike(self, id_: str, order: int) -> None:
        """Carry out the engine-wide faults scripted for this request."""
        args = self.args
        if id_ in args.die and self._first("die", id_):
            os.kill(os.getpid(), signal.SIGSEGV)  # a crash; a SIGKILL would look like one that somebody sent
        if id_ in args.hang and self._first("hang", id_):
            await asyncio.Event().wait()
        breaks = order >= args.raise_engine if isinstance(args.raise_engine, int) else id_ in args.raise_engine
        if breaks and self._first("raise_engine", id_):
            self._broken = f"scripted to break at request {id_!r}"
            raise EngineError(self._broken)

    def _first(self, fault: str, id_: str) -> bool:
        """Return whether this fault may strike: always without `once`, else the first time over all processes."""
        if not self.args.once:
            return True
        key = fault if isinstance(self.args.raise_engine, int) and fault == "raise_engine" else f"{fault} {id_}"
        marker = Path(self.args.once) / hashlib.sha256(key.encode()).hexdigest()[:16]
        marker.parent.mkdir(parents=True, exist_ok=True)
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _seconds(self, id_: str) -> float:
        """Scripted latency; the jitter is a function of the id, so that a run can be repeated."""
        seconds = self.args.slow.get(id_, self.args.latency)
        if self.args.tail:
            seconds *= pareto(id_, self.args.tail)
        if self.args.jitter:
            seconds += self.args.jitter * int(hashlib.sha256(id_.encode()).hexdigest()[:4], 16) / 0xFFFF
        return seconds

    def _answer(self, request: Request) -> str:
        if self.args.answers == "echo":
            return texts(request)[-1]
        if isinstance(self.args.answers, dict) and request.id in self.args.answers:
            return self.args.answers[request.id]
        shapes = [image.size for image in request.images], [video.pixels.shape for video in request.videos]
        asked = repr((request.id, texts(request), shapes))
        return hashlib.sha256(asked.encode()).hexdigest()[:16]


def pareto(id_: str, shape: float) -> float:
    """Return a number from 1 to `LONGEST`, by the id alone, with a Pareto tail of that shape."""
    place = (int(hashlib.sha256(b"tail" + id_.encode()).hexdigest()[:8], 16) + 1) / 2**32
    return float(min(LONGEST, place ** (-1 / shape)))


def start_child() -> subprocess.Popen[bytes]:
    """Return a process that does nothing for an hour, in this process's group, as vLLM's EngineCore is."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])


def texts(request: Request) -> list[str]:
    """Return all texts of a request in order; one empty text where it has none."""
    return [p.text for m in request.messages for p in m.parts if isinstance(p, TextPart)] or [""]
