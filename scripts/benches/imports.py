"""What a sample costs beside as many imported ones: a run of which half was imported, against one of that half's size.

Prints CPU seconds of `launch` after `import`, with all workers, and of the same number of samples without an import.
`scripts/bench imports [SIZE…]`, each size being what is asked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import command, each_size, import_half, sizes, write_benchmark


def main() -> None:
    print(f"{'asked':>9} {'beside imported: CPU s':>22} {'wall s':>7} {'alone: CPU s':>12} {'wall s':>7}")
    for folder, size in each_size("imports", sizes(sys.argv[1:])):
        measure(folder, size)


def measure(folder: Path, size: int) -> None:
    jobs = folder / "jobs"
    both, alone = write_benchmark(folder / "both.tsv", 2 * size), write_benchmark(folder / "alone.tsv", size)
    model = ("--engine", "fake", "--model", "fake")
    run = ("--device", "cpu", "--max-workers", "1", "--json")
    import_half(jobs, both, "both")
    beside = command(jobs, "launch", *model, "--data", str(both), "--run", "both", *run)
    command(jobs, "launch", *model, "--data", str(alone), "--limit", "1", "--run", "warm", *run)
    plain = command(jobs, "launch", *model, "--data", str(alone), "--run", "alone", *run)
    print(f"{size:>9,} {beside.cpu:>22.1f} {beside.wall:>7.1f} {plain.cpu:>12.1f} {plain.wall:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
