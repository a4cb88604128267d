"""What a sample costs beside as many imported ones: a run of which half was imported, against one of that half's size.

Prints CPU seconds of `launch` after `import`, with all workers, and of the same number of samples without an import.
`scripts/bench imports [SIZE…]`, each size being what is asked.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from common import command, sizes, write_benchmark


def main() -> None:
    print(f"{'asked':>9} {'beside imported: CPU s':>22} {'wall s':>7} {'alone: CPU s':>12} {'wall s':>7}")
    for size in sizes(sys.argv[1:]):
        with tempfile.TemporaryDirectory(prefix="bench-imports-", dir=os.environ.get("BENCH_TMP")) as name:
            measure(Path(name), size)


def measure(folder: Path, size: int) -> None:
    jobs = folder / "jobs"
    both, alone = write_benchmark(folder / "both.tsv", 2 * size), write_benchmark(folder / "alone.tsv", size)
    table = folder / "fake_both.tsv"
    with both.open() as rows, table.open("w") as file:
        file.write(next(rows).rstrip("\n") + "\tprediction\n")
        file.writelines(f"{line.rstrip()}\tA\n" for number, line in enumerate(rows) if number % 2)
    model = ("--engine", "fake", "--model", "fake")
    run = ("--device", "cpu", "--max-workers", "1", "--json")
    command(jobs, "import", str(table), *model, "--data", str(both), "--run", "both")
    beside = command(jobs, "launch", *model, "--data", str(both), "--run", "both", *run)
    command(jobs, "launch", *model, "--data", str(alone), "--limit", "1", "--run", "warm", *run)
    plain = command(jobs, "launch", *model, "--data", str(alone), "--run", "alone", *run)
    print(f"{size:>9,} {beside.cpu:>22.1f} {beside.wall:>7.1f} {plain.cpu:>12.1f} {plain.wall:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
