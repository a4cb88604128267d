"""The plan of a run as a value: needs, expected times and warnings, and the arithmetic behind them.

Pure. `pool.planning` gathers what goes in, `display.plan` shows what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from vlmeval_mp.core.records import Job, Sample, Struct

EVEN, LONGEST = 12, 4
"""Samples of a data set that are measured: evenly spaced ones for the mean, and those with most to say or to show."""


class Remark(Struct, frozen=True, omit_defaults=False):
    """One thing to know before the start: "error" forbids it, "warning" costs samples or time. `about` may be ""."""

    level: Literal["info", "warning", "error"]
    about: str
    text: str


class PromptSizes(Struct, frozen=True, omit_defaults=False):
    """The lengths in tokens of the `measured` prompts of a job, and of the pictures and videos in them.

    Evenly spaced samples are measured, and besides these the samples with the longest texts and the largest files. The
    means are over the evenly spaced ones, `most` and `media_most` over all. `refused` is the first reason why an engine
    would refuse a measured prompt, "" if there is none.
    """

    measured: int = 0
    mean: float = 0.0
    most: int = 0
    media_mean: float = 0.0
    media_most: int = 0
    refused: str = ""


class JobPlan(Struct, frozen=True, omit_defaults=False):
    """One job. `media` counts its pictures and videos, `missing` those that cannot be opened, both by kind.

    `sizes` is None where nothing was measured. `seconds` are worker-seconds for the samples that are left, None where
    no earlier launch tells; `basis` says what they rest on.
    """

    model: str
    dataset: str
    samples: int
    answered: int
    media: dict[str, int]
    missing: dict[str, int]
    max_tokens: int
    sizes: PromptSizes | None = None
    seconds: float | None = None
    basis: str = ""


class ModelPlan(Struct, frozen=True, omit_defaults=False):
    """One model. Bytes are those of its weights as the engine holds them, and of keys and values per token; 0 unknown.

    `context` is the most tokens of a prompt with its answer, `devices` who can serve it, `window` the samples in flight
    per worker, `startup` the seconds until a worker answers (None unknown). `settings` are the engine's own limits.
    """

    name: str
    path: str
    engine: str
    devices: tuple[str, ...]
    device: str
    window: int
    weights: int = 0
    kv_token: int = 0
    context: int = 0
    note: str = ""
    startup: float | None = None
    settings: dict[str, Any] = {}


class Plan(Struct, frozen=True, omit_defaults=False):
    """A run before it starts. `seconds` is the expected time of the launch, None without an earlier launch to go by."""

    run: str
    folder: str
    models: tuple[ModelPlan, ...]
    jobs: tuple[JobPlan, ...]
    remarks: tuple[Remark, ...]
    seconds: float | None = None

    @property
    def forbidden(self) -> bool:
        """True if a launch would be refused, or could answer nothing."""
        return any(remark.level == "error" for remark in self.remarks)

    @property
    def costly(self) -> bool:
        """True if samples would fail."""
        return any(sum(job.missing.values()) or (job.sizes and job.sizes.refused) for job in self.jobs)


def rows_to_measure(job: Job, weights: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return the rows of `job` to measure. `weights` are (bytes of text, bytes of media) of each of its rows."""
    heavy = {
        row
        for place in (0, 1)
        for row in sorted(range(len(weights)), key=lambda r: -weights[r][place])[:LONGEST]
        if weights[row][place]
    }
    return tuple(sorted(heavy | set(even_rows(job.samples))))


def even_rows(samples: int) -> range:
    """Return the evenly spaced rows, of `samples`, that a mean is taken over."""
    return range(0, samples, max(1, samples // EVEN))[:EVEN]


def text_bytes(sample: Sample) -> int:
    """Return about how much `sample` has to say, in characters."""
    ready = sum(len(getattr(part, "text", "")) for message in sample.ready for part in message.parts)
    return len(sample.question) + len(sample.hint) + sum(map(len, sample.options.values())) + ready


def seconds(jobs: Iterable[JobPlan], startups: dict[str, float | None], workers: int, closing: float) -> float | None:
    """Return what a launch of `workers` workers may take; None if a job or a start is without an estimate.

    Each worker loads one model at a time; several models share the workers. `startups` are by model.
    """
    left = [job for job in jobs if job.samples > job.answered]
    if not left:
        return 0.0
    names = list(dict.fromkeys(job.model for job in left))
    total = 0.0
    for name in names:
        startup = startups[name]
        times = [job.seconds for job in left if job.model == name]
        if startup is None or None in times:
            return None
        loads = max(1.0, workers / len(names))
        total += sum(t for t in times if t is not None) + startup * loads
    return total / workers + closing


def fits(sizes: PromptSizes, context: int, max_tokens: int) -> Literal["yes", "cut", "no"]:
    """Return whether the longest prompt that was measured fits `context`: with its whole answer, or a part of it."""
    if not context or sizes.most + max_tokens <= context:
        return "yes"
    return "cut" if sizes.most < context else "no"
