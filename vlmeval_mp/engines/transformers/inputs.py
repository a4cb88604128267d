"""Makes the inputs of a model's `generate` from requests: applies the template, tokenizes, processes media.

The processor is Python on one thread, so where its inputs of single requests can be put together to those of a batch,
render processes make them. Whether they can is seen by trying: a processor may pad pictures to the largest of a batch,
or pad in ways of its own, and then the worker makes the inputs of whole batches by itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor, BatchFeature

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import (
    Frames,
    ImagePart,
    Media,
    Message,
    Part,
    Request,
    Sampling,
    TextPart,
    VideoPart,
)
from vlmeval_mp.engines import chattemplate

Tensors = Mapping[str, torch.Tensor]


class Inputs:
    """Makes inputs with the processor of `model`; `options` are those of its `from_pretrained`."""

    def __init__(self, model: str, options: Mapping[str, Any]) -> None:
        self.processor: Any = AutoProcessor.from_pretrained(model, **options)
        self.tokenizer = self.processor.tokenizer
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._special = chattemplate.Special(self.tokenizer)

    def __call__(self, requests: Sequence[Request]) -> BatchFeature:
        """Return the padded inputs of `requests`, which all have images or none, videos or none.

        Raises:
            Exception: what the template or the processor says of one of them.
        """
        template = self.processor.apply_chat_template
        found: dict[str, Any] = {
            "text": [template(self._messages(r), tokenize=False, **chattemplate.ending(r)) for r in requests],
            "padding": True,
            "return_tensors": "pt",
        }
        if requests[0].images:
            found["images"] = [list(r.images) for r in requests]
        if requests[0].videos:
            videos = [video for r in requests for video in r.videos]
            found["videos"] = [video.pixels for video in videos]
            described = [chattemplate.metadata(video) for video in videos]
            found["videos_kwargs"] = {"do_sample_frames": False, "video_metadata": described}
        made: BatchFeature = self.processor(**found)
        return made

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        return [{"role": m.role, "content": [self._part(p) for p in m.parts]} for m in request.messages]

    def _part(self, part: Part) -> dict[str, str]:
        if isinstance(part, TextPart):
            return {"type": "text", "text": self._special.defuse(part.text)}
        return {"type": "image" if isinstance(part, ImagePart) else "video"}

    def together(self, singles: Sequence[Tensors]) -> BatchFeature:
        """Return the inputs of a batch, given those of each of its requests alone, which have the same keys.

        What is as long as the prompt is padded on the left: token ids by the padding token, anything else by 0. All
        else is one after the other, as the pixels of all pictures are. `can_put_together` tells whether that is right.
        """
        if len(singles) == 1:
            return BatchFeature(dict(singles[0]))
        longest = max(single["input_ids"].shape[1] for single in singles)
        found = {}
        for key in singles[0]:
            tensors = [single[key] for single in singles]
            if all(t.shape == single["input_ids"].shape for t, single in zip(tensors, singles, strict=True)):
                value = self.tokenizer.pad_token_id if key == "input_ids" else 0
                tensors = [torch.nn.functional.pad(t, (longest - t.shape[1], 0), value=value) for t in tensors]
            found[key] = torch.cat(tensors)
        return BatchFeature(found)

    def can_put_together(self, max_images: int, max_videos: int) -> bool:
        """Return whether inputs that were put together equal those of a whole batch, with this processor."""
        kinds = [("image", count) for count in {1, min(2, max_images)} if max_images]
        batches = [[_sample(kind, count, n) for n, (kind, count) in enumerate([*kinds, *kinds])]] if kinds else []
        if max_videos:
            batches.append([_sample("video", 1, n) for n in range(2)])
        try:
            return all(self._is_equal(batch) for batch in batches)
        except Exception:  # it wants something else than we know of, or its tensors do not fit one another
            return False

    def _is_equal(self, requests: Sequence[Request]) -> bool:
        whole = dict(self(requests))
        singles = [dict(self([request])) for request in requests]
        if any(single.keys() != whole.keys() for single in singles):
            return False
        parts = dict(self.together(singles))
        return all(_equal(parts[key], value) for key, value in whole.items())


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and bool(torch.equal(one, other))


def _sample(kind: str, count: int, number: int) -> Request:
    """Return a request with `count` media of a size and a length that no other `number` has."""
    width, height = 56 + 28 * number, 112 - 28 * (number % 3)
    pixels = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3) * (number + 1)
    picture = (pixels % 251).astype(np.uint8)
    parts: list[Part] = [TextPart(text="What is this? " * (number + 1))]
    if kind == "image":
        parts = [*(ImagePart(media=Media(kind="image")) for _ in range(count)), *parts]
        images = (Image.fromarray(picture),) * count
        return Request("", (Message(role="user", parts=tuple(parts)),), Sampling(), images)
    parts = [VideoPart(media=Media(kind="video")), *parts]
    frames = 4 + 2 * number
    video = Frames(np.stack([picture] * frames), 2.0, frames, tuple(range(frames)))
    return Request("", (Message(role="user", parts=tuple(parts)),), Sampling(), videos=(video,))


def packed(model: str, options: Mapping[str, Any]) -> bytes:
    """Return what `build` takes."""
    return pickle.dumps((model, dict(options)))


def build(argument: tuple[str, dict[str, Any]]) -> Callable[[Request], dict[str, torch.Tensor]]:
    """Return the rendering of a render process: the inputs of one request alone."""
    torch.set_num_threads(1)
    inputs = Inputs(*argument)

    def render(request: Request) -> dict[str, torch.Tensor]:
        try:
            return dict(inputs([request]))
        except Exception as error:  # as the worker has it, where whatever fails for one request alone is its fault
            raise RequestError(chattemplate.reason(error)) from error

    return render
