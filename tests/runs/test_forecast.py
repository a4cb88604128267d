"""When a run is said to be over, from who does what."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import WorkerStatus
from vlmeval_mp.runs import forecast

NOW = 1000.0


def worker(model: str = "a", rate: float = 10.0, **fields: object) -> WorkerStatus:
    known = {"worker": "w0", "pid": 7, "owner": "o", "host": "h", "devices": "", "phase": "working", "time": NOW}
    spent = {"start": 2.0, "loading": 28.0}
    return WorkerStatus(**{**known, "model": model, "rate": rate, "spent": spent, **fields})  # type: ignore[arg-type]


def test_two_workers_of_one_model_halve_the_time() -> None:
    assert forecast.seconds_left({"a": 1000}, [worker(), worker()], {}, NOW) == 50.0


def test_a_model_that_nobody_loaded_yet_costs_its_loading_and_the_usual_speed() -> None:
    assert forecast.seconds_left({"a": 100, "b": 300}, [worker()], {}, NOW) == pytest.approx(10 + 30 + 30)


def test_a_worker_that_loads_still_has_to_be_waited_for() -> None:
    loads = worker("b", 0.0, phase="loading", started=NOW - 10, spent={})
    found = forecast.seconds_left({"a": 100, "b": 300}, [worker(), loads], {"b": 60.0}, NOW)
    assert found == pytest.approx((10 + 30 + 50) / 2)


def test_nothing_is_promised_before_anybody_has_answered() -> None:
    assert forecast.seconds_left({"a": 100}, [worker(rate=0.0)], {}, NOW) is None
    assert forecast.seconds_left({"a": 100}, [], {}, NOW) is None
    assert forecast.seconds_left({"a": 0}, [worker()], {}, NOW) == 0.0


@pytest.mark.parametrize(("oldest", "seconds"), [(3.0, 9.0), (60.0, 12.0)])
def test_the_last_sample_is_waited_for_by_what_is_usual(oldest: float, seconds: float) -> None:
    last = worker(rate=50.0, in_flight=1, oldest=oldest, usual=12.0)
    assert forecast.seconds_left({"a": 1}, [last], {}, NOW) == pytest.approx(seconds)


def test_a_sample_that_is_left_takes_a_second_at_least() -> None:
    assert forecast.seconds_left({"a": 1}, [worker(rate=500.0)], {}, NOW) == 1.0


def test_draining_waits_for_what_is_in_the_engines_alone() -> None:
    assert forecast.seconds_to_drain([worker(phase="draining", in_flight=40), worker(in_flight=20)]) == 4.0
    assert forecast.seconds_to_drain([worker(phase="loading", in_flight=0)]) is None
