"""How long is waited before a request is asked again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from vlmeval_mp.engines import retries

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
