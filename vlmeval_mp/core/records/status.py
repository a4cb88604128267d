"""Telemetry: the reports of workers and of the supervisor about themselves. A lost file costs nothing."""

from __future__ import annotations

from typing import Literal

from vlmeval_mp.core.records.base import Json, Struct

Phase = Literal["starting", "loading", "working", "draining", "scoring", "finished", "stopped", "failed"]
"""The activity of a worker or a run.

Only a run can be scoring (every sample is settled) and finished (every job has results).
"""

STARTING: tuple[Phase, ...] = ("starting", "loading")
SERVING: tuple[Phase, ...] = ("working", "draining")
ENDED: tuple[Phase, ...] = ("stopped", "failed")
"""The phases of a worker that is gone; before them come those of a start, then those of answering."""

Occupation = Literal["start", "loading", "idle", "rendering", "busy", "draining", "lost"]
"""The use of a worker's second: its start-up, loading weights, waiting for work, waiting for rendered requests, an
engine at work, draining, or (as the supervisor sees it) a death and what followed until the next worker began."""


class ServingSpan(Struct, frozen=True):
    """The work of one worker on one job: the wall clock at its first request and last answer, and the answers.

    Tokens are those of the answers' prompts, media included, and of the answers.
    """

    first: float
    last: float
    answered: int
    tokens_in: int = 0
    tokens_out: int = 0


class Answered(Struct, frozen=True):
    """The samples of a job that a launch has answered so far, and the worker-seconds that they took."""

    samples: int
    seconds: float


class Notice(Struct, frozen=True):
    """A wait of an engine: `text` says for what, `why` gives the reason.

    The wait began at `since` (wall clock) and lasts `most` seconds at most; `over` is the message for its end.
    """

    text: str
    over: str
    since: float
    most: float
    why: str = ""


class WorkerStatus(Struct, frozen=True):
    """A worker's heartbeat. `beat` grows by one each time; `time` is the writer's wall clock, for display only.

    `waiting` samples are held and not in the engine yet. `proven` tells that this process has answered at least one
    sample, so that its engine works; `ended_by` names what killed its engine from outside. `oldest` is for how long
    (seconds) one sample has been in its engine, `usual` the latency that 99 of 100 stay below; `rendering` counts the
    samples that are being prepared; `asked_twice` those of other workers that it asked once more. While it loads,
    `stage` says what it does in words ("reading weights 3/7"), since `stage_since` (wall clock); `stages` has the
    seconds of those that are over, without their numbers ("reading weights"). `limits` are those of a started engine,
    by the names of its arguments. The rates of tokens are per second, as `rate` is of samples.
    """

    worker: str
    pid: int
    owner: str
    host: str
    model: str
    devices: str
    gpus: tuple[str, ...] = ()
    phase: Phase = "starting"
    job: str = ""
    answered: int = 0
    failed: int = 0
    in_flight: int = 0
    window: int = 0
    rate: float = 0.0
    held: dict[str, int] = {}
    spans: dict[str, ServingSpan] = {}
    beat: int = 0
    time: float = 0.0
    started: float = 0.0
    message: str = ""
    notice: Notice | None = None
    proven: bool = False
    ended_by: str = ""
    spent: dict[Occupation, float] = {}
    tokens_in: int = 0
    tokens_out: int = 0
    oldest: float = 0.0
    usual: float = 0.0
    rendering: int = 0
    waiting: int = 0
    asked_twice: int = 0
    stage: str = ""
    stage_since: float = 0.0
    stages: dict[str, float] = {}
    limits: Json = {}
    tokens_in_rate: float = 0.0
    tokens_out_rate: float = 0.0

    @property
    def startup(self) -> float:
        """The seconds from its start until its engine was ready."""
        return self.spent.get("start", 0.0) + self.spent.get("loading", 0.0)


def stage_name(stage: str) -> str:
    """Return a stage without how far it is: `reading weights` of `reading weights 3/7`."""
    return stage.rstrip("0123456789/% ")


class TimeSpent(Struct, frozen=True, omit_defaults=False):
    """The worker-seconds of one launch by occupation, and the answers of that time.

    `seconds` are by occupation, over all workers. `samples`, `tokens_in` and `tokens_out` count what was answered from
    the first request to the last answer, `serving` seconds of wall clock apart. `asked_twice` of the samples were in
    two engines at once, because the first took very long.
    """

    seconds: dict[Occupation, float] = {}
    samples: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    serving: float = 0.0
    asked_twice: int = 0


class GpuStats(Struct, frozen=True):
    """One GPU as NVML sees it; memory in bytes, utilisation in percent, `recent` the last ones of it, oldest first."""

    uuid: str
    index: int
    name: str
    memory_used: int
    memory_total: int
    utilization: int
    recent: tuple[int, ...] = ()


class Event(Struct, frozen=True):
    """One line for the screen and the supervisor's log: what happened, when (wall clock), how bad."""

    time: float
    text: str
    level: Literal["info", "warning", "error"] = "info"


class Tally(Struct, frozen=True):
    """Running totals over the scored part of a job.

    `value` is their sum, and `interval` the 95 % interval of their mean. Once `metric` is set, `score` is that metric,
    the benchmark's own, over the samples so far, and `interval` is its interval. `health` has the replies so far, and
    how many of them show each sign; `reasons` has how many samples failed for each reason. With `as_reported`, `score`
    is another evaluator's, in a unit of its own.
    """

    value: float = 0.0
    scored: int = 0
    unscored: int = 0
    failed: int = 0
    interval: tuple[float, float] | None = None
    health: dict[str, int] = {}
    metric: str = ""
    score: float | None = None
    reasons: dict[str, int] = {}
    as_reported: bool = False


class SupervisorStatus(Struct, frozen=True):
    """The supervisor's heartbeat: what only it knows. `at_work` is how many workers it has on each model.

    `before` are the seconds that earlier launches worked on the run, `ended` is when its last job had its results (wall
    clock), 0 before that. `startup` is how long a worker of each model took to start the last time here, `stages` how
    long each stage of that took. `answered` is what this launch has answered of each job; `paces` has the
    worker-seconds per sample of jobs in earlier launches here, `model_paces` those of models over all data sets. `kept`
    is how many samples of each job had an answer on disk when the launch began, and at its end how many have one then,
    those of unfinished shards included.
    """

    pid: int
    owner: str
    phase: Phase = "starting"
    time: float = 0.0
    started: float = 0.0
    tallies: dict[str, Tally] = {}
    rates: dict[str, float] = {}
    finished: tuple[str, ...] = ()
    gpus: tuple[GpuStats, ...] = ()
    events: tuple[Event, ...] = ()
    spent: TimeSpent | None = None
    at_work: dict[str, int] = {}
    before: float = 0.0
    startup: dict[str, float] = {}
    stages: dict[str, dict[str, float]] = {}
    answered: dict[str, Answered] = {}
    paces: dict[str, float] = {}
    model_paces: dict[str, float] = {}
    ended: float = 0.0
    kept: dict[str, int] = {}
