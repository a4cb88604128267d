"""Keeps opened media for the next sample with the same media; forgets the least used first.

Knows sizes in bytes and nothing else of what it keeps. Belongs to one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class MediaCache:
    """At most `most_bytes` of opened pictures and frames."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = 0
        self._found: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any | None:
        """Return what was put under `key`, if it is still here."""
        if key not in self._found:
            return None
        self._found.move_to_end(key)
        return self._found[key][0]

    def put(self, key: Hashable, opened: Any) -> None:
        """Keep `opened`, unless it alone is larger than all that may be kept; forget others for it."""
        size = nbytes(opened)
        if size > self._most_bytes:
            return
        _, before = self._found.pop(key, (None, 0))
        self._found[key] = (opened, size)
        self._held += size - before
        while self._held > self._most_bytes:
            _, (_, oldest) = self._found.popitem(last=False)
            self._held -= oldest


def nbytes(opened: Any) -> int:
    """Return the bytes of pixels of an RGB image or of the frames of a video."""
    pixels = getattr(opened, "pixels", None)
    if pixels is not None:
        return int(pixels.nbytes)
    return 3 * opened.width * opened.height if hasattr(opened, "width") else 0
