"""Requests to engines and the completions that they return. In memory only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlmeval_mp.core.records.base import Json
from vlmeval_mp.core.records.runs import DataSpec, MediaLimits, Sampling
from vlmeval_mp.core.records.samples import Message, Sample

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one video: `pixels` is uint8 (T, H, W, 3); `indices` are their places in the source video."""

    pixels: np.ndarray
    fps: float
    total: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SampleOrigin:
    """The sample that a request asks about, for an engine that builds its own prompt of it, or takes media as files.

    `folder` is where relative names of media files begin.
    """

    sample: Sample
    data: DataSpec
    folder: Path


@dataclass(frozen=True, slots=True)
class Draft:
    """A request whose media are still files: what `requests.media` opens, small enough to send to another process.

    `folder` is what relative media files are in; the other fields are as `media.prepare` and `Request` have them.
    """

    id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    folder: Path
    limits: MediaLimits
    nframe: int = 0
    fps: float = 0.0
    video: Literal["native", "images", "whole"] = "native"
    processor: Json = field(default_factory=dict)
    origin: SampleOrigin | None = None


class RenderedInput:
    """An engine's own input, made of a request's messages and media ahead of time. It is taken once, by `generate`.

    `nbytes` is its memory where the worker's own count has to include it. `on_take` is called once it is taken.
    """

    __slots__ = ("_value", "nbytes", "on_take")

    def __init__(self, value: Any, nbytes: int = 0) -> None:
        self._value, self.nbytes = value, nbytes
        self.on_take: Callable[[], None] = lambda: None

    def take(self) -> Any:
        """Return the value and forget it, so that its memory is free as soon as the engine has it."""
        value, self._value = self._value, None
        self.on_take()
        return value


@dataclass(frozen=True, slots=True)
class Request:
    """A request to an engine.

    `images` are the decoded RGB pictures of the `ImagePart`s in order of appearance, `videos` those of the
    `VideoPart`s; `videos` is empty for an engine that takes videos whole. A last message of the assistant is the
    beginning of the answer, which the engine continues. `processor` holds what this request's pictures are processed
    with besides the engine's own arguments. `rendered` is there if the engine's own input was made of the media
    ahead of time; then `images` and `videos` are empty.
    """

    id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    images: tuple[Image.Image, ...] = ()
    videos: tuple[Frames, ...] = ()
    origin: SampleOrigin | None = None
    processor: Json = field(default_factory=dict)
    rendered: RenderedInput | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that this request keeps in memory: decoded pixels, or the input that was made of them."""
        if self.rendered is not None:
            return self.rendered.nbytes
        return sum(i.width * i.height * 3 for i in self.images) + sum(int(v.pixels.nbytes) for v in self.videos)


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer of an engine. `finish_reason` is "stop", "length", "content_filter" or "refusal"."""

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
