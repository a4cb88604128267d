"""Reads weights into the kernel's page cache while a launch still prepares data sets: a worker finds them there.

Nothing waits for it, the cache gives way to whatever wants memory, and what goes wrong is passed over. The bytes are
read and forgotten: of an advice (`POSIX_FADV_WILLNEED`) for 64 MiB Linux followed 8.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

STEP = 16 << 20
"""Bytes that are read at once."""
SHARE = 0.5
"""Share of the free memory that weights may fill: what is beyond it would push out what was read before."""
SUFFIXES = (".safetensors", ".bin")


def begin(folders: Iterable[Path], free: int) -> threading.Thread:
    """Begin to read the weights in `folders`, in their order, up to a share of `free` bytes; return the thread."""
    files = [path for folder in folders for path in _weights(folder)]
    thread = threading.Thread(target=read, args=(files, int(SHARE * free)), name="readahead", daemon=True)
    thread.start()
    return thread


def read(files: Sequence[Path], most: int) -> int:
    """Read the first `most` bytes of `files`, in their order; return how many were there."""
    done, buffer = 0, memoryview(bytearray(min(STEP, max(0, most))))
    for path in files:
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            while count := os.readv(handle, [buffer[: most - done]]):
                done += count
        except OSError:
            continue
        finally:
            os.close(handle)
    return done


def _weights(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError:
        return []
