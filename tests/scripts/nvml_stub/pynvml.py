"""NVML of a host with $STUB_GPUS GPUs: a process holds a GiB of each GPU that its environment names.

Only what a supervisor set counts (CUDA_DEVICE_ORDER stands beside CUDA_VISIBLE_DEVICES there), so that this says what a
real driver would say of the processes that were pinned.
"""

import os
import time
from types import SimpleNamespace

GIB = 1 << 30
COUNT = int(os.environ["STUB_GPUS"])
KEPT = 0.1
_seen = (0.0, [])


def nvmlInit():
    pass


def nvmlShutdown():
    pass


def nvmlDeviceGetCount():
    return COUNT


def nvmlDeviceGetHandleByIndex(index):
    return index


def nvmlDeviceGetUUID(index):
    return f"GPU-{index}{index:07x}-stub"


def nvmlDeviceGetName(index):
    return "Stub"


def nvmlDeviceGetUtilizationRates(index):
    return SimpleNamespace(gpu=50)


def nvmlDeviceGetMemoryInfo(index):
    return SimpleNamespace(used=GIB * len(nvmlDeviceGetComputeRunningProcesses(index)), total=80 * GIB)


def nvmlDeviceGetComputeRunningProcesses(index):
    global _seen
    if time.monotonic() - _seen[0] > KEPT:
        _seen = (time.monotonic(), list(_pinned()))
    return [SimpleNamespace(pid=pid, usedGpuMemory=GIB) for pid, gpus in _seen[1] if index in gpus]


def _pinned():
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/environ", "rb") as file:
                    pairs = dict(p.split(b"=", 1) for p in file.read().split(b"\0") if b"=" in p)
            except OSError:
                continue
            listed = pairs.get(b"CUDA_VISIBLE_DEVICES", b"").split(b",")
            if b"CUDA_DEVICE_ORDER" in pairs and pairs.get(b"STUB_HOST") == os.environ["STUB_HOST"].encode():
                held = {int(gpu) for gpu in listed if gpu.isdigit()}
                yield int(entry.name), set(range(COUNT)) if "STUB_WRONG" in os.environ else held
