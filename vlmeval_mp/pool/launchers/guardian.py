"""A tiny process between supervisor and worker that lets nothing survive them. Standard library only.

It starts the worker as leader of its own session and process group and then waits for whichever comes first: the
worker ends, or the supervisor's end of stdin closes (it exited, or was killed). Either way it kills the worker's whole
group; vLLM's EngineCore would otherwise outlive a killed parent and keep its GPU memory. It is a process, because a
thread inside the worker cannot act while a C call holds the interpreter lock.

stdin: one JSON line {argv, env, log, cores}, then lines "drain", "dump" or "kill".
stdout: the worker's pid, then its exit code.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import select
import signal
import subprocess
import time
from typing import Any

Worker = subprocess.Popen[bytes]
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GROUP_GONE_SECONDS = 10.0
libc = ctypes.CDLL(None, use_errno=True)


def start(command: dict[str, Any]) -> Worker:
    """Start and return the worker. It dies with this guardian, even if the guardian itself is killed."""

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if command["cores"]:
            os.sched_setaffinity(0, command["cores"])

    with pathlib.Path(command["log"]).open("ab", buffering=0) as log:
        return subprocess.Popen(
            command["argv"],
            env=command["env"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=in_child,
        )


def watch(worker: Worker) -> None:
    """Wait until the worker has ended, or the supervisor has; obey "drain", "dump" and "kill" meanwhile."""
    pidfd = os.pidfd_open(worker.pid)
    while True:
        ready, _, _ = select.select([0, pidfd], [], [])
        if pidfd in ready:
            return
        orders = os.read(0, 4096)
        if not orders or b"kill" in orders:
            return
        if b"dump" in orders:
            dump(worker.pid)
        if b"drain" in orders:
            worker.send_signal(signal.SIGTERM)


def dump(worker: int) -> None:
    """Make the worker write its stacks, and everything below it, which is to die anyway, die with its own.

    The worker has a handler for SIGQUIT; a Python child in whose environment PYTHONFAULTHANDLER stands, for SIGABRT.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, signal.SIGQUIT)
    for pid in below(worker):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGABRT)


def below(pid: int) -> list[int]:
    """Return the process ids of all children of `pid`, and of theirs."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found + [each for child in found for each in below(child)]


def end_group(worker: Worker) -> int:
    """Kill what is left of the worker's group and reap it, in bounded time; return the worker's exit code."""
    deadline = time.monotonic() + GROUP_GONE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(worker.pid, signal.SIGKILL)
        except ProcessLookupError:
            break
        if worker.poll() is not None:
            reap()
        time.sleep(0.005)
    end_adopted()
    code = worker.poll()
    return -signal.SIGKILL if code is None else code


def end_adopted() -> None:
    """Kill what had left the group for a session of its own; orphaned, it is this process's child now."""
    for _ in range(100):
        with pathlib.Path(f"/proc/self/task/{os.getpid()}/children").open() as file:
            adopted = file.read().split()
        if not adopted:
            return
        for pid in adopted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.005)
        reap()


def reap() -> None:
    """Collect adopted grandchildren, so that the group's process ids become free."""
    try:
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
            pass
    except ChildProcessError:
        pass


def read_line() -> bytes:
    """Return the first line of stdin and read not a byte more: `watch` reads what follows."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def say(number: int) -> None:
    """One line to the supervisor, if it is still there."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"%d\n" % number)


def main() -> None:
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    order = read_line()
    if not order:
        return
    worker = start(json.loads(order))
    say(worker.pid)
    watch(worker)
    say(end_group(worker))


if __name__ == "__main__":
    main()
