"""The steps after memory ran out: half the window, then smaller batches, then less cache.

The log names each step, and each is kept in `workers/adjustments.jsonl`. A later launch with the same window and the
same arguments begins where the last one ended, and one with others begins anew. Nothing here changes what is asked.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Struct
from vlmeval_mp.engines import registry

log = logging.getLogger("vlmeval_mp.supervisor")

RUNGS = 3
BATCHED_TOKENS = 4096
CACHE_SHARE, CACHE_STEP, CACHE_LEAST = 0.9, 0.1, 0.3
"""vLLM's own share of a GPU's memory, what is taken off it, and what is left at least."""


class Adjustment(Struct, frozen=True, omit_defaults=False):
    """A line of `workers/adjustments.jsonl`: what a model's workers are started with from `time` (wall clock) on.

    `told` are the window and the engine arguments of the launch, of which this is step number `rung`.
    """

    time: float
    model: str
    why: str
    window: int
    engine_args: dict[str, Any]
    rung: int = 0
    told: tuple[int, dict[str, Any]] = (0, {})


class Ladder:
    """The rung of each model. `engines` are theirs by name, `windows` what was chosen for them, 0 for the default."""

    def __init__(self, path: Path, engines: Mapping[str, str], windows: Mapping[str, int]) -> None:
        self._path, self._engines, self._windows = path, engines, windows
        self._rungs: dict[str, int] = {}

    def go_on(self, model: str, args: Mapping[str, Any]) -> str:
        """Take the rung that an earlier launch ended on, if its arguments were the same; return that rung, or ""."""
        told = (self._windows.get(model, 0), dict(args))
        kept = [each for each in _read(self._path) if each.model == model]
        if not kept or not kept[-1].rung or kept[-1].told != told:
            return ""
        self._rungs[model] = min(RUNGS, kept[-1].rung)
        return self._said(model, self.engine_args(model, args), args)

    def step(self, model: str, why: str, args: Mapping[str, Any]) -> str:
        """Take the next rung after memory ran out; return what that is, "" where there is none left."""
        rung, before = self._rungs.get(model, 0), (self.window(model), self.engine_args(model, args))
        while rung < RUNGS:
            rung += 1
            self._rungs[model] = rung
            now = (self.window(model), self.engine_args(model, args))
            if now != before:
                told = (self._windows.get(model, 0), dict(args))
                self._keep(Adjustment(time.time(), model, why, *now, rung, told))
                return self._said(model, now[1], args)
        return ""

    def window(self, model: str) -> int:
        """Return the window of a fresh worker; 0 leaves it to the engine."""
        rung, chosen = self._rungs.get(model, 0), self._windows.get(model, 0)
        if not rung:
            return chosen
        return max(1, (chosen or registry.entry(self._engines[model]).window) >> rung)

    def engine_args(self, model: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return the engine arguments of a fresh worker, `args` being those of the launch."""
        rung, found = self._rungs.get(model, 0), dict(args)
        if self._engines[model] != "vllm":
            return found
        if rung >= 2:
            found["max_num_seqs"] = min(self.window(model), args.get("max_num_seqs") or self.window(model))
            found["max_num_batched_tokens"] = min(BATCHED_TOKENS, args.get("max_num_batched_tokens") or BATCHED_TOKENS)
        if rung >= 3 and "kv_cache_memory_bytes" not in args:
            share = args.get("gpu_memory_utilization") or CACHE_SHARE
            found["gpu_memory_utilization"] = round(max(min(share, CACHE_LEAST), share - CACHE_STEP), 3)
        return found

    def _said(self, model: str, now: Mapping[str, Any], args: Mapping[str, Any]) -> str:
        changed = [f"{key} {value}" for key, value in now.items() if args.get(key) != value]
        return ", ".join([f"{self.window(model)} samples in flight", *changed])

    def _keep(self, adjustment: Adjustment) -> None:
        try:
            jsonfiles.append_lines(self._path, [adjustment])
        except StorageError as error:
            log.warning("%s", error)


def _read(path: Path) -> list[Adjustment]:
    """Return what was adjusted so far; a line that cannot be read counts for nothing."""
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                found.append(msgspec.json.decode(line, type=Adjustment))
    return found
