"""When workers are through that move on to another model."""

from __future__ import annotations

import math

import pytest

from vlmeval_mp.runs import schedule


def test_a_worker_that_is_ready_late_helps_only_from_then_on() -> None:
    assert schedule.together(30.0, [0.0, 10.0]) == 20.0
    assert schedule.together(5.0, [0.0, 60.0]) == 5.0, "what one does alone sooner does not wait for the other"
    assert schedule.together(5.0, []) == math.inf


def test_a_free_worker_loads_the_other_model_and_helps() -> None:
    ready = [("a", 0.0), ("b", 50.0)]
    assert schedule.seconds({"a": 10.0, "b": 30.0}, ready, {"b": 60.0}) == pytest.approx((50 + 70 + 30) / 2)
    assert schedule.seconds({"a": 10.0, "b": 30.0}, ready[:1], {"b": 60.0}) == 10 + 60 + 30


def test_workers_of_a_model_that_is_done_move_on_at_once_and_share_the_models_that_are_left() -> None:
    assert schedule.seconds({"a": 0.0, "b": 8.0, "c": 8.0}, [("a", 0.0), ("a", 99.0)], {"b": 1.0, "c": 1.0}) == 9.0
    assert schedule.seconds({}, [("a", 0.0)], {}) == 0.0
