"""What tests of several packages do alike: wait, count answers on disk, name a process or a port that nobody has."""

from __future__ import annotations

import contextlib
import csv
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.pool.devices import gpus
from vlmeval_mp.pool.launchers.local import LocalLauncher
from vlmeval_mp.pool.supervisor.loop import Supervisor
from vlmeval_mp.pool.supervisor.options import Options
from vlmeval_mp.runs.snapshot import read_record

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float = 60.0) -> T:
    """Return what `condition` says once that is true; a busy machine is slow, so `seconds` are many."""
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, f"waited for more than {seconds:g} s"
        time.sleep(0.02)
    return said


def lines_written(paths: RunPaths) -> int:
    """How many lines all checkpoints of a run hold together."""
    return sum(path.read_bytes().count(b"\n") for path in paths.checkpoints.rglob("*.jsonl"))


def pid_of_the_dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def free_port() -> int:
    """A port of this machine where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def long_fields() -> Iterator[None]:
    """Let `csv` read fields of any length, which is a setting of the whole process, for a moment."""
    before = csv.field_size_limit(1 << 30)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def supervise(
    paths: RunPaths, workers: int = 1, on_tick: Any = lambda _: None, launcher: Any = None, **engine_args: Any
) -> Supervisor:
    """A supervisor of `workers` slots on the cores of this machine, not yet running."""
    groups = gpus.cpu_groups(workers, sorted(os.sched_getaffinity(0)))
    options = Options(engine_args={"fake": engine_args} if engine_args else {})
    return Supervisor(paths, read_record(paths), groups, launcher or LocalLauncher(), options, on_tick)
