"""One text benchmark through 8 fake workers, from `launch` to `eval`: what a sample costs, and what each verb needs.

Prints for each size CPU per sample; of the supervisor's process its memory, CPU per sample, and the share of one core
that it takes without its scoring thread; CPU seconds of `status`; CPU per sample and memory of `eval`; and the seconds
from a `resume` of a half-answered run to its first new claim. `scripts/bench scale [SIZE…]`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from answered import answer, submitted
from common import ENV, PYTHON, ROOT, command, each_size, processor, sizes, write_benchmark

WORKERS = "8"
WINDOW = 256


def main() -> None:
    print(
        f"{'samples':>9} | {'us CPU':>7} {'samples/s':>9} | supervisor {'MB':>5} {'us CPU':>7} {'unscored':>8} | "
        f"{'status s':>8} | eval {'us CPU':>7} {'MB':>5} | {'resume s':>8} {'CPU s':>6}"
    )
    for folder, size in each_size("scale", sizes(sys.argv[1:])):
        measure(folder, size)


def measure(folder: Path, size: int) -> None:
    jobs, tsv = folder / "jobs", write_benchmark(folder / "numbers.tsv", size)
    how = ("--device", "cpu", "--max-workers", WORKERS)
    what = ("--engine", "fake", "--model", "fake", "--data", str(tsv), *how)
    command(jobs, "launch", *what, "--limit", "1", "--run", "warm")  # the data set is read here, once
    run = command(jobs, "launch", "--json", *what, "--run", "whole")
    show(f"{size:>9,} | {run.cpu / size * 1e6:>7.0f} {size / run.wall:>9.0f} | ")
    show(f"{run.own_mb:>16.0f} {run.own_cpu / size * 1e6:>7.0f} {run.main_cpu / run.wall:>8.1%} | ")
    status = command(jobs, "status", "whole", "--json")
    show(f"{status.cpu:>8.2f} | ")
    scored = command(jobs, "eval", "whole", "--json")
    show(f"{scored.cpu / size * 1e6:>12.0f} {scored.own_mb:>5.0f} | ")
    wall, cpu = resume(jobs, tsv, how)
    show(f"{wall:>8.1f} {cpu:>6.1f}\n")


def show(text: str) -> None:
    print(text, end="", flush=True)


def resume(jobs: Path, tsv: Path, how: tuple[str, ...]) -> tuple[float, float]:
    """Answer half of a run, resume it, and give the seconds until a worker holds something, and the launch's CPU."""
    paths, record = submitted(jobs, tsv, "half")
    answer(paths, record, WINDOW, record.jobs[0].samples // 2)
    argv = [PYTHON, "-m", "vlmeval_mp.cli", "resume", "half", "--json", *how, "--jobs", str(jobs)]
    began = time.perf_counter()
    second = subprocess.Popen(argv, cwd=ROOT, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not any((paths.queue / "claimed").iterdir()) and second.poll() is None:
            time.sleep(0.01)
        seconds = time.perf_counter() - began
        cpu = processor(Path(f"/proc/{second.pid}/stat"))
    finally:
        second.send_signal(signal.SIGKILL)
        second.wait()
    time.sleep(2)  # the guardians end what the launch had started
    return seconds, cpu


if __name__ == "__main__":
    main()
