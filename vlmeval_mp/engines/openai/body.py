"""A request as the body of an OpenAI chat completion: texts, pictures and sampling fields.

A picture that nothing was done to travels as the bytes of its file, which are exact by definition and cost no encoding;
any other as PNG, which loses nothing. A video travels as its frames, in order. Knows no client and no endpoint.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from vlmeval_mp.core.records import ImagePart, Request, Sampling, TextPart
from vlmeval_mp.engines.plainfile import plain_kind, write_png

if TYPE_CHECKING:
    from PIL.Image import Image

Media = Literal["data", "file"]
OPEN_FIELDS = ("top_k", "repetition_penalty")
"""Fields beyond OpenAI's own that the servers of open models know."""


def build(how: tuple[Media, str, int]) -> Callable[[Request], list[dict[str, Any]]]:
    """Return what a render process does with a request: `messages` with these arguments."""
    return lambda request: messages(request, *how)


def messages(request: Request, media: Media = "data", detail: str = "", side: int = 0) -> list[dict[str, Any]]:
    """Return the request's messages. `detail` is OpenAI's; a picture with a side longer than `side` is scaled down."""
    images, videos = iter(_pictures(request, media, side)), iter(request.videos)
    found = []
    for message in request.messages:
        content: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                content.append({"type": "text", "text": part.text})
            elif isinstance(part, ImagePart):
                content.append(_part(next(images), detail))
            else:
                content.extend(_part(_png(frame), detail) for frame in _frames(next(videos).pixels))
        found.append({"role": message.role, "content": content})
    return found


def _pictures(request: Request, media: Media, side: int) -> Iterator[str]:
    """Yield the URL of each picture."""
    parts = [p for message in request.messages for p in message.parts if isinstance(p, ImagePart)]
    for image, part in zip(request.images, parts, strict=True):
        scaled = _scaled(image, side)
        path = (request.origin.folder / part.media.file).absolute() if request.origin and part.media.file else None
        kind = plain_kind(path, image) if path and scaled is image else ""
        if not path or not kind:
            yield _png(scaled)
        elif media == "file":
            yield f"file://{quote(str(path))}"
        else:
            yield _data_url(kind, path.read_bytes())


def _scaled(image: Image, side: int) -> Image:
    if not side or max(image.size) <= side:
        return image
    small = image.copy()
    small.thumbnail((side, side))
    return small


def _png(image: Image) -> str:
    buffer = io.BytesIO()
    write_png(image, buffer)
    return _data_url("image/png", buffer.getvalue())


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _frames(pixels: Any) -> Iterator[Image]:
    from PIL import Image

    return map(Image.fromarray, pixels)


def _part(url: str, detail: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": detail} if detail else {"url": url}}


def sampling_fields(sampling: Sampling, *, all_known: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """OpenAI's own fields, and those that only servers of open models know.

    With `all_known` every one of the latter is sent: such a server takes what is missing from the model's
    `generation_config.json`, and would then draw otherwise than the run says. Else only those that were set.
    """
    own = {name: getattr(sampling, name) for name in ("temperature", "top_p", "max_tokens", "presence_penalty")}
    if sampling.seed is not None:
        own["seed"] = sampling.seed
    if sampling.stop:
        own["stop"] = list(sampling.stop)
    default = Sampling()
    open_ = {n: getattr(sampling, n) for n in OPEN_FIELDS if all_known or getattr(sampling, n) != getattr(default, n)}
    return own, open_ | ({"min_p": 0.0} if all_known else {})
