"""Faults of every kind at random moments: no answer is lost, none is asked again that was on disk, nobody is blamed."""

from pathlib import Path

import pytest

from tests.faults.chaos import run_under_fire
from tests.faults.soak import survive
from vlmeval_mp.core.paths import JobsPaths

SEED = 4


@pytest.mark.timeout(290)
def test_six_faults_lose_nothing_and_repeat_nothing_that_was_on_disk(tmp_path: Path) -> None:
    survive(tmp_path, samples=200, faults=6, latency=0.1, seed=SEED, workers=2, pause=(0.05, 0.2), seconds=270)


@pytest.mark.parametrize("code", [4, 70, 74])
def test_launches_that_end_by_themselves_again_and_again_do_not_go_on_beyond_the_time(
    tmp_path: Path, code: int
) -> None:
    paths = JobsPaths(tmp_path).run("r")
    command = ["sh", "-c", f"exit {code}"]
    with pytest.raises(AssertionError, match="not over in time"):
        run_under_fire(command, paths, tmp_path / "log", faults=0, seed=SEED, seconds=0.4)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_forty_faults_among_five_thousand_samples(tmp_path: Path, seed: int) -> None:
    survive(tmp_path, samples=5000, faults=40, latency=0.12, seed=seed, seconds=850)
