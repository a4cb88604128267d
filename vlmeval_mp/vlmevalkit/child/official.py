"""VLMEvalKit's data set classes: their names, one built from its local TSV, and its own prompts."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wanting
from replacements import write_unchanged

SCORED = ("IMAGE", "TEXT")
"""MODALITYs of which this adapter runs the evaluators."""
TURNS = ("MT",)
"""TYPEs that ask in several turns."""


class UnsupportedError(Exception):
    """A data set that this adapter cannot run; says why and what to do."""


def names(dataset: Any) -> dict[str, tuple[str, ...]]:
    """Return every name in the registry -> (class, TYPE, MODALITY, address of its file or the names it is made of).

    One whose evaluator asks a judge has a fifth text: see `wanting.judge`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for kind in dataset.DATASET_CLASSES:
        several = kind in dataset.DATASET_COLLECTION
        modality = "SEVERAL" if several else str(getattr(kind, "MODALITY", ""))
        judge = (wanted,) if modality in SCORED and (wanted := wanting.judge(kind)) else ()
        for name in kind.supported_datasets():
            place = ", ".join(_parts(kind, name)) if several else getattr(kind, "DATASET_URL", {}).get(name, "")
            address = place if isinstance(place, str) and (several or place.startswith("https://")) else ""
            found.setdefault(name, (kind.__name__, str(getattr(kind, "TYPE", "")).strip(), modality, address, *judge))
    for name, shortcut in dataset.supported_video_datasets.items():
        kind = getattr(shortcut, "func", None)
        found.setdefault(name, (getattr(kind, "__name__", ""), str(getattr(kind, "TYPE", "")).strip(), "VIDEO"))
    return found


def build(dataset: Any, name: str) -> Any:
    """Return the data set object, from local files.

    Raises:
        UnsupportedError: no such name, or one that this adapter cannot run.
    """
    if name in dataset.supported_video_datasets:
        raise UnsupportedError(f"{name} is a video benchmark, which VLMEvalKit fetches and cuts into frames by itself")
    kind = next((k for k in dataset.DATASET_CLASSES if name in k.supported_datasets()), None)
    if kind is None:
        raise UnsupportedError(f"{name} is not in the registry of this VLMEvalKit")
    if kind in dataset.DATASET_COLLECTION:
        raise UnsupportedError(f"{name} is several data sets; name them one by one: {', '.join(_parts(kind, name))}")
    if getattr(kind, "MODALITY", "IMAGE") == "VIDEO":
        raise UnsupportedError(f"{name} is a video benchmark, which VLMEvalKit fetches and cuts into frames by itself")
    if str(getattr(kind, "TYPE", "")).strip() in TURNS:
        raise UnsupportedError(f"{name} asks in several turns, and each sample is asked once here")
    if hasattr(kind, "SUPPORTED_MODELS"):
        raise UnsupportedError(f"{name} asks each model in another way, by a list of models in VLMEvalKit")
    known = inspect.signature(kind.__init__).parameters
    takes_name = "dataset" in known or any(p.kind is p.VAR_KEYWORD for p in known.values())
    return kind(**({"dataset": name} if takes_name else {}))


def _parts(kind: Any, name: str) -> list[str]:
    """Return the names that a collection is made of."""
    return [str(part) for part in getattr(kind, "DATASET_SETS", {}).get(name, [])]


def prompts(built: Any, media: Path) -> Iterator[dict[str, Any]]:
    """Yield each row: its index, its columns as text, and the messages of `build_prompt`, or why there are none.

    Pictures that the TSV holds are written into `media`, not beside the user's data.
    """
    data = built.data
    if "image" in data:
        built.img_root = str(media)
    columns = [str(c) for c in data.columns if c not in ("image", "image_path", "index")]
    for row in range(len(data)):
        line = data.iloc[row]
        found: dict[str, Any] = {"row": row, "index": str(line["index"])}
        found["columns"] = {c: str(line[c]) for c in columns if _present(line[c])}
        try:
            found["messages"] = [_message(part, media) for part in built.build_prompt(line)]
        except Exception as error:  # a damaged row costs one sample
            found["fault"] = f"{type(built).__name__}.build_prompt: {type(error).__name__}: {error}"
        yield found


def _present(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and value != value)


def _message(part: Any, media: Path) -> dict[str, str]:
    if isinstance(part, str):
        return {"type": "text", "value": part, "role": "user"}
    if not isinstance(part, dict) or part.get("type") not in ("text", "image"):
        raise ValueError(f"a part that is neither text nor image: {str(part)[:200]}")
    value = str(part["value"])
    if part["type"] == "image" and value.startswith("data:"):
        path = media / f"{hashlib.sha256(value.encode()).hexdigest()}.uri"
        write_unchanged(value, path)
        value = str(path)
    if part["type"] == "image" and not os.path.isfile(value):  # noqa: PTH113 - theirs is a str
        raise ValueError(f"its picture is not there: {value[:200]}")
    return {"type": part["type"], "value": value, "role": str(part.get("role", "user"))}
