"""A plan as text: the models, the jobs with the lengths of their prompts and their times, then warnings."""

from __future__ import annotations

from vlmeval_mp.display.plaintable import plain_table
from vlmeval_mp.display.text import safe
from vlmeval_mp.runs import planning
from vlmeval_mp.runs.planning import JobPlan, ModelPlan, Plan
from vlmeval_mp.runs.words import duration, limits

GB = 10**9


def lines(plan: Plan) -> list[str]:
    """Return the lines of `plan`."""
    left = sum(job.samples - job.answered for job in plan.jobs)
    whole = sum(job.samples for job in plan.jobs)
    done = f", {whole - left:,} of them answered" if left < whole else ""
    found = [f"run {safe(plan.run)}: {whole:,} samples{done}, in {safe(plan.folder)}", ""]
    found += [line for model in plan.models for line in _model(model, plan)]
    found += ["", *_jobs(plan), "", _time(plan)]
    words = {"info": "note", "warning": "warning", "error": "error"}
    return found + [f"{words[r.level]}: {safe(r.about)}: {safe(r.text)}" for r in plan.remarks]


def _model(model: ModelPlan, plan: Plan) -> list[str]:
    where = f"{len(model.devices)} × {safe(model.device)} ({safe(', '.join(model.devices))})" if model.devices else "–"
    found = [f"{safe(model.name)} ({safe(model.engine)}): {where}"]
    if model.note:
        found.append(f"  {safe(model.note)}")
    cache = _cache(model, [job for job in plan.jobs if job.model == model.name])
    if cache:
        found.append(f"  {cache}")
    if model.settings:
        found.append(f"  {safe(limits(model.settings))}")
    return found


def _cache(model: ModelPlan, jobs: list[JobPlan]) -> str:
    """Say what a full window of the model's longest mean prompts takes in the KV cache."""
    means = [job.sizes.mean + job.max_tokens for job in jobs if job.sizes and job.sizes.measured]
    if not model.kv_token or not means:
        return ""
    tokens = max(means)
    whole = model.window * tokens * model.kv_token
    return (
        f"KV cache: {model.kv_token / 1024:,.0f} KiB a token; {model.window:,} prompts of {tokens:,.0f} tokens "
        f"(with the longest answer) fill {whole / GB:,.1f} GB"
    )


def _jobs(plan: Plan) -> list[str]:
    heading = (
        "model",
        "data set",
        "samples",
        "prompt",
        "longest",
        "of it media",
        "answer",
        "fits",
        "on one worker",
        "by",
    )
    contexts = {model.name: model.context for model in plan.models}
    rows = [
        (
            safe(job.model),
            safe(job.dataset),
            f"{job.samples - job.answered:,}",
            *_tokens(job, contexts[job.model]),
            duration(job.seconds),
            job.basis or "no earlier launch tells",
        )
        for job in plan.jobs
    ]
    return plain_table(heading, rows, ("model", "data set", "by"))


def _tokens(job: JobPlan, context: int) -> tuple[str, str, str, str, str]:
    sizes = job.sizes
    if sizes is None or not sizes.measured:
        return "–", "–", "–", f"≤ {job.max_tokens:,}", "–"
    fits = planning.fits(sizes, context, job.max_tokens)
    return f"{sizes.mean:,.0f}", f"{sizes.most:,}", f"{sizes.media_mean:,.0f}", f"≤ {job.max_tokens:,}", fits


def _time(plan: Plan) -> str:
    if all(job.answered == job.samples for job in plan.jobs):
        return "time: every sample has its answer, so nothing is asked"
    if plan.seconds is None:
        return "time: unknown until a launch of this model on this machine has answered something"
    starts = [model.startup for model in plan.models if model.startup]
    start = f", {duration(max(starts))} of it until the first answer" if starts else ""
    return f"time: about {duration(plan.seconds)}{start}"
