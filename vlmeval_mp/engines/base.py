"""The engine protocol: one request in, one completion out, awaited. Concurrency belongs to the caller.

Knows nothing of shards, checkpoints or data sets. An engine is built from an `EngineSpec`, started once, used for the
life of its process and closed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from vlmeval_mp.core.convert import convert
from vlmeval_mp.core.records import Completion, Draft, Notice, Request

T = TypeVar("T")

ENCODERS = 8
"""Threads that write a worker's pictures as files or base64. They are an engine's own: commits and claims run in the
event loop's default threads, and must not queue behind the pictures of 200 requests."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The description that an engine is built from.

    `model` is a folder or hub id. `args` are the engine's own arguments, checked by the engine: an unknown one is a
    `ConfigError`. `device` is "cuda" or "cpu". `max_images` / `max_videos` are the most that one request will carry.
    `window` is how many requests the caller will keep in flight; 0 means the window of its `EngineEntry`. An engine
    that can have its requests rendered by processes of its own starts `render_processes` of them; 0: it renders itself.
    """

    model: str
    args: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    tensor_parallel: int = 1
    max_images: int = 1
    max_videos: int = 0
    window: int = 0
    render_processes: int = 0


class Engine(Protocol):
    """Turns requests into completions.

    `generate` raises `RequestError` when this request alone cannot be served, and `EngineError` when the engine is
    unusable from now on: `UnavailableError` if a fresh one would be no better off. `notice` is what it waits for now,
    if anything; it is cheap, and read from any thread. `whole_videos`: it opens video files itself (`Request.origin`
    says which), so that they are not decoded for it. An engine may also be `CanRender`
    or `RendersInPlace`.
    """

    whole_videos: bool

    @property
    def notice(self) -> Notice | None: ...

    def __init__(self, spec: EngineSpec) -> None: ...

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion: ...

    async def close(self) -> None: ...


@runtime_checkable
class CanRender(Protocol):
    """An engine that can have drafts rendered ahead, beside the worker, while `renders` is true.

    `render` raises what `generate` would say of the request, and `NotRenderedError` where the worker has to open the
    media and hand over the request after all.
    """

    @property
    def renders(self) -> bool: ...

    async def render(self, draft: Draft) -> Request: ...


@runtime_checkable
class RendersInPlace(Protocol):
    """An engine that can make its input of an opened request ahead of time, in any thread, for `generate` to take.

    `rendered` raises what `generate` would say of the request.
    """

    def rendered(self, request: Request) -> Request: ...


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens of one prompt, `media` of them its pictures and videos."""

    tokens: int
    media: int = 0


@dataclass(frozen=True, slots=True)
class Ruler:
    """Measures requests with a model's own template, tokenizer and processor, its weights left alone.

    `context` is the number of tokens that a prompt and its answer may have together, 0 for any number; `settings` are
    the engine's own choices for arguments that the user did not give. `measure` raises `RequestError` for a request
    that the model cannot be asked.
    """

    context: int
    measure: Callable[[Request], Length]
    settings: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class CanMeasure(Protocol):
    """An engine that can tell how long prompts are before it is started. `ruler` raises what `start` would."""

    def ruler(self) -> Ruler: ...


@runtime_checkable
class HasLimits(Protocol):
    """An engine that can tell, once it is started, within which limits it works, as its arguments name them."""

    def limits(self) -> dict[str, Any]: ...


class NotRenderedError(Exception):
    """No render process is there to do it."""


def arguments(engine: str, given: dict[str, Any], kind: type[T]) -> T:
    """Return the arguments `given` to an engine as its `kind`.

    Raises:
        ConfigError: one is unknown or has a wrong type.
    """
    return convert(given, kind, f"engine {engine!r}", "there is no argument")
