"""Runs under fire with several seeds: workers, guardians, engine children, supervisors, stops, full disks, torn tails.

    scripts/soak                                  1,000 faults among 50,000 samples, in five runs
    scripts/soak --faults 100 --samples 5000 --runs 2

Prints one line a run, and the folder of one that went wrong, which is kept; the exit code is 0 if no answer was lost,
no sample given up, no process left, and the results are those of undisturbed runs, byte by byte.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faults.soak import survive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000, help="over all runs")
    parser.add_argument("--faults", type=int, default=1_000, help="over all runs")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the others count on")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--latency", type=float, default=0.12, help="seconds that the fake engine takes for a sample")
    parser.add_argument("--pause", type=float, nargs=2, default=(0.1, 0.5), help="seconds between two signals")
    parser.add_argument("--burst", type=int, default=4, help="signals at a time at most")
    parser.add_argument("--seconds", type=float, default=3600, help="limit for one run")
    given = parser.parse_args()
    faults: Counter[str] = Counter()
    bad, twice, began = 0, 0, time.monotonic()
    for number in range(given.runs):
        folder = Path(tempfile.mkdtemp(prefix="vlmeval-soak-"))
        try:
            outcome = survive(
                folder, samples=given.samples // given.runs, faults=-(-given.faults // given.runs),
                latency=given.latency, seed=given.seed + number, workers=given.workers,
                pause=tuple(given.pause), burst=given.burst, seconds=given.seconds,
            )  # fmt: skip
        except (AssertionError, subprocess.SubprocessError) as error:
            print(f"seed {given.seed + number}: {error} (kept in {folder})", flush=True)
            bad += 1
            continue
        shutil.rmtree(folder)
        faults += outcome.faults
        twice += sum(count - 1 for count in outcome.generated.values())
    minutes = (time.monotonic() - began) / 60
    total = f"{sum(faults.values())} faults in {given.runs} runs of {given.samples // given.runs} samples"
    print(f"{total}, {minutes:.1f} min: {twice} generated twice, {bad} runs bad; {dict(faults)}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
