"""SIGKILL of workers and supervisors at random moments: no answer is lost, none is asked for again."""

import subprocess
from pathlib import Path

import pytest

from tests.faults.chaos import ENV, answered_ids, launch_command, run_under_fire, text_benchmark
from vlmeval_mp.core.paths import JobsPaths


def undisturbed(tsv: Path, jobs: Path, workers: int) -> bytes:
    subprocess.run(launch_command(tsv, jobs, "calm", workers, {}), env=ENV, check=True, stdout=subprocess.DEVNULL)
    return predictions(jobs, "calm", tsv)


def predictions(jobs: Path, run: str, tsv: Path) -> bytes:
    return (JobsPaths(jobs).run(run).results("fake", tsv.stem) / "predictions.jsonl").read_bytes()


def survive(tmp_path: Path, samples: int, kills: int, latency: float, seed: int):
    tsv = text_benchmark(tmp_path / "numbers.tsv", samples)
    jobs, log = tmp_path / "jobs", tmp_path / "generated.log"
    calm = undisturbed(tsv, jobs, workers=4)
    command = launch_command(
        tsv, jobs, "fire", 4, {"latency": latency, "log": str(log), "child": True}, "--batch-size", "16"
    )
    paths = JobsPaths(jobs).run("fire")
    outcome = run_under_fire(command, paths, log, kills, seed)
    print(f"seed {seed}: {dict(outcome.kills)}, {sum(outcome.generated.values())} generated for {samples} samples")
    assert outcome.code == 0
    assert sum(outcome.kills.values()) == kills
    assert predictions(jobs, "fire", tsv) == calm
    assert outcome.left == {}
    answers = answered_ids(paths)
    assert len(answers) == len(set(answers)) == samples
    assert set(outcome.generated) == set(answers)
    return outcome


@pytest.mark.timeout(280)
def test_five_kills_lose_nothing_and_repeat_nothing_that_was_on_disk(tmp_path):
    outcome = survive(tmp_path, samples=1200, kills=5, latency=0.15, seed=1)
    repeated = sum(n - 1 for n in outcome.generated.values())
    assert repeated <= sum(outcome.kills.values()) * 4 * 16, "more was asked again than was in flight"


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_ten_kills_among_five_thousand_samples(tmp_path, seed):
    survive(tmp_path, samples=5000, kills=10, latency=0.12, seed=seed)
