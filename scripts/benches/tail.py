"""Fair shares at the end of a run: 8 fake workers, latencies with a heavy tail, against the ideal of no slot ever idle.

The ideal is the sum of all latencies over all slots: `work / 8 / slots`. `queue` is what one queue for all slots would
need that hands the next row to whichever slot is free; nobody who does not know a latency beforehand can do better by
more than luck. A run's time goes from its first request to its last answer; all workers are ready at one moment.

Eight workers share the cores of this machine, so latencies are long: `cpu` is the share of all cores that the whole
launch took. `scripts/bench tail [--slots N] [--latency SECONDS] [SAMPLES…]`.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from common import command, each_size, write_benchmark

WORKERS, SHAPE = 8, 2.0
STARTING = 25.0
"""Seconds after which every worker is ready, on two cores that others use too."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench tail")
    parser.add_argument("samples", nargs="*", type=float, default=[400, 1_500, 20_000])
    parser.add_argument("--slots", type=int, default=2, help="requests that a worker has in its engine at once")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds of the quickest answer")
    given = parser.parse_args()
    print(f"{WORKERS} workers of {given.slots} slots, answers of {given.latency:g} s and more")
    print(f"{'samples':>8} {'seconds':>8} {'ideal':>7} {'ratio':>6} {'queue':>6} {'cpu':>5}  answered by each worker")
    for folder, size in each_size("tail", map(int, given.samples)):
        measure(folder, size, given.slots, given.latency)


def measure(folder: Path, size: int, slots: int, latency: float) -> None:
    import msgspec

    from vlmeval_mp.core.records import WorkerStatus
    from vlmeval_mp.engines.fake import pareto

    jobs, tsv = folder / "jobs", write_benchmark(folder / "numbers.tsv", size)
    args = json.dumps({"latency": latency, "tail": SHAPE, "ready_at": time.time() + STARTING})
    what = ("--engine", "fake", "--model", "fake", "--data", str(tsv), "--device", "cpu", "--max-workers", str(WORKERS))
    cost = command(jobs, "launch", "--json", *what, "--batch-size", str(slots), "--engine-args", args, "--run", "r")
    files = sorted((jobs / "r/workers").glob("w*.json"))
    statuses = [msgspec.json.decode(path.read_bytes(), type=WorkerStatus) for path in files]
    spans = [span for status in statuses for span in status.spans.values()]
    seconds = max(span.last for span in spans) - min(span.first for span in spans)
    latencies = [latency * pareto(str(row), SHAPE) for row in range(size)]
    ideal = sum(latencies) / (WORKERS * slots)
    writers: Counter[str] = Counter()
    for path in (jobs / "r/checkpoints").rglob("*.jsonl"):
        writers[path.stem.partition("-")[0]] += path.read_bytes().count(b"\n")
    each = ", ".join(str(count) for _, count in sorted(writers.items()))
    queue = one_queue(latencies, WORKERS * slots) / ideal
    cpu = cost.cpu / cost.wall / (os.cpu_count() or 1)
    print(
        f"{size:>8,} {seconds:>8.1f} {ideal:>7.1f} {seconds / ideal:>6.2f} {queue:>6.2f} {cpu:>5.0%}  {each}",
        flush=True,
    )


def one_queue(latencies: Sequence[float], slots: int) -> float:
    """Return the seconds that `slots` need which all take the next of one queue."""
    free = [0.0] * slots
    for latency in latencies:
        heapq.heapreplace(free, free[0] + latency)
    return max(free)


if __name__ == "__main__":
    main()
