"""Finds the first cause of an engine's death in its worker's log, and whether a new start would end alike.

vLLM's own message says "See root cause above", because the cause was in a child process. The child's log lines bear a
prefix (process, level, time, place); behind it stands an ordinary traceback, of whose chain the first one is the cause.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

Kind = Literal["lasting", "passing", "memory"]
"""lasting: every start would end alike; memory: a smaller one might not; passing: later, the same one might not."""

READ_BYTES = 1 << 20
SHOWN = 400
_PREFIX = re.compile(r"^(?:\([^)]*\)\s?)*(?:(?:ERROR|CRITICAL|WARNING|INFO) \S+ \S+ (?:\[[^\]]*\] ?)?)?")
_RAISED = re.compile(r"^((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Exit))(?:: (.*))?$")
_WRAPPED = re.compile(r"^(?:[\w.]*\.)?(?:EngineError|RuntimeError): (?=\w+(?:Error|Exception): )")
_MEMORY = re.compile(
    r"out of memory|OutOfMemory|ALLOC_FAILED|annot allocate memory|MemoryError|bad_alloc|No available memory for the"
)
_LASTING = re.compile(
    r"\b(?:ValueError|TypeError|KeyError|AttributeError|NotImplementedError|ValidationError|ImportError|"
    r"ModuleNotFoundError|FileNotFoundError|NotADirectoryError|PermissionError|SafetensorError)\b"
    r"|Too many open files|No space left on device"
)
_PASSING = re.compile(
    r"Free memory on device|[Aa]ddress already in use|\bConnection\w*Error\b|Connection (?:refused|reset)"
    r"|\b[Tt]imed out\b|\bTimeoutError\b"
)
_WEIGHTS = re.compile(r"\bin (?:load_model|load_weights|_load_w\w*|initialize_model|create_weights)\b")
_AFTER_WEIGHTS = re.compile(r"\bin (?:profile_run|determine_available_memory|capture_model|_dummy_run|execute_model)\b")


def told(message: str, log: Path, start: int, *, loading: bool) -> tuple[str, Kind]:
    """Return why a worker died, and what that means for the next one.

    `message` is its last message, `start` the length of its `log` when it began; `loading`: its engine never worked.
    """
    cause, trace = first_cause(log, start) if loading or "root cause" in message.lower() else ("", "")
    text = _WRAPPED.sub("", cause or message)
    if _MEMORY.search(text):
        of_weights = _WEIGHTS.search(trace) and not _AFTER_WEIGHTS.search(trace)
        return text, "lasting" if loading and of_weights else "memory"
    lasting = loading and _LASTING.search(text) and not _PASSING.search(text)
    return text, "lasting" if lasting else "passing"


def first_cause(log: Path, start: int = 0) -> tuple[str, str]:
    """Return the first error that ends a traceback in `log` from byte `start` on, and that traceback; else twice ""."""
    trace: list[str] | None = None
    lines = iter(_lines(log, start))
    for line in lines:
        if line.startswith("Traceback (most recent call last)"):
            trace = []
        elif trace is not None and (raised := _RAISED.match(line)):
            name, said = raised[1].rpartition(".")[2], raised[2] or ""
            if said.endswith(("for VllmConfig", "error", "errors")):  # pydantic's: what is wrong stands below
                said = f"{said}: {next(lines, '').strip().partition(' [type=')[0]}"
            return f"{name}: {said}"[:SHOWN].rstrip(": "), "\n".join(trace)
        elif trace is not None:
            trace.append(line)
    return "", ""


def _lines(log: Path, start: int) -> list[str]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(start if start <= size else 0)  # a long log is moved away
            data = file.read(READ_BYTES)
    except OSError:
        return []
    return [_PREFIX.sub("", line, count=1) for line in data.decode("utf-8", "replace").splitlines()]
