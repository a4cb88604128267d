"""Three screens with one protocol: `Live` for a terminal, `Plain` lines for a log, `JsonLines` for a program.

A screen is fed with states and decides itself when to draw. Nothing that goes wrong in it (a drawing error, a closed
pipe, a terminal that is gone) reaches the caller: the run goes on without it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import IO, Literal, Protocol, Self

import msgspec
from rich.live import Live as RichLive

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.records import Event, Job, Prediction, stage_name
from vlmeval_mp.display.terminal import Terminal, silence
from vlmeval_mp.display.text import fraction, rate, safe
from vlmeval_mp.display.view import render
from vlmeval_mp.runs.state import JobState, RunState, WorkerState
from vlmeval_mp.runs.words import POINTS, duration, score

log = logging.getLogger(__name__)

FRAME_SECONDS = 0.25
PLAIN_SECONDS = 10.0
JSON_SECONDS = 1.0
SHOWN_JOBS = 3

Clock = Callable[[], float]
Mode = Literal["live", "plain", "json"]


class Screen(Protocol):
    """Follows one run. `update`, `line` and `answer` never raise; `close` draws the last state, once.

    `answer` shows what a model said, as text and nothing else; a live picture leaves it to the workers' logs.
    """

    def update(self, state: RunState) -> None: ...

    def line(self, text: str) -> None: ...

    def answer(self, job: Job, prediction: Prediction) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


def screen(mode: Mode, stream: IO[str], clock: Clock = time.time) -> Screen:
    """Return the screen for `mode`; a live one only where `stream` is a terminal that can move its cursor."""
    if mode == "json":
        return JsonLines(stream, clock)
    if mode == "live":
        console = Terminal(stream)
        if console.is_terminal and not console.is_dumb_terminal:
            return Live(stream, clock, console)
    return Plain(stream, clock)


class _Screen:
    """The base of all three: a stream that may be closed at any time, the last state, and the events already seen."""

    def __init__(self, stream: IO[str], clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._state: RunState | None = None
        self._seen: frozenset[Event] = frozenset()
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError

    def _new_events(self, state: RunState) -> list[Event]:
        new = [event for event in state.events if event not in self._seen]
        self._seen = frozenset(state.events)
        return new

    def _gone(self, error: Exception) -> None:
        self._open = False
        silence(self._stream)
        log.info("the screen is gone (%s); the run goes on", error)

    def _write(self, text: str) -> None:
        """Write one line at once; a stream that fails is not written again."""
        if not self._open:
            return
        try:
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            self._stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._gone(error)


class Plain(_Screen):
    """One line when something changed: an event, a worker's phase, a finished job, else every ten seconds."""

    def __init__(self, stream: IO[str], clock: Clock = time.time, every: float = PLAIN_SECONDS) -> None:
        super().__init__(stream, clock)
        self._every = every
        self._due = 0.0
        self._finished: frozenset[str] = frozenset()
        self._phases: dict[str, tuple[str, str]] = {}
        self._written: Hashable = None

    def update(self, state: RunState) -> None:
        self._state = state
        for event in self._new_events(state):
            self._write(f"{_time(event.time)} {_LEVEL[event.level]}{safe(event.text)}")
        self._write_phases(state)
        finished = frozenset(job.name for job in state.jobs if job.finished)
        if not state.finished and (finished - self._finished or self._clock() >= self._due):
            self._progress(state)  # of a finished run, the last line tells: `close` writes it once
        self._finished = finished

    def line(self, text: str) -> None:
        self._write(f"{_time(self._clock())} {safe(text)}")

    def answer(self, job: Job, prediction: Prediction) -> None:
        said = prediction.prediction if prediction.error is None else f"failed: {prediction.error}"
        self.line(f"{job.name} {prediction.index}: {said}")

    def close(self) -> None:
        if self._state is not None:
            self._progress(self._state)

    def _write_phases(self, state: RunState) -> None:
        phases = {worker.worker: (str(worker.phase), _stage(worker)) for worker in state.workers}
        for worker in state.workers:
            if self._phases.get(worker.worker) != phases[worker.worker]:
                about = worker.message or phases[worker.worker][1]
                said = f": {safe(about)}" if about else ""
                self.line(f"{safe(worker.worker)} ({safe(worker.devices)}) {worker.phase}{said}")
        self._phases = phases

    def _progress(self, state: RunState) -> None:
        key = (state.done, state.failed, state.finished, tuple(job.score for job in state.jobs))
        if key == self._written:
            return
        self._written, self._due = key, self._clock() + self._every
        self.line(progress_line(state))


class JsonLines(_Screen):
    """One JSON object a line: `start`, `progress` at most once a second when something changed, `line`, `done`."""

    def __init__(self, stream: IO[str], clock: Clock = time.time, every: float = JSON_SECONDS) -> None:
        super().__init__(stream, clock)
        self._every = every
        self._due = 0.0
        self._written: Hashable = None
        self._closed = False

    def update(self, state: RunState) -> None:
        first = self._state is None
        self._state = state
        key = _progress_key(state)
        if first or (key != self._written and self._clock() >= self._due):
            self._written, self._due = key, self._clock() + self._every
            self._record("start" if first else "progress", state)

    def line(self, text: str) -> None:
        self._write(jsonfiles.encode({"event": "line", "text": text}).decode())

    def answer(self, job: Job, prediction: Prediction) -> None:
        named = {"event": "answer", "model": job.model, "dataset": job.dataset}
        self._write(jsonfiles.encode({**named, **msgspec.to_builtins(prediction)}).decode())

    def close(self) -> None:
        if self._state is not None and not self._closed:
            self._closed = True
            self._record("done", self._state)

    def _record(self, event: str, state: RunState) -> None:
        self._write(jsonfiles.encode({"event": event, **msgspec.to_builtins(state)}).decode())


class Live(_Screen):
    """A picture on the terminal's other screen, drawn at most four times a second from the thread that calls `update`.

    So neither a resize nor a fast log leaves remains. The last picture and every `line` stay on the first screen.
    """

    def __init__(self, stream: IO[str], clock: Clock = time.time, console: Terminal | None = None) -> None:
        super().__init__(stream, clock)
        self._console = console or Terminal(stream)
        self._live: RichLive | None = None
        self._drawn = -1.0
        self._fallback: Plain | None = None
        self._lines: list[str] = []

    def update(self, state: RunState) -> None:
        self._state = state
        if self._fallback is not None:
            self._fallback.update(state)
        elif self._open and time.monotonic() - self._drawn >= FRAME_SECONDS:
            self._drawn = time.monotonic()
            self._guard(self._draw, state)

    def line(self, text: str) -> None:
        """Keep a line for the end; there is none beside the picture."""
        if self._fallback is not None:
            self._fallback.line(text)
        elif self._open:
            self._lines.append(f"{_time(self._clock())} {safe(text)}")

    def answer(self, job: Job, prediction: Prediction) -> None:
        """Show nothing: thousands of answers would push the picture about."""

    def close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            self._guard(live.stop)
            self._guard(self._leave_behind)
        if self._fallback is not None:
            self._fallback.close()

    def _leave_behind(self) -> None:
        for text in self._lines:
            self._console.print(text)
        if self._state is not None:
            self._console.print(render(self._state, self._console.width))

    def _draw(self, state: RunState) -> None:
        picture = render(state, self._console.width, self._console.height)
        if self._live is None:
            self._live = RichLive(
                picture,
                console=self._console,
                screen=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)
        else:
            self._live.update(picture, refresh=True)

    def _guard(self, work: Callable[..., object], *arguments: object) -> None:
        try:
            work(*arguments)
        except OSError as error:
            self._live = None
            self._gone(error)
        except Exception:
            log.exception("the screen could not be drawn; plain lines from here on")
            self._fallback = Plain(self._stream, self._clock)
            live, self._live = self._live, None
            if live is not None:
                self._leave(live)
            for text in self._lines:
                self._write(text)
            if self._state is not None:
                self._fallback.update(self._state)

    def _leave(self, live: RichLive) -> None:
        """Give the cursor back without drawing again what could not be drawn."""
        try:
            live.transient = True
            live.update("", refresh=False)
            live.stop()
        except Exception:
            log.exception("the cursor could not be given back")


def _stage(worker: WorkerState) -> str:
    """Return what a worker loads, without how far it is: `reading weights` of `reading weights 3/7`."""
    return "" if worker.stage == worker.phase else stage_name(worker.stage)


_LEVEL = {"info": "", "warning": "warning: ", "error": "error: "}


def _time(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def progress_line(state: RunState) -> str:
    """Return `demo 512/1260 41% 186.3/s eta 4s failed 0 · DigitsMCQ 97.8 ±0.9 %`."""
    facts = f"{safe(state.run)} {state.done}/{state.total} {fraction(state.done, state.total)}"
    if state.finished or not state.running:
        facts += f" {state.phase} in {duration(state.elapsed)}"
    else:
        facts += f" {rate(state.rate)}" if state.rate > 0 else f" {state.phase}"
        facts += f" eta {duration(state.eta)}" if state.eta is not None else ""
    begun = [job for job in state.jobs if job.score is not None]
    active = [job for job in begun if not job.finished] or begun
    several_models = len({job.model for job in state.jobs}) > 1
    named = [(job.name if several_models else job.dataset, job) for job in active[:SHOWN_JOBS]]
    scores = "".join(f" · {safe(name)} {_score(job)}" for name, job in named)
    return f"{facts} failed {state.failed}{scores}"


def _score(job: JobState) -> str:
    said = score(job.metric, job.score, job.interval, reported=job.as_reported)
    return said if job.as_reported or job.metric.endswith(POINTS) else f"{said} %"


def _progress_key(state: RunState) -> Hashable:
    """Return what makes two states differ for a program.

    Rates, ages and waiting times change all the time and do not.
    """
    workers = tuple(
        (w.worker, w.pid, w.phase, w.stage, w.job, w.answered, w.silent, w.notice or w.message) for w in state.workers
    )
    jobs = tuple((j.name, j.done, j.failed, j.score, j.finished, j.shards_claimed, j.shards_done) for j in state.jobs)
    return (state.phase, state.running, jobs, workers, state.events)
