"""Builds specs from configs and flags: one for each config file, or one from flags alone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli import kitflags
from vlmeval_mp.cli.wanted import NumbersWanted, SpecWanted
from vlmeval_mp.core.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from vlmeval_mp.core.records import Json, RunSpec


def specs_of(wanted: SpecWanted) -> list[RunSpec]:
    """Return the specs that `wanted` asks for, and write what of a config has no effect to stderr.

    Raises:
        ConfigError: a config or a flag is wrong.
    """
    from vlmeval_mp.config import build, vlmevalkit
    from vlmeval_mp.config.apis import api_base
    from vlmeval_mp.engines import registry
    from vlmeval_mp.runs import submit
    from vlmeval_mp.vlmevalkit import classes

    overrides = build.Overrides(
        models=wanted.models,
        data=wanted.data,
        engine=kitflags.engine(wanted),
        engine_args=wanted.engine_args,
        limit=wanted.limit,
        batch_size=wanted.batch_size,
        max_workers=wanted.max_workers,
        scoring=wanted.scoring,
        judge=wanted.judge,
        judge_args=wanted.judge_args,
        cluster=wanted.numbers.cluster,
        group=wanted.numbers.group,
        circular=wanted.circular,
        stop_at=wanted.stop_at,
        base_url=api_base(wanted.base_url),
        run=wanted.run,
    )
    if len(wanted.configs) > 1 and wanted.run:
        raise ConfigError("--run names one run, but several configs are given")
    given: list[tuple[Path | None, Json]] = [(p, build.loads(_read(p), str(p))) for p in wanted.configs]
    engine = submit.default_engine()
    specs = []
    for path, value in given or [(None, {})]:
        here = [[n for n in names if not Path(n).exists()] for names in (overrides.models, overrides.data)]
        with _named(path):
            ours, warnings = vlmevalkit.translate(
                value,
                default_engine=engine,
                engine=overrides.engine,
                models=here[0],
                data=here[1],
                environ=os.environ,
                local=registry.sized(),
            )
            spec = build.build(ours, overrides, name=path.stem if path else None, default_engine=engine)
        for warning in _once(warnings):
            print(f"warning: {warning}", file=sys.stderr)
        folders = [*([path.parent] if path else []), Path.cwd()]
        specs.append(classes.resolve_all(spec, folders))
    return specs


@contextlib.contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Put the config file, if there is one, before a message about what it says."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}" if path else str(error)) from None


def _once(warnings: Iterable[str]) -> list[str]:
    """Return each warning once, with the first of the entries that it is about and how many more there are."""
    about: dict[tuple[str, str], list[str]] = {}
    for warning in dict.fromkeys(warnings):
        where, _, said = warning.partition(": ")
        key = where.rpartition(".")[2] if where.count(".") > 1 else ""
        about.setdefault((key, said), []).append(where)
    return [
        f"{places[0]}{f' and {len(places) - 1} more' if len(places) > 1 else ''}{f': {said}' if said else ''}"
        for (_, said), places in about.items()
    ]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        there = [each.name for each in path.parent.glob("*.json")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, there, "give the path of a JSON file")
        raise ConfigError(f"{path}: there is no such config; {hint}") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from None


def rescored(
    frozen: RunSpec,
    wanted: RunSpec,
    scoring: str | None,
    judge: str | None = None,
    numbers: NumbersWanted | None = None,
    judge_args: Json | None = None,
) -> RunSpec:
    """Return `frozen` with what `wanted` and the flags say of scoring, which changes no answer."""
    import msgspec

    scorers = {data.name: data.scorer for data in wanted.datasets}
    datasets = tuple(
        msgspec.structs.replace(data, scorer=scorers.get(data.name) or data.scorer) for data in frozen.datasets
    )
    read = {model.name: model.post_process for model in wanted.models}
    models = tuple(msgspec.structs.replace(m, post_process=read.get(m.name, m.post_process)) for m in frozen.models)
    chosen = wanted.judge if judge is None else judge
    said = numbers or NumbersWanted()
    return msgspec.structs.replace(
        frozen,
        scoring=scoring or wanted.scoring,
        judge=chosen,
        judge_args=wanted.judge_args | (judge_args or {}),
        datasets=datasets,
        models=models,
        cluster=wanted.cluster if said.cluster is None else said.cluster,
        group=wanted.group if said.group is None else said.group,
    )
