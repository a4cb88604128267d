"""The rows of the live screen: workers, jobs, reasons of failed samples, events. No row is blank."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from vlmeval_mp.core.records import ENDED, SERVING, STARTING, Event, Phase
from vlmeval_mp.display.drawing import DIM, Bar, Column, Part, beside, headings, line, row, spark
from vlmeval_mp.display.text import fraction, rate, safe, size, tokens
from vlmeval_mp.runs.state import JobState, RunState, WorkerState
from vlmeval_mp.runs.words import POINTS, duration, score

WIDE, WIDER = 120, 150
"""Columns from which there are more of them, and still more."""
COMPACT = 38
"""Cells of a worker where several stand in one line."""
LEVEL_STYLE = {"info": "", "warning": "yellow", "error": "red"}
PHASE_STYLE: dict[Phase, str] = {
    "starting": "yellow",
    "loading": "yellow",
    "working": "green",
    "draining": "yellow",
    "scoring": "green",
    "finished": "green",
    "stopped": DIM,
    "failed": "red",
}


# --- workers ---------------------------------------------------------------------------------------------------


def workers(state: RunState, width: int, lines: int) -> list[RenderableType]:
    """Return the workers in at most `lines` lines: a row for each, or several in a line, the troubled ones first."""
    shown = sorted(state.workers, key=_urgency) if len(state.workers) + 1 > lines else state.workers
    names = _job_names(state)
    if len(shown) + 1 <= lines:
        columns = _worker_columns(width, any(w.gpus for w in shown))
        return [headings(columns), *(row(columns, _worker_cells(w, names.get(w.job, w.job), width)) for w in shown)]
    across = max(1, width // COMPACT)
    return _some([_compact(w, names.get(w.job, w.job)) for w in shown], width, across, lines, "workers")


def _some(texts: list[Text], width: int, across: int, lines: int, what: str) -> list[RenderableType]:
    room = across * lines
    if lines < 1:
        return []
    if len(texts) > room:
        hidden = len(texts) - room + 1
        texts = [*texts[: room - 1], Text(f"… {hidden} more {what}", style=DIM)]
    return beside(texts, width, across)


def compact_lines(count: int, width: int) -> int:
    """Return how many lines `count` workers take where several stand in one."""
    return -(-count // max(1, width // COMPACT))


def _urgency(worker: WorkerState) -> int:
    """Return who is shown first where there is no room for all: what is wrong, what loads, what works, what
    has ended.
    """
    if worker.phase == "failed" or worker.silent or worker.notice:
        return 0
    return 3 if worker.phase == "stopped" else 1 if worker.phase in STARTING else 2


def _worker_columns(width: int, gpus: bool) -> list[Column]:
    wide, wider = width >= WIDE, width >= WIDER
    fixed = [Column("worker", 8 if wide else 6), Column("device", 12 if wide else 9)]
    if gpus:
        fixed += [Column("memory", 13 if wide else 8, "right"), Column("util", 4, "right")]
        fixed += [Column("load", 12 if wider else 8)] if wide else []
    fixed += [Column("phase", 8)]
    tail = [Column("in flight", 9, "right"), Column("done", 8, "right")] if wide else []
    tail += [Column("rate", 8, "right")]
    tail += [Column("tok/s in", 8, "right"), Column("out", 6, "right")] if wider else []
    used = sum(c.width for c in fixed + tail) + 2 * (len(fixed) + len(tail))
    return [*fixed, Column("job", max(4, width - used)), *tail]


def _job_names(state: RunState) -> dict[str, str]:
    """Return the shown names of jobs: with only one model, those of their data sets; else none."""
    return {} if len({j.model for j in state.jobs}) > 1 else {j.name: j.dataset for j in state.jobs}


def _worker_cells(worker: WorkerState, job: str, width: int) -> dict[str, Part]:
    used, there = sum(g.memory_used for g in worker.gpus), sum(g.memory_total for g in worker.gpus)
    memory = size(used, there) if width >= WIDE else f"{used / 2**30:.0f}/{there / 2**30:.0f}G"
    ended = worker.phase in ENDED
    return {
        "worker": (worker.worker, ""),
        "device": (worker.devices, ""),
        "memory": (memory if worker.gpus else "", ""),
        "util": (_util(worker), ""),
        "load": (_load(worker, 12 if width >= WIDER else 8), "cyan"),
        "phase": (worker.phase, PHASE_STYLE[worker.phase]),
        "job": _doing(worker, job),
        "in flight": ("" if ended else f"{worker.in_flight}/{worker.window}", DIM),
        "done": (f"{worker.answered:,}", ""),
        "rate": (_rate(worker), ""),
        "tok/s in": (tokens(worker.tokens_in), DIM),
        "out": (tokens(worker.tokens_out), DIM),
    }


def _compact(worker: WorkerState, job: str) -> Text:
    parts: list[Part] = [(f"{safe(worker.worker):<3} ", ""), (f"{safe(worker.devices)[:9]:<6} ", DIM)]
    if worker.gpus:
        parts += [(f"{_util(worker):>4} ", ""), (f"{_load(worker, 4):<4} ", "cyan")]
    doing, style = _doing(worker, job)
    if worker.phase in SERVING and not worker.stage:
        parts.append((f"{_rate(worker):>7} ", ""))
    elif worker.phase in ENDED:
        parts.append((f"{worker.phase} ", PHASE_STYLE[worker.phase]))
    return line([*parts, (safe(doing), style)], 10**6)


def _doing(worker: WorkerState, job: str) -> Part:
    """Return what a worker is at, or what is wrong with it."""
    if worker.message:
        return worker.message, "red" if worker.phase == "failed" else "yellow" if worker.notice else ""
    if worker.silent:
        return f"no sign of life for {duration(worker.age)}", "yellow"
    if worker.stage:
        usual = f" of ~{duration(worker.stage_usual)}" if worker.stage_usual else ""
        return f"{worker.stage} {duration(worker.stage_seconds)}{usual}", "yellow"
    serving = worker.phase in SERVING
    return (job or worker.model) if serving else worker.model, DIM if worker.phase in ENDED else ""


def _rate(worker: WorkerState) -> str:
    """Nothing before the first answer: no rate is not a rate of zero."""
    return rate(worker.rate) if worker.phase in SERVING and worker.answered else ""


def _util(worker: WorkerState) -> str:
    return f"{sum(g.utilization for g in worker.gpus) / len(worker.gpus):.0f}%" if worker.gpus else ""


def _load(worker: WorkerState, width: int) -> str:
    """Return the utilisation of a worker's GPUs over the last while, one bar for each look."""
    looks = zip(*(gpu.recent for gpu in worker.gpus), strict=False)
    return spark([sum(each) / len(each) for each in looks], width) if worker.gpus else ""


# --- jobs ------------------------------------------------------------------------------------------------------


def jobs(state: RunState, width: int, lines: int) -> list[RenderableType]:
    """Return the jobs in at most `lines` lines; where not all fit, those at work come before finished ones."""
    shown: Sequence[JobState] = state.jobs
    if not shown or lines < 2:
        return []
    hidden = len(shown) - (lines - 1) if len(shown) > lines - 1 else 0
    if hidden:
        hidden += 1
        urgent = sorted(shown, key=lambda j: (j.finished, not j.done))[: len(shown) - hidden]
        shown = [job for job in shown if job in urgent]
    names = max(cell_len(safe(job.dataset)) for job in state.jobs)  # of all, so that no column moves
    columns = _job_columns(width, names, several_models=len({j.model for j in state.jobs}) > 1)
    room = next(c.width for c in columns if c.heading == "progress")
    rows = [row(columns, _job_cells(job), {"progress": Bar(job.done, job.failed, job.total, room)}) for job in shown]
    more = [Text(f"… {hidden} more jobs", style=DIM)] if hidden else []
    return [headings(columns, ("%", "progress")), *rows, *more]


def _job_cells(job: JobState) -> dict[str, Part]:
    waits = job.done >= job.total and not job.finished
    return {
        "job": (job.dataset, ""),
        "model": (job.model, DIM),
        "done": (f"{job.done:,}/{job.total:,}", ""),
        "%": (fraction(job.done, job.total), DIM),
        "rate": (rate(job.rate) if job.rate else "", DIM),
        "eta": ("done" if job.finished else "scoring" if waits else duration(job.eta) if job.eta else "", DIM),
        "failed": (f"{job.failed:,}", "red" if job.failed else DIM),
        "score": (
            score(job.metric, job.score, job.interval, reported=job.as_reported),
            "bold" if job.score is not None else DIM,
        ),
        "metric": (job.metric.removesuffix(POINTS).replace("_", " "), DIM),
    }


def _job_columns(width: int, names: int, *, several_models: bool) -> list[Column]:
    """Return the columns; where a name is long, its column takes up to 10 cells of the bar on a wide screen, 16 on a
    wider one.
    """
    wide, wider = width >= WIDE, width >= WIDER
    least = 30 if wider else 20 if wide else 20 - 5 * several_models
    head = [Column("job", max(least, min(names, least + (16 if wider else 10))) if wide else least)]
    if several_models:
        head += [Column("model", 24 if wider else 16 if wide else 10)]
    tail = [Column("done", 17 if wide else 13, "right")]
    tail += [Column("%", 4, "right"), Column("rate", 8, "right")] if wide else []
    tail += [Column("eta", 7, "right"), Column("failed", 6, "right"), Column("score", 13 if wide else 11, "right")]
    tail += [Column("metric", 16)] if wider else []
    used = sum(c.width for c in head + tail) + 2 * (len(head) + len(tail))
    return [*head, Column("progress", max(4, width - used)), *tail]


# --- why samples failed, and what happened ---------------------------------------------------------------------


def failures(counts: Counter[str], where: Mapping[str, list[str]], width: int, lines: int) -> list[RenderableType]:
    """Return why samples failed, the most frequent of `reasons` first: `12 × image missing · DigitsMCQ`."""
    shown = [
        line([(f"{count:>5,} × ", "red"), (safe(why), ""), (f" · {safe(', '.join(where[why]))}", DIM)], width)
        for why, count in counts.most_common(max(0, lines))
    ]
    rest = len(counts) - len(shown)
    if shown and rest:
        shown[-1] = Text(f"      … {rest + 1} more reasons", style=DIM)
    return [*shown]


def reasons(state: RunState) -> tuple[Counter[str], dict[str, list[str]]]:
    """Return how many samples failed for each reason over all jobs, and in which data sets."""
    counts: Counter[str] = Counter()
    where: dict[str, list[str]] = {}
    for job in state.jobs:
        for why, count in job.reasons.items():
            counts[why] += count
            where.setdefault(why, [])
            where[why] += [job.dataset] if job.dataset not in where[why] else []
    return counts, where


def events(happened: Sequence[Event], width: int, lines: int) -> list[RenderableType]:
    """Return the last events, the last error among them however long ago it was."""
    last = list(happened[-lines:]) if lines > 0 else []
    errors = [event for event in happened if event.level == "error"]
    if last and errors and errors[-1] not in last:
        last[0] = errors[-1]
    shown: list[RenderableType] = []
    for event in last:
        when = time.strftime("%H:%M:%S", time.localtime(event.time))
        shown.append(line([(when, DIM), (f"  {safe(event.text)}", LEVEL_STYLE[event.level])], width))
    return shown
