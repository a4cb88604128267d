"""Gathers all facts that a report shows about a run, from its folder into plain values.

Verdicts are made again from the samples and predictions, so that both modes are there whichever one the run was scored
in; where VLMEvalKit's own evaluator scored a job, they are those it left. Writes nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import msgspec

from vlmeval_mp.core import linefiles
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import (
    Job,
    Prediction,
    RunRecord,
    Sample,
    Score,
    Struct,
    Summary,
    SupervisorStatus,
    WorkerStatus,
)
from vlmeval_mp.runs import kept, results, snapshot
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.state import RunState, fold
from vlmeval_mp.scoring import score_all
from vlmeval_mp.scoring.base import EVALUATOR, Mode
from vlmeval_mp.scoring.families import has_official

MODES: tuple[Mode, ...] = ("strict", "compat")


class Origin(Struct, frozen=True):
    """The worker that recorded an answer, and the time (wall clock; 0 if the checkpoint has none)."""

    worker: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class JobView:
    """One job: its final samples, and of each the prediction, the verdict in each mode, and the origin.

    `verdicts` maps a mode to one score per sample; the first mode is that of the run. `folders` may have the media.
    """

    job: Job
    samples: Sequence[Sample]
    predictions: Sequence[Prediction]
    verdicts: dict[str, list[Score]]
    origins: Sequence[Origin]
    summary: Summary | None
    folders: Sequence[Path]

    @property
    def mode(self) -> str:
        """The mode whose verdicts come first."""
        return next(iter(self.verdicts))


@dataclass(frozen=True, slots=True)
class RunView:
    """One run at one moment (`now`, wall clock)."""

    paths: RunPaths
    record: RunRecord
    state: RunState
    workers: Sequence[WorkerStatus]
    supervisor: SupervisorStatus | None
    jobs: Sequence[JobView]
    now: float

    @property
    def name(self) -> str:
        return self.record.spec.name


def run_view(paths: RunPaths, now: float | None = None) -> RunView:
    """Return all that is known of the run at `paths`; of an unfinished run, what is final.

    Raises:
        ConfigError: there is no run there, or its samples are missing.
        StorageError: its answers are damaged.
    """
    now = time.time() if now is None else now
    reader = snapshot.Reader(paths)
    found = reader.read()
    jobs = [job_view(paths, reader.record, job) for job in reader.record.jobs]
    return RunView(paths, reader.record, fold(found, now), found.workers, found.supervisor, jobs, now)


def job_view(paths: RunPaths, record: RunRecord, job: Job) -> JobView:
    """Return the final samples of one job with all that is known of them.

    Raises:
        ConfigError: its samples are missing.
        StorageError: its answers are damaged.
    """
    samples, predictions = merge(paths, job)
    summary = results.read_summary(paths.results(job.model, job.dataset))
    who = origins(paths, job)
    return JobView(
        job=job,
        samples=samples,
        predictions=predictions,
        verdicts=_verdicts(paths, record, job, samples, predictions, summary),
        origins=[who.get(sample.row, Origin()) for sample in samples],
        summary=summary,
        folders=kept.places_of(paths, job),
    )


def _verdicts(
    paths: RunPaths,
    record: RunRecord,
    job: Job,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    summary: Summary | None,
) -> dict[str, list[Score]]:
    rules = results.rules_of(record.spec, job)
    pairs = list(zip(samples, predictions, strict=True))
    if not rules.by_rules:
        verdicts = results.scores_in(paths.results(job.model, job.dataset) / results.SCORES)
        left = {score.index: score for score in verdicts or ()}
        return {EVALUATOR: [left.get(s.index, Score(index=s.index, value=None, note="not scored")) for s in samples]}
    official: tuple[Mode, ...] = ("official",) if has_official(rules.scorer) else ()
    modes = sorted((*MODES, *official), key=lambda mode: mode != _first(rules.mode, summary))
    return {mode: [each.score for each in score_all(pairs, replace(rules, mode=mode))] for mode in modes}


def _first(mode: Mode, summary: Summary | None) -> Mode:
    """The mode of the numbers in `summary`, which may have been scored again; `mode` where there is none."""
    said = summary.scoring.partition(" ")[0] if summary else mode
    return next((known for known in get_args(Mode) if known == said), mode)


class _Line(Struct, frozen=True):
    """The fields of a checkpoint line besides the answer."""

    row: int = -1
    index: str = ""
    at: float = 0.0


def origins(paths: RunPaths, job: Job) -> dict[int, Origin]:
    """Return who answered each row of `job`, and when: the first line of each row in the order of the file names."""
    decode = msgspec.json.Decoder(_Line).decode
    found: dict[int, Origin] = {}
    for path in sorted((paths.checkpoints / job.name).glob("*.jsonl")):
        for _, _, payload in linefiles.read(path):
            try:
                line = decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if line.index and line.row not in found:
                found[line.row] = Origin(_worker_of(path.stem), line.at)
    return found


def _worker_of(writer: str) -> str:
    """Return the worker's name in the name of its checkpoint file, which also says when it began."""
    return match[0] if (match := re.match(r"w\d+(?=-|$)", writer)) else writer
