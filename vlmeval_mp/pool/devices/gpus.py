"""Finds devices and groups them for workers: NVML discovery, groups for tensor parallelism, groups of CPU cores.

Never imports torch and never touches CUDA; devices are only ever chosen through the child's environment. NVML numbers
GPUs in PCI bus order, so `CUDA_DEVICE_ORDER` is set beside `CUDA_VISIBLE_DEVICES` to make both count alike.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vlmeval_mp.core.errors import ConfigError, DependencyError
from vlmeval_mp.core.paths import slug
from vlmeval_mp.core.records import GpuStats

DEFAULT_CPU_WORKERS = 4
MEMORY_SLACK = 512 << 20
TORCHRUN_VARIABLES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeviceGroup:
    """The devices of one worker.

    `label` is shown to people. `gpus` are NVML UUIDs (or the ids as given, where NVML is not asked). `env` is added to
    the worker's environment; `cores` are the CPU cores it is bound to, empty for any.
    """

    label: str
    device: str
    env: dict[str, str]
    gpus: tuple[str, ...] = ()
    cores: tuple[int, ...] = ()

    def serves(self, tensor_parallel: int) -> bool:
        """Return whether a worker here can have a model that takes `tensor_parallel` GPUs; one on cores has any."""
        return not self.gpus or len(self.gpus) == tensor_parallel

    def meets(self, other: DeviceGroup) -> bool:
        """Return whether a GPU is in both."""
        return not set(self.gpus).isdisjoint(other.gpus)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that holds memory of a GPU; `memory` in bytes, 0 where the driver does not tell."""

    pid: int
    name: str
    memory: int


def discover() -> list[GpuStats]:
    """Return the GPUs of this host, without those that do not answer; an empty list where there is no NVIDIA driver."""
    with _nvml() as nvml:
        if nvml is None:
            return []
        return [s for i in range(nvml.nvmlDeviceGetCount()) if (s := _stats(nvml, i)) is not None]


class GpuMeter:
    """Reads the GPUs of this host again and again, for the price of opening NVML once."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._nvml: Any = None
        self._opened = False

    def read(self) -> list[GpuStats]:
        """Return the same as `discover`."""
        if not self._opened:
            self._opened = True
            self._nvml = self._open.enter_context(_nvml())
        if self._nvml is None:
            return []
        with contextlib.suppress(Exception):  # a driver that went away must not end a run on other devices
            return [s for i in range(self._nvml.nvmlDeviceGetCount()) if (s := _stats(self._nvml, i)) is not None]
        return []

    def close(self) -> None:
        """Give NVML back; the next `read` opens it again."""
        self._open.close()
        self._nvml, self._opened = None, False


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no driver, no library and no permission all mean "no GPU here"
        yield None
        return
    try:
        yield pynvml
    finally:
        with contextlib.suppress(Exception):
            pynvml.nvmlShutdown()


def _stats(nvml: Any, index: int) -> GpuStats | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return GpuStats(
            uuid=_string(nvml.nvmlDeviceGetUUID(handle)),
            index=index,
            name=_string(nvml.nvmlDeviceGetName(handle)),
            memory_used=int(memory.used),
            memory_total=int(memory.total),
            utilization=_utilization(nvml, handle),
        )
    except Exception:  # one sick GPU must not hide the others
        return None


def holders(names: Callable[[int], str]) -> dict[str, list[Process]]:
    """Return the processes that hold memory of each GPU, by UUID. `names` gives a process's name by its pid."""
    found: dict[str, list[Process]] = {}
    with _nvml() as nvml:
        if nvml is None:
            return found
        for index in range(nvml.nvmlDeviceGetCount()):
            with contextlib.suppress(Exception):  # one sick GPU must not hide the others
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
                found[_string(nvml.nvmlDeviceGetUUID(handle))] = [
                    Process(p.pid, names(p.pid), int(p.usedGpuMemory or 0)) for p in running
                ]
    return found


def _utilization(nvml: Any, handle: Any) -> int:
    """Return percent busy; 0 where the GPU does not tell, as with MIG."""
    try:
        return int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except Exception:
        return 0


def _string(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


MASK = "CUDA_VISIBLE_DEVICES"


def select(wanted: str, found: Sequence[GpuStats], environ: Mapping[str, str]) -> list[str]:
    """Return the ids that `--gpus wanted` means: indices, UUIDs (or a unique beginning), MIG ids, or "all".

    An outer `CUDA_VISIBLE_DEVICES`, such as Slurm sets, is kept to: "all" is all of it, and indices count within it, as
    in torch and vLLM. Ids come back as this host's indices where NVML knows the GPU, and as given for MIG instances.

    Raises:
        ConfigError: an id is unknown, outside of the mask, or given twice.
    """
    mask = _masked(environ[MASK], found) if MASK in environ else None
    if wanted == "all":
        chosen = [str(g.index) for g in found] if mask is None else mask
    else:
        chosen = [_resolve(part.strip(), found, mask) for part in wanted.split(",") if part.strip()]
    for gpu in chosen:
        if chosen.count(gpu) > 1:
            raise ConfigError(f"--gpus: GPU {gpu} is given twice")
    if not chosen:
        if wanted == "all" and mask is not None:
            raise ConfigError(f"{MASK}={environ[MASK]!r} allows no GPU of this host; unset it, or use --device cpu")
        raise ConfigError("--gpus: no GPU is named; give indices such as 0,1 or 'all', or use --device cpu")
    return chosen


def _masked(mask: str, found: Sequence[GpuStats]) -> list[str]:
    """Return the GPUs that a mask allows, as CUDA reads it: up to the first id that is none; twice is none at all."""
    allowed: list[str] = []
    for part in (each.strip() for each in mask.split(",")):
        match = part if part.startswith("MIG-") else _named(part, found)
        if not match:
            break
        if match in allowed:
            return []
        allowed.append(match)
    return allowed


def _named(part: str, found: Sequence[GpuStats]) -> str:
    """Return the index of the GPU with this index or beginning of a UUID on this host; "" if there is none."""
    if part.isdigit():
        known = not found or int(part) in {g.index for g in found}
        return str(int(part)) if known else ""
    matches = [g for g in found if part and g.uuid.startswith(part)]
    return str(matches[0].index) if len(matches) == 1 else ""


def _resolve(part: str, found: Sequence[GpuStats], mask: Sequence[str] | None) -> str:
    have = ", ".join(f"{g.index} ({g.name})" for g in found) or "none"
    if part.isdigit() and mask is not None:
        if int(part) < len(mask):
            return mask[int(part)]
        raise ConfigError(
            f"--gpus: there is no GPU {part} within {MASK}, which allows {', '.join(mask) or 'none'}; indices count "
            "within it, from 0"
        )
    match = part if part.startswith("MIG-") else _named(part, found)
    if not match and part.isdigit():
        raise ConfigError(f"--gpus: there is no GPU {part}; this host has {have}")
    if not match:
        raise ConfigError(f"--gpus: {part!r} is no index, UUID or MIG id of a GPU here; this host has {have}")
    if mask is not None and match not in mask:
        raise ConfigError(f"--gpus: GPU {part} is outside of {MASK}, which allows {', '.join(mask) or 'none'}")
    return match


ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""In the environment of a worker on a GPU unless the user chose: PyTorch's threads, one a core, spin in the small CPU
operations of vLLM's scheduler (86 ms of CPU a sample became 7 on 16 cores, and `LLM.chat` 1.17 times as fast)."""


def gpu_groups(ids: Sequence[str], tensor_parallel: int, found: Sequence[GpuStats]) -> list[DeviceGroup]:
    """Return `ids` cut into groups of `tensor_parallel` GPUs, one worker each; what is left over is in none."""
    uuids = {str(g.index): g.uuid for g in found}
    groups = []
    for start in range(0, len(ids) - tensor_parallel + 1, tensor_parallel):
        group = ids[start : start + tensor_parallel]
        env = {"CUDA_VISIBLE_DEVICES": ",".join(group), "CUDA_DEVICE_ORDER": "PCI_BUS_ID", **ONE_THREAD}
        groups.append(
            DeviceGroup("GPU " + ",".join(group), "cuda", env, gpus=tuple(uuids.get(i, f"GPU {i}") for i in group))
        )
    return groups


def cpu_groups(workers: int, cores: Sequence[int]) -> list[DeviceGroup]:
    """Return `cores` divided among `workers` (0: one per core, at most four). More workers than cores share cores."""
    count = workers or min(DEFAULT_CPU_WORKERS, len(cores))
    groups = []
    for i in range(count):
        mine = tuple(cores[i::count]) or (cores[i % len(cores)],)
        listed = ",".join(map(str, mine))
        env = {
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": str(len(mine)),
            # vLLM's threads spin while they wait: the process that feeds them keeps a core, as under vLLM's own default
            "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, mine[1:] or mine)),
        }
        groups.append(DeviceGroup(f"core {listed}" if len(mine) == 1 else f"cores {listed}", "cpu", env, cores=mine))
    return groups


def kind(group: DeviceGroup, found: Sequence[GpuStats]) -> str:
    """Return what a worker of `group` runs on, in words that are the same for groups that are alike."""
    if group.gpus:
        return next((g.name for g in found if g.uuid == group.gpus[0]), "a GPU")
    return f"{_processor()}, {len(group.cores)} core{'s' * (len(group.cores) != 1)}"


@functools.cache
def _processor() -> str:
    """Return the name of this host's processor; "CPU" where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip() or "CPU"
    return "CPU"


def worker_environment(environ: Mapping[str, str], group: DeviceGroup) -> dict[str, str]:
    """Return a worker's environment: `environ` without torchrun's variables (vLLM would try to join that group)."""
    env = {k: v for k, v in environ.items() if k not in TORCHRUN_VARIABLES and not k.startswith("TORCHELASTIC_")}
    chosen = {k: v for k, v in group.env.items() if not (group.device == "cuda" and k in ONE_THREAD and k in env)}
    return env | chosen | _bytecode(environ) | {"PYTHONUNBUFFERED": "1"}


LARGE_LIBRARIES = ("torch", "vllm")
"""Those whose bytecode tells whether this installation has any."""


def _has_bytecode(library: str) -> bool:
    """Return whether the file that an import of `library` runs first has bytecode beside it."""
    found = importlib.util.find_spec(library)
    return bool(found and found.origin and Path(importlib.util.cache_from_source(found.origin)).exists())


def _bytecode(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what lets a worker keep its libraries' bytecode in the user's cache, where it may not beside the sources.

    Some images of containers set PYTHONDONTWRITEBYTECODE and come without bytecode. Each process of each worker then
    compiles vLLM again: 28 seconds of CPU instead of 11. On an H200 a worker had its weights after 67 s instead of 32.
    """
    cache = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    if not environ.get("PYTHONDONTWRITEBYTECODE") or environ.get("PYTHONPYCACHEPREFIX") or not cache:
        return {}
    if any(map(_has_bytecode, LARGE_LIBRARIES)):  # with another place for it, what is there would not be used
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{cache}/vlmeval-mp/bytecode"}


def require_gpus(found: Sequence[GpuStats]) -> None:
    """Raise `DependencyError` where there is no GPU to run on."""
    if not found:
        raise DependencyError(
            "no NVIDIA GPU answers on this host (is the driver loaded? try nvidia-smi); use --device cpu to run without"
        )


def hold(groups: Sequence[DeviceGroup], who: str) -> list[FileLock]:
    """Take the GPUs of `groups` for this process, so that two launches never share one by accident.

    Raises:
        ConfigError: another process holds one of them.
    """
    folder = Path(tempfile.gettempdir()) / f"vlmeval-mp-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    held: list[FileLock] = []
    for gpu in dict.fromkeys(g for group in groups for g in group.gpus):
        path = folder / f"{slug(gpu)}.lock"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            holder = path.with_suffix(".txt").read_text() if path.with_suffix(".txt").exists() else "another launch"
            for taken in held:
                taken.release()
            raise ConfigError(f"GPU {gpu} is in use by {holder}; wait for it, stop it, or name other --gpus") from None
        path.with_suffix(".txt").write_text(who)
        held.append(lock)
    return held


def memory_is_back(group: DeviceGroup, baseline: Mapping[str, int], now: Sequence[GpuStats]) -> bool:
    """Return whether the group's used memory is near `baseline` bytes again.

    A worker that starts while its predecessor's memory is still being returned fails vLLM's free-memory check.
    """
    used = {g.uuid: g.memory_used for g in now}
    return all(used.get(u, 0) <= baseline.get(u, 0) + MEMORY_SLACK for u in group.gpus)
