"""Builds one frozen `RunSpec` from a config file and flags. Pure: reads no file, looks nothing up.

A config is VLMEvalKit's JSON, `{"model": {name: {…}}, "data": {name: {…}}}`, with our own keys beside the two. An
unknown key is refused with the nearest valid one; every message names the key path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vlmeval_mp.config.entries import Config, DataEntry, ModelEntry
from vlmeval_mp.core import credentials
from vlmeval_mp.core.convert import convert
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.named import CLASS
from vlmeval_mp.core.paths import slug
from vlmeval_mp.core.records import DataSpec, Json, ModelSpec, RunSpec, Sampling

BODY = "extra_body"
"""The engine argument whose fields are added to every request at an endpoint."""
NO_BODY = {
    "model": "name the model with --model or in the config",
    "messages": "the prompts are those of the data sets",
    "stream": "answers are taken whole",
    "n": "each sample is answered once",
}
"""Fields of a request that no `BODY` can have, and why."""
ORDER = 1
"""The seed of the random order in which a job is asked that may be stopped early."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """The flags that win over the config file. None and empty mean that a flag was not given."""

    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    engine: str | None = None
    engine_args: Json = field(default_factory=dict)
    limit: int | None = None
    batch_size: int | None = None
    max_workers: int | None = None
    scoring: str | None = None
    judge: str | None = None
    judge_args: Json = field(default_factory=dict)
    cluster: str | None = None
    group: str | None = None
    circular: bool = False
    stop_at: float | None = None
    base_url: str = ""
    run: str | None = None


def loads(text: str, source: str) -> Json:
    """Return a config file's content as a JSON object.

    Raises:
        ConfigError: it is not one; the message names `source`, line, column and what usually causes it.
    """
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        before = text[: error.pos].rstrip()
        comma = before.endswith(",") or text[error.pos : error.pos + 1] == ","
        hint = "; JSON allows no comma before a closing bracket" if comma else ""
        raise ConfigError(f"{source}, line {error.lineno}, column {error.colno}: {error.msg}{hint}") from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{source}: a config is a JSON object with the keys 'model' and 'data'")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Json:
    seen: Json = {}
    for key, value in pairs:
        if key in seen:
            raise ConfigError(f"the key {key!r} stands twice in one object; rename or remove one")
        seen[key] = value
    return seen


def build(config: Json, flags: Overrides, *, name: str | None, default_engine: str) -> RunSpec:
    """Return one frozen spec out of a config (may be empty) and flags.

    Raises:
        ConfigError: a key is unknown, a value has the wrong type, or there is nothing to run.
    """
    top = convert({**config, **_given(flags)}, Config, "", "config: there is no key")
    models = {name: convert(e, ModelEntry, f"model.{name}") for name, e in _chosen("model", top.model, flags.models)}
    data = {name: convert(e, DataEntry, f"data.{name}") for name, e in _chosen("data", top.data, flags.data)}
    for key, entries, example in (("model", models, "--model PATH"), ("data", data, "--data FILE.tsv")):
        if not entries:
            raise ConfigError(f"there is no {key} to run; give {example} or a config with a {key!r} object")
    return RunSpec(
        name=flags.run or name or slug("-".join([*models, *data])),
        models=tuple(_model(n, entry, top, flags, default_engine) for n, entry in models.items()),
        datasets=tuple(_dataset(n, entry, top, flags) for n, entry in data.items()),
        media=top.media,
        shard_size=top.shard_size,
        batch_size=0 if top.batch_size == "auto" else top.batch_size,
        max_workers=top.max_workers,
        scoring=top.scoring,
        judge=top.judge,
        judge_args=_judge_args(top, flags),
        cluster=top.cluster,
        stop_at=top.stop_at,
        group=top.group,
    )


def _judge_args(top: Config, flags: Overrides) -> Json:
    for place, given in (("judge_args", top.judge_args), ("--judge-args", flags.judge_args)):
        credentials.refuse(place, given)
    return top.judge_args | flags.judge_args


def _given(flags: Overrides) -> Json:
    """Return what flags say of keys that a config has too."""
    said = {
        key: getattr(flags, key)
        for key in ("limit", "batch_size", "max_workers", "judge", "cluster", "group", "stop_at")
        if getattr(flags, key) is not None
    }
    return said | {key: getattr(flags, key) for key in ("scoring", "circular") if getattr(flags, key)}


def _chosen(key: str, given: dict[str, Json], flagged: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
    """Yield name and content of each `model` or `data` entry to run; names given as flags replace the file's choice.

    An entry that joins several is replaced by these.
    """
    chosen: dict[str, Json] = {} if flagged else given
    for text in flagged:
        if text in given:
            chosen[text] = given[text]
        else:
            short = _short_name(text)
            if short in chosen:
                raise ConfigError(f"--{key}: two entries would both be called {short!r}; put them into a config")
            chosen[short] = {"path": text}
    for name, entry in chosen.items():
        yield from entry.get("joins", {name: entry}).items()


def _short_name(text: str) -> str:
    """Return what an entry given as a flag is called: the last part of a path, or the class of "module:Class"."""
    if CLASS.fullmatch(text):
        return text.rpartition(":")[2]
    last = text.rstrip("/").rsplit("/", 1)[-1] or text
    return last.removesuffix(".tsv")


def _model(name: str, entry: ModelEntry, top: Config, flags: Overrides, default_engine: str) -> ModelSpec:
    where = f"model.{name}"
    args: Json = {}
    for given, place in (
        (top.engine_args, "engine_args"),
        (entry.engine_args, f"{where}.engine_args"),
        (flags.engine_args, "--engine-args"),
    ):
        credentials.refuse(place, given)
        args = _with_body(args, given, place)
    if flags.base_url:
        credentials.refuse_address("--base-url", flags.base_url)
        args["base_url"] = flags.base_url
    for part, place in ((top.sampling, "sampling"), (entry.sampling, f"{where}.sampling")):
        convert(part, Sampling, place)
    path = entry.model_path if entry.path is None else entry.path
    return ModelSpec(
        name=name,
        path=name if path is None else path,
        engine=flags.engine or entry.engine or top.engine or default_engine,
        engine_args=args,
        sampling=convert({**top.sampling, **entry.sampling}, Sampling, f"{where}.sampling"),
        prompt=entry.prompt,
        system_prompt=entry.system_prompt,
        post_process=entry.post_process,
        roles=entry.roles,
        video=entry.video,
        processor=entry.processor,
        reasoning=entry.reasoning,
    )


def _with_body(args: Json, given: Json, place: str) -> Json:
    """Return engine arguments with more of them; the fields of two `extra_body` add up, the later ones count.

    Raises:
        ConfigError: an `extra_body` says what only the run can say.
    """
    before, body = args.get(BODY), given.get(BODY)
    if not isinstance(body, dict):
        return args | given
    for field_, why in NO_BODY.items():
        if field_ in body:
            raise ConfigError(f"{place}: {BODY} cannot have {field_!r}: {why}")
    return args | given | {BODY: (before if isinstance(before, dict) else {}) | body}


def _dataset(name: str, entry: DataEntry, top: Config, flags: Overrides) -> DataSpec:
    path = entry.dataset if entry.path is None else entry.path
    return DataSpec(
        name=name,
        path=name if path is None else path,
        type=entry.type,
        prompt=entry.prompt,
        nframe=entry.nframe,
        fps=entry.fps,
        limit=top.limit if entry.limit is None or flags.limit is not None else entry.limit,
        scorer=entry.scorer,
        use_subtitle=entry.use_subtitle,
        order=ORDER if top.stop_at else 0,
        circular=top.circular if entry.circular is None else entry.circular,
        skip_noimg=entry.skip_noimg,
    )
