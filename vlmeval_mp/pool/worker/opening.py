"""From a claimed shard to what is to be done of it: its samples, what was answered before, and who is suspected."""

from __future__ import annotations

from collections.abc import Mapping

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Job
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.pool.worker.recording import HeldShard, Recorder
from vlmeval_mp.runs import checkpoint, suspects
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.shards import Entry
from vlmeval_mp.runs.suspects import Suspicion


class Opener:
    """Opens the shards of one worker, whose `jobs` and `datasets` are by job name."""

    def __init__(
        self, paths: RunPaths, jobs: Mapping[str, Job], datasets: Mapping[str, Dataset], recorder: Recorder
    ) -> None:
        self._paths, self._jobs, self._datasets, self._recorder = paths, jobs, datasets, recorder
        self._indexes: dict[str, Index] = {}

    def open(self, entry: Entry) -> HeldShard:
        """Return a claimed shard with its samples and the answers that any worker has recorded for it.

        Raises:
            StorageError: the disk is full or failing.
        """
        shard = entry.shard
        found = checkpoint.ShardAnswers()
        if entry.attempt:
            index = self._index(shard.job)
            index.refresh()
            found = index.found(shard)
        self._recorder.prepare(shard.job)
        samples = self._datasets[shard.job].samples(shard.first, shard.last)
        todo = [s for s in samples if s.row not in found.answers]
        suspicion = suspects.read(self._paths.suspects, shard.job) if entry.deaths else Suspicion()
        return HeldShard(entry, self._jobs[shard.job], todo, found.answers, suspicion, found.withdrawn)

    def _index(self, job: str) -> Index:
        if job not in self._indexes:
            self._indexes[job] = Index(self._paths.checkpoints, job, self._jobs[job].samples)
        return self._indexes[job]
