"""The free memory of this host, within the limit of the container that this process may be in."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil


def free_memory(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that new processes can take without swapping. `group` is where the container's limits are."""
    found = [psutil.virtual_memory().available]
    with contextlib.suppress(OSError, ValueError):  # "max" is no number: there is no limit
        limit, used = int((group / "memory.max").read_text()), int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        found.append(max(0, limit - used + int(stat.get("inactive_file", 0))))  # cached files make room
    return min(found)
