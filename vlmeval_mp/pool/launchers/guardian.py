"""A tiny process between supervisor and worker that lets nothing survive them. Standard library only.

It starts the worker as leader of its own session and process group and then waits for whichever comes first: the
worker ends, or the supervisor's end of stdin closes (it exited, or was killed). Either way it kills the worker's whole
group; vLLM's EngineCore would otherwise outlive a killed parent and keep its GPU memory. It is a process, because a
thread inside the worker cannot act while a C call holds the interpreter lock.

A second process, its heir, does nothing but wait for the guardian's end, and kills what a killed guardian leaves. Both
have a name of their own, so that `killall -9 python` does not hit them. A signal that asks a process to leave, such as
a scheduler sends to all of them, drains the worker.

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
PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
GROUP_GONE_SECONDS = 10.0
ASKED_TO_LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
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
    for number in ASKED_TO_LEAVE:
        signal.signal(number, lambda *_: worker.send_signal(signal.SIGTERM))
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
    kill(worker, signal.SIGQUIT)
    for pid in below(worker):
        kill(pid, signal.SIGABRT)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def children(pid: int) -> list[int]:
    """Return the process ids of the children of `pid`."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def below(pid: int) -> list[int]:
    """Return the process ids of all children of `pid`, and of theirs."""
    found = children(pid)
    return found + [each for child in found for each in below(child)]


def end_group(worker: Worker, heir: int) -> int:
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
    end_adopted(heir)
    code = worker.poll()
    return -signal.SIGKILL if code is None else code


def end_adopted(heir: int) -> None:
    """Kill what had left the group for a session of its own; orphaned, it is this process's child now."""
    for _ in range(100):
        adopted = set(children(os.getpid())) - {heir}
        if not adopted:
            return
        for pid in adopted:
            kill(pid)
        time.sleep(0.005)
        reap()


def reap() -> None:
    """Collect adopted grandchildren, so that the group's process ids become free."""
    try:
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
            pass
    except ChildProcessError:
        pass


def appoint_heir() -> tuple[int, int]:
    """Start the heir; return its process id, and where to write the worker's session and log, and "done" at the end."""
    here, there = os.pipe()
    pid = os.fork()
    if pid:
        os.close(here)
        return pid, there
    os.close(there)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):  # else the supervisor would wait for this one's end, too
        os.dup2(nothing, number)
    for signal_number in ASKED_TO_LEAVE:
        signal.signal(signal_number, signal.SIG_IGN)
    told = b""
    while chunk := os.read(here, 4096):
        told += chunk
    session, _, rest = told.partition(b" ")
    if session and not rest.endswith(b"done"):
        end_all(int(session), rest.decode().strip())
    os._exit(0)


def end_all(session: int, log: str) -> None:
    """Kill, in bounded time, every process of `session`, and every one that writes to `log`."""
    deadline = time.monotonic() + GROUP_GONE_SECONDS
    while time.monotonic() < deadline:
        pids = [int(folder.name) for folder in pathlib.Path("/proc").iterdir() if folder.name.isdigit()]
        left = [pid for pid in pids if is_of(pid, session, log)]
        if not left:
            return
        for pid in left:
            kill(pid)
        time.sleep(0.02)


def is_of(pid: int, session: int, log: str) -> bool:
    """Return whether a living process is of `session`, or has `log` for its output, which it inherited from
    the worker.
    """
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        outputs = {str(pathlib.Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (1, 2)}
    except OSError:
        return False
    return fields[0] not in "ZX" and (int(fields[3]) == session or log in outputs)


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
    libc.prctl(PR_SET_NAME, b"vlmeval-guard")
    heir, will = appoint_heir()
    order = read_line()
    if not order:
        return
    command = json.loads(order)
    worker = start(command)
    os.write(will, b"%d %b" % (worker.pid, os.fsencode(os.path.realpath(command["log"]))))
    say(worker.pid)
    watch(worker)
    code = end_group(worker, heir)
    os.write(will, b"\ndone")
    say(code)


if __name__ == "__main__":
    main()
