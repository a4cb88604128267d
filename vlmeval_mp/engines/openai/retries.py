"""Classifies a failure over HTTP (endpoint away, request failed, hopeless) and gives the time to wait.

Pure but for the clock and the dice that are passed in; knows no client beyond its exception types.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime

import openai

from vlmeval_mp.engines.chattemplate import reason
from vlmeval_mp.engines.openai.answer import BodyError

TOO_MANY = 429
AWAY = frozenset({TOO_MANY, 502, 503, 504})
"""The endpoint is busy or not there; it says nothing about the request."""
AGAIN = frozenset({408, 409})
"""4xx that pass by themselves; any other refuses the request for good."""
NOT_IMPLEMENTED = 501
FIRST, MOST = 0.25, 30.0
"""Seconds of back-off: of the first attempt, and at most."""
UNREACHED_MOST = 5.0
"""Seconds between two attempts to connect: they cost little, and an endpoint that is back should be noticed."""
ASKED_MOST = 300.0
"""Seconds that a `Retry-After` is believed at most."""
CONNECT_SECONDS = 10.0
"""Seconds that connecting may take; without this limit, an address that swallows packets takes two minutes."""

_ERRNOS = frozenset(errno.errorcode)


def status_of(error: Exception) -> int:
    return int(getattr(error, "status_code", 0) or 0)


def is_away(error: Exception) -> bool:
    """Return whether the endpoint is busy or cannot be reached.

    A late answer is not: it may be this request's own length.
    """
    if isinstance(error, openai.APITimeoutError):
        return _no_connection(error)
    return isinstance(error, openai.APIConnectionError) or status_of(error) in AWAY


def is_unknown_name(error: Exception) -> bool:
    """Return whether the endpoint's host name does not exist, as far as the name server knows."""
    return any(isinstance(e, socket.gaierror) and e.errno == socket.EAI_NONAME for e in _causes(error))


def what_and_why(error: Exception) -> tuple[str, str]:
    """Return the state ("is busy") and the cause of an endpoint that `is_away`; neither contains its address."""
    status = status_of(error)
    if status:
        said = f": {reason(error)}" if isinstance(error, BodyError) else ""
        return "is busy" if status == TOO_MANY else "is not ready", f"HTTP {status}{said}"
    if _no_connection(error):
        return "cannot be reached", f"no connection within {CONNECT_SECONDS:.0f} s"
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "cannot be reached", str(cause.strerror)
        if isinstance(cause, OSError) and cause.errno in _ERRNOS:  # its own text would hold the address
            return "cannot be reached", os.strerror(cause.errno)
    return "cannot be reached", reason(error)


def is_final(error: Exception) -> bool:
    """Return whether asking the same again can only fail the same way."""
    status = status_of(error)
    return status == NOT_IMPLEMENTED or (400 <= status < 500 and status not in AWAY | AGAIN)


def pause_before(
    attempt: int, error: Exception, now: Callable[[], float] = time.time, dice: Callable[[], float] = random.random
) -> float:
    """Return seconds until the `attempt`-th further attempt: what the answer asks for, else doubling, with jitter.

    Bounded.
    """
    response = getattr(error, "response", None)
    asked = retry_after(response.headers, now()) if response is not None else 0.0
    most = UNREACHED_MOST if is_away(error) and response is None else MOST
    doubled = min(most, FIRST * 2 ** min(attempt, 16)) * (0.5 + dice() / 2)
    return min(ASKED_MOST, asked) or doubled


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Return seconds that an answer's headers ask to wait, 0 if they do not say: RFC 9110 §10.2.3, seconds or a date.

    `retry-after-ms` is OpenAI's own.
    """
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        said = headers.get("retry-after", "")
        if said.strip()[:1].isdigit():
            return max(0.0, float(said))
        return max(0.0, parsedate_to_datetime(said).timestamp() - now) if said else 0.0
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _no_connection(error: Exception) -> bool:
    """By name, because the client has either of two HTTP libraries below it."""
    return isinstance(error, openai.APITimeoutError) and type(error.__cause__).__name__ == "ConnectTimeout"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
