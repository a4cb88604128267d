"""Memory of this host: what is free for new processes, within the limit of the container it may be in."""

from __future__ import annotations

import contextlib
from pathlib import Path


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that new processes can take without swapping; 0 where the system does not say. `root` is for tests."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (root / "proc/meminfo").read_text().splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    with contextlib.suppress(OSError, ValueError):  # "max" is no number: there is no limit
        group = root / "sys/fs/cgroup"
        limit, used = int((group / "memory.max").read_text()), int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        found.append(max(0, limit - used + int(stat.get("inactive_file", 0))))  # cached files make room
    return min(found, default=0)
