"""Records the outcome of each sample: holds it while all fail alike, then writes, counts and logs it."""

from __future__ import annotations

import logging

from vlmeval_mp.core.records import Prediction
from vlmeval_mp.pool.worker.alike import FirstOutcomes
from vlmeval_mp.pool.worker.asking import Refusal
from vlmeval_mp.pool.worker.counts import Counts
from vlmeval_mp.pool.worker.recording import HeldShard, Recorder

log = logging.getLogger("vlmeval_mp.worker")


class Outcomes:
    """The outcomes of one worker. With `verbose` each is logged."""

    def __init__(self, recorder: Recorder, counts: Counts, *, verbose: bool) -> None:
        self._recorder, self._counts, self._verbose = recorder, counts, verbose
        self._first = FirstOutcomes()

    def take(self, held: HeldShard, prediction: Prediction) -> None:
        """Record an outcome, unless it is like all others so far and has to wait.

        Raises:
            ConfigError: every sample failed alike from the first one on.
            StorageError: the disk is full or failing.
        """
        for each in self._first.add(held, prediction, refused=isinstance(prediction, Refusal)):
            self.record(*each)

    def record_rest(self) -> None:
        """Record what still waits, once nothing more will come.

        Raises:
            StorageError: the disk is full or failing.
        """
        for each in self._first.rest():
            self.record(*each)

    def record(self, held: HeldShard, prediction: Prediction) -> None:
        """Record an outcome at once.

        Raises:
            StorageError: the disk is full or failing.
        """
        job = held.job.name
        self._recorder.record(held, prediction)
        if self._verbose:  # repr: a model's line breaks and escapes must not look like the log's own
            outcome = repr(prediction.prediction) if prediction.error is None else f"failed: {prediction.error!r}"
            log.info("%s %r: %s", job, prediction.index, outcome)
        self._counts.add(job, prediction)

    def unanswered(self) -> int:
        """Return how many samples are held that have no outcome yet, not even one that is still to be recorded."""
        held = sum(held.entry.shard.size - len(held.answers) for held in list(self._recorder.held.values()))
        return max(0, held - self._first.waiting)
