"""The places of all files and folders under the jobs folder. No other module joins these names.

jobs/.datasets/<name>-<digest>/                 a data set, read once
jobs/.history.jsonl                             what earlier launches took; only estimates rest on it
jobs/<run>/run.json                             frozen spec; written once
jobs/<run>/queue/{pending,claimed,done,failed}  one file per shard; the folder is its state
jobs/<run>/checkpoints/<job>/<writer>.jsonl     append-only, one writer ever
jobs/<run>/workers/<worker>.json                heartbeat
jobs/<run>/logs/<worker>.log                    all of a worker's stdout and stderr
jobs/<run>/results/<model>/<dataset>/           what a run is for
jobs/<run>/datasets/<name>-<digest>/            its samples without their media, so that the folder can be copied
jobs/<run>/report/                              pages to look at
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


def slug(name: str, limit: int = 80) -> str:
    """Return `name` as a safe, short file name; a name that had to change ends in a hash, so that no two collide."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "x"
    if safe == name and len(name) <= limit:
        return safe
    import hashlib  # few names need it, and every command starts here

    return f"{safe[: limit - 9]}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class JobsPaths:
    """The jobs folder."""

    root: Path

    @property
    def datasets(self) -> Path:
        return self.root / ".datasets"

    @property
    def history(self) -> Path:
        return self.root / ".history.jsonl"

    def run(self, name: str) -> RunPaths:
        return RunPaths(self.root / slug(name))


@dataclass(frozen=True, slots=True)
class RunPaths:
    """One run's folder."""

    root: Path

    @property
    def record(self) -> Path:
        return self.root / "run.json"

    @property
    def queue(self) -> Path:
        return self.root / "queue"

    @property
    def suspects(self) -> Path:
        return self.queue / "suspects"

    @property
    def twins(self) -> Path:
        return self.queue / "twins"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def workers(self) -> Path:
        return self.root / "workers"

    @property
    def supervisor(self) -> Path:
        return self.workers / "supervisor.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def supervisor_lock(self) -> Path:
        return self.workers / "supervisor.lock"

    @property
    def adjustments(self) -> Path:
        return self.workers / "adjustments.jsonl"

    def worker(self, worker: str) -> Path:
        return self.workers / f"{worker}.json"

    def in_flight(self, worker: str) -> Path:
        return self.workers / f"{worker}.inflight"

    def log(self, who: str) -> Path:
        return self.logs / f"{who}.log"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def all_results(self) -> Path:
        return self.root / "results"

    @property
    def time(self) -> Path:
        """The file on the time of the last launch. It is no part of a summary, which depends on answers alone."""
        return self.all_results / "time.json"

    def results(self, model: str, dataset: str) -> Path:
        return self.all_results / slug(model) / slug(dataset)

    def summary(self, model: str, dataset: str) -> Path:
        return self.results(model, dataset) / "summary.json"
