"""Reading a job back: how often each line is read and decoded, and what `eval` of the whole takes.

The run is answered as by 8 workers with windows of 256, so a shard's lines stand between those of seven others.
`scripts/bench merge [SIZE…]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from answered import answer, submitted
from common import command, each_size, sizes, write_benchmark

from vlmeval_mp.core import linefiles
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import RunRecord
from vlmeval_mp.runs.merge import MergedJob

WINDOW = 256


def main() -> None:
    print(f"{'samples':>9} {'lines read per line':>19} {'eval CPU us/sample':>18} {'eval MB':>7}")
    for folder, size in each_size("merge", sizes(sys.argv[1:])):
        measure(folder, size)


def measure(folder: Path, size: int) -> None:
    jobs = folder / "jobs"
    paths, record = submitted(jobs, write_benchmark(folder / "numbers.tsv", size), "r")
    answer(paths, record, WINDOW)
    read = lines_read(paths, record)
    scored = command(jobs, "eval", "r", "--json")
    print(f"{size:>9,} {read / size:>19.2f} {scored.cpu / size * 1e6:>18.0f} {scored.own_mb:>7.0f}", flush=True)


def lines_read(paths: RunPaths, record: RunRecord) -> int:
    """Walk through the whole job once and count the lines whose checksum is looked at."""
    count, real = 0, linefiles.decode

    def counting(line: bytes) -> bytes | None:
        nonlocal count
        count += 1
        return real(line)

    linefiles.decode = counting
    try:
        with MergedJob(paths, record.jobs[0]) as merged:
            assert sum(1 for _ in merged) == record.jobs[0].samples
    finally:
        linefiles.decode = real
    return count


if __name__ == "__main__":
    main()
