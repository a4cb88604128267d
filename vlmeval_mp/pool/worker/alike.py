"""Detects that every sample fails alike from the first one on, so the cause is not in the samples.

Owns the first refusals of a worker until it is known that they are not all there is. A worker that stops for them has
recorded none, so the samples are asked again once the cause is mended.
"""

from __future__ import annotations

import re

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Prediction
from vlmeval_mp.pool.worker.recording import HeldShard

MOST_ALIKE = 32
"""Refusals in the same words, with no other outcome before them, after which a worker stops."""
_VARIABLE = re.compile(r"\d+|'[^']*'|\"[^\"]*\"|\([^)]*\)")
"""The parts of an engine's message that differ from sample to sample: numbers, quotations, brackets."""


class FirstOutcomes:
    """Outcomes on their way to be recorded; refusals wait here while no sample has had any other outcome."""

    def __init__(self, most_alike: int = MOST_ALIKE) -> None:
        self._most_alike = most_alike
        self._waiting: list[tuple[HeldShard, Prediction]] = []
        self._decided = False

    @property
    def waiting(self) -> int:
        """The number of outcomes that wait to be recorded."""
        return len(self._waiting)

    def add(self, held: HeldShard, prediction: Prediction, *, refused: bool) -> list[tuple[HeldShard, Prediction]]:
        """Return what can be recorded by now. `refused`: it was the engine that had no answer, not the sample's media.

        Raises:
            ConfigError: this many samples were refused in the same words, and no other was answered.
        """
        outcome = (held, prediction)
        if self._decided or (prediction.error is not None and not refused):
            return [outcome]
        if prediction.error is None or not self._is_like_the_others(prediction.error):
            self._decided = True
            return [*self.rest(), outcome]
        self._waiting.append(outcome)
        if len(self._waiting) >= self._most_alike:
            self._waiting.clear()
            raise ConfigError(
                f"the first {self._most_alike} samples all failed alike, so nothing more is asked: {prediction.error}"
            )
        return []

    def rest(self) -> list[tuple[HeldShard, Prediction]]:
        """Return what still waits, once nothing more will come."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _is_like_the_others(self, reason: str) -> bool:
        return all(_VARIABLE.sub("…", before.error or "") == _VARIABLE.sub("…", reason) for _, before in self._waiting)
