"""How often the interval at which `--stop-at` ends a job covers the score that the whole job would have had.

Each simulated job is a list of verdicts, fixed before the order is drawn; it is asked shard by shard in a random order
of its pictures, and stopped by the code of a real launch (`scoring.metrics.stopping`).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass

from vlmeval_mp.core.records import Media, Prediction, Sample, Score
from vlmeval_mp.scoring.base import ScoredSample
from vlmeval_mp.scoring.metrics.metrics import mean
from vlmeval_mp.scoring.metrics.stopping import Stopping

SHARD = 32


@dataclass(frozen=True, slots=True)
class Job:
    """`samples` about pictures of `each`, right with chance p; the chances of pictures vary if `varied`."""

    samples: int
    p: float
    target: float
    each: int = 1
    varied: bool = False


JOBS = (
    Job(2000, 0.8, 2.0),
    Job(2000, 0.5, 2.0),
    Job(5000, 0.97, 1.0),
    Job(3000, 0.7, 2.0, each=5, varied=True),
    Job(1000, 0.9, 0.5),
)


@dataclass(frozen=True, slots=True)
class Simulated:
    """How many of the runs were stopped, how often the interval then covered the whole score, the mean share asked."""

    stopped: int
    covered: int
    asked: float


def simulate(job: Job, runs: int, seed: int = 1) -> Simulated:
    """Return what comes of `runs` simulated jobs; one that is asked to its end counts as covered."""
    chance = random.Random(seed)
    stopped = covered = 0
    asked = 0.0
    for _ in range(runs):
        rows = answered(job, chance)
        truth = sum(each.score.value or 0.0 for each in rows) / len(rows)
        stopping = Stopping(mean, "strict", len(rows), job.target)
        stop = None
        for first in range(0, len(rows), SHARD):
            stop = stopping.add(first, rows[first : first + SHARD])
            if stop is not None:
                break
        stopped += stop is not None
        covered += stop is None or stop.interval[0] <= truth <= stop.interval[1]
        asked += (stop.asked if stop else len(rows)) / len(rows) / runs
    return Simulated(stopped, covered, asked)


def answered(job: Job, chance: random.Random) -> Sequence[ScoredSample]:
    """Return the verdicts of one job in a random order of its pictures."""
    pictures = []
    for picture in range(job.samples // job.each):
        easy = chance.betavariate(5 * job.p, 5 * (1 - job.p)) if job.varied else job.p
        pictures.append([(picture, float(chance.random() < easy)) for _ in range(job.each)])
    chance.shuffle(pictures)
    rows = []
    for picture, value in (each for found in pictures for each in found):
        index = str(len(rows))
        media = (Media(kind="image", digest=str(picture)),)
        sample = Sample(index=index, row=len(rows), kind="vqa", answer="7", media=media)
        rows.append(ScoredSample(sample, Prediction(index=index, row=len(rows)), Score(index=index, value=value)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="simulated jobs of each kind (default: 200)")
    runs = parser.parse_args().runs
    print("| samples | p | per picture | --stop-at | stopped | covered % | asked % |\n|---|---|---|---|---|---|---|")
    for job in JOBS:
        found = simulate(job, runs)
        print(
            f"| {job.samples} | {job.p} | {job.each} | {job.target} | {found.stopped} of {runs} | "
            f"{100 * found.covered / runs:.1f} | {100 * found.asked:.1f} |"
        )


if __name__ == "__main__":
    main()
