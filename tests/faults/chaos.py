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
    """Every living process that is the run's by its environment or by where its output goes, by pid."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            marked = f"VLMEVAL_MP_RUN={paths.root}".encode() in (folder / "environ").read_bytes().split(b"\0")
            logged = (folder / "fd" / "1").readlink().parent == paths.logs
        except OSError:
            continue
        if (marked or logged) and start_time(int(folder.name)) is not None:
            found[int(folder.name)] = b" ".join(words).decode("utf-8", "replace")
    return found


def workers_of(paths: RunPaths) -> list[int]:
    return [pid for pid, line in processes_of(paths).items() if "vlmeval_mp.pool.worker" in line]


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@dataclass
class Outcome:
    """What a chaos run left: its last exit code, faults by kind, and how often each sample was generated."""

    code: int
    faults: Counter[str]
    generated: Counter[str]
    left: dict[int, str]
    launches: int


POINTS = (
    "append:{n}:enospc", "append:{n}:torn", "sync:{few}:eio", "claimed:{few}:kill", "completed:{few}:kill",
    "published:{few}:kill", "publish:{few}:kill", "write:{n}:enospc", "replaced:{n}:kill",
)  # fmt: skip
"""Faults of files and of single steps that every process of a launch meets."""
KINDS = {"worker": 34, "child": 22, "guardian": 16, "stopped": 3, "supervisor": 12, "drain": 6, "term": 4, "twice": 3}
"""Signals by victim, and how often each is chosen."""
TAILS = (b'{"crc":"0', bytes(100), b'{"crc":"00000000","index":"1","row":1}\n{"')
"""What a power cut leaves at the end of a checkpoint."""
PATIENCE = 20.0
"""Seconds without an answer after which the next fault comes all the same."""
ENDS = frozenset({"supervisor", "drain", "term", "twice"})


class Fire:
    """Sends signals to the processes of one run at random moments, and lets launches meet faults of the disk."""

    def __init__(self, paths: RunPaths, faults: int, seed: int) -> None:
        self.paths, self.wanted = paths, faults
        self.rng = random.Random(seed)
        self.struck: Counter[str] = Counter()
        self.log = paths.root.parent / "faults.log"
        self._size, self._since = 0, time.monotonic()

    @property
    def faults(self) -> Counter[str]:
        """All faults so far, those of the disk and of single steps included."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return self.struck + Counter(line.split()[1] for line in lines)

    @property
    def enough(self) -> bool:
        return sum(self.faults.values()) >= self.wanted

    def environment(self) -> dict[str, str]:
        """The environment of the next launch, with a fault in three of four."""
        if self.enough or self.rng.random() < 0.25:
            return ENV
        numbers = {"n": self.rng.randint(20, 120), "few": self.rng.randint(3, 9)}
        fault = self.rng.choice(POINTS).format(**numbers)
        return ENV | {"VLMEVAL_FAULT": fault, "VLMEVAL_FAULT_LOG": str(self.log)}

    def gets_on(self, log: Path) -> bool:
        """Whether something was answered since the last time, or nothing for so long that it does not matter."""
        size, now = log.stat().st_size if log.exists() else 0, time.monotonic()
        if size == self._size and now - self._since < PATIENCE:
            return False
        self._size, self._since = size, now
        return True

    def strike(self, supervisor: subprocess.Popen[bytes]) -> bool:
        """Do one thing to one process; return whether it ends the launch."""
        workers = workers_of(self.paths)
        if not workers or supervisor.poll() is not None:
            return False
        kind = self.rng.choices(list(KINDS), list(KINDS.values()))[0]
        worker = self.rng.choice(workers)
        try:
            if kind == "supervisor":
                supervisor.kill()
            elif kind in ("drain", "twice"):
                supervisor.send_signal(signal.SIGINT)
            elif kind == "term":
                supervisor.send_signal(signal.SIGTERM)
            else:
                victim = {"worker": [worker], "stopped": [worker], "child": children_of(worker)}.get(kind)
                victim = [parent_of(worker)] if victim is None else victim
                if not victim or victim[0] <= 1:
                    return False
                os.kill(victim[0], signal.SIGSTOP if kind == "stopped" else signal.SIGKILL)
            if kind == "twice":
                time.sleep(0.3)
                supervisor.send_signal(signal.SIGINT)
        except ProcessLookupError:
            return False
        self.struck[kind] += 1
        return kind in ENDS

    def tear(self) -> None:
        """Leave what a power cut leaves at the ends of some checkpoints, of which nobody is a writer any more."""
        for path in self.paths.checkpoints.rglob("*.jsonl"):
            if self.rng.random() < 0.1:
                with path.open("ab") as file:
                    file.write(self.rng.choice(TAILS))
                self.struck["torn tail"] += 1


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def one_launch(
    command: list[str], fire: Fire, log: Path, pause: tuple[float, float], burst: int, deadline: float
) -> int:  # fmt: skip
    """Launch once, under fire until there were faults enough, and return the exit code."""
    environment = fire.environment()
    with (fire.paths.root.parent / "launches.log").open("ab") as output:
        supervisor = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        while supervisor.poll() is None and not (fire.enough and environment is ENV):
            time.sleep(fire.rng.uniform(*pause))
            if fire.enough:
                supervisor.send_signal(signal.SIGINT)  # a launch without faults is to end it
                break
            if time.monotonic() > deadline:
                raise AssertionError(f"not over in time, after {dict(fire.faults)}")
            if fire.gets_on(log) and any(fire.strike(supervisor) for _ in range(fire.rng.randint(1, burst))):
                break
        return supervisor.wait(timeout=max(1, deadline - time.monotonic()))
    finally:
        supervisor.kill()
        supervisor.wait()


def run_under_fire(
    command: list[str], paths: RunPaths, log: Path, faults: int, seed: int, *,
    pause: tuple[float, float] = (0.2, 0.9), burst: int = 1, seconds: float = 240,
) -> Outcome:  # fmt: skip
    """Launch until complete, with `faults` random faults on the way, up to `burst` at a time, while answers come."""
    fire, launches, code = Fire(paths, faults, seed), 0, -1
    deadline = time.monotonic() + seconds
    while code not in (0, 1, 2, 3):
        if time.monotonic() > deadline:
            raise AssertionError(f"not over in time, after {launches} launches (exit {code}) and {dict(fire.faults)}")
        code = one_launch(command, fire, log, pause, burst, deadline)
        launches += 1
        if paths.checkpoints.exists():
            fire.tear()
    time.sleep(0.2)
    generated = Counter(line.split()[0] for line in log.read_text().splitlines())
    return Outcome(code, fire.faults, generated, processes_of(paths), launches)


def answered_ids(paths: RunPaths) -> list[str]:
    """Index of every answer in the checkpoints, one entry per line; torn lines are not answers."""
    from vlmeval_mp.core import linefiles

    return [
        json.loads(payload)["index"]
        for path in paths.checkpoints.rglob("*.jsonl")
        for _, _, payload in linefiles.read(path)
        if not payload.startswith(b'{"type":"intent"')
    ]
