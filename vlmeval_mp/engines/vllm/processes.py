"""The processes of vLLM: finds them, reports the end of its engine process, and leaves none behind."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterable, Sequence
from multiprocessing.process import BaseProcess

import psutil

ENGINE_NICE = 5
FEEDER_NICE = 4
"""On two cores, means of two runs: 133 samples/s with this, 125 without any niceness, 115 with the scheduler's.

On one core (the demo: two workers), two runs each in turn: 84 and 71 samples/s with the feeder's niceness, 167 and 139
without any, 217 and 151 with the engine's.
"""
KILL_SECONDS = 5.0
EXIT_SECONDS = 0.5
"""Time for the exit code of a process that has died to be known."""


def give_way(schedulers: Sequence[BaseProcess], *, naps: bool) -> None:
    """Decide who goes first where this process and the engine that it feeds share a few cores.

    On a single core this process goes first: a step takes little longer for many requests than for one, and they
    come together only while the engine waits. On more cores, an engine that `naps` while it waits has a core only
    for its work, which everybody waits for: it goes before this process. A scheduler that spins gives way, or
    nothing would be there for it to do.
    """
    engine = [scheduler.pid for scheduler in schedulers if scheduler.pid]
    alone = len(os.sched_getaffinity(0)) == 1
    if alone:
        for process in family(engine):
            _make_nicer(process.pid, ENGINE_NICE)
    if not naps:
        for pid in engine:
            _make_nicer(pid, ENGINE_NICE)
    elif not alone:
        _give_way_once()


@functools.cache
def _give_way_once() -> None:
    """Make this process nicer: only root could undo it, and further engines of it would add up."""
    _make_nicer(os.getpid(), FEEDER_NICE)


def _make_nicer(pid: int, by: int) -> None:
    """Raise the niceness of every thread of a process; those that are started later inherit it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for thread in psutil.Process(pid).threads():
            with contextlib.suppress(ProcessLookupError):
                nicer = os.getpriority(os.PRIO_PROCESS, thread.id) + by
                os.setpriority(os.PRIO_PROCESS, thread.id, nicer)  # the kernel takes what is above 19 for 19


def family(pids: Iterable[int]) -> list[psutil.Process]:
    """Return the processes `pids` and all below them, as far as they are still there; any may end at any moment."""
    found: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found.append(process)
            found += process.children(recursive=True)
    return found


def end(processes: Sequence[psutil.Process], children: Sequence[BaseProcess] = ()) -> None:
    """Kill what is left of `processes` and see it gone: vLLM gives up on a child that does not leave by itself.

    Those of them that are `children` of multiprocessing's are collected by it alone. If psutil did that, their exit
    codes would be lost, and multiprocessing would count them as alive for ever. Others may stay zombies until whoever
    inherited them collects them, in some containers for ever.
    """
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for child in children:
        child.join(KILL_SECONDS)
    theirs = {child.pid for child in children}
    others = [process for process in processes if process.pid not in theirs]
    deadline = time.monotonic() + KILL_SECONDS
    while any(map(_runs, others)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def exit_code(core: Sequence[BaseProcess]) -> int:
    """Return how the only process of `core` ended, negative for a signal.

    0 for several, or where it is not known in time: a thread of vLLM's waits for the process, too. While that one has
    collected the exit code and not kept it yet, there seems to be none.
    """
    if len(core) != 1:
        return 0
    deadline = time.monotonic() + EXIT_SECONDS
    while (code := core[0].exitcode) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return code or 0
