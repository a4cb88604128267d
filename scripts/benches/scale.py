"""One text benchmark through 8 fake workers, from `launch` to `eval`: what a sample costs, and what each verb needs.

Prints for each size CPU per sample, the supervisor's memory and its share of a core, `status`, `eval` (time and
memory), and the seconds from a `resume` in the middle to the first new claim. `scripts/bench scale [SIZE…]`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ENV, PYTHON, ROOT, command, sizes, write_benchmark

WORKERS = "8"


def main() -> None:
    print(
        f"{'samples':>9} {'us CPU':>8} {'samples/s':>9} {'superv. MB':>10} {'of a core':>9} "
        f"{'status s':>8} {'eval s':>7} {'eval MB':>7} {'resume s':>8}"
    )
    for size in sizes(sys.argv[1:]):
        with tempfile.TemporaryDirectory(prefix="bench-scale-", dir=os.environ.get("BENCH_TMP")) as name:
            measure(Path(name), size)


def measure(folder: Path, size: int) -> None:
    jobs, tsv = folder / "jobs", write_benchmark(folder / "numbers.tsv", size)
    what = ("--engine", "fake", "--model", "fake", "--data", str(tsv), "--device", "cpu", "--max-workers", WORKERS)
    command(jobs, "launch", *what, "--limit", "1", "--run", "warm")  # the data set is read here, once
    run = command(jobs, "launch", "--json", *what, "--run", "whole")
    status = command(jobs, "status", "whole", "--json")
    scored = command(jobs, "eval", "whole", "--json")
    resumed = resume(jobs, what, size)
    print(
        f"{size:>9,} {run.cpu / size * 1e6:>8.0f} {size / run.wall:>9.0f} {run.own_mb:>10.0f} "
        f"{run.own_cpu / run.wall:>9.1%} {status.wall:>8.2f} {scored.wall:>7.1f} {scored.own_mb:>7.0f} {resumed:>8.1f}",
        flush=True,
    )


def resume(jobs: Path, what: tuple[str, ...], size: int) -> float:
    """Kill a launch in its middle, begin it again, and give the seconds until a worker holds something new."""
    argv = [PYTHON, "-m", "vlmeval_mp.cli", "launch", "--json", *what, "--run", "half", "--jobs", str(jobs)]
    done, claimed = jobs / "half/queue/done", jobs / "half/queue/claimed"
    first = subprocess.Popen(argv, cwd=ROOT, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not done.is_dir() or len(names(done)) < size // 64:
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    time.sleep(2)  # the guardians end what the launch had started
    held = names(claimed)
    began = time.perf_counter()
    second = subprocess.Popen(argv, cwd=ROOT, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while names(claimed) <= held and second.poll() is None:
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    second.send_signal(signal.SIGKILL)
    second.wait()
    time.sleep(2)
    return seconds


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


if __name__ == "__main__":
    main()
