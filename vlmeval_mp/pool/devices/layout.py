"""Lays a run out on this machine: groups of devices, and for each model its window and its arguments.

Looks at GPUs, memory and weights; what follows from them is `sizing`'s to say. Nothing here can change an answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import GpuStats, Json, ModelSpec, RunSpec
from vlmeval_mp.engines.registry import entry
from vlmeval_mp.pool.devices import gpus, memory, sizing, weights
from vlmeval_mp.pool.devices.gpus import DeviceGroup
from vlmeval_mp.pool.devices.sizing import Sizing


@dataclass(frozen=True, slots=True)
class DevicesWanted:
    """The devices that a launch wants. `gpus` "" means all, `max_workers` 0 or None any number.

    `tp` GPUs are for each worker; None leaves that to the models' own arguments, which say 1 where they say nothing.

    `batch_size` is samples in flight per worker, 0 for auto, None for what the spec says. `api_nproc` and `retry` are
    requests in flight at an API and how often a failed one is tried again; None leaves them to the engine.
    `render_processes` are those of each worker; None: by its cores.
    """

    device: str = "auto"
    gpus: str = ""
    tp: int | None = None
    parallel: bool = True
    max_workers: int | None = None
    batch_size: int | None = None
    api_nproc: int | None = None
    retry: int | None = None
    render_processes: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """`windows`, `engine_args` and `tp` are by model; a window of 0 is left to the engine. `notes` say what was chosen.

    `groups` are those of one number of GPUs after those of another, and share GPUs where models want different numbers:
    of groups that meet, one has a worker at a time. `render_processes` are those of each worker.
    """

    groups: list[DeviceGroup]
    windows: dict[str, int]
    engine_args: dict[str, Json]
    notes: tuple[tuple[Literal["info", "warning"], str], ...]
    tp: dict[str, int]
    render_processes: int = 0

    @property
    def workers(self) -> int:
        """Most workers at a time."""
        return max(len(self.groups_of(model)) for model in self.tp)

    def groups_of(self, model: str) -> list[DeviceGroup]:
        """Return the groups that can have a worker of `model`."""
        return [group for group in self.groups if group.serves(self.tp[model])]


def lay_out(spec: RunSpec, wanted: DevicesWanted, discover: Callable[[], Sequence[GpuStats]] | None = None) -> Layout:
    """Return the layout that `wanted` asks for; this machine decides what it leaves open.

    `discover` returns the GPUs that workers can be given; None means those of this host.

    Raises:
        ConfigError: the flags contradict each other or name no GPU of this host.
        DependencyError: there is no GPU, and one is needed.
    """
    tp = {m.name: _tensor_parallel(m, wanted) for m in spec.models}
    workers = 1 if not wanted.parallel else (wanted.max_workers or spec.max_workers)
    remote = all(entry(m.engine).remote for m in spec.models)
    found = (discover or gpus.discover)() if wanted.device != "cpu" and not (remote and not wanted.gpus) else []
    if wanted.device == "cpu" and wanted.gpus:
        raise ConfigError("--gpus and --device cpu exclude each other")
    on_cpu = wanted.device == "cpu" or (wanted.device == "auto" and not found and not wanted.gpus)
    if on_cpu or (remote and not wanted.gpus):
        cores = sorted(os.sched_getaffinity(0))
        workers = workers or remote  # requests in flight are what counts there, and one worker has enough
        sizings = {m.name: s for m in spec.models if (s := _on_cpu(m, workers, len(cores))) is not None}
        groups = gpus.cpu_groups(workers or sizing.narrowest(list(sizings.values())), cores)
    else:
        if any(not entry(m.engine).scripted for m in spec.models):
            gpus.require_gpus(found)
        ids = gpus.select(wanted.gpus or "all", found, os.environ)
        _refuse_unfilled(tp, wanted, len(ids))
        alike = {width: gpus.gpu_groups(ids, width, found)[: workers or None] for width in sorted(set(tp.values()))}
        groups = [group for those in alike.values() for group in those]
        mine = [g for g in found if any(g.uuid in group.gpus for group in groups)]
        sized = {m.name: _on_gpu(m, mine, tp[m.name], len(alike[tp[m.name]])) for m in spec.models}
        sizings = {name: s for name, s in sized.items() if s is not None}
    said = {m.name: _said_window(m, wanted, spec) for m in spec.models}
    return Layout(
        groups=groups,
        windows={name: window or (sizings[name].window if name in sizings else 0) for name, window in said.items()},
        engine_args={m.name: _engine_args(m, wanted, sizings.get(m.name)) for m in spec.models},
        notes=tuple(
            note
            for name, chosen in sizings.items()
            for note in (("warning", f"{name}: {chosen.warning}"), ("info", f"{name}: {chosen.note}"))
            if note[1] != f"{name}: " and (note[0] == "warning" or not said[name])
        ),
        tp=tp,
        render_processes=_render_processes(wanted, groups),
    )


def _tensor_parallel(model: ModelSpec, wanted: DevicesWanted) -> int:
    """Return how many GPUs a worker of `model` has: as the flag says, else the model's own argument, else one.

    Raises:
        ConfigError: that is no whole number of at least 1.
    """
    argument = entry(model.engine).tensor_parallel
    said = wanted.tp if wanted.tp is not None else model.engine_args.get(argument, 1)
    if type(said) is not int or said < 1:
        where = "--tp" if wanted.tp is not None else f"model {model.name}: engine_args.{argument}"
        raise ConfigError(f"{where}: must be a whole number of at least 1, not {said!r}")
    return said


def _refuse_unfilled(tp: Mapping[str, int], wanted: DevicesWanted, count: int) -> None:
    """Raise `ConfigError` where `count` GPUs are too few for a model, or are no multiple of what all models take."""
    for model, width in tp.items():
        unused = count > width and count % width and len(set(tp.values())) == 1
        if width > count or unused:
            where = f"--tp {width}" if wanted.tp is not None else f"model {model}: tensor_parallel_size {width}"
            needs = f"a multiple of {width}" if unused else f"{width}"
            raise ConfigError(f"{where} needs {needs} GPUs; {count} are given")


def _render_processes(wanted: DevicesWanted, groups: Sequence[DeviceGroup]) -> int:
    """Return the render processes of each worker: as asked, else by the cores that are its share."""
    if wanted.render_processes is not None:
        return wanted.render_processes
    most = max(sum(len(g.gpus) == width for g in groups) for width in {len(g.gpus) for g in groups})
    shares = [len(g.cores) or len(os.sched_getaffinity(0)) // most for g in groups]
    return sizing.render_processes(min(shares, default=0))


def _said_window(model: ModelSpec, wanted: DevicesWanted, spec: RunSpec) -> int:
    """Return samples that one worker of `model` is to keep in flight; 0 for auto."""
    if not wanted.parallel:
        return 1
    if entry(model.engine).remote and wanted.api_nproc:
        return wanted.api_nproc
    return spec.batch_size if wanted.batch_size is None else wanted.batch_size


def _engine_args(model: ModelSpec, wanted: DevicesWanted, chosen: Sizing | None) -> Json:
    if entry(model.engine).remote and wanted.retry is not None:
        return {**model.engine_args, "max_retries": wanted.retry}
    known = entry(model.engine)
    args = {key: value for key, value in model.engine_args.items() if key != known.tensor_parallel}
    if known.share and chosen is not None and chosen.utilization is not None:
        return {**args, known.share: chosen.utilization}
    return args


def _on_gpu(model: ModelSpec, found: Sequence[GpuStats], tp: int, workers: int) -> Sizing | None:
    """By the smallest of the GPUs and the most that others have of one; None where something is not known.

    Raises:
        ConfigError: the config gives a share of a GPU that is not in (0, 1].
    """
    weighed = _weigh(model)
    free = memory.free_memory()
    argument = entry(model.engine).share
    share = model.engine_args.get(argument)
    if share is not None and not (type(share) in (int, float) and 0 < share <= 1):
        where = f"model {model.name}: engine_args.{argument}"
        raise ConfigError(f"{where}: must be a number above 0 and at most 1, not {share!r}")
    if weighed is None or not found or not free:
        return None
    return sizing.on_gpu(
        weighed,
        min(g.memory_total for g in found),
        max(g.memory_used for g in found),
        free,
        tp=tp,
        workers=workers,
        default=entry(model.engine).window,
        utilization=share,
        dtype=str(model.engine_args.get("dtype", "")),
    )


def _on_cpu(model: ModelSpec, workers: int, cores: int) -> Sizing | None:
    weighed = _weigh(model)
    free = memory.free_memory()
    if weighed is None or not free:
        return None
    default, dtype = entry(model.engine).window, str(model.engine_args.get("dtype", ""))
    return sizing.on_cpu(weighed, free, cores, asked=workers, default=default, dtype=dtype)


def _weigh(model: ModelSpec) -> weights.Weights | None:
    return weights.weigh(model.path) if entry(model.engine).sized else None
