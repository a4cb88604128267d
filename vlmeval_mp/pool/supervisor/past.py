"""Records the start-up times and speeds of a launch's workers, for the estimates of later launches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from vlmeval_mp.core.records import GpuStats, RunRecord, ServingSpan, WorkerStatus
from vlmeval_mp.pool.devices import gpus
from vlmeval_mp.pool.devices.gpus import DeviceGroup
from vlmeval_mp.runs import history
from vlmeval_mp.runs.history import JobPace, PastLaunch, Setting


def setting(
    record: RunRecord, model: str, group: DeviceGroup, tensor_parallel: int, found: Sequence[GpuStats]
) -> Setting:
    """Return what the pace of `model` on `group` depends on; `found` are the GPUs that there are."""
    spec = next(m for m in record.spec.models if m.name == model)
    return Setting.of(spec, gpus.kind(group, found), tensor_parallel)


def launches(
    record: RunRecord,
    settings: Mapping[str, Setting],
    workers: Iterable[WorkerStatus],
    served: Mapping[tuple[str, str], ServingSpan],
) -> list[PastLaunch]:
    """Return a line for each model that answered something; `served` are spans by (owner, job), `settings` by model."""
    seconds = history.worker_seconds(served)
    now, last = time.time(), max((span.last for span in served.values()), default=0.0)
    started = [w for w in workers if w.answered]
    lines = []
    for name, about in settings.items():
        mine = [w for w in started if w.model == name]
        if not mine:
            continue
        tokens = next(m for m in record.spec.models if m.name == name).sampling.max_tokens
        paces = [
            _pace(job.folder, tokens, seconds[job.name], [s for (_, j), s in served.items() if j == job.name])
            for job in record.jobs
            if job.model == name and job.name in seconds
        ]
        startup = fmean(w.startup for w in mine)
        lines.append(PastLaunch(now, about, startup, max(0.0, now - last), _mean_stages(mine), tuple(paces)))
    return lines


@dataclass(frozen=True, slots=True)
class Usual:
    """The times of earlier launches: the seconds until a worker of each model was ready, by stage and in all, and
    worker-seconds per sample: `paces` of jobs, `model_paces` over all data sets of a model.
    """

    startup: dict[str, float] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    paces: dict[str, float] = field(default_factory=dict)
    model_paces: dict[str, float] = field(default_factory=dict)


def usual(path: Path, settings: Mapping[str, Setting], record: RunRecord) -> Usual:
    """Return what the launches in the history at `path` took, where they had the same settings."""
    found = Usual()
    for model in record.spec.models:
        past = history.read(path, settings[model.name])
        found.startup.update(_known(model.name, history.startup(past)))
        found.stages[model.name] = history.stages(past)
        found.model_paces.update(_known(model.name, history.pace(past)))
        for job in record.jobs:
            if job.model == model.name:
                found.paces.update(_known(job.name, history.pace_of(past, job.folder, model.sampling.max_tokens)))
    return found


def _known(name: str, seconds: float | None) -> dict[str, float]:
    return {} if seconds is None else {name: seconds}


def _mean_stages(workers: Sequence[WorkerStatus]) -> dict[str, float]:
    names = dict.fromkeys(name for worker in workers for name in worker.stages)
    return {name: fmean(w.stages[name] for w in workers if name in w.stages) for name in names}


def _pace(folder: str, max_tokens: int, seconds: float, spans: Sequence[ServingSpan]) -> JobPace:
    return JobPace(
        dataset=folder,
        max_tokens=max_tokens,
        samples=sum(s.answered for s in spans),
        seconds=seconds,
        tokens_in=sum(s.tokens_in for s in spans),
        tokens_out=sum(s.tokens_out for s in spans),
    )
