"""What a claim costs: one that finds nothing beside another model's pending shards, and one of a half-answered shard.

`nothing`: CPU of a claim of a worker whose jobs have nothing pending, while the other model has a shard for each 32
samples. `listed`: the same by listing all of `pending/` once more, which is what a claim must not do. `first` and
`next`: CPU until a worker holds a shard of which `import` has answered half, with all answers of the job looked up.
`scripts/bench claims [SIZE…]`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from answered import submitted
from common import each_size, import_half, sizes, write_benchmark

from vlmeval_mp.core.records import Shard
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.queue import Queue, create
from vlmeval_mp.runs.shards import shards_of

TIMES = 50


def main() -> None:
    print(f"{'samples':>9} {'nothing ms':>10} {'listed ms':>9} {'first ms':>9} {'next ms':>8}")
    for folder, size in each_size("claims", sizes(sys.argv[1:])):
        nothing, listed = beside_another_model(folder, size)
        first, later = after_an_import(folder, size)
        print(f"{size:>9,} {nothing:>10.2f} {listed:>9.2f} {first:>9.1f} {later:>8.2f}", flush=True)


def beside_another_model(folder: Path, size: int) -> tuple[float, float]:
    create(folder / "queue", [*shards_of("theirs", size, 32), Shard(job="ours", first=0, last=31)])
    queue, me = Queue(folder / "queue"), owners.current()
    assert queue.claim(me, ["ours"]) is not None
    assert queue.claim(me, ["ours"]) is None
    return milliseconds(lambda: queue.claim(me, ["ours"])), milliseconds(lambda: queue.entries("pending"))


def after_an_import(folder: Path, size: int) -> tuple[float, float]:
    jobs, tsv = folder / "jobs", write_benchmark(folder / "numbers.tsv", size)
    paths, record = submitted(jobs, tsv, "r")
    import_half(jobs, tsv, "r")
    (job,) = record.jobs
    queue, me = Queue(paths.queue), owners.current()
    with Index(paths.checkpoints, job.name, job.samples) as index:

        def claim() -> None:
            entry = queue.claim(me, [job.name])
            assert entry is not None and entry.attempt
            index.refresh()
            assert 2 * len(index.found(entry.shard).answers) == entry.shard.size

        return milliseconds(claim, 1), milliseconds(claim)


def milliseconds(work: Callable[[], object], times: int = TIMES) -> float:
    """CPU milliseconds of one call: the median of `times`."""
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1000 * statistics.median(taken)


if __name__ == "__main__":
    main()
