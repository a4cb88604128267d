"""The flags of one command as frozen values, built once from argparse's namespace.

Each class is one group of flags; `of` reads it from the namespace of a verb that has the group.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vlmeval_mp.core.paths import JobsPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import Json
    from vlmeval_mp.pool.devices.layout import DevicesWanted

Scoring = Literal["strict", "compat", "official"]


@dataclass(frozen=True, slots=True)
class NumbersWanted:
    """The columns by which samples are clusters, and by which they are counted together. None leaves it to the run."""

    cluster: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> NumbersWanted:
        return cls(arguments.cluster, arguments.group)


@dataclass(frozen=True, slots=True)
class SpecWanted:
    """The wanted configs, models and data sets, and settings for all of them. None leaves a choice to the config."""

    configs: tuple[Path, ...]
    models: tuple[str, ...]
    data: tuple[str, ...]
    engine: str | None
    use_vllm: bool
    base_url: str
    engine_args: Json
    limit: int | None
    run: str | None
    scoring: Scoring | None
    judge: str | None
    judge_args: Json = field(default_factory=dict)
    batch_size: int | None = None
    max_workers: int | None = None
    numbers: NumbersWanted = field(default_factory=NumbersWanted)
    circular: bool = False
    stop_at: float | None = None

    @property
    def empty(self) -> bool:
        """True if neither a config nor a model nor a data set is named."""
        return not (self.configs or self.models or self.data)

    @classmethod
    def of(
        cls, arguments: argparse.Namespace, *, batch_size: int | None = None, max_workers: int | None = None
    ) -> SpecWanted:
        return cls(
            configs=(*arguments.configs, *arguments.config),
            models=tuple(arguments.model),
            data=tuple(arguments.data),
            engine=arguments.engine,
            use_vllm=arguments.use_vllm,
            base_url=arguments.base_url or "",
            engine_args=_engine_args(arguments),
            limit=arguments.limit,
            run=arguments.run,
            scoring=arguments.scoring,
            judge=arguments.judge,
            judge_args=judge_args(arguments),
            batch_size=batch_size,
            max_workers=max_workers,
            numbers=NumbersWanted.of(arguments),
            circular=arguments.circular,
            stop_at=arguments.stop_at,
        )


@dataclass(frozen=True, slots=True)
class ScreenWanted:
    """The wanted screen. `verbose` shows each answer; `log_file` gets a copy of the supervisor's log.

    `open_report` makes the report at the end and opens it in the browser. `answers_shown` False leaves out where the
    answers are, for a launch whose caller shows them.
    """

    plain: bool
    as_json: bool
    verbose: bool
    log_file: Path | None
    open_report: bool = False
    answers_shown: bool = True

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> ScreenWanted:
        return cls(arguments.plain, arguments.json, arguments.verbose, arguments.log_file, arguments.open)


@dataclass(frozen=True, slots=True)
class TreeWanted:
    """VLMEvalKit's output tree: where it is, and what of it is read and written."""

    work_dir: Path | None = None
    mode: str = "all"
    reuse: bool = False
    unpickle: bool = False

    @property
    def scored(self) -> bool:
        return self.mode != "infer"

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> TreeWanted:
        return cls(arguments.work_dir, arguments.mode, arguments.reuse, arguments.unpickle)


@dataclass(frozen=True, slots=True)
class TimeWanted:
    """Seconds after which a sample or a worker is stuck (0: by the run's own pace), and for which a drain may last."""

    sample: float = 0.0
    stall: float = 0.0
    drain: float = 120.0

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> TimeWanted:
        return cls(arguments.sample_timeout, arguments.stall_timeout, arguments.drain_seconds)


@dataclass(frozen=True, slots=True)
class LaunchWanted:
    """The wanted ways of `launch` and `resume`. None for `scoring` or `judge` leaves the choice to the run."""

    devices: DevicesWanted
    launcher: str
    screen: ScreenWanted
    scoring: Scoring | None
    judge: str | None = None
    tree: TreeWanted = field(default_factory=TreeWanted)
    numbers: NumbersWanted = field(default_factory=NumbersWanted)
    time: TimeWanted = field(default_factory=TimeWanted)

    @classmethod
    def of(
        cls, arguments: argparse.Namespace, *, judge: str | None = None, tree: TreeWanted | None = None
    ) -> LaunchWanted:
        return cls(
            devices=devices_of(arguments),
            launcher=arguments.launcher,
            screen=ScreenWanted.of(arguments),
            scoring=arguments.scoring,
            judge=judge,
            tree=tree or TreeWanted(),
            numbers=NumbersWanted.of(arguments),
            time=TimeWanted.of(arguments),
        )


def devices_of(arguments: argparse.Namespace) -> DevicesWanted:
    """Return what the flags of `launch` and `resume` say of devices, workers and requests in flight."""
    from vlmeval_mp.pool.devices.layout import DevicesWanted

    return DevicesWanted(
        device=arguments.device,
        gpus=arguments.gpus or "",
        tp=arguments.tp,
        parallel=arguments.parallel,
        max_workers=arguments.max_workers,
        batch_size=arguments.batch_size,
        api_nproc=arguments.api_nproc,
        retry=arguments.retry,
        render_processes=arguments.render_processes,
    )


def _engine_args(arguments: argparse.Namespace) -> Json:
    """Return `--engine-args`, with the fields of `--extra-body` in its `extra_body`."""
    given: Json = arguments.engine_args
    if not arguments.extra_body:
        return given
    body = given.get("extra_body")
    return given | {"extra_body": (body if isinstance(body, dict) else {}) | arguments.extra_body}


def jobs_of(arguments: argparse.Namespace) -> JobsPaths:
    """Return the jobs folder that `--jobs` names."""
    return JobsPaths(arguments.jobs.resolve())


def judge_args(arguments: argparse.Namespace) -> Json:
    """Return what the flags say of the judge, as VLMEvalKit's judges take it."""
    url = (arguments.judge_base_url or "").rstrip("/").removesuffix("/chat/completions")
    said = {
        "api_base": f"{url}/chat/completions" if url else None,
        "nproc": arguments.judge_api_nproc,
        "retry": arguments.judge_retry,
        "timeout": arguments.judge_timeout,
    }
    given: Json = arguments.judge_args
    return given | {key: value for key, value in said.items() if value is not None}
