"""The pace of each job in worker-seconds per sample: its own, in this launch or earlier, or that of others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from vlmeval_mp.core.records import Answered, Job, Struct

TRUSTED = 0.25
"""The share of a job after which its pace in this launch counts alone; until then that of earlier launches fades."""


class Pace(Struct, frozen=True):
    """Worker-seconds per sample. `known` is False where they are those of other data sets."""

    seconds: float
    known: bool = True


def of_jobs(
    jobs: Sequence[Job],
    left: Mapping[str, int],
    answered: Mapping[str, Answered],
    earlier: Mapping[str, float],
    usual: Mapping[str, float],
) -> dict[str, Pace]:
    """Return the pace of each job; those are left out of which nothing is known.

    `left` has their unanswered samples, `answered` what was answered in this launch, `earlier` the pace of jobs in
    earlier launches and `usual` that of models there, over all data sets. What a job has of its own comes first; then
    the same data set with another model, by how much faster that one is elsewhere; then the model's other data sets,
    now and earlier; then whatever there is.
    """
    own = {
        job.name: pace
        for job in jobs
        if (pace := _own(answered.get(job.name), earlier.get(job.name), left.get(job.name, 0)))
    }
    of_any = _mean(answered.values())
    by_model: dict[str, dict[str, float]] = {job.model: {} for job in jobs}
    seen: dict[str, list[Answered]] = {job.model: [] for job in jobs}
    for job in jobs:
        if job.name in own:
            by_model[job.model][job.dataset] = own[job.name]
        if job.name in answered:
            seen[job.model].append(answered[job.name])
    of_models = {model: _mean(each) for model, each in seen.items()}
    found = {}
    for job in jobs:
        of_model = of_models[job.model]
        compared, alike = (None, None) if job.name in own else _with_other_models(job, by_model)
        if seconds := own.get(job.name) or compared:
            found[job.name] = Pace(seconds)
        elif seconds := of_model or usual.get(job.model):
            found[job.name] = Pace(seconds, known=False)
        elif seconds := alike or of_any:
            found[job.name] = Pace(seconds, known=bool(alike))
    return found


def _own(now: Answered | None, before: float | None, left: int) -> float | None:
    """Return the pace of a job from those of this launch and of earlier ones, so that it changes little by little."""
    if now is None or before is None:
        return before if now is None else now.seconds / now.samples
    share = min(1.0, now.samples / (now.samples + left) / TRUSTED)
    return share * now.seconds / now.samples + (1 - share) * before


def _mean(answered: Iterable[Answered]) -> float | None:
    each = list(answered)
    return sum(a.seconds for a in each) / sum(a.samples for a in each) if each else None


def _with_other_models(job: Job, own: Mapping[str, Mapping[str, float]]) -> tuple[float | None, float | None]:
    """Return the pace of the same data set with other models: as those that have other data sets in common with this
    model tell, and as it is there. `own` has the paces of data sets by model.
    """
    mine = own[job.model]
    others = [theirs for model, theirs in own.items() if model != job.model and job.dataset in theirs]
    compared = [
        theirs[job.dataset] * sum(mine[d] for d in common) / sum(theirs[d] for d in common)
        for theirs in others
        if (common := mine.keys() & theirs.keys())
    ]
    return _fmean(compared), _fmean([theirs[job.dataset] for theirs in others])


def _fmean(numbers: Sequence[float]) -> float | None:
    return fmean(numbers) if numbers else None
