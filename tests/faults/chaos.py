"""Kills workers and supervisors of a real `launch` at random moments and says what came of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.runs.owners import start_time

ENV = {**os.environ, "HF_HUB_OFFLINE": "1"}


def text_benchmark(path: Path, samples: int) -> Path:
    """A text-only data set of `samples` rows."""
    rows = (f"{i}\tIs {i} even?\tyes\tno\t{'AB'[i % 2]}" for i in range(samples))
    path.write_text("\n".join(["index\tquestion\tA\tB\tanswer", *rows]) + "\n")
    return path


def launch_command(tsv: Path, jobs: Path, run: str, workers: int, engine_args: dict, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "vlmeval_mp.cli", "launch", "--engine", "fake", "--model", "fake", "--data", str(tsv),
        "--jobs", str(jobs), "--run", run, "--device", "cpu", "--max-workers", str(workers), "--plain",
        "--engine-args", json.dumps(engine_args), *more,
    ]  # fmt: skip


def processes_of(paths: RunPaths) -> dict[int, str]:
    """Every living process whose command line or environment names this run, by pid."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        mine = f"VLMEVAL_MP_RUN={paths.root}".encode() in environment
        if mine and start_time(int(folder.name)) is not None:
            found[int(folder.name)] = b" ".join(words).decode("utf-8", "replace")
    return found


def workers_of(paths: RunPaths) -> list[int]:
    return [pid for pid, line in processes_of(paths).items() if "vlmeval_mp.pool.worker" in line]


@dataclass
class Outcome:
    """What a chaos run left: its last exit code, kills by victim, and how often each sample was generated."""

    code: int
    kills: Counter[str]
    generated: Counter[str]
    left: dict[int, str]


def run_under_fire(command: list[str], paths: RunPaths, log: Path, kills: int, seed: int) -> Outcome:
    """Launch until complete, with `kills` SIGKILLs of random workers and supervisors on the way."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    deadline = time.monotonic() + 240
    while True:
        supervisor = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while supervisor.poll() is None and sum(done.values()) < kills:
            time.sleep(rng.uniform(0.2, 0.9))
            before = log.stat().st_size if log.exists() else 0
            victims = workers_of(paths)
            if not victims or not before:
                continue
            if rng.random() < 0.4:
                supervisor.kill()
                done["supervisor"] += 1
                break
            os.kill(rng.choice(victims), signal.SIGKILL)
            done["worker"] += 1
        _, errors = supervisor.communicate(timeout=max(1, deadline - time.monotonic()))
        if supervisor.returncode != -signal.SIGKILL:
            break
    if supervisor.returncode not in (0, 1):
        raise AssertionError(errors.decode())
    time.sleep(0.2)
    generated = Counter(line.split()[0] for line in log.read_text().splitlines())
    return Outcome(supervisor.returncode, done, generated, processes_of(paths))


def answered_ids(paths: RunPaths) -> list[str]:
    """Index of every answer in the checkpoints, one entry per line; torn lines are not answers."""
    from vlmeval_mp.core import linefiles

    return [
        json.loads(payload)["index"]
        for path in paths.checkpoints.rglob("*.jsonl")
        for _, _, payload in linefiles.read(path)
        if not payload.startswith(b'{"type":"intent"')
    ]
