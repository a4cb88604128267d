"""Limits this process: it reaches no network but the named judge, and prints no key."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterable
from typing import Any, TextIO
from urllib.parse import urlsplit

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
OFFLINE = ("LocalEntryNotFoundError", "OfflineModeIsEnabled")
"""Errors of Hugging Face's library when it may not fetch a file."""
KEYS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


class NoNetworkError(OSError):
    """Something wanted to reach a host that nobody named."""


def judge_hosts(arguments: dict[str, Any]) -> set[str]:
    """Return hosts that a named judge may be reached through."""
    places = [str(arguments.get("api_base") or os.environ.get("OPENAI_API_BASE") or "https://api.openai.com")]
    places += [value for name, value in os.environ.items() if name.lower() in PROXIES]
    return {host for place in places if (host := urlsplit(place).hostname)}


def allow_only(hosts: Iterable[str]) -> None:
    """Refuse to look up any other host, here and in processes that are forked from here."""
    allowed, look_up = set(hosts), socket.getaddrinfo
    if not allowed:  # for programs that an evaluator starts, such as wget
        os.environ.update(dict.fromkeys([*PROXIES, *map(str.upper, PROXIES)], "http://127.0.0.1:9"))
        os.environ.update(no_proxy="", NO_PROXY="")

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and name not in allowed:
            raise NoNetworkError(f"{name} was not asked for: the adapter reaches no host but a judge that was named")
        return look_up(host, *arguments, **named)

    socket.getaddrinfo = getaddrinfo


def secrets() -> list[str]:
    return [value for name, value in os.environ.items() if len(value) > 5 and any(key in name.upper() for key in KEYS)]


def hidden(text: str, values: Iterable[str]) -> str:
    """Return `text` without the secrets in it."""
    for value in values:
        text = text.replace(value, "***")
    return text


class _Hiding:
    """A text stream that never shows a secret."""

    def __init__(self, stream: TextIO, values: list[str]) -> None:
        self._stream, self._values = stream, values

    def write(self, text: str) -> int:
        self._stream.write(hidden(text, self._values))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def hide_secrets() -> None:
    """Keep keys of the environment out of every log record and of what is printed."""
    values = secrets()
    if not values:
        return
    make = logging.getLogRecordFactory()

    def record(*arguments: Any, **named: Any) -> logging.LogRecord:
        made = make(*arguments, **named)
        made.msg, made.args = hidden(made.getMessage(), values), None
        return made

    logging.setLogRecordFactory(record)
    sys.stdout, sys.stderr = _Hiding(sys.stdout, values), _Hiding(sys.stderr, values)
