"""Any OpenAI-compatible endpoint: `vllm serve`, or a vendor's API.

Owns how a request becomes a chat completion, and what an HTTP failure means: wait and try again, refuse this request,
or end the run with a message. The key is read from the environment and is never part of an error. Images travel as
PNG, which loses nothing; videos as their frames, in order. Needs no GPU.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import random
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import openai

from vlmeval_mp.engines.base import EngineSpec, refuse_unknown
from vlmeval_mp.engines.chat import reason
from vlmeval_mp.errors import ConfigError, EngineError, RequestError
from vlmeval_mp.records import Completion, ImagePart, Request, Sampling, TextPart

if TYPE_CHECKING:
    from PIL.Image import Image

AWAY = frozenset({429, 502, 503, 504})
"""The endpoint is busy or not there; it says nothing about the request."""
PAUSE_MOST = 30.0


class OpenaiArgs(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's arguments. `api_key_env` names the environment variable that holds the key.

    A request is tried again `max_retries` times after a timeout, another 5xx or an answer that cannot be read, and for
    `wait` seconds while the endpoint is busy or cannot be reached. `extra_body` is added to every request.
    """

    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    timeout: float = 600.0
    max_retries: int = 5
    wait: float = 300.0
    extra_body: dict[str, Any] = {}


class OpenaiEngine:
    """Serves requests over HTTP."""

    default_window = 32
    whole_videos = False

    def __init__(self, spec: EngineSpec) -> None:
        refuse_unknown("openai", spec.args, OpenaiArgs.__struct_fields__)
        try:
            self.args = msgspec.convert(spec.args, OpenaiArgs)
        except msgspec.ValidationError as error:
            raise ConfigError(f"engine 'openai': {error}") from error
        if "@" in urlsplit(self.args.base_url).netloc:
            raise ConfigError("engine 'openai': base_url must hold no password; put the key into the environment")
        self.model = spec.model
        self._key = os.environ.get(self.args.api_key_env, "")
        self._client: Any = None
        self._counts = {"prompt_tokens": 0.0, "completion_tokens": 0.0, "retries": 0.0}

    async def start(self) -> None:
        self._client = openai.AsyncOpenAI(
            base_url=self.args.base_url, api_key=self._key or "none", timeout=self.args.timeout, max_retries=0
        )

    async def generate(self, request: Request) -> Completion:
        body = await asyncio.to_thread(self._body, request)
        tries, away_since = 0, 0.0
        while True:
            try:
                return self._completion(await self._client.chat.completions.create(**body))
            except Exception as error:
                if is_away(error):
                    away_since = away_since or time.monotonic()
                    if time.monotonic() - away_since > self.args.wait:
                        raise EngineError(self._say("was away too long", error)) from None
                else:
                    away_since = 0.0
                    self._refuse(error)
                    if tries >= self.args.max_retries:
                        raise RequestError(self._say(f"failed {tries + 1} times", error)) from None
                tries += 1
                self._counts["retries"] += 1
                pause = pause_before(tries, error)
            await asyncio.sleep(pause)

    def metrics(self) -> dict[str, float]:
        return dict(self._counts)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _refuse(self, error: Exception) -> None:
        """Raise what this failure means if trying again cannot help."""
        status = getattr(error, "status_code", 0)
        if status in (401, 403):
            raise ConfigError(self._say(f"refuses the key in ${self.args.api_key_env}", error)) from None
        if status == 404:
            raise ConfigError(self._say(f"has no model {self.model!r} or no such address", error)) from None
        if 400 <= status < 500 and status not in (408, 409):
            raise RequestError(self._say("refuses the request", error)) from None

    def _say(self, what: str, error: Exception) -> str:
        text = f"{self.args.base_url} {what}: {reason(error)}"
        return text.replace(self._key, "***") if self._key else text

    def _body(self, request: Request) -> dict[str, Any]:
        images, videos = iter(request.images), iter(request.videos)
        messages = []
        for message in request.messages:
            content: list[dict[str, Any]] = []
            for part in message.parts:
                if isinstance(part, TextPart):
                    content.append({"type": "text", "text": part.text})
                elif isinstance(part, ImagePart):
                    content.append(image_part(next(images)))
                else:
                    content.extend(map(frame_part, next(videos).pixels))
            messages.append({"role": message.role, "content": content})
        chosen, extra = sampling_fields(request.sampling)
        return {"model": self.model, "messages": messages, "extra_body": extra | self.args.extra_body} | chosen

    def _completion(self, answer: Any) -> Completion:
        choice, usage = answer.choices[0], answer.usage
        completion = Completion(
            text=choice.message.content or "",
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
        )
        self._counts["prompt_tokens"] += completion.prompt_tokens
        self._counts["completion_tokens"] += completion.completion_tokens
        return completion


def is_away(error: Exception) -> bool:
    if isinstance(error, openai.APITimeoutError):
        return False
    return isinstance(error, openai.APIConnectionError) or getattr(error, "status_code", 0) in AWAY


def pause_before(attempt: int, error: Exception) -> float:
    """Seconds until the next attempt: what Retry-After says, else doubling, with jitter; bounded."""
    response = getattr(error, "response", None)
    try:
        asked = float(response.headers["retry-after"]) if response is not None else 0.0
    except (KeyError, ValueError):
        asked = 0.0
    doubled: float = 0.25 * 2 ** min(attempt, 8) * random.uniform(0.5, 1.0)
    return min(PAUSE_MOST, max(0.0, asked) or doubled)


def sampling_fields(sampling: Sampling) -> tuple[dict[str, Any], dict[str, Any]]:
    """OpenAI's own fields, and those that only some endpoints know, sent only where they were set."""
    own = {name: getattr(sampling, name) for name in ("temperature", "top_p", "max_tokens", "presence_penalty")}
    if sampling.seed is not None:
        own["seed"] = sampling.seed
    if sampling.stop:
        own["stop"] = list(sampling.stop)
    default = Sampling()
    names = ("top_k", "repetition_penalty")
    return own, {n: getattr(sampling, n) for n in names if getattr(sampling, n) != getattr(default, n)}


def image_part(image: Image) -> dict[str, Any]:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def frame_part(pixels: Any) -> dict[str, Any]:
    from PIL import Image

    return image_part(Image.fromarray(pixels))
