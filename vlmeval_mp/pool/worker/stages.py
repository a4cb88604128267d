"""The stage of a loading worker, found in its engine's log: reading weights, compiling, warming up.

Engines tell nobody but their log, which is this worker's own file. Knows no engine: a line that none of `SIGNS` fits
changes nothing.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from vlmeval_mp.core.records import stage_name

IMPORTING = "importing"
READ_BYTES = 1 << 16
SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("reading weights", re.compile(r"[Ll]oading (?:\w+ )?(?:checkpoint shards|weights).*?(\d+/\d+)")),
    ("reading weights", re.compile(r"Starting to load model|Loading weights\b(?! took)|Loading checkpoint shards")),
    ("capturing graphs", re.compile(r"Capturing CUDA graphs?.*?(\d+/\d+)|Capturing CUDA graphs?")),
    ("compiling", re.compile(r"Dynamo bytecode transform|torch_compile_cache|Compiling a graph|Warming up model for")),
    ("measuring memory", re.compile(r"Model loading took|Encoder cache will be initialized|profil\w+ run")),
    ("warming up", re.compile(r"Graph capturing finished|torch\.compile took|init engine \(|Warming up")),
)
"""Stages and what engines write when one begins; a group is how far it is."""


def stage_of(text: str) -> str:
    """Return the stage that the last telling line of `text` begins, with how far it is; "" where none tells."""
    for line in reversed(re.split(r"[\r\n]+", text)):
        for name, sign in SIGNS:
            if found := sign.search(line):
                far = next((group for group in found.groups() if group), "")
                return f"{name} {far}".rstrip()
    return ""


class Stages:
    """The stages of one start, as the log `path` tells them from its present end on. `now` is the wall clock.

    `began` is when the first one did. The heartbeat's thread looks while the worker's own may note the end.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path, self._now = path, now
        self._place = _size(path)
        self._over = False
        self._lock = threading.Lock()
        self.began = now()
        self.stage, self.since = IMPORTING, self.began
        self.seconds: dict[str, float] = {}

    def look(self) -> None:
        """Take in what was written since the last call."""
        with self._lock:
            found = "" if self._over else stage_of(self._news())
            if not found:
                return
            if stage_name(found) != stage_name(self.stage):
                self._leave()
            self.stage = found

    def end(self) -> None:
        """Note that the engine is ready; from now on there is no stage."""
        with self._lock:
            if not self._over:
                self._leave()
                self._over, self.stage = True, ""

    def _leave(self) -> None:
        name, now = stage_name(self.stage), self._now()
        self.seconds[name] = self.seconds.get(name, 0.0) + max(0.0, now - self.since)
        self.since = now

    def _news(self) -> str:
        try:
            with self._path.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(self._place, end - READ_BYTES))
                data = file.read()
        except OSError:
            return ""
        self._place = end
        return data.decode("utf-8", "replace")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
