"""One run under fire, held against an undisturbed one. `scripts/soak` calls it for many seeds."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

from tests.faults.chaos import ENV, Outcome, answered_ids, launch_command, run_under_fire, text_benchmark
from vlmeval_mp.core.paths import JobsPaths

WINDOW = 16
OF_ONE_WORKER = frozenset({"worker", "child", "guardian", "stopped"})
OF_NOBODY = frozenset({"drain", "torn tail"})
"""Faults that lose what one worker has in flight, and those that lose nothing; any other may strike every worker."""


def in_flight(faults: Counter[str], workers: int) -> int:
    """Return how many samples at most were in flight where `faults` struck, so that they are asked again."""
    windows = {kind: 0 if kind in OF_NOBODY else 1 if kind in OF_ONE_WORKER else workers for kind in faults}
    return sum(count * windows[kind] * WINDOW for kind, count in faults.items())


def undisturbed(tsv: Path, jobs: Path, workers: int) -> bytes:
    subprocess.run(launch_command(tsv, jobs, "calm", workers, {}), env=ENV, check=True, stdout=subprocess.DEVNULL)
    return predictions(jobs, "calm", tsv)


def predictions(jobs: Path, run: str, tsv: Path) -> bytes:
    return (JobsPaths(jobs).run(run).results("fake", tsv.stem) / "predictions.jsonl").read_bytes()


def survive(
    folder: Path, *, samples: int, faults: int, latency: float, seed: int, workers: int = 4,
    pause: tuple[float, float] = (0.2, 0.9), burst: int = 1, seconds: float = 240,
) -> Outcome:  # fmt: skip
    """Bring a run to its end under fire; raise where something was lost, blamed, left behind or asked in vain."""
    tsv = text_benchmark(folder / "numbers.tsv", samples)
    jobs, log = folder / "jobs", folder / "generated.log"
    calm = undisturbed(tsv, jobs, workers)
    engine = {"latency": latency, "log": str(log), "child": True}
    command = launch_command(
        tsv, jobs, "fire", workers, engine, "--batch-size", str(WINDOW), "--stall-timeout", "5", "--drain-seconds", "20"
    )
    paths = JobsPaths(jobs).run("fire")
    outcome = run_under_fire(command, paths, log, faults, seed, pause=pause, burst=burst, seconds=seconds)
    repeated = sum(n - 1 for n in outcome.generated.values())
    print(
        f"seed {seed}: {samples} samples, {sum(outcome.faults.values())} faults {dict(outcome.faults)}, "
        f"{outcome.launches} launches, exit {outcome.code}, {repeated} generated twice, {len(outcome.left)} orphans",
        flush=True,
    )
    assert sum(outcome.faults.values()) >= faults, "the run ended before there were faults enough"
    assert outcome.code == 0, "an innocent sample was given up, or the run did not end"
    assert predictions(jobs, "fire", tsv) == calm, "the results are not those of an undisturbed run"
    assert outcome.left == {}, "processes were left behind"
    answers = answered_ids(paths)
    assert len(answers) == len(set(answers)) == samples and set(outcome.generated) == set(answers)
    assert repeated <= in_flight(outcome.faults, workers), "more was asked again than was in flight"
    before = log.stat().st_size
    subprocess.run(command, env=ENV, check=True, stdout=subprocess.DEVNULL)
    assert log.stat().st_size == before, "a finished run asked something again"
    return outcome
