"""Translates a `data` entry of a VLMEvalKit config into our own keys, with a warning for each key without effect. Pure.

Names of video shortcuts ("Video-MME_8frame_subs") become entries, and a name that VLMEvalKit joins out of several files
("MLVU") becomes the entries of these, under `joins`: each is asked and scored by itself.
"""

from __future__ import annotations

import re

from vlmeval_mp.config.entries import DATA_KEYS
from vlmeval_mp.config.models import DATA_TYPES
from vlmeval_mp.core.errors import refuse_unknown
from vlmeval_mp.core.records import Json
from vlmeval_mp.requests import videosets

IGNORED_DATA_KWARGS = {
    "with_subtitle": "subtitles are not shown to the model, so the score is that without them",
    "use_subtitle_time": "subtitles are not shown to the model",
    "use_frame_time": "times of frames are not written into the prompt",
    "use_audio": "audio is not sent",
    "pack": "each question is asked by itself",
    "verbose": "answers are in predictions.jsonl",
}
_DATA_KWARGS = ("class", "dataset", "nframe", "fps", *IGNORED_DATA_KWARGS)
_SHORTCUT = re.compile(r"(?:(?P<nframe>\d+)frame|(?P<fps>[\d.]+)fps)(?P<subs>_subs)?")


def translate(name: str, value: Json, warnings: list[str]) -> Json:
    """Return the entry called `name` in our own keys; `warnings` get one line per thing in it that has no effect here.

    Raises:
        ConfigError: a kwarg is unknown; names the nearest valid one.
    """
    shortcut = shortcuts().get(name)
    if "class" not in value and "path" not in value and shortcut:
        value = {**shortcut, **value}
    joined = benchmark(name, value)
    parts = videosets.joined().get(joined, ())
    if "path" in value or not parts:
        return _translated(name, value, warnings)
    warnings.append(
        f"data.{name}: is asked as {', '.join(parts)}, each with results of its own; averages over all of them, as "
        "VLMEvalKit makes them, are not made"
    )
    named = {part: name.replace(joined, part, 1) if joined in name else f"{name}_{part}" for part in parts}
    return {"joins": {named[part]: _translated(named[part], value | {"dataset": part}, warnings) for part in parts}}


def _translated(name: str, value: Json, warnings: list[str]) -> Json:
    where = f"data.{name}"
    kwargs = dict(value)
    native = {key: kwargs.pop(key) for key in DATA_KEYS if key in kwargs and key not in _DATA_KWARGS}
    if (
        native.get("use_subtitle")
        and ("class" in kwargs or "dataset" in kwargs)
        and benchmark(name, value) not in videosets.subtitled()
    ):
        del native["use_subtitle"]
        named = " and ".join(videosets.subtitled())
        warnings.append(
            f"{where}.use_subtitle: has no effect here; subtitles of {named} only are shown to the model, so the score "
            "is that without them"
        )
    refuse_unknown(f"{where}: there is no kwarg", kwargs, (*_DATA_KWARGS, *DATA_KEYS))
    warnings += [
        f"{where}.{key}: has no effect here; {IGNORED_DATA_KWARGS[key]}"
        for key in kwargs
        if key in IGNORED_DATA_KWARGS and kwargs[key]
    ]
    found: Json = {key: kwargs[key] for key in ("dataset", "nframe", "fps") if key in kwargs}
    if "class" in kwargs:  # VLMEvalKit's classes take fps=-1 and nframe=0 for "not said"
        found = {k: v for k, v in found.items() if k == "dataset" or not isinstance(v, int | float) or v > 0}
        if kwargs["class"] in DATA_TYPES:
            found["type"] = DATA_TYPES[kwargs["class"]]
    return found | native


def benchmark(name: str, value: Json) -> str:
    """Return the benchmark that a data entry is about: the name of its file."""
    return str(value.get("path", value.get("dataset", name))).rsplit("/", 1)[-1].removesuffix(".tsv")


def shortcuts() -> dict[str, Json]:
    """Return the video shortcuts, and the joined names, as entries."""
    found: dict[str, Json] = {name: {"dataset": name} for name in videosets.joined()}
    for dataset, endings in videosets.shortcuts().items():
        for ending in endings:
            match = _SHORTCUT.fullmatch(ending)
            assert match is not None
            frames: Json = {"nframe": int(match["nframe"])} if match["nframe"] else {"fps": float(match["fps"])}
            found[f"{dataset}_{ending}"] = {"dataset": dataset, **frames} | (
                {"use_subtitle": True} if match["subs"] else {}
            )
    return found
