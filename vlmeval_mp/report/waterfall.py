"""The time of a run as a picture: a lane for each worker, and the rate of answers. SVG without a script.

What workers say of their own seconds is shown where it is there; a run without it has lanes made of its first and last
answers alone, and one without workers has neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vlmeval_mp.core.records import Job, Occupation, ServingSpan, WorkerStatus
from vlmeval_mp.report.document import render
from vlmeval_mp.report.gather import RunView
from vlmeval_mp.report.pages import Options, Page
from vlmeval_mp.report.paints import Paint, paints

BINS = 60
"""Bars of the chart of answers over time."""
LANE, ROW = 38, 12
"""The least height of a lane, and of a row within one, in pixels."""

WORDS: dict[Occupation, str] = {
    "busy": "engine at work",
    "start": "start-up",
    "loading": "loading weights",
    "rendering": "waiting for rendered requests",
    "idle": "waiting for work",
    "draining": "draining",
    "lost": "lost to deaths",
}


@dataclass(frozen=True, slots=True)
class Block:
    """Part of a lane, in percent of the whole time; `top` and `height` in percent of the lane.

    `paint` names the pattern: "paint-load", "paint-idle" or a data set's.
    """

    start: float
    width: float
    paint: str
    text: str
    top: float = 0.0
    height: float = 100.0


@dataclass(frozen=True, slots=True)
class Share:
    """The use of some of a worker's seconds; `at` and `percent` place it among all of them."""

    occupation: Occupation
    words: str
    long: str
    at: float
    percent: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One worker; `height` is in pixels, `shares` is its own account of its seconds."""

    name: str
    about: str
    height: int
    blocks: Sequence[Block]
    shares: Sequence[Share]


def page(run: RunView, options: Options) -> Page:  # noqa: ARG001 - every page takes both
    """Return the tab with the lanes of the last launch of `run`."""
    workers = _of_last_launch(run)
    start, end = _whole(run, workers)
    found = paints(view.job.dataset for view in run.jobs)
    html = render(
        "time.html",
        lanes=[_lane(worker, start, end, found, run) for worker in workers] if end > start else [],
        paints=found,
        ticks=_ticks(end - start),
        bars=bars_of(
            [(origin.at, v.job.dataset) for v in run.jobs for origin in v.origins if origin.at], found, start, end
        ),
        total=duration(end - start),
        shares=shares_of(_spent(run, workers)),
        speeds=speeds_of(run),
    )
    return Page(title="Time", html=html)


def duration(seconds: float) -> str:
    """Return seconds as people say them: 8.2s, 3m 15s, 2h 04m."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"


def _of_last_launch(run: RunView) -> list[WorkerStatus]:
    began = run.supervisor.started if run.supervisor else 0.0
    return [w for w in run.workers if w.started and w.time >= max(began, w.started)]


def _whole(run: RunView, workers: Sequence[WorkerStatus]) -> tuple[float, float]:
    starts = [w.started for w in workers] + ([run.supervisor.started] if run.supervisor else [])
    ends = [w.time for w in workers] + ([run.supervisor.time] if run.supervisor else [])
    return (min(starts), max(ends)) if starts and ends else (0.0, 0.0)


def _lane(worker: WorkerStatus, start: float, end: float, found: Mapping[str, Paint], run: RunView) -> Lane:
    def block(first: float, last: float, paint: str, text: str) -> Block:
        scale = 100 / (end - start)
        first, last = min(max(first, start), end), min(max(last, start), end)
        return Block(round((first - start) * scale, 3), round(max(0.15, (last - first) * scale), 3), paint, text)

    jobs = {view.job.name: view.job for view in run.jobs}
    spans = sorted(((jobs[name], span) for name, span in worker.spans.items() if name in jobs), key=_first)
    begun = spans[0][1].first if spans else worker.time
    blocks = [block(worker.started, worker.time, "paint-idle", "alive, nothing in flight")]
    blocks.append(
        block(worker.started, begun, "paint-load", f"start-up and loading, {duration(begun - worker.started)}")
    )
    rows = rows_of([(served.first, served.last) for _, served in spans])
    count = max(rows, default=0) + 1
    for (job, served), row in zip(spans, rows, strict=True):
        text = f"{job.model} on {job.dataset}: {served.answered:,} answers in {duration(served.last - served.first)}"
        bar = block(served.first, served.last, found[job.dataset].id, text)
        blocks.append(replace(bar, top=round(100 * row / count, 3), height=round(100 / count, 3)))
    about = f"{worker.model} · {worker.devices} · {worker.answered:,} answers"
    return Lane(worker.worker, about, max(LANE, ROW * count), blocks, shares_of(worker.spent))


def _first(served: tuple[Job, ServingSpan]) -> float:
    return served[1].first


def rows_of(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return a row for each (first, last), in order of `first`: the topmost where nothing else is at that time.

    Jobs overlap where a window spans their border.
    """
    ends: list[float] = []
    found = []
    for first, last in spans:
        row = next((place for place, end in enumerate(ends) if end <= first), len(ends))
        ends[row : row + 1] = [last]
        found.append(row)
    return found


def shares_of(seconds: Mapping[Occupation, float]) -> list[Share]:
    """Return what the seconds went to in the order of `WORDS`, each with its part of the whole; nothing for none."""
    whole = sum(seconds.values())
    found, at = [], 0.0
    for occupation, words in WORDS.items():
        value = seconds.get(occupation, 0.0)
        if value > 0:
            percent = round(100 * value / whole, 2)
            found.append(Share(occupation, words, duration(value), round(at, 2), percent))
            at += percent
    return found


def _spent(run: RunView, workers: Sequence[WorkerStatus]) -> dict[Occupation, float]:
    """Return all workers' seconds: as the supervisor added them up, with what deaths cost, or as they are left."""
    if run.supervisor and run.supervisor.spent and run.supervisor.spent.seconds:
        return run.supervisor.spent.seconds
    total: dict[Occupation, float] = {}
    for worker in workers:
        for occupation, value in worker.spent.items():
            total[occupation] = total.get(occupation, 0.0) + value
    return total


def speeds_of(run: RunView) -> list[tuple[str, str]]:
    """Return how fast the last launch was, (number, unit), from its first request to its last answer."""
    spent = run.supervisor.spent if run.supervisor else None
    if spent is None or spent.serving <= 0 or not spent.samples:
        return []
    counted = ((spent.samples, "samples/s"), (spent.tokens_in, "tokens/s in"), (spent.tokens_out, "tokens/s out"))
    return [(f"{n / spent.serving:,.1f}", unit) for n, unit in counted if n]


@dataclass(frozen=True, slots=True)
class Bar:
    """Answers on one data set within one part of the time: x and height in percent, stacked."""

    x: float
    y: float
    height: float
    paint: str
    text: str


def bars_of(answers: Sequence[tuple[float, str]], found: Mapping[str, Paint], start: float, end: float) -> list[Bar]:
    """Return a stacked bar chart of (time, data set) pairs between `start` and `end`; empty without any there."""
    inside = [(at, dataset) for at, dataset in answers if start <= at <= end]
    if not inside or end <= start:
        return []
    counts: list[dict[str, int]] = [{} for _ in range(BINS)]
    for at, dataset in inside:
        place = min(BINS - 1, int((at - start) / (end - start) * BINS))
        counts[place][dataset] = counts[place].get(dataset, 0) + 1
    most = max(sum(each.values()) for each in counts)
    width = (end - start) / BINS
    bars = []
    for place, each in enumerate(counts):
        top = 100.0
        for dataset in filter(each.__contains__, found):
            height = 100 * each[dataset] / most
            top -= height
            text = f"{dataset}: {each[dataset] / width:,.1f} answers a second"
            if len(each) > 1:
                text += f" of {sum(each.values()) / width:,.1f}"
            bars.append(Bar(100 * place / BINS, round(top, 2), round(height, 2), found[dataset].id, text))
    return bars


def _ticks(seconds: float) -> list[tuple[float, str]]:
    """Return some round times as (percent, words)."""
    if seconds <= 0:
        return []
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
    step = next((s for s in steps if seconds / s <= 6), steps[-1])
    return [(100 * at / seconds, duration(at) if at else "0") for at in range(0, int(seconds) + 1, step)]
