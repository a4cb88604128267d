"""When a run is said to be over, from who does what."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import ServingSpan, WorkerStatus
from vlmeval_mp.runs import forecast
from vlmeval_mp.runs.forecast import Waiting
from vlmeval_mp.runs.paces import Pace

NOW = 1000.0


def worker(model: str = "a", **fields: object) -> WorkerStatus:
    known = {"worker": "w0", "pid": 7, "owner": "o", "host": "h", "devices": "", "phase": "working", "time": NOW}
    spent = {"start": 2.0, "loading": 28.0}
    return WorkerStatus(**{**known, "model": model, "spent": spent, **fields})  # type: ignore[arg-type]


def job(model: str, left: int, seconds: float | None = 0.1, *, known: bool = True, **fields: object) -> Waiting:
    pace = None if seconds is None else Pace(seconds, known=known)
    return Waiting(**{"name": f"{model}job", "model": model, "left": left, "pace": pace, **fields})  # type: ignore[arg-type]


def asked(first: float, last: float | None = None, answered: int = 0, name: str = "ajob") -> dict[str, ServingSpan]:
    return {name: ServingSpan(first=NOW - first, last=NOW - (first if last is None else last), answered=answered)}


def test_two_workers_of_one_model_halve_the_time() -> None:
    assert forecast.seconds_left([job("a", 1000)], [worker(), worker()], {}, NOW) == pytest.approx(50.0)


def test_a_model_that_nobody_loaded_yet_costs_its_loading() -> None:
    found = forecast.seconds_left([job("a", 100), job("b", 300)], [worker()], {}, NOW)
    assert found == pytest.approx(10 + 30 + 30)


def test_while_workers_load_it_is_what_loading_still_takes_and_the_work() -> None:
    loads = [worker(phase="loading", started=NOW - gone, spent={}) for gone in (10, 20)]
    left, startup = [job("a", 100), job("a", 200, 1.0, name="slow")], {"a": 60.0}
    assert forecast.seconds_left(left, loads, startup, NOW) == pytest.approx((50 + 40 + 10 + 200) / 2)
    later = forecast.seconds_left(left, loads, startup, NOW + 5)
    assert later == pytest.approx((50 + 40 + 10 + 200) / 2 - 5)
    assert forecast.seconds_left(left, [], startup, NOW, {"a": 2}) == pytest.approx((60 + 60 + 10 + 200) / 2)


def test_it_falls_before_the_first_answer_and_grows_once_that_is_overdue() -> None:
    def at(seconds: float) -> float | None:
        first = worker(in_flight=8, spans=asked(seconds))
        return forecast.seconds_left([job("a", 100)], [first], {}, NOW)

    assert [at(0.0), at(4.0), at(50.0)] == pytest.approx([10.0, 6.0, 25.0])


def test_nothing_is_promised_of_a_job_of_which_nothing_is_known() -> None:
    assert forecast.seconds_left([job("a", 100, None)], [worker()], {}, NOW) is None
    assert forecast.seconds_left([job("a", 100), job("b", 1, None)], [worker()], {}, NOW) is None
    assert forecast.seconds_left([job("a", 100)], [], {}, NOW) is None
    assert forecast.seconds_left([job("a", 0, None)], [worker()], {}, NOW) == 0.0


def test_a_job_without_an_answer_takes_what_its_pace_says_or_as_long_again_as_others_let_expect() -> None:
    at_it = [worker(in_flight=8, spans=asked(6.0))]
    assert forecast.seconds_of_job(job("a", 20, 1.0), at_it, NOW) == 14.0
    assert forecast.seconds_of_job(job("a", 20, 0.01, known=False), at_it, NOW) == 6.0
    assert forecast.seconds_of_job(job("a", 20, None), at_it, NOW) is None
    assert forecast.seconds_of_job(job("a", 20, 1.0), [worker()], NOW) is None, "nobody is at it"
    answers = [worker(in_flight=8, spans=asked(6.0, 1.0, 10))]
    assert forecast.seconds_of_job(job("a", 20, 0.5), answers, NOW) == 9.0
    moved_on = [worker(in_flight=8, spans=asked(99.0, 60.0, 10))]
    assert forecast.seconds_of_job(job("a", 20, 0.5), moved_on, NOW) is None
    assert forecast.seconds_of_job(job("a", 1, 0.5, open=False), moved_on, NOW) == 30.0, "its last one is overdue"
    alone = [worker(in_flight=8, spans=asked(99.0, 1.0, 10)), *moved_on]
    assert forecast.seconds_of_job(job("a", 100, 1.0, open=False), alone, NOW) == 99.0, "one has left it to the other"
    closed = job("a", 20, 0.01, known=False, open=False)
    assert forecast.seconds_left([closed], [*at_it, worker()], {}, NOW) == 6.0, "nobody can help with it"


def test_a_job_that_has_only_begun_is_not_told_by_its_first_answers_alone() -> None:
    begun = worker(in_flight=8, spans=asked(9.0, 0.0, 9) | asked(9.0, 0.0, 90, name="other"))
    assert forecast.seconds_left([job("a", 100, 0.1, open=False)], [begun], {}, NOW) == pytest.approx(10.0)


@pytest.mark.parametrize(("oldest", "seconds"), [(3.0, 9.0), (60.0, 30.0)])
def test_the_last_sample_is_waited_for_by_what_is_usual(oldest: float, seconds: float) -> None:
    last = worker(in_flight=1, oldest=oldest, usual=12.0)
    assert forecast.seconds_left([job("a", 1)], [last], {}, NOW) == pytest.approx(seconds)


def test_a_sample_that_is_left_takes_a_second_at_least() -> None:
    assert forecast.seconds_left([job("a", 1)], [worker()], {}, NOW) == 1.0


def test_draining_waits_for_what_is_in_the_engines_alone() -> None:
    drains = [worker(rate=10.0, phase="draining", in_flight=40), worker(rate=10.0, in_flight=20)]
    assert forecast.seconds_to_drain(drains, {}) == 4.0
    silent = worker(phase="draining", in_flight=3, spans=asked(1.0))
    assert forecast.seconds_to_drain([silent], {"ajob": Pace(2.0)}) == 6.0
    assert forecast.seconds_to_drain([silent], {}) is None
    assert forecast.seconds_to_drain([worker(phase="loading", in_flight=0)], {}) is None
