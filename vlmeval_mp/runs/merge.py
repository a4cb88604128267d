"""The predictions of a job in the order of its data set, read from its checkpoints. Knows no score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import DatasetInfo, Done, Job, Prediction, Sample, Shard
from vlmeval_mp.datasets.store import Dataset, info_in
from vlmeval_mp.runs import kept, stops
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.listing import Listing
from vlmeval_mp.runs.shards import Failure

Pair = tuple[Sample, Prediction]


def dataset_of(paths: RunPaths, job: Job) -> Dataset:
    """Return the data set of a job of the run at `paths`: the run's own copy, or the one in the shared store.

    Raises:
        ConfigError: neither is there.
    """
    return Dataset(kept.folder_of(paths, job))


def info_of(paths: RunPaths, job: Job) -> DatasetInfo:
    """Return what is known of the data set of a job, without a look at its samples.

    Raises:
        ConfigError: it is not there, or damaged.
    """
    return info_in(kept.folder_of(paths, job))


def merge(paths: RunPaths, job: Job) -> tuple[list[Sample], list[Prediction]]:
    """Return the final samples of `job` and their predictions, as two lists in data set order.

    `MergedJob` gives the same pairs one by one, and needs less memory.

    Raises:
        StorageError: an answer on disk is damaged.
    """
    with MergedJob(paths, job) as merged:
        pairs = list(merged)
    return [sample for sample, _ in pairs], [prediction for _, prediction in pairs]


class MergedJob:
    """The final samples of `job` with their predictions, in data set order; can be iterated several times.

    A row of a shard that was given up has a prediction with the reason as its error. Rows of unfinished shards are
    left out. If the job was stopped early, `stop` is the place, rows behind it are left out, and `expected` is the
    number of samples that count. Only one shard is in memory at a time. The constructor looks up which samples are
    final, unless `done` has the finished shards; `index` is an index of the job that the caller keeps, None makes a
    new one.

    Raises:
        StorageError: an answer on disk is damaged; the message says how to get it again.
    """

    def __init__(
        self, paths: RunPaths, job: Job, *, index: Index | None = None, done: Sequence[Done] | None = None
    ) -> None:
        listing = Listing(paths.queue)
        if done is None:
            listing.read_news(job.name)
            done = list(listing.done.values())
        self._own = None if index else Index(paths.checkpoints, job.name, job.samples)
        self._index = index or self._own or Index(paths.checkpoints, job.name, job.samples)
        self._index.refresh()
        self._dataset = dataset_of(paths, job)
        facts: list[Done | Failure] = [d for d in done if d.shard.job == job.name]
        facts += [f for f in listing.failures() if f.shard.job == job.name]
        self.stop = stops.of(paths, job)
        self.expected = self.stop.asked if self.stop else job.samples
        parts = _without_overlap(facts)
        self._facts = [(a, min(b, self.expected - 1), fact) for a, b, fact in parts if a < self.expected]

    @property
    def settled(self) -> int:
        """The number of samples that are final."""
        return sum(last - first + 1 for first, last, _ in self._facts)

    def __iter__(self) -> Iterator[Pair]:
        for first, last, fact in self._facts:
            samples = self._dataset.samples(first, last)
            if isinstance(fact, Done):
                found = self._index.load(fact)[first - fact.shard.first : last + 1 - fact.shard.first]
                yield from zip(samples, found, strict=True)
                continue
            for sample in samples:
                yield sample, Prediction(index=sample.index, row=sample.row, error=f"shard given up: {fact.reason}")

    def close(self) -> None:
        """Close the index, unless it was given."""
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> MergedJob:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _without_overlap(facts: list[Done | Failure]) -> list[tuple[int, int, Done | Failure]]:
    """Return rows (first, last) and what is known of them, in row order.

    Where a finished shard and one that was given up have a row both, the finished one counts; of two finished ones,
    which only somebody can make who moves files by hand, the larger.
    """
    found: list[tuple[int, int, Done | Failure]] = []
    done = sorted((f for f in facts if isinstance(f, Done)), key=lambda f: (f.shard.first, -f.shard.last))
    end = -1
    for fact in done:
        first = max(fact.shard.first, end + 1)
        if first <= fact.shard.last:
            found.append((first, fact.shard.last, fact))
            end = fact.shard.last
    for failure in (f for f in facts if isinstance(f, Failure)):
        found += [(first, last, failure) for first, last in _gaps(failure.shard, found)]
    return sorted(found, key=lambda each: each[0])


def _gaps(shard: Shard, taken: list[tuple[int, int, Done | Failure]]) -> list[tuple[int, int]]:
    """Return the parts of `shard` in which no range of `taken` has a row."""
    gaps, first = [], shard.first
    for start, end in sorted((start, end) for start, end, _ in taken if start <= shard.last and end >= shard.first):
        if start > first:
            gaps.append((first, start - 1))
        first = max(first, end + 1)
    return [*gaps, (first, shard.last)] if first <= shard.last else gaps
