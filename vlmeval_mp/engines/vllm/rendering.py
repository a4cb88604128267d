"""Makes vLLM's input of a request: applies the template, tokenizes, processes media. In any process.

Owns which errors of vLLM are a request's own. vLLM's renderer applies the chat template, so every model that vLLM
serves gets the placeholders that it expects. Both places run this code, so their inputs are equal byte for byte.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from vllm.renderers import ChatParams

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Part, Request, TextPart, VideoPart
from vlmeval_mp.engines import argchecks, chattemplate

CACHE_GIB = 0.25
"""GiB of processed media that a render process keeps; vLLM's default of 4 would be taken by each of them."""


class Rendering:
    """Renders requests with vLLM's `renderer`."""

    def __init__(self, renderer: Any) -> None:
        argchecks.remember()
        self._renderer = renderer
        self._special = chattemplate.Special(renderer.get_tokenizer())

    def __call__(self, request: Request) -> Any:
        """Return the engine input of `request`: a dict with token ids, placeholders and tensors.

        The processor cache is the one that lives in this process alone. The shared one pairs each entry here with one
        in the child, and a request refused in between would leave an entry without its pair, for others to stumble on.

        Raises:
            RequestError: the template, the tokenizer or the processor refuses the request.
        """
        renderer = self._renderer
        template = ChatParams(chat_template_kwargs=chattemplate.ending(request))
        try:
            _, prompt = renderer.render_messages(self._messages(request), template)
            if request.images or request.videos:
                prompt["multi_modal_data"], prompt["multi_modal_uuids"] = media(request)
                prompt["mm_processor_kwargs"] = request.processor or None
            return renderer.render_cmpl([prompt], renderer.default_chat_tok_params, skip_mm_cache=True)[0]
        except Exception as error:
            if is_refusal(error):
                raise RequestError(chattemplate.reason(error)) from error
            raise

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        """Return messages in OpenAI's form; media parts are empty places that only yield the model's placeholder."""
        return [{"role": m.role, "content": [self._part(p) for p in m.parts]} for m in request.messages]

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"type": "text", "text": self._special.defuse(part.text)}
        kind = "video_url" if isinstance(part, VideoPart) else "image_pil"
        return {"type": kind, kind: None, "uuid": "later"}


def is_refusal(error: BaseException) -> bool:
    """Return whether `error` is about the request: vLLM's own refusals, and what a processor says of odd media.

    A `TypeError`, an `AttributeError` and their like are mistakes of a program, ours after a new vLLM above all; no
    other request would fare better.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ValueError", "RuntimeError", "VLLMClientError", "GracefulHTTPError", "TemplateError"})


def build(config: Any) -> Rendering:
    """Return the rendering of a render process, for the engine's own `vllm_config`."""
    import torch
    from vllm.renderers.registry import renderer_from_config

    torch.set_num_threads(1)
    multimodal = config.model_config.multimodal_config
    if multimodal is not None and multimodal.mm_processor_cache_gb > CACHE_GIB:
        multimodal.mm_processor_cache_gb = CACHE_GIB
    renderer = renderer_from_config(config)
    # media without a name of their own are named after the renderer and a running number
    renderer.api_process_rank = f"-{os.getpid()}"
    with contextlib.suppress(Exception):  # only warm-up
        renderer.warmup(ChatParams())
    return Rendering(renderer)


def tensor_bytes(value: Any) -> int:
    """Return the bytes of the tensors in `value`: vLLM's processed media, nested by modality, item and field."""
    if isinstance(value, Mapping):
        return sum(map(tensor_bytes, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(tensor_bytes, value))
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    return tensor_bytes(value.data) if hasattr(value, "data") else 0


def media(request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return vLLM's media by modality, and a name for each that is unique to its content: no pixels are hashed."""
    data: dict[str, Any] = {}
    names: dict[str, Any] = {}
    images, videos = chattemplate.digests(request)
    if request.images:
        data["image"] = list(request.images)
        names["image"] = [
            digest and f"{digest}-{image.width}x{image.height}"
            for digest, image in zip(images, request.images, strict=True)
        ]
    if request.videos:
        data["video"] = [
            (video.pixels, chattemplate.metadata(video) | {"do_sample_frames": False}) for video in request.videos
        ]
        names["video"] = [
            digest and f"{digest}-{video.pixels.shape}-{video.indices}"
            for digest, video in zip(videos, request.videos, strict=True)
        ]
    return data, names
