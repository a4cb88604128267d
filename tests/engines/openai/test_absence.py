"""How long an endpoint is waited for, and when that is said."""

from __future__ import annotations

import logging

import pytest

from vlmeval_mp.engines.openai.absence import NAME_SECONDS, Absence


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def absence(clock: Clock, start_wait: float = 120.0) -> Absence:
    return Absence("http://h/v1", 300.0, start_wait, clock)


def test_moments_are_not_told_and_a_long_absence_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    here = absence(clock)
    for _ in range(5):  # a limit on requests
        here.missed("is busy", "HTTP 429", busy=True)
        clock.now += 2
        assert here.notice is None
        here.answered()
    assert caplog.messages == []
    for _ in range(5):
        here.missed("cannot be reached", "refused", busy=False)
        clock.now += 2
    assert here.notice is not None
    here.answered()
    assert here.notice is None
    assert caplog.messages == ["http://h/v1 cannot be reached (refused); waiting for it", "http://h/v1 is back"]


def test_an_absence_keeps_its_beginning_whatever_becomes_of_it() -> None:
    clock = Clock()
    here = absence(clock)
    here.missed("cannot be reached", "refused", busy=False)
    clock.now += 4
    first = here.notice
    here.missed("is not ready", "HTTP 503", busy=True)
    second = here.notice
    assert first is not None
    assert second is not None
    assert (first.text, second.text) == ("http://h/v1 cannot be reached", "http://h/v1 is not ready")
    assert first.since == second.since


def test_who_never_answered_is_waited_for_more_briefly_and_a_name_that_nobody_has_hardly() -> None:
    here = absence(Clock())
    assert here.missed("cannot be reached", "no such name", busy=False, unknown=True) == NAME_SECONDS
    assert absence(Clock(), 2.0).missed("cannot be reached", "no such name", busy=False, unknown=True) == 2.0
    assert here.missed("cannot be reached", "refused", busy=False) == 120.0
    assert here.missed("is not ready", "HTTP 503", busy=True) == 300.0
    assert here.missed("cannot be reached", "refused", busy=False) == 300.0
