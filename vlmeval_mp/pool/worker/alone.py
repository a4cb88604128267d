"""Suspects of a shard, which run one at a time: in which order, which are given up, and who is no suspect.

Asks nothing itself. Before the first suspect an innocent sample is asked, so that a death that follows is the suspect's
and not the engine's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Prediction, Sample, Shard
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.pool.worker.asking import failed
from vlmeval_mp.pool.worker.recording import HeldShard
from vlmeval_mp.runs.index import search
from vlmeval_mp.runs.suspects import ALONE_LIMIT


class Alone:
    """The suspects of `held`, a shard of `dataset`."""

    def __init__(self, paths: RunPaths, held: HeldShard, dataset: Dataset) -> None:
        self.job = held.job
        self._held, self._dataset = held, dataset
        everything = search(paths.checkpoints, Shard(job=self.job.name, first=0, last=self.job.samples - 1))
        self._answered = {row for row, answer in everything.answers.items() if answer.prediction.error is None}

    def in_order(self, suspected: Iterable[Sample]) -> Iterator[Sample]:
        """Yield the suspects, those that killed last, and take notice of each that was answered in between."""
        for sample in sorted(suspected, key=lambda s: self._held.suspicion.alone[s.row]):
            yield sample
            answer = self._held.answers.get(sample.row)
            if answer is not None and answer.prediction.error is None:
                self._answered.add(sample.row)

    def given_up(self, sample: Sample) -> Prediction | None:
        """Return the outcome of a sample that killed too often to be asked again; None while it has not."""
        deaths = self._held.suspicion.against(sample.row, self._answered)
        if deaths < ALONE_LIMIT:
            return None
        return failed(
            sample,
            f"the engine died {deaths} times with this sample in it, which ran alone; no other explains it "
            "(`vlmeval-mp retry` asks it again)",
        )

    def innocent(self) -> Sample | None:
        """Return a sample of the job that nobody suspects and that can be asked."""
        for row in range(self.job.samples):
            if not self._held.suspicion.together[row] or row in self._held.answers:
                (sample,) = self._dataset.samples(row, row)
                if not sample.error:
                    return sample
        return None
