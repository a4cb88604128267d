"""A reduced `scripts/coverage`: the 95 % intervals cover the truth as often as they say."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
DRAWS = 1500
NOISE = 0.012
"""Twice the standard error of a share of 95 % over so many draws."""


@pytest.fixture
def coverage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.delitem(sys.modules, "coverage", raising=False)
    return importlib.import_module("coverage")


@pytest.mark.parametrize(
    "cell",
    [
        {"clusters": 50, "size": 1, "p": 0.8},
        {"clusters": 200, "size": 1, "p": 0.95},
        {"clusters": 10, "size": 5, "p": 0.5, "icc": 0.3},
        {"clusters": 30, "size": 5, "p": 0.8, "icc": 0.1, "unequal": True},
        {"clusters": 30, "size": 20, "p": 0.8, "icc": 0.3},
        {"clusters": 100, "size": 5, "p": 0.95, "icc": 0.1},
    ],
    ids=str,
)
def test_intervals_of_proportions_cover_as_often_as_they_say(coverage: ModuleType, cell: dict[str, Any]) -> None:
    found = coverage.simulate(coverage.Cell(**cell), DRAWS)
    assert coverage.WANTED[0] - NOISE <= found.share <= coverage.WANTED[1] + NOISE


@pytest.mark.parametrize("clusters", [2, 3, 5])
def test_few_clusters_never_cover_too_little_as_naive_errors_do(coverage: ModuleType, clusters: int) -> None:
    found = coverage.simulate(coverage.Cell(clusters, 20, 0.8, 0.1), DRAWS)
    assert found.share >= coverage.WANTED[0] - NOISE
    assert found.before < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["F1", "macro mean"])
def test_the_bootstrap_covers_as_often_as_it_says(coverage: ModuleType, metric: str) -> None:
    drawn, size, numbers = coverage.NO_MEANS[metric]
    share, _ = coverage.simulate_other(drawn, size, numbers[1], 250)
    assert 0.91 <= share <= 0.99
