"""Any OpenAI-compatible endpoint: `vllm serve`, or a vendor's API.

Owns the conversation over HTTP: who is asked, when it is asked again, and what ends a request or the engine. The key is
read from the environment and is never part of an error or a log. Needs no GPU.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import openai

from vlmeval_mp.core import credentials
from vlmeval_mp.core.errors import ConfigError, RequestError, UnavailableError
from vlmeval_mp.core.records import Completion, Notice, Request
from vlmeval_mp.engines.base import ENCODERS, EngineSpec, arguments
from vlmeval_mp.engines.chattemplate import ending, reason
from vlmeval_mp.engines.openai import answer as answers
from vlmeval_mp.engines.openai import body as chatbody
from vlmeval_mp.engines.openai import retries
from vlmeval_mp.engines.openai.absence import Absence
from vlmeval_mp.engines.renderpool import HasPool, RenderPool

log = logging.getLogger("vlmeval_mp.openai")
T = TypeVar("T")

CHATTY = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
"""Loggers of the client that write a line per request, and with debugging on its headers."""
OPEN_SERVERS = frozenset({"vllm", "sglang", "lmdeploy"})
"""Names of servers of open models as the owner of a model; these servers know `body.OPEN_FIELDS`."""
RENAMED = {"max_tokens": "max_completion_tokens"}
"""Fields that OpenAI's reasoning models have under another name."""
UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})
ADAPTABLE = frozenset({"max_tokens", "temperature", "top_p", "presence_penalty"})
MOST_PROCESSES = 2
"""Render processes that encode pictures: opening and encoding one takes milliseconds, an answer seconds."""
MOST_TURNED_AWAY = 64
"""Requests that may be refused as 401, 403 or 404 without an answer in between."""
PATIENCE = 2.0
"""Times `wait` after which a request that is turned away while others are answered is given up alone."""


class OpenaiArgs(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's arguments. `api_key_env` names the environment variable that holds the key.

    A request is tried again `max_retries` times after a timeout, 408, 409, a 5xx or an answer that cannot be read, and
    for `wait` seconds while the endpoint is busy (429, 502–504) or cannot be reached. One that has never answered is
    waited for `start_wait` seconds: most models load in that time beside us, and a wrong address costs no more.
    `extra_body` is added to every request. `media` "file" names pictures by their place on disk, for a server on this
    machine that may read them (`vllm serve --allowed-local-media-path`). `image_detail` is OpenAI's; a picture with a
    side longer than `image_side` pixels is scaled down, 0 leaves all as they are.
    """

    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    timeout: float = 600.0
    max_retries: int = 5
    wait: float = 300.0
    start_wait: float = 120.0
    extra_body: dict[str, Any] = {}
    media: chatbody.Media = "data"
    image_detail: str = ""
    image_side: int = 0


class OpenaiEngine(HasPool):
    """Serves requests over HTTP."""

    whole_videos = False

    def __init__(self, spec: EngineSpec) -> None:
        credentials.refuse("engine_args", spec.args)
        self.args = arguments("openai", spec.args, OpenaiArgs)
        self.model = spec.model
        self._key = os.environ.get(self.args.api_key_env, "")
        self._client: Any = None
        self._encoders = ThreadPoolExecutor(ENCODERS, thread_name_prefix="encode")
        self._all_known = False
        self._unsupported: set[str] = set()
        self._absence = Absence(self.args.base_url, self.args.wait, self.args.start_wait)
        self._served = False
        self._turned_away = 0
        """refusals of single requests since the last answer"""
        if spec.render_processes and spec.max_images + spec.max_videos:
            how = self.args.media, self.args.image_detail, self.args.image_side
            target = "vlmeval_mp.engines.openai.body:build"
            self._pool = RenderPool(min(MOST_PROCESSES, spec.render_processes), target, pickle.dumps(how))

    async def start(self) -> None:
        if self._pool is not None:
            self._pool.start()
            self._pool.attach()
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        limits = openai.Timeout(self.args.timeout, connect=min(self.args.timeout, retries.CONNECT_SECONDS))
        self._client = openai.AsyncOpenAI(
            base_url=self.args.base_url, api_key=self._key or "none", timeout=limits, max_retries=0
        )
        self._all_known = await self._serves_open_models()

    async def generate(self, request: Request) -> Completion:
        args = self.args
        if request.rendered is not None:
            said = request.rendered.take()
        else:
            said = await asyncio.get_running_loop().run_in_executor(
                self._encoders, chatbody.messages, request, args.media, args.image_detail, args.image_side
            )
        own, extra = chatbody.sampling_fields(request.sampling, all_known=self._all_known)
        if self._all_known and request.messages[-1].role == "assistant":
            extra |= ending(request)  # a vendor goes on with a begun answer by its own rule, if at all

        async def ask() -> Completion:
            fields = {RENAMED.get(k, k) if k in self._unsupported else k: v for k, v in own.items()}
            fields = {k: v for k, v in fields.items() if k not in self._unsupported}
            body = {"model": self.model, "messages": said, "extra_body": extra | args.extra_body} | fields
            return self._completion(await self._client.chat.completions.create(**body))

        return await self._patiently(ask)

    @property
    def notice(self) -> Notice | None:
        return self._absence.notice

    async def close(self) -> None:
        self._encoders.shutdown(wait=False)
        await self._close_pool()
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _serves_open_models(self) -> bool:
        """Return whether the endpoint is a server of open models. Vendors list models too; some endpoints list none."""

        async def ask() -> bool:
            listed = await self._client.models.list()
            return any(getattr(model, "owned_by", "") in OPEN_SERVERS for model in listed.data)

        try:
            return await self._patiently(ask)
        except (ConfigError, RequestError):
            return False

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` gives, asked again while that can help."""
        tries, attempts, adapted, away_since = 0, 0, 0, 0.0
        while True:
            try:
                answer = await ask()
                self._absence.answered()
                return answer
            except RequestError:
                raise
            except Exception as error:
                if retries.is_away(error) and getattr(error, "code", "") != "insufficient_quota":
                    away_since = away_since or time.monotonic()
                    self._refuse_to_wait(error, away_since)
                else:
                    away_since = 0.0
                    if retries.status_of(error):
                        self._absence.answered()
                    if adapted < len(ADAPTABLE) and self._adapts(error):
                        adapted += 1
                        continue
                    self._refuse(error)
                    tries += 1
                    if tries > self.args.max_retries:
                        raise RequestError(self._say(f"failed {tries} times", error)) from None
                attempts += 1
                pause = retries.pause_before(attempts, error)
            await asyncio.sleep(pause)

    def _adapts(self, error: Exception) -> bool:
        """Take back a field that the model does not know, such as `temperature` of one that reasons; then ask again."""
        field = str(getattr(error, "param", None) or "")
        if getattr(error, "code", "") not in UNSUPPORTED or field not in ADAPTABLE:
            return False
        if field not in self._unsupported:
            self._unsupported.add(field)
            instead = f"{RENAMED[field]} is sent" if field in RENAMED else "it is left out"
            log.warning("%s does not take %s; %s", self.model, field, instead)
        return True

    def _refuse_to_wait(self, error: Exception, away_since: float) -> None:
        """Raise if the endpoint was away for as long as it is waited for, or turned this request alone away."""
        what, why = retries.what_and_why(error)
        status, unknown = retries.status_of(error), retries.is_unknown_name(error)
        most = self._absence.missed(what, why, busy=bool(status), unknown=unknown)
        waited = time.monotonic() - away_since
        if time.monotonic() - max(away_since, self._absence.answered_at) > most:
            if self._absence.reached:
                raise UnavailableError(f"the endpoint was away too long, {waited:.0f} s: {why}") from None
            raise UnavailableError(
                f"nothing has answered at {self.args.base_url} for {waited:.0f} s: {why}. Launch again with the right "
                "address, or with a longer engine_args.start_wait if the server was still loading"
            ) from None
        if status != retries.TOO_MANY and waited > PATIENCE * most:  # 429 says that its turn will come
            raise RequestError(f"the endpoint answered others, and this for {waited:.0f} s with: {why}") from None

    def _refuse(self, error: Exception) -> None:
        """Raise what this failure means if trying again cannot help."""
        status, address = retries.status_of(error), self.args.base_url
        if getattr(error, "code", "") == "insufficient_quota":
            raise UnavailableError(self._say("has no quota left for this key", error, address)) from None
        if status in (401, 403, 404) and self._is_one_request_s(error):
            self._turned_away += 1
            raise RequestError(self._say("refuses the request", error)) from None
        if status in (401, 403):
            variable = f"${self.args.api_key_env}"
            what = f"refuses the key in {variable}" if self._key else f"wants a key, and {variable} is empty"
            raise ConfigError(self._say(what, error, address)) from None
        if status == 404:
            what = f"has no model {self.model!r} or no such address"
            raise ConfigError(self._say(what, error, address)) from None
        if retries.is_final(error):
            raise RequestError(self._say("refuses the request", error)) from None

    def _is_one_request_s(self, error: Exception) -> bool:
        """Return whether a refusal is about one request, not about the key, the model or the address.

        It is where the endpoint speaks of contents, and where it has answered others with this key; many refusals in a
        row are about the key again.
        """
        if self._turned_away >= MOST_TURNED_AWAY:
            return False
        return self._served or answers.speaks_of_content(error)

    def _say(self, what: str, error: Exception, who: str = "the endpoint") -> str:
        """Return an error's text. That of a request names no address, so that it is the same wherever the
        server runs.
        """
        text = f"{who} {what}: {reason(error)}"
        return text.replace(self._key, "***") if self._key else text

    def _completion(self, answer: Any) -> Completion:
        completion = answers.read(answer)
        self._served, self._turned_away = True, 0
        return completion
