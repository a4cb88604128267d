"""Builds the input of a model class: VLMEvalKit's list of dicts with file paths, or the class's own prompt.

The order is VLMEvalKit's: a benchmark that forces its own prompt, then the class's `build_prompt` where its
`use_custom_prompt` says so, then the data set's prompt. A class with VIDEO_LLM gets a video as a file and the data
set's `nframe` or `fps` as attributes; any other class gets frames as images. A class's own prompts for videos are not
used: they take VLMEvalKit's data set object.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import msgspec

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import ImagePart, Message, Request, Sample, TextPart
from vlmeval_mp.engines.modelclass.files import RequestFiles

log = logging.getLogger(__name__)

FORCED = ("MMESCI_",)
"""Names of the benchmarks with `force_use_dataset_prompt` begin so."""


def dataset_of(request: Request) -> str | None:
    """Return the data set's name as VLMEvalKit says it: that of its TSV."""
    return Path(request.origin.data.path).stem if request.origin else None


class Prompter:
    """Builds what one instance of a model class is asked; used in the model's thread."""

    def __init__(self, model: Any, takes: frozenset[str]) -> None:
        self._model = model
        self._takes = takes
        self._whole_videos = bool(getattr(model, "VIDEO_LLM", False))
        self._own = {name: getattr(model, name, None) for name in ("nframe", "fps")}
        self._said = False
        if callable(getattr(model, "set_dump_image", None)):
            model.set_dump_image(image_paths)

    def arguments(self, request: Request) -> dict[str, Any]:
        """Return what goes beside the message into `generate`.

        A video class's `nframe` and `fps` are set on the way.
        """
        if self._whole_videos and request.origin is not None:
            self._set_frames(request.origin.data.nframe, request.origin.data.fps)
        given = {"dataset": dataset_of(request), "sampling": msgspec.to_builtins(request.sampling)}
        return {name: value for name, value in given.items() if name in self._takes}

    def message(self, asked: RequestFiles) -> Any:
        """VLMEvalKit's message, a list of {"type", "value"}; or whatever the class's `build_prompt` gives."""
        name = dataset_of(asked.request)
        if asked.videos and self._whole_videos:
            self._tell_modality(name)
        origin = asked.request.origin
        if origin is not None and name is not None and self._builds(name, asked):
            return self._model.build_prompt(row(origin.sample, asked.images), dataset=name)
        return plain(asked)

    def _builds(self, name: str, asked: RequestFiles) -> bool:
        own = getattr(self._model, "use_custom_prompt", None)
        if not callable(own) or name.startswith(FORCED) or not own(name):
            return False
        if asked.videos and not self._said:
            self._said = True
            log.warning("%s: the class's own prompt for videos is not used; the data set's is", name)
        return not asked.videos

    def _set_frames(self, nframe: int, fps: float) -> None:
        """As VLMEvalKit: what the data set says goes over the class's own, and one excludes the other."""
        said: dict[str, float] = {"nframe": nframe, "fps": fps}
        if not nframe and not fps:
            said = {name: value or 0 for name, value in self._own.items()}
        has = [name for name, value in self._own.items() if value]
        if has and not any(said[name] for name in has):
            given = next(name for name in said if said[name])
            raise RequestError(f"the class takes {has[0]} of a video, and the data entry says {given}")
        for name in has:
            setattr(self._model, name, said[name] or None)

    def _tell_modality(self, name: str | None) -> None:
        """A name that VLMEvalKit does not know is a video set if it asks about videos; some classes look it up."""
        package = sys.modules.get("vlmeval.dataset")
        kinds = getattr(getattr(package, "DATASET_MODALITY", None), "__self__", None)
        if name is not None and kinds is not None:
            kinds.videos.add(name)


def plain(asked: RequestFiles) -> list[dict[str, str]]:
    """Return the request's messages in VLMEvalKit's form, in order.

    A part of another role than the user's says its role.
    """
    images, videos = iter(asked.images), iter(asked.videos)
    found: list[dict[str, str]] = []
    for message in asked.request.messages:
        for part in message.parts:
            if isinstance(part, TextPart):
                found.append(_said(message, "text", part.text))
            elif isinstance(part, ImagePart):
                found.append(_said(message, "image", next(images)))
            else:
                clip = next(videos)
                found += [_said(message, clip.kind, path) for path in clip.paths]
    return found


def _said(message: Message, kind: str, value: str) -> dict[str, str]:
    said = {"type": kind, "value": value}
    return said if message.role == "user" else {**said, "role": message.role}


def row(sample: Sample, images: tuple[str, ...]) -> Any:
    """Return the sample as the row that `build_prompt` takes: a pandas Series with the columns of VLMEvalKit's tables.

    `image_path` is a list of files; absent fields are absent columns.
    """
    import pandas as pd

    cells: dict[str, Any] = {
        "index": int(sample.index) if sample.index.isdecimal() else sample.index,
        "question": sample.question,
        **sample.extra,
        **sample.options,
    }
    named = {"answer": sample.answer, "hint": sample.hint, "category": sample.category}
    named |= {"l2-category": sample.l2_category, "split": sample.split}
    cells |= {column: value for column, value in named.items() if value}
    if images:
        cells["image_path"] = list(images)
    return pd.Series(cells, dtype=object)


def image_paths(line: Any) -> list[str]:
    """Return what VLMEvalKit's `dump_image` gives of a row: the files of its images, which are there already."""
    try:
        paths = line["image_path"]
    except KeyError:
        raise RequestError("the class asks for the images of a sample that has none") from None
    return [paths] if isinstance(paths, str) else list(paths)
