"""Config file + flags → one frozen `RunSpec`. Pure: reads no file, looks nothing up, knows no default path.

A config is VLMEvalKit's JSON, `{"model": {name: {…}}, "data": {name: {…}}}`, with our own keys beside the two. An
unknown key is refused with the nearest valid one; every message names the key path.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from vlmeval_mp.core import credentials
from vlmeval_mp.core.convert import convert
from vlmeval_mp.core.errors import ConfigError, refuse_unknown
from vlmeval_mp.core.paths import slug
from vlmeval_mp.core.records import DataSpec, Json, MediaLimits, ModelSpec, RunSpec, Sampling

TOP_KEYS = (
    "model", "data", "engine", "engine_args", "sampling", "media", "limit", "batch_size", "max_workers", "shard_size",
    "scoring", "judge", "cluster", "group", "circular", "stop_at",
)  # fmt: skip
MODEL_KEYS = (
    "path", "model_path", "engine", "engine_args", "sampling", "prompt", "system_prompt", "post_process", "roles",
    "video", "processor", "reasoning",
)  # fmt: skip
DATA_KEYS = (
    "path", "dataset", "type", "prompt", "nframe", "fps", "limit", "scorer", "use_subtitle", "skip_noimg", "circular",
)  # fmt: skip
TYPES = ("", "mcq", "yorn", "vqa")
ROLES = ("user", "system", "chat")
SHARD_SIZE = 32
ORDER = 1
"""The seed of the random order in which a job is asked that may be stopped early."""
MOST_POINTS = 25.0

_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says over the config file. None and empty mean "not said"."""

    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    engine: str | None = None
    engine_args: Json = field(default_factory=dict)
    limit: int | None = None
    batch_size: int | None = None
    max_workers: int | None = None
    scoring: str | None = None
    judge: str | None = None
    cluster: str | None = None
    group: str | None = None
    circular: bool = False
    stop_at: float | None = None
    base_url: str = ""
    run: str | None = None


def loads(text: str, source: str) -> Json:
    """A config file's content as a JSON object.

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
    """One frozen spec out of a config (may be empty) and flags.

    Raises:
        ConfigError: a key is unknown, a value has the wrong type, or there is nothing to run.
    """
    refuse_unknown("config: there is no key", config, TOP_KEYS)
    models = _entries(config, "model", flags.models)
    data = _entries(config, "data", flags.data)
    for key, entries, example in (("model", models, "--model PATH"), ("data", data, "--data FILE.tsv")):
        if not entries:
            raise ConfigError(f"there is no {key} to run; give {example} or a config with a {key!r} object")
    stop_at = _points(config.get("stop_at", 0.0) if flags.stop_at is None else flags.stop_at)
    limit = _integer(config.get("limit", 0) if flags.limit is None else flags.limit, "limit")
    specs = tuple(_model(n, v, config, flags, default_engine) for n, v in models.items())
    circular = flags.circular or convert(config.get("circular", False), bool, "circular")
    datasets = tuple(
        _dataset(n, {"circular": circular, **v}, limit, flagged=flags.limit is not None, order=ORDER if stop_at else 0)
        for n, v in data.items()
    )
    return RunSpec(
        name=flags.run or name or slug("-".join([*models, *data])),
        models=specs,
        datasets=datasets,
        media=convert(config.get("media", {}), MediaLimits, "media"),
        shard_size=_integer(config.get("shard_size", SHARD_SIZE), "shard_size", low=1),
        batch_size=_pick(flags.batch_size, _window(config.get("batch_size", 0)), "batch_size"),
        max_workers=_pick(flags.max_workers, config.get("max_workers", 0), "max_workers"),
        scoring=_one_of(flags.scoring or config.get("scoring", "strict"), ("strict", "compat", "official"), "scoring"),
        judge=_text(config.get("judge", "") if flags.judge is None else flags.judge, "judge"),
        cluster=_text(config.get("cluster", "") if flags.cluster is None else flags.cluster, "cluster"),
        stop_at=stop_at,
        group=_text(config.get("group", "") if flags.group is None else flags.group, "group"),
    )


def _window(value: object) -> object:
    return 0 if value == "auto" else value


def _entries(config: Json, key: str, flagged: tuple[str, ...]) -> dict[str, Json]:
    """The `model` or `data` object; names given as flags replace the file's selection."""
    given = config.get(key, {})
    if not isinstance(given, dict):
        raise ConfigError(f'{key}: must be an object of name → settings, such as {{"my-{key}": {{}}}}')
    for name, value in given.items():
        if not isinstance(value, dict):
            raise ConfigError(f"{key}.{name}: must be an object, {{}} if there is nothing to set")
    if not flagged:
        return _parted(given)
    chosen: dict[str, Json] = {}
    for text in flagged:
        if text in given:
            chosen[text] = given[text]
        else:
            short = _short_name(text)
            if short in chosen:
                raise ConfigError(f"--{key}: two entries would both be called {short!r}; put them into a config")
            chosen[short] = {"path": text}
    return _parted(chosen)


def _parted(entries: Json) -> dict[str, Json]:
    """`entries`, with one that joins several replaced by these."""
    return {each: entry for name, value in entries.items() for each, entry in value.get("joins", {name: value}).items()}


def _short_name(text: str) -> str:
    """What an entry given as a flag is called: the last part of a path, or the class of "module:Class"."""
    if _CLASS.fullmatch(text):
        return text.rpartition(":")[2]
    last = text.rstrip("/").rsplit("/", 1)[-1] or text
    return last.removesuffix(".tsv")


def _model(name: str, value: Json, config: Json, flags: Overrides, default_engine: str) -> ModelSpec:
    where = f"model.{name}"
    refuse_unknown(f"{where}: there is no key", value, MODEL_KEYS)
    args: Json = {}
    for given, place in (
        (config.get("engine_args", {}), "engine_args"),
        (value.get("engine_args", {}), f"{where}.engine_args"),
        (flags.engine_args, "--engine-args"),
    ):
        if not isinstance(given, dict):
            raise ConfigError(f"{place}: must be an object of argument → value")
        credentials.refuse(place, given)
        args |= given
    if flags.base_url:
        credentials.refuse_address("--base-url", flags.base_url)
        args["base_url"] = flags.base_url
    sampling = config.get("sampling", {}), value.get("sampling", {})
    for part, place in zip(sampling, ("sampling", f"{where}.sampling"), strict=True):
        convert(part, Sampling, place)
    return ModelSpec(
        name=name,
        path=_text(value.get("path", value.get("model_path", name)), f"{where}.path"),
        engine=_text(flags.engine or value.get("engine") or config.get("engine") or default_engine, f"{where}.engine"),
        engine_args=args,
        sampling=convert({**sampling[0], **sampling[1]}, Sampling, f"{where}.sampling"),
        prompt=_text(value.get("prompt", "default"), f"{where}.prompt"),
        system_prompt=_text(value.get("system_prompt", ""), f"{where}.system_prompt"),
        post_process=_one_of(value.get("post_process", ""), ("", "last_boxed"), f"{where}.post_process"),
        roles=_one_of(value.get("roles", ""), ("", *ROLES), f"{where}.roles"),
        video=_one_of(value.get("video", "native"), ("native", "images"), f"{where}.video"),
        processor=_objects(value.get("processor", {}), f"{where}.processor"),
        reasoning=_marks(value.get("reasoning", []), f"{where}.reasoning"),
    )


def _marks(value: Any, where: str) -> tuple[str, ...]:
    """The two marks around a model's reasoning, or none."""
    if not isinstance(value, list) or len(value) not in (0, 2) or not all(isinstance(x, str) and x for x in value):
        raise ConfigError(
            f'{where}: must be the marks around its reasoning, such as ["<think>", "</think>"], not {value!r}'
        )
    return tuple(value)


def _dataset(name: str, value: Json, limit: int, *, flagged: bool, order: int = 0) -> DataSpec:
    """`limit` is the config's, or the command line's (which wins) if `flagged`; `order` seeds a random order."""
    where = f"data.{name}"
    refuse_unknown(f"{where}: there is no key", value, DATA_KEYS)
    kind = _text(value.get("type", ""), f"{where}.type")
    if kind not in TYPES:
        raise ConfigError(f"{where}.type: {kind!r} is none of {', '.join(TYPES[1:])}")
    nframe, fps = _integer(value.get("nframe", 0), f"{where}.nframe"), value.get("fps", 0.0)
    if not isinstance(fps, int | float) or isinstance(fps, bool) or fps < 0:
        raise ConfigError(f"{where}.fps: must be a number of frames per second, not {fps!r}")
    if nframe and fps:
        raise ConfigError(f"{where}: nframe and fps exclude each other; keep one")
    return DataSpec(
        name=name,
        path=_text(value.get("path", value.get("dataset", name)), f"{where}.path"),
        type=kind,
        prompt=_text(value.get("prompt", "default"), f"{where}.prompt"),
        nframe=nframe,
        fps=float(fps),
        limit=limit if flagged else _integer(value.get("limit", limit), f"{where}.limit"),
        scorer=_text(value.get("scorer", ""), f"{where}.scorer"),
        use_subtitle=convert(value.get("use_subtitle", False), bool, f"{where}.use_subtitle"),
        order=order,
        circular=convert(value["circular"], bool, f"{where}.circular"),
        skip_noimg=convert(value["skip_noimg"], bool, f"{where}.skip_noimg") if "skip_noimg" in value else None,
    )


def _points(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_POINTS:
        raise ConfigError(f"stop_at: must be a number of percentage points from 0 to {MOST_POINTS:g}, not {value!r}")
    return float(value)


def _one_of(value: object, valid: tuple[str, ...], where: str) -> str:
    if value not in valid:
        raise ConfigError(f"{where}: {value!r} is none of {', '.join(map(repr, valid))}")
    return str(value)


def _pick(flag: int | None, value: object, where: str) -> int:
    return _integer(value if flag is None else flag, where)


def _integer(value: object, where: str, low: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ConfigError(f"{where}: must be a whole number of at least {low}, not {value!r}")
    return value


def _objects(value: object, where: str) -> dict[str, Json]:
    if not isinstance(value, dict) or not all(isinstance(each, dict) for each in value.values()):
        raise ConfigError(f"{where}: must be an object of data set → arguments, not {value!r}")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{where}: must be text, not {value!r}")
    return value
