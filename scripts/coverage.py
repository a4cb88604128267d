"""How often the 95 % intervals of `scoring.metrics` cover the truth, simulated; beside it width and ± 1.96 errors.

A cluster's chance of a right answer is drawn from a beta distribution around p, so that two answers of one cluster have
the intraclass correlation ICC; unequal clusters have sizes from a third to three times the mean's. Metrics that are no
means are an F1, MME's points and a macro mean over such answers, whose truth is that of a very large sample.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmeval_mp.scoring.metrics import intervals
from vlmeval_mp.scoring.metrics.estimates import Clusters, Estimate, average, mean, ratio, total

DOC = Path(__file__).resolve().parent.parent / "docs" / "intervals.md"
BEGIN, END = "<!-- begin: scripts/coverage --write -->\n", "<!-- end -->\n"
WANTED = (0.93, 0.97)
FEW = 5.0
"""Expected effective samples of the rarer kind below which a cell is one of few errors: no interval is exact there."""
MANY = 10
"""Clusters from which a cell counts as one of enough: with fewer, an interval for proportions covers too much."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid. `size` is the mean number of samples in a cluster."""

    clusters: int
    size: int
    p: float
    icc: float = 0.0
    unequal: bool = False

    @property
    def sizes(self) -> np.ndarray:
        if not self.unequal:
            return np.full(self.clusters, self.size)
        spread = np.exp(np.linspace(-1.1, 1.1, self.clusters))
        return np.maximum(1, np.round(self.size * spread / spread.mean())).astype(int)

    @property
    def rare(self) -> float:
        """Expected samples of the rarer kind, as if independent."""
        effect = 1 + (self.size - 1) * self.icc
        return self.clusters * self.size * min(self.p, 1 - self.p) / effect

    @property
    def regular(self) -> bool:
        """Whether there is enough of everything for 93 to 97 % to be asked for."""
        return self.rare >= FEW and (self.clusters >= MANY or self.size == 1)


@dataclass(frozen=True, slots=True)
class Covered:
    """What came of a cell: how often the interval covers, its mean width, and how often ±1.96 naive errors cover."""

    cell: Cell
    share: float
    width: float
    before: float


def grid() -> Iterator[Cell]:
    """Every cell that `scripts/coverage` simulates."""
    for n, p in itertools.product((20, 50, 200, 1000), (0.5, 0.8, 0.95, 0.99)):
        yield Cell(n, 1, p)
    shapes = itertools.product((2, 3, 5, 10, 30, 100), (5, 20), (False, True))
    for (clusters, size, unequal), p, icc in itertools.product(shapes, (0.5, 0.8, 0.95), (0.0, 0.1, 0.3)):
        yield Cell(clusters, size, p, icc, unequal)


def simulate(cell: Cell, draws: int, seed: int = 1) -> Covered:
    """Return how often the intervals of `draws` simulated jobs cover the chance `cell.p`; exact for single samples."""
    if cell.size == 1:
        return exact(cell)
    chance = np.random.default_rng([seed, cell.clusters, cell.size, round(1000 * cell.p), round(1000 * cell.icc)])
    sizes = cell.sizes
    covered = before = 0
    width = 0.0
    for right in chance.binomial(sizes, chances(cell, chance, (draws, cell.clusters))):
        found = intervals.mean(right.tolist(), sizes.tolist(), proportions=True, bounded=True)
        low, high = found.interval
        covered += low <= cell.p <= high
        width += high - low
        value, n = right.sum() / sizes.sum(), sizes.sum()
        naive = np.sqrt((((right - value * sizes) / n) ** 2).sum())
        before += abs(value - cell.p) <= 1.96 * naive
    return Covered(cell, covered / draws, width / draws, before / draws)


def exact(cell: Cell) -> Covered:
    """Return the coverage of single samples over every number of right ones, each with its chance: no simulation."""
    from scipy.stats import binom

    n = cell.clusters
    covered = before = width = 0.0
    for right in range(n + 1):
        weight = float(binom.pmf(right, n, cell.p))
        low, high = intervals.proportion(right, n)
        covered += weight * (low <= cell.p <= high)
        before += weight * (abs(right / n - cell.p) <= 1.96 * np.sqrt(right / n * (1 - right / n) / n))
        width += weight * (high - low)
    return Covered(cell, covered, width, before)


def chances(cell: Cell, chance: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return a chance of a right answer for each cluster."""
    if not cell.icc:
        return np.full(shape, cell.p)
    weight = (1 - cell.icc) / cell.icc
    return chance.beta(cell.p * weight, (1 - cell.p) * weight, shape)


# --- metrics that are no means ---------------------------------------------------------------------------------

Drawn = Callable[[np.random.Generator, int], Estimate]
"""The estimate of one simulated job with so many clusters."""


def f1(chance: np.random.Generator, clusters: int) -> Estimate:
    """Six yes/no questions about each picture, alternately yes and no."""
    easy = np.repeat(chance.beta(8, 2, clusters), 6)
    right = chance.random(len(easy)) < easy
    gold = np.tile([True, False], len(easy) // 2)
    said = np.where(right, gold, ~gold)
    both = dict.fromkeys(np.flatnonzero(gold & said), 2.0)
    return ratio(both, {p: float(gold[p]) + float(said[p]) for p in np.flatnonzero(gold | said)})


def points(chance: np.random.Generator, clusters: int) -> Estimate:
    """Two questions about each picture in four categories: 100 × (accuracy + both right), summed."""
    easy = np.repeat(chance.beta(6, 2, clusters), 2)
    right = (chance.random(len(easy)) < easy).astype(float)
    found = []
    for part in range(4):
        pictures = range(part, clusters, 4)
        one = {p: right[p] for picture in pictures for p in (2 * picture, 2 * picture + 1)}
        both = {2 * picture: right[2 * picture] * right[2 * picture + 1] for picture in pictures}
        found.append(total([mean(one), mean(both)]) * 100)
    return total(found)


def macro(chance: np.random.Generator, clusters: int) -> Estimate:
    """Single samples in four tasks, of which one has a tenth of the samples of another."""
    task = np.arange(clusters) % 13
    tasks = [task < 1, (task >= 1) & (task < 3), (task >= 3) & (task < 6), task >= 6]
    right = (chance.random(clusters) < np.select(tasks, [0.6, 0.7, 0.8, 0.9])).astype(float)
    return average(mean({p: right[p] for p in np.flatnonzero(each)}) for each in tasks)


NO_MEANS: dict[str, tuple[Drawn, int, tuple[int, ...]]] = {
    "F1": (f1, 6, (20, 50, 200)),
    "points": (points, 2, (40, 100, 400)),
    "macro mean": (macro, 1, (52, 130, 520)),
}
"""Each with its samples to a cluster and the numbers of clusters that are simulated."""


def simulate_other(drawn: Drawn, size: int, clusters: int, draws: int, seed: int = 1) -> tuple[float, float]:
    """Return how often the bootstrap interval covers the truth, and its mean width."""
    truth = float(drawn(np.random.default_rng(0), 260_000).value or 0.0)
    chance = np.random.default_rng(seed)
    numbers = [place // size for place in range(clusters * size)]
    covered, width = 0, 0.0
    for _ in range(draws):
        low, high = Clusters(numbers).metric(drawn(chance, clusters)).interval or (0.0, 0.0)
        covered += low <= truth <= high
        width += high - low
    return covered / draws, width / draws


# --- the page --------------------------------------------------------------------------------------------------


def page(draws: int) -> str:
    """Both tables and what they say in one line each."""
    found = [simulate(cell, draws) for cell in grid()]
    noise = 100 * 1.96 * np.sqrt(0.05 * 0.95 / draws)
    lines = [
        f"{draws:,} simulated jobs a row of clusters (so ± {noise:.1f} points), single samples summed up exactly. "
        "*before* is ± 1.96 cluster-robust errors without a correction."
    ]
    for title, kept in (
        (f"Enough of everything ({MANY} clusters or single samples, {FEW:.0f} effective errors)", True),
        ("Few clusters or few errors", False),
    ):
        part = [each for each in found if each.cell.regular is kept]
        inside = sum(WANTED[0] <= each.share <= WANTED[1] for each in part)
        lowest, highest = (f"{100 * end(each.share for each in part):.1f}" for end in (min, max))
        lines += ["", f"**{title}**: {inside} of {len(part)} cells in 93–97 %, from {lowest} to {highest} %.", ""]
        lines += [
            "| clusters | samples in each | p | ICC | covered % | mean width | before % |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [row(each) for each in part]
    lines += ["", "**No means (bootstrap)**", "", "| metric | clusters | covered % | mean width |", "|---|---|---|---|"]
    for name, (drawn, size, numbers) in NO_MEANS.items():
        for clusters in numbers:
            share, width = simulate_other(drawn, size, clusters, max(200, draws // 2))
            lines.append(f"| {name} | {clusters} | {100 * share:.1f} | {width:.3g} |")
    return "\n".join(lines)


def row(each: Covered) -> str:
    cell = each.cell
    size = f"{cell.sizes.min()}–{cell.sizes.max()}" if cell.unequal else f"{cell.size}"
    return (
        f"| {cell.clusters} | {size} | {cell.p} | {cell.icc} | {100 * each.share:.1f} | {each.width:.3f} | "
        f"{100 * each.before:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000, help="simulated jobs a cell (default: 2000)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/intervals.md")
    arguments = parser.parse_args()
    text = page(arguments.draws)
    print(text)
    if arguments.write:
        before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
        DOC.write_text(f"{before}{BEGIN}{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
