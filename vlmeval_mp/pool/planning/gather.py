"""The plan of a run: what its data sets hold, how long prompts are, what fits where, and what earlier launches took.

Reads data sets as `launch` does, starts no worker and queues nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from vlmeval_mp.core.errors import ConfigError, VlmevalError
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import GpuStats, Job, ModelSpec, RunSpec
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.engines.registry import entry
from vlmeval_mp.pool.devices import gpus, layout, preflight, sizing, weights
from vlmeval_mp.pool.devices.layout import DevicesWanted, Layout
from vlmeval_mp.pool.planning import inputs, measuring, scoring
from vlmeval_mp.pool.worker.task import Measurement
from vlmeval_mp.runs import fingerprint, history, planning, progress, snapshot, submit
from vlmeval_mp.runs.history import PastLaunch, Setting
from vlmeval_mp.runs.planning import JobPlan, ModelPlan, Plan, PromptSizes, Remark


def plan(spec: RunSpec, jobs: JobsPaths, wanted: DevicesWanted, *, scored: bool = True) -> Plan:
    """Return the plan of `spec` on this machine; `scored` False leaves out what its scores would need.

    Raises:
        ConfigError: the config or a data set is wrong.
    """
    planned, datasets = submit.plan(spec, jobs)
    spec, paths = submit.resolved(spec), jobs.run(spec.name)
    samples = {job.dataset: job for job in planned}  # those of a data set are the same for each model
    seen = {name: inputs.look(datasets[name], job) for name, job in samples.items()}
    remarks = [remark for name, found in seen.items() for remark in found.remarks(name)]
    remarks += _machine(spec, jobs) + scoring.remarks(spec, os.environ, scored=scored) + _changed(spec, paths, datasets)
    found = gpus.discover() if wanted.device != "cpu" else []
    fit = _fit(spec, wanted, found, remarks)
    models, parts, closing = [], [], 0.0
    for model in spec.models:
        mine = tuple(job for job in planned if job.model == model.name)
        rows = {job.name: seen[job.dataset].rows for job in mine}
        measured = measuring.measure(spec, model, mine, rows, jobs, fit) if fit else Measurement()
        past = _past(model, jobs, fit, found)
        closing = max(closing, history.closing(past))
        models.append(_model(model, fit, measured, past, found))
        parts += [_job(job, model, seen[job.dataset], measured, past, paths) for job in mine]
        remarks += _about_lengths(model, mine, measured)
    startups = {each.name: each.startup for each in models}
    workers = _workers(fit, planned, spec) if fit else 0
    seconds = planning.seconds(parts, startups, workers, closing) if workers else None
    return Plan(spec.name, str(paths.root), tuple(models), tuple(parts), tuple(remarks), seconds)


def _machine(spec: RunSpec, jobs: JobsPaths) -> list[Remark]:
    """Return what `launch` would refuse or warn of: shared memory, open files, the disk."""
    found = preflight.before_launch(jobs.root, {m.engine for m in spec.models})
    said = [(f.level, f.what, f"{f.said}; {f.todo}" if f.todo else f.said) for f in found]
    return [Remark(level, what, text) for level, what, text in said if level != "ok"]


def _changed(spec: RunSpec, paths: RunPaths, datasets: Mapping[str, Dataset]) -> list[Remark]:
    """Return why a run of that name, if it has answers, is another one."""
    if not paths.record.exists() or not any(path.stat().st_size for path in paths.checkpoints.rglob("*.jsonl")):
        return []
    try:
        fingerprint.refuse_changed(snapshot.read_record(paths), fingerprint.fingerprint_of(spec, datasets))
    except ConfigError as error:
        return [Remark("error", f"run {spec.name}", str(error))]
    return []


def _fit(spec: RunSpec, wanted: DevicesWanted, found: Sequence[GpuStats], remarks: list[Remark]) -> Layout | None:
    try:
        fit = layout.lay_out(spec, wanted, lambda: found)
    except ConfigError:
        raise
    except VlmevalError as error:
        remarks.append(Remark("error", "devices", str(error)))
        return None
    remarks += [Remark("warning", "memory", text) for level, text in fit.notes if level == "warning"]
    return fit


def _past(model: ModelSpec, jobs: JobsPaths, fit: Layout | None, found: Sequence[GpuStats]) -> list[PastLaunch]:
    if fit is None:
        return []
    return history.read(jobs.history, Setting.of(model, gpus.kind(fit.groups[0], found), fit.tp[model.name]))


def _workers(fit: Layout, jobs: Sequence[Job], spec: RunSpec) -> int:
    """Return how many workers get something to do: no more than there are shards."""
    return min(fit.workers, sum(-(-job.samples // spec.shard_size) for job in jobs))


def _model(
    model: ModelSpec, fit: Layout | None, measured: Measurement, past: Sequence[PastLaunch], found: Sequence[GpuStats]
) -> ModelPlan:
    known = entry(model.engine)
    weighed = weights.weigh(model.path) if known.sized else None
    on_cpu = bool(fit) and fit is not None and not fit.groups[0].gpus
    notes = [text.partition(": ")[2] for _, text in fit.notes if text.startswith(f"{model.name}: ")] if fit else []
    return ModelPlan(
        name=model.name,
        path=model.path,
        engine=model.engine,
        devices=tuple(group.label for group in fit.groups_of(model.name)) if fit else (),
        device=gpus.kind(fit.groups[0], found) if fit else "",
        window=(fit.windows.get(model.name, 0) if fit else 0) or known.window,
        weights=sizing.loaded(weighed, str(model.engine_args.get("dtype", "")), cpu=on_cpu) if weighed else 0,
        kv_token=(weighed.kv_token * (2 if on_cpu else 1)) if weighed else 0,  # floats of 32 bits on the CPU
        context=measured.context,
        note="; ".join(notes),
        startup=history.startup(past),
        settings=measured.settings,
    )


def _job(
    job: Job,
    model: ModelSpec,
    seen: inputs.Inputs,
    measured: Measurement,
    past: Sequence[PastLaunch],
    paths: RunPaths,
) -> JobPlan:
    sizes = measured.sizes.get(job.name)
    answered = progress.answered(paths.checkpoints, job.name)
    tokens = model.sampling.max_tokens
    prompt = sizes.mean if sizes and sizes.measured else None
    expected = history.expected(past, job.folder, tokens, job.samples - answered, prompt)
    return JobPlan(
        model=job.model,
        dataset=job.dataset,
        samples=job.samples,
        answered=answered,
        media=dict(seen.media),
        missing=dict(seen.missing),
        max_tokens=tokens,
        sizes=sizes,
        seconds=expected.seconds if expected else None,
        basis=expected.basis if expected else "",
    )


def _about_lengths(model: ModelSpec, jobs: Sequence[Job], measured: Measurement) -> list[Remark]:
    if measured.error:
        return [Remark("error", model.name, measured.error)]
    if not measured.able:
        return [Remark("info", model.name, f"engine {model.engine} does not tell how long prompts are")]
    found = []
    for job in jobs:
        sizes = measured.sizes.get(job.name, PromptSizes())
        about = f"{job.model} on {job.dataset}"
        if sizes.refused:
            found.append(Remark("warning", about, sizes.refused))
        fits = planning.fits(sizes, measured.context, model.sampling.max_tokens)
        longest = f"the longest prompt measured has {sizes.most:,} tokens, and the model takes {measured.context:,}"
        if fits == "no":
            found.append(Remark("warning", about, f"{longest} with the answer: such samples will fail"))
        if fits == "cut":
            left = measured.context - sizes.most
            cut = f"its answer ends after {left:,} tokens of {model.sampling.max_tokens:,}"
            found.append(Remark("warning", about, f"{longest} with the answer: {cut}"))
    return found
