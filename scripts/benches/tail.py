"""Fair shares at the end of a run: 8 fake workers, latencies with a heavy tail, against the ideal of no slot ever idle.

The ideal is the sum of all latencies over all slots. A run's time goes from its first request to its last answer, so
the workers' start counts as far as they do not all begin at once. `scripts/bench tail [SAMPLES…]`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common import command, write_benchmark

WORKERS, WINDOW, LATENCY, SHAPE, LOAD = 8, 8, 0.5, 2.0, 8.0


def main() -> None:
    print(f"{'samples':>8} {'seconds':>8} {'ideal':>7} {'ratio':>6}  answered by each worker")
    for size in [int(float(word)) for word in sys.argv[1:]] or [400, 1_500, 20_000]:
        with tempfile.TemporaryDirectory(prefix="bench-tail-", dir=os.environ.get("BENCH_TMP")) as name:
            measure(Path(name), size)


def measure(folder: Path, size: int) -> None:
    import msgspec

    from vlmeval_mp.core.records import WorkerStatus
    from vlmeval_mp.engines.fake import pareto

    jobs, tsv = folder / "jobs", write_benchmark(folder / "numbers.tsv", size)
    args = json.dumps({"latency": LATENCY, "tail": SHAPE, "load": LOAD})
    what = ("--engine", "fake", "--model", "fake", "--data", str(tsv), "--device", "cpu", "--max-workers", str(WORKERS))
    command(jobs, "launch", "--json", *what, "--batch-size", str(WINDOW), "--engine-args", args, "--run", "r")
    files = sorted((jobs / "r/workers").glob("w*.json"))
    statuses = [msgspec.json.decode(path.read_bytes(), type=WorkerStatus) for path in files]
    spans = [span for status in statuses for span in status.spans.values()]
    seconds = max(span.last for span in spans) - min(span.first for span in spans)
    ideal = sum(LATENCY * pareto(str(row), SHAPE) for row in range(size)) / (WORKERS * WINDOW)
    writers: Counter[str] = Counter()
    for path in (jobs / "r/checkpoints").rglob("*.jsonl"):
        writers[path.stem.partition("-")[0]] += path.read_bytes().count(b"\n")
    each = ", ".join(str(count) for _, count in sorted(writers.items()))
    print(f"{size:>8,} {seconds:>8.1f} {ideal:>7.1f} {seconds / ideal:>6.2f}  {each}", flush=True)


if __name__ == "__main__":
    main()
