"""How long is waited before a request is asked again."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from vlmeval_mp.engines.openai import retries

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW + 42, UTC), usegmt=True)}, 42.0),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW - 42, UTC), usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "x"}, 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_milliseconds_or_a_date(headers: dict[str, str], seconds: float) -> None:
    assert retries.retry_after(headers, NOW) == seconds


class Failure(Exception):  # noqa: N818
    """As much of the client's errors as is looked at."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status_code, self.response = status, SimpleNamespace(headers=headers)


def failure(status: int, headers: dict[str, str] | None = None) -> Failure:
    return Failure(status, headers or {})


def test_the_pause_doubles_from_a_quarter_to_thirty_seconds() -> None:
    pauses = [retries.pause_before(n, failure(500), dice=lambda: 1.0) for n in range(1, 12)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == retries.MOST
    assert retries.pause_before(3, failure(500), dice=lambda: 0.0) == 1.0


def test_what_the_endpoint_asks_for_comes_first_and_is_bounded() -> None:
    assert retries.pause_before(1, failure(429, {"retry-after": "60"})) == 60.0
    assert retries.pause_before(1, failure(429, {"retry-after": "86400"})) == retries.ASKED_MOST


@pytest.mark.parametrize(
    ("status", "away", "final"),
    [(429, True, False), (503, True, False), (500, False, False), (408, False, False), (409, False, False),
     (400, False, True), (404, False, True), (422, False, True), (501, False, True)],
)  # fmt: skip
def test_what_a_status_means(status: int, away: bool, final: bool) -> None:
    assert (retries.is_away(failure(status)), retries.is_final(failure(status))) == (away, final)


def test_a_timeout_is_the_requests_own_and_a_refused_connection_is_not() -> None:
    request: Any = None
    assert not retries.is_away(openai.APITimeoutError(request))
    assert retries.is_away(openai.APIConnectionError(request=request))


def refused(cause: Exception, kind: type[openai.APIConnectionError] = openai.APIConnectionError) -> Exception:
    """What the client raises where there was no answer at all."""
    error = kind(request=SimpleNamespace())  # type: ignore[arg-type]
    error.__cause__ = cause
    return error


class ConnectTimeout(Exception):  # noqa: N818
    """Called as in both HTTP libraries."""


@pytest.mark.parametrize(
    ("error", "what", "why"),
    [
        (failure(429), "is busy", "HTTP 429"),
        (failure(503), "is not ready", "HTTP 503"),
        (refused(ConnectionRefusedError(111, "to ('10.0.0.1', 9)")), "cannot be reached", "Connection refused"),
        (refused(socket.gaierror(-2, "Name or service not known")), "cannot be reached", "Name or service not known"),
        (refused(OSError("hung up")), "cannot be reached", "hung up"),
        (refused(ConnectTimeout(), openai.APITimeoutError), "cannot be reached", "no connection within 10 s"),
    ],
)
def test_what_is_the_matter_is_said_in_words_without_an_address(error: Any, what: str, why: str) -> None:
    assert retries.is_away(error) or isinstance(error, Failure)
    assert retries.what_and_why(error) == (what, why)


def test_a_late_answer_is_no_absence() -> None:
    assert not retries.is_away(refused(TimeoutError(), openai.APITimeoutError))


def test_only_a_name_that_nobody_has_is_an_unknown_one() -> None:
    assert retries.is_unknown_name(refused(socket.gaierror(socket.EAI_NONAME, "not known")))
    assert not retries.is_unknown_name(refused(socket.gaierror(socket.EAI_AGAIN, "try again")))
    assert not retries.is_unknown_name(refused(ConnectionRefusedError(111, "refused")))


def test_an_endpoint_that_is_away_is_looked_for_every_few_seconds() -> None:
    gone = refused(ConnectionRefusedError(111, "refused"))
    assert retries.pause_before(12, gone, dice=lambda: 1.0) == retries.UNREACHED_MOST
