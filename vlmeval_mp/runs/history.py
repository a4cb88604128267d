"""The times of earlier launches on this machine, one line per model in `jobs/.history.jsonl`, as base of estimates.

Only estimates use the file, so a lost file costs nothing else.
"""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Answered, ModelSpec, ServingSpan, Struct

log = logging.getLogger(__name__)

READ_BYTES = 1 << 20
"""Bytes at the end of the file that count; a launch writes some 500 of them."""
LATEST = 3
"""Launches whose pace is averaged: a machine changes, and one launch may have been a short one."""
OUT_WEIGHT = 8.0
"""Tokens of a prompt that cost as much as one token of an answer: an engine reads a prompt at once and writes an answer
token by token. Used where only the pace of another data set is known."""


class JobPace(Struct, frozen=True, omit_defaults=False):
    """The pace of one data set in one launch: answers, worker-seconds, tokens. `dataset` is the name of its folder.

    `max_tokens` is the longest answer that was allowed.
    """

    dataset: str
    max_tokens: int
    samples: int
    seconds: float
    tokens_in: int
    tokens_out: int


class Setting(Struct, frozen=True, omit_defaults=False):
    """The setting that a pace was measured in: `device` is a kind of GPU ("NVIDIA H200"), `model` a path.

    The host's name is no part of it: a container has another one each time, and a GPU of the same kind is as fast.
    """

    device: str
    tensor_parallel: int
    engine: str
    model: str

    @classmethod
    def of(cls, model: ModelSpec, device: str, tensor_parallel: int) -> Setting:
        """Return the setting of `model` on a kind of device."""
        return cls(device, tensor_parallel, model.engine, model.path)


class PastLaunch(Struct, frozen=True, omit_defaults=False):
    """One model in one launch, which ended at `time` (wall clock).

    `startup` is how many seconds a worker took from its process's start until its engine was ready, and `stages` how
    many of them each stage took; both are means over the workers. `closing` are the seconds from the last answer to the
    end of the launch.
    """

    time: float
    setting: Setting
    startup: float
    closing: float = 0.0
    stages: dict[str, float] = {}
    jobs: tuple[JobPace, ...] = ()


class ExpectedTime(Struct, frozen=True, omit_defaults=False):
    """Worker-seconds that a job may take, and what that rests on, in words."""

    seconds: float
    basis: str


def read(path: Path, setting: Setting) -> list[PastLaunch]:
    """Return the launches in `setting`, the newest first; lines that cannot be read are left out."""
    found = []
    for line in _tail(path):
        try:
            past = msgspec.json.decode(line, type=PastLaunch)
        except msgspec.DecodeError:
            continue
        if past.setting == setting:
            found.append(past)
    return found[::-1]


def append(path: Path, launches: Iterable[PastLaunch]) -> None:
    """Add lines; what goes wrong costs a warning only."""
    try:
        jsonfiles.append_lines(path, launches)
    except StorageError as error:
        log.warning("%s", error)


def _tail(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - READ_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    return lines[1:] if size > READ_BYTES else lines


def worker_seconds(served: Mapping[tuple[str, str], ServingSpan]) -> dict[str, float]:
    """Return the worker-seconds of each job, of spans by (worker, job).

    Where a worker had two jobs at once, each second is divided by how fast it answered them.
    """
    of_worker: dict[str, dict[str, ServingSpan]] = defaultdict(dict)
    for (worker, job), span in served.items():
        if span.answered and span.last > span.first:
            of_worker[worker][job] = span
    found: Counter[str] = Counter()
    for spans in of_worker.values():
        edges = sorted({edge for span in spans.values() for edge in (span.first, span.last)})
        for begin, end in pairwise(edges):
            rates = {
                job: span.answered / (span.last - span.first)
                for job, span in spans.items()
                if span.first <= begin and end <= span.last
            }
            for job, rate in rates.items():
                found[job] += (end - begin) * rate / sum(rates.values())  # type: ignore[assignment]
    return dict(found)


def answered(served: Mapping[tuple[str, str], ServingSpan]) -> dict[str, Answered]:
    """Return the answers of each job and what they took, of spans by (worker, job)."""
    samples: Counter[str] = Counter()
    for (_, job), span in served.items():
        samples[job] += span.answered if span.last > span.first else 0
    return {job: Answered(samples[job], seconds) for job, seconds in worker_seconds(served).items() if seconds > 0}


def expected(
    past: Sequence[PastLaunch], dataset: str, max_tokens: int, samples: int, prompt: float | None
) -> ExpectedTime | None:
    """Return what `samples` of `dataset` may take by launches in the same setting; None where nothing tells.

    Another data set's pace counts by its tokens; `prompt` is the mean prompt here, None where it was not measured.
    """
    same = _launches_of(past, dataset, max_tokens)
    own = _pace(same)
    if own is not None:
        return ExpectedTime(own * samples, f"its own pace in {_launches(len(same))}")
    others = [job for p in past[:LATEST] for job in p.jobs]
    answered = sum(job.samples for job in others)
    cost = sum(job.tokens_in + OUT_WEIGHT * job.tokens_out for job in others)
    if not answered or not cost or prompt is None:
        return None
    answer = min(max_tokens, sum(job.tokens_out for job in others) / answered)
    by_cost = sum(job.seconds for job in others) / cost
    return ExpectedTime(by_cost * samples * (prompt + OUT_WEIGHT * answer), "the pace of other data sets, by tokens")


def pace_of(past: Sequence[PastLaunch], dataset: str, max_tokens: int) -> float | None:
    """Return the worker-seconds of a sample of `dataset` in the latest launches; None where there is none."""
    return _pace(_launches_of(past, dataset, max_tokens))


def pace(past: Sequence[PastLaunch]) -> float | None:
    """Return the worker-seconds of a sample in the latest launches, over all data sets; None where there is none."""
    return _pace([job for each in past[:LATEST] for job in each.jobs])


def _launches_of(past: Sequence[PastLaunch], dataset: str, max_tokens: int) -> list[JobPace]:
    found = (job for each in past for job in each.jobs)
    return [job for job in found if (job.dataset, job.max_tokens) == (dataset, max_tokens)][:LATEST]


def _pace(jobs: Sequence[JobPace]) -> float | None:
    answered = sum(job.samples for job in jobs)
    return sum(job.seconds for job in jobs) / answered if answered else None


def _launches(count: int) -> str:
    return "one earlier launch" if count == 1 else f"{count} earlier launches"


def startup(past: Sequence[PastLaunch]) -> float | None:
    """Return the seconds that a worker took to start, the mean of the latest launches; None where there is none."""
    found = [each.startup for each in past if each.startup][:LATEST]
    return sum(found) / len(found) if found else None


def stages(past: Sequence[PastLaunch]) -> dict[str, float]:
    """Return the seconds of each stage of a start, as they were in the latest launch that has them."""
    return next((each.stages for each in past if each.stages), {})


def closing(past: Sequence[PastLaunch]) -> float:
    """Return the seconds of a launch beside start-up and serving, as they were in the latest one; 0 where unknown."""
    return past[0].closing if past else 0.0
