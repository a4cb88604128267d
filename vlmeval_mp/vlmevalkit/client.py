"""Asks VLMEvalKit's own code for something, in a child process.

Owns that process: which interpreter (`VLMEVALKIT_PYTHON`, else this one), its environment, its time, and its end with
everything it started. What it prints goes to a log. The child needs `vlmeval` only, so it may be another environment.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from vlmeval_mp.core.errors import ConfigError, DependencyError, VlmevalError
from vlmeval_mp.core.records import Json

SERVER = Path(__file__).with_name("child") / "server.py"
VARIABLE = "VLMEVALKIT_PYTHON"
INSTALL = (
    "scripts/install vlmevalkit (or: pip install 'vlmeval-mp[vlmevalkit]' && pip install --no-deps ms-vlmeval==0.0.20)"
)
SILENCE_SECONDS = 900.0
"""Seconds that a row's prompt may take; a child that is silent for longer is ended."""
EVALUATE_SECONDS = 6 * 3600.0
Answer = Iterator[Json]
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_JUDGE = ("OPENAI_API_BASE", "LOCAL_LLM")
_LOOK_SECONDS = 0.5
_waiting: set[threading.Event] = set()
"""One for each answer or lock that is waited for now; set: leave."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge that the user named, and what VLMEvalKit's `--judge-args` says of it. Keys stay in the environment."""

    name: str
    arguments: Json = field(default_factory=dict)


class StoppedError(Exception):
    """`stop` was called: callers that wait for an answer leave, and draw no conclusion from it."""


class NoJudgeError(VlmevalError):
    """The evaluator needs a judge, and none was named, or the one named cannot be reached."""


def interpreter() -> str:
    """Return the Python that has `vlmeval`: the user's own, else this one."""
    return os.environ.get(VARIABLE) or sys.executable


@functools.cache
def version(python: str) -> str:
    """Return `ms-vlmeval 0.0.20`, or where the checkout is that `python` has.

    Raises:
        DependencyError: it has none.
    """
    return str(next(ask({"do": "version"}, python=python))["version"])


def stop() -> None:
    """End every question that this process asks or waits to ask; its callers get a `StoppedError`."""
    for told in list(_waiting):
        told.set()


@contextlib.contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Yield an event that `stop` sets."""
    told = threading.Event()
    _waiting.add(told)
    try:
        yield told
    finally:
        _waiting.discard(told)


def acquire(lock: FileLock) -> None:
    """Take `lock`, however long another process holds it.

    Raises:
        StoppedError: `stop` was called meanwhile.
    """
    with stoppable() as told:
        while not told.is_set():
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=_LOOK_SECONDS)
                return
    raise StoppedError


def ask(
    request: Json,
    *,
    python: str = "",
    lmu_data: Path | None = None,
    log: Path | None = None,
    seconds: float = SILENCE_SECONDS,
    judge: bool = False,
) -> Answer:
    """Return the lines of the answer, the one with the version first.

    `seconds` bounds the wait for each line. With `judge`, keys and address of the environment reach the child.

    Raises:
        DependencyError: the interpreter has no usable `vlmeval`.
        ConfigError: the data set cannot be used; says which file is missing, or why it is not supported.
        NoJudgeError: there is no score without a judge.
        VlmevalError: VLMEvalKit's code failed, or took too long.
        StoppedError: `stop` was called meanwhile.
    """
    python = python or interpreter()
    with tempfile.TemporaryFile() if log is None else log.open("wb+") as errors:
        try:
            child = subprocess.Popen(
                [python, "-u", str(SERVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(os.environ, lmu_data, judge),
                start_new_session=True,
            )
        except OSError as error:
            raise DependencyError(f"{VARIABLE}: {python} cannot be started: {error.strerror or error}") from error
        try:
            with stoppable() as told:
                yield from _answer(child, request, seconds, errors, log, told)
        finally:
            _end(child)


def environment(ours: Mapping[str, str], lmu_data: Path | None, judge: bool) -> dict[str, str]:
    """Return what the child sees of our environment: no key and no judge's address, unless the user named a judge."""
    kept = {
        name: value
        for name, value in ours.items()
        if judge or not (name in _JUDGE or any(word in name.upper() for word in _SECRET))
    }
    dropped = ("SPLIT_THINK", "EVAL_FORMAT", "EVAL_PROXY", "CUDA_VISIBLE_DEVICES")
    kept = {name: value for name, value in kept.items() if name not in dropped}
    found = {"PRED_FORMAT": "tsv", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **found, **({"LMUData": str(lmu_data)} if lmu_data else {})}


def _answer(
    child: subprocess.Popen[bytes],
    request: Json,
    seconds: float,
    errors: IO[bytes],
    log: Path | None,
    told: threading.Event,
) -> Answer:
    assert child.stdin is not None
    assert child.stdout is not None
    lines: queue.Queue[bytes] = queue.Queue(1024)
    threading.Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # if it died at once, what it printed says why
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    name = request.get("dataset", "")
    while True:
        try:
            line = _next(lines, seconds, told)
        except queue.Empty:
            raise VlmevalError(f"{name}: VLMEvalKit said nothing for {seconds:.0f} s and was ended") from None
        if not line:
            raise VlmevalError(f"{name}: VLMEvalKit's process died (exit code {_code(child)}){_tail(errors, log)}")
        said = json.loads(line)
        if "error" in said:
            raise _error(name, said["error"], errors, log)
        yield said
        if "end" in said or request["do"] == "version":
            return


def _next(lines: queue.Queue[bytes], seconds: float, told: threading.Event) -> bytes:
    deadline = time.monotonic() + seconds
    while not told.is_set():
        left = deadline - time.monotonic()
        try:
            return lines.get(timeout=max(0.0, min(left, _LOOK_SECONDS)))
        except queue.Empty:
            if left <= _LOOK_SECONDS:
                raise
    raise StoppedError


def _read(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(b"")


def _code(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(5)
    except subprocess.TimeoutExpired:
        return None


def _error(name: str, error: Mapping[str, str], errors: IO[bytes], log: Path | None) -> VlmevalError:
    kind, message = error["kind"], error["message"]
    where = f"data set {name!r}: " if name else ""
    if kind == "missing":
        return DependencyError(
            f"{where}{message}; install it here with {INSTALL}, or set {VARIABLE} to the Python of your VLMEvalKit"
        )
    if kind == "package":
        return DependencyError(f"{where}{message}")
    if kind in ("not_local", "unsupported"):
        return ConfigError(f"{where}{message}")
    if kind == "needs_judge":
        return NoJudgeError(message)
    return VlmevalError(f"{where}VLMEvalKit's code failed: {message}{_tail(errors, log)}")


def _tail(errors: IO[bytes], log: Path | None) -> str:
    """Return where to read on; the last lines where there is no log."""
    if log is not None:
        return f"; the whole output is in {log}"
    errors.seek(0)
    last = errors.read()[-2000:].decode(errors="replace").strip().splitlines()[-3:]
    return f"; it said: {' / '.join(last)}" if last else ""


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    for stream in (child.stdin, child.stdout):
        with contextlib.suppress(BrokenPipeError):
            if stream is not None:
                stream.close()
    child.wait()
