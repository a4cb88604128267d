"""The samples that an engine works on right now, in a small mapped file that outlives the worker.

A worker notes a sample when it hands it to its engine and strikes it out when the answer comes, and notes it too while
one of its threads opens the media: a few bytes in a mapped page, which the kernel keeps when the process is killed.
After a death the supervisor reads whom to suspect. The file is lost with the host, and with it only a suspicion.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from vlmeval_mp.core import files

_PLACE = struct.Struct("<IQ")
"""Number of the job plus one (0: nothing here), row."""


class InFlight:
    """The one writer of `path`, with room for `places` samples at a time; a further one is not noted.

    Jobs are known by their number in the run's record.
    """

    def __init__(self, path: Path, places: int) -> None:
        size = places * _PLACE.size
        files.atomic_write(path, bytes(size), durable=False)
        descriptor = os.open(path, os.O_RDWR)
        try:
            self._page = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self._free = [place * _PLACE.size for place in range(places)]

    @contextlib.contextmanager
    def holds(self, job: int, row: int) -> Iterator[None]:
        """Note `row` of the run's job number `job` for as long as the context lasts. In any thread."""
        try:
            place = self._free.pop()
        except IndexError:
            yield
            return
        _PLACE.pack_into(self._page, place, job + 1, row)
        try:
            yield
        finally:
            _PLACE.pack_into(self._page, place, 0, 0)
            self._free.append(place)


def read(path: Path) -> list[tuple[int, int]]:
    """Return (job number, row) of each sample that the writer of `path` had in its engine; empty without the file."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    whole = content[: len(content) - len(content) % _PLACE.size]
    return [(job - 1, row) for job, row in _PLACE.iter_unpack(whole) if job]
