"""Translates a VLMEvalKit config into our own keys, with a warning for each key without effect. Pure.

`model` entries with a `class` and entries that are shortcuts become `path`, `engine_args`, `sampling`, `prompt`,
`system_prompt` and `post_process`; `data` entries become `path`, `type`, `nframe` and `fps`. Our own keys may stand
beside VLMEvalKit's and win. Nothing is dropped in silence: a kwarg is used, or warned about, or refused.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from vlmeval_mp.config import apis
from vlmeval_mp.config import data as dataentries
from vlmeval_mp.config.entries import MODEL_KEYS
from vlmeval_mp.config.models import CLASSES, MODELS, REPUBLISHED, ModelClass
from vlmeval_mp.core.errors import ConfigError, did_you_mean, nearest, refuse_unknown
from vlmeval_mp.core.records import Json

IGNORED_MODEL_KWARGS = {
    "use_vllm": "the engine is chosen with 'engine' or --engine",
    "use_lmdeploy": "there is no lmdeploy engine; the engine is chosen with 'engine' or --engine",
    "gpu_utils": "say engine_args.gpu_memory_utilization",
    "total_pixels": "bound a video with media.max_frames and media.video_max_pixels",
    "fps": "the data entry's nframe or fps decides",
    "nframe": "the data entry's nframe or fps decides",
    "verbose": "answers are in predictions.jsonl",
    "use_audio_in_video": "audio is not sent",
    "version": "the model's own chat template and processor are used",
    "load_in_8bit": "say engine_args.quantization",
    "screen_parse": "there are no GUI data sets here",
    "cot_prompt_version": "there is no chain-of-thought prompt for it here",
    "use_mpo_prompt": "there is no chain-of-thought prompt for it here",
    "retry": "a failed sample is an error in the results, not asked again",
    "best_of_n": "one answer is drawn per sample",
    "reward_model_path": "one answer is drawn per sample",
    "use_postprocess": "the answer is scored as it is",
    "num_beams": "there is no beam search",
    "use_cache": "an engine's own matter",
    "torch_dtype": "say engine_args.dtype",
    "attn_implementation": "an engine's own matter",
}
WRAPPED_KEYS = ("path", "engine", "engine_args", "sampling", "prompt", "roles")
"""Our own keys in the entry of a class that is run by itself; all others are its constructor's."""
_DRAWN = ("temperature", "top_p", "top_k", "repetition_penalty", "presence_penalty")
_MODEL_KWARGS = (
    "model_path", "min_pixels", "max_pixels", "max_new_tokens", "do_sample", "use_custom_prompt", "system_prompt",
    "post_process", *_DRAWN, *IGNORED_MODEL_KWARGS,
)  # fmt: skip
SHORTCUTS = MODELS | apis.API_MODELS


def translate(
    config: Json,
    *,
    default_engine: str,
    engine: str | None = None,
    models: Iterable[str] = (),
    data: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    local: Container[str] = (),
) -> tuple[Json, list[str]]:
    """Return `config` in our own keys, and one line per thing in it that has no effect here.

    `engine`, `models` and `data` are the command line's flags; shortcuts among the names become entries. `environ` is
    where addresses of APIs may be. `local` names the engines that load weights: for these, a name that is nearly a
    shortcut gets a warning.

    Raises:
        ConfigError: a class or kwarg is unknown; names the nearest valid one.
    """
    warnings: list[str] = []
    given = {key: dict(config[key]) for key in ("model", "data") if isinstance(config.get(key), dict)}
    for key, named, shortcuts in (("model", models, SHORTCUTS), ("data", data, dataentries.shortcuts())):
        for name in named:
            if name in shortcuts and name not in given.get(key, {}):
                given.setdefault(key, {})[name] = {}
    chosen = engine or config.get("engine")
    if (chosen or default_engine) in local:
        warnings += [line for name in models if name not in given.get("model", {}) for line in _nearly(name)]
    for key, name, value in ((k, n, v) for k, entries in given.items() for n, v in entries.items()):
        for text in ("class", "model_path"):
            if isinstance(value, dict) and not isinstance(value.get(text, ""), str | None):
                raise ConfigError(f"{key}.{name}.{text}: must be text, not {value[text]!r}")
    for name, value in given.get("model", {}).items():
        if isinstance(value, dict):
            used = chosen if engine else value.get("engine") or chosen or default_engine
            given["model"][name] = _model(name, value, str(used), warnings, environ or {})
            if engine and engine != "openai" and given["model"][name].get("engine") == "openai":
                raise ConfigError(f"model.{name}: is asked over an API; --engine {engine} cannot run it")
    for name, value in given.get("data", {}).items():
        if isinstance(value, dict):
            given["data"][name] = dataentries.translate(name, value, warnings)
    return {**config, **given}, warnings


def _nearly(name: str) -> list[str]:
    """Return a warning if `name` is likely a misspelt shortcut."""
    near = [] if "/" in name else nearest(name, SHORTCUTS, least=0.85)
    return [f"model.{name}: is no known shortcut and is taken as a path or hub id; did you mean {n!r}?" for n in near]


# --- models ----------------------------------------------------------------------------------------------------


def _model(name: str, value: Json, engine: str, warnings: list[str], environ: Mapping[str, str]) -> Json:
    where = f"model.{name}"
    if engine == "vlmevalkit":
        return _wrapped(where, value, warnings)
    if "class" not in value and (name not in SHORTCUTS or "path" in value):
        warnings += [] if value else _nearly(name)
        return value
    kwargs = {**SHORTCUTS.get(name, {}), **value} if "class" not in value else dict(value)
    if kwargs["class"] in apis.APIS:
        return _api(where, kwargs, engine, warnings, environ)
    native = {key: kwargs.pop(key) for key in MODEL_KEYS if key in kwargs and key not in _MODEL_KWARGS}
    class_ = kwargs.pop("class")
    known = CLASSES.get(class_)
    if known is None:
        classes = [*CLASSES, *apis.APIS]
        hint = " ".join(filter(None, [did_you_mean(str(class_), classes, ""), "known classes:"]))
        raise ConfigError(
            f"{where}.class: {class_!r} is not known here; {hint} {', '.join(classes)}. "
            'With "engine": "vlmevalkit" any class of an installed VLMEvalKit is run by itself'
        )
    refuse_unknown(f"{where}: there is no kwarg", kwargs, _MODEL_KWARGS)
    warnings += [
        f"{where}.{key}: has no effect here; {IGNORED_MODEL_KWARGS[key]}"
        for key in value  # a shortcut's own keys were not the user's to write
        if key in IGNORED_MODEL_KWARGS and value[key] not in (None, False)
    ]
    if known.note:
        warnings.append(f"{where}: {known.note}")
    found = _translated(where, kwargs, known, engine, warnings)
    for key in ("engine_args", "sampling"):
        if isinstance(native.get(key), dict):
            native[key] = found.get(key, {}) | native[key]
    return found | native


def _api(where: str, kwargs: Json, engine: str, warnings: list[str], environ: Mapping[str, str]) -> Json:
    """Return an entry of a class that asks an API. Only the fake engine can stand in for one."""
    class_ = kwargs.pop("class")
    found = apis.entry(where, class_, kwargs, environ, warnings)
    if engine == "fake":
        return found | {"engine": engine, "engine_args": kwargs.get("engine_args", {})}
    return found


def _wrapped(where: str, value: Json, warnings: list[str]) -> Json:
    """Return an entry whose class is run by itself: everything but our own keys goes to its constructor."""
    native = {key: value[key] for key in WRAPPED_KEYS if key in value}
    kwargs = {key: given for key, given in value.items() if key not in native and key != "class"}
    args = native.get("engine_args", {})
    if not isinstance(args, dict):
        raise ConfigError(f"{where}.engine_args: must be an object of argument → value")
    if "sampling" in native:
        warnings.append(f"{where}.sampling: reaches a class only if its generate takes 'sampling'; its kwargs decide")
    if kwargs:
        args = {**args, "kwargs": kwargs | args.get("kwargs", {})}
    if "class" in value:
        args = {**args, "class": value["class"]}
    return {**native, **({"engine_args": args} if args else {})}


def _translated(where: str, kwargs: Json, known: ModelClass, engine: str, warnings: list[str]) -> Json:
    path = kwargs.get("model_path") or known.path
    if not path:
        raise ConfigError(f"{where}.model_path: is missing; give a folder or a hub id")
    if path in REPUBLISHED:
        warnings.append(f"{where}.model_path: {path} is in a format no engine reads; {REPUBLISHED[path]} is used")
        path = REPUBLISHED[path]
    found: Json = {"path": path, "sampling": _sampling(where, kwargs, known, warnings)}
    if kwargs.get("use_custom_prompt", True) and known.builder:
        found["prompt"] = known.builder
    elif kwargs.get("use_custom_prompt", True) and known.foreign:
        warnings.append(f"{where}: VLMEvalKit's own prompts of this class are not known here; the data set's are used")
    if system := kwargs.get("system_prompt", known.system_prompt):
        found["system_prompt"] = system
    if kwargs.get("post_process"):
        found["post_process"] = "last_boxed"
    if not known.video:
        found["video"] = "images"
    if known.roles:
        found["roles"] = known.roles
    pixels = {key: kwargs[key] for key in ("min_pixels", "max_pixels") if kwargs.get(key) is not None}
    if pixels and not known.pixels:
        warnings.append(f"{where}: min_pixels and max_pixels have no effect on this class")
    elif pixels and engine == "vllm":
        found["engine_args"] = {"mm_processor_kwargs": pixels}
    elif pixels and engine != "fake":
        warnings.append(f"{where}: min_pixels and max_pixels reach the vllm engine only, not {engine!r}")
    if known.floors and engine == "vllm":
        found["processor"] = {dataset: {"min_pixels": floor} for dataset, floor in known.floors.items()}
    return found


def _sampling(where: str, kwargs: Json, known: ModelClass, warnings: list[str]) -> Json:
    """Return what answers are drawn with, as VLMEvalKit's own vLLM path draws them, or its greedy transformers path."""
    found: Json = {"max_tokens": kwargs.get("max_new_tokens", known.max_tokens)}
    draws = not known.always_greedy and (bool(known.sampling) or kwargs.get("do_sample", False))
    said = {key: kwargs[key] for key in _DRAWN if kwargs.get(key) is not None}
    if draws:
        return found | known.sampling | said
    if drawn := [key for key in said if said[key] not in (0, 0.0) and not (key.endswith("penalty") and said[key] == 1)]:
        warnings.append(f"{where}: {', '.join(drawn)} have no effect: VLMEvalKit asks this class greedily, and so here")
    return found
