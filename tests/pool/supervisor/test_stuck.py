"""Slow is told from stuck: by the run's own pace, by what the launch says, and only while this process was running."""

import msgspec
import pytest

from vlmeval_mp.core.records import Notice, WorkerStatus
from vlmeval_mp.pool.supervisor.stuck import LOADING_MOST, SILENT_MOST, STALL_LEAST, Limits, Watch

AT_WORK = WorkerStatus(
    worker="w0", pid=1, owner="me", host="h", model="m", devices="d",
    phase="working", answered=10, in_flight=2, usual=1.0,
)  # fmt: skip


LEARNED = Limits()


def watched(seconds, limits=LEARNED, patience=1, step=1.0, change=lambda second: {}, status=AT_WORK, log=lambda s: 0):
    """The first verdict within `seconds` of a worker that beats once a second, and when it fell."""
    watch, second = Watch(), 0.0
    while second <= seconds:
        watch.look(second)
        status = msgspec.structs.replace(status, beat=int(second), **change(second))
        found = watch.verdict(status, log(second), limits, patience, second)
        if found:
            return found, second
        second += step
    return "", seconds


def test_a_worker_without_an_answer_is_stuck_when_its_own_pace_does_not_explain_it():
    said, at = watched(2 * STALL_LEAST)
    assert "no answer for" in said and STALL_LEAST < at <= STALL_LEAST + 2
    slow = {"usual": 40.0}
    assert watched(799, change=lambda second: slow)[0] == ""
    assert watched(810, change=lambda second: slow)[0]


def test_one_that_answers_or_waits_for_work_or_for_an_endpoint_is_not_stuck():
    assert watched(2000, change=lambda second: {"answered": 10 + int(second) // 200})[0] == ""
    assert watched(2000, change=lambda second: {"in_flight": 0})[0] == ""
    waiting = Notice(text="http://h cannot be reached", over="it is back", since=0.0, most=5000.0)
    assert watched(2000, change=lambda second: {"notice": waiting})[0] == ""
    assert watched(2000, Limits(learned=False))[0] == ""


def test_a_worker_that_somebody_told_to_drain_is_stuck_when_its_engine_never_answers():
    draining = msgspec.structs.replace(AT_WORK, phase="draining")
    said, at = watched(2 * STALL_LEAST, status=draining)
    assert "no answer for" in said and at > STALL_LEAST
    assert watched(2000, status=draining, change=lambda second: {"in_flight": 0})[0] == ""


def test_waiting_for_work_is_no_time_without_progress():
    said = watched(500, change=lambda second: {"in_flight": 2 if second > 280 else 0})
    assert said == ("", 500)


def test_loading_gets_long_and_longer_while_its_log_grows():
    loading = msgspec.structs.replace(AT_WORK, phase="loading", answered=0, in_flight=0)
    said, at = watched(3 * LOADING_MOST, status=loading, step=5.0)
    assert "no stage of loading" in said and at > LOADING_MOST
    assert watched(3 * LOADING_MOST, status=loading, step=5.0, log=lambda second: second // 600)[0] == ""
    assert watched(100, Limits(stall=30), status=loading)[1] <= 32


def test_a_limit_for_one_sample_holds_whatever_others_do():
    def busy(second):
        return {"answered": 10 + int(second), "oldest": second}

    assert watched(100, change=busy)[0] == ""
    said, at = watched(100, Limits(sample=7), change=busy)
    assert "--sample-timeout 7" in said and at == 8


def test_a_stopped_process_is_noticed_by_its_silence():
    watch = Watch()
    for second in range(int(SILENT_MOST) + 1):
        watch.look(second)
        assert watch.verdict(AT_WORK, 0, Limits(), 1, second) == ""
    watch.look(SILENT_MOST + 1)
    assert "no sign of life" in watch.verdict(AT_WORK, 0, Limits(), 1, SILENT_MOST + 1)


def test_after_a_gap_of_this_process_itself_everybody_has_time_again():
    watch = Watch()
    for second in (0.0, 1.0, 5000.0, 5001.0):
        watch.look(second)
        assert watch.verdict(AT_WORK, 0, Limits(sample=0), 1, second) == ""


@pytest.mark.parametrize(("patience", "stuck"), [(1, True), (2, False)])
def test_whoever_follows_a_stuck_worker_gets_twice_the_time(patience, stuck):
    assert bool(watched(STALL_LEAST * 1.5, patience=patience)[0]) is stuck


def test_a_worker_that_never_sends_a_heartbeat_is_stuck_once_its_log_stays_as_it_is():
    def verdict(limits, grows):
        watch, second = Watch(), 0
        while second <= 3 * LOADING_MOST:
            watch.look(float(second))
            if said := watch.unborn("w0", second if grows else 7, limits, 1, float(second)):
                return said, second
            second += 5
        return "", second

    said, at = verdict(LEARNED, grows=False)
    assert "no sign of life since it was started" in said and LOADING_MOST < at <= LOADING_MOST + 5
    assert verdict(Limits(stall=20.0), grows=False)[1] == 25
    assert verdict(LEARNED, grows=True)[0] == ""
