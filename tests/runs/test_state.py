"""What `fold` makes of the facts on disk."""

from __future__ import annotations

import msgspec
import pytest

from vlmeval_mp.core.records import (
    Answered,
    GpuStats,
    Job,
    ModelSpec,
    Notice,
    RunRecord,
    RunSpec,
    ServingSpan,
    SupervisorStatus,
    Tally,
    WorkerStatus,
)
from vlmeval_mp.runs.measured import MetricValue
from vlmeval_mp.runs.state import STALE_AFTER, RunState, ShardCounts, Snapshot, fold, noticed

NOW = 1000.0
JOBS = (
    Job(name="a", model="m", dataset="A", folder="/d/a", samples=100),
    Job(name="b", model="m", dataset="B", folder="/d/b", samples=50),
)


def worker(name: str = "w0", **fields: object) -> WorkerStatus:
    known = {"pid": 7, "owner": "o", "host": "h", "model": "m", "devices": "GPU 0", "phase": "working", "time": NOW - 1}
    return WorkerStatus(**{"worker": name, **known, **fields})  # type: ignore[arg-type]


def supervisor(**fields: object) -> SupervisorStatus:
    known = {"pid": 1, "owner": "s", "phase": "working", "time": NOW - 1, "started": NOW - 60}
    return SupervisorStatus(**{**known, **fields})  # type: ignore[arg-type]


def folded(
    shards: dict[str, ShardCounts] | None = None,
    workers: tuple[WorkerStatus, ...] = (),
    live: tuple[str, ...] = (),
    supervised: SupervisorStatus | None = None,
    alive: bool = True,
) -> RunState:
    return fold(snapshot(shards, workers, live, supervised, alive), NOW)


def snapshot(
    shards: dict[str, ShardCounts] | None = None,
    workers: tuple[WorkerStatus, ...] = (),
    live: tuple[str, ...] = (),
    supervised: SupervisorStatus | None = None,
    alive: bool = True,
) -> Snapshot:
    spec = RunSpec(name="r", models=(ModelSpec(name="m", path="/m", engine="fake"),), datasets=())
    record = RunRecord(version=1, spec=spec, jobs=JOBS, fingerprint={}, provenance={})
    return Snapshot(
        record=record,
        folder="/jobs/r",
        shards=shards or {},
        workers=workers,
        supervisor=supervised,
        supervisor_alive=alive and supervised is not None,
        live=live,
    )


def test_a_run_that_nobody_started_is_stopped_and_empty() -> None:
    state = folded({"a": ShardCounts(pending=4), "b": ShardCounts(pending=2)})
    assert (state.phase, state.running, state.total, state.done) == ("stopped", False, 150, 0)
    assert (state.eta, state.elapsed, state.finished) == (None, 0.0, False)


def test_done_counts_finished_shards_and_what_live_workers_answered_in_theirs() -> None:
    shards = {"a": ShardCounts(pending=1, claimed=2, done=1, done_samples=32)}
    state = folded(shards, (worker(held={"a": 10}), worker("w1", held={"a": 5, "b": 3})), ("w0", "w1"), supervisor())
    assert [job.done for job in state.jobs] == [47, 3]
    assert state.done == 50


def test_what_a_dead_worker_held_does_not_count_until_it_is_resumed() -> None:
    state = folded({"a": ShardCounts(claimed=1)}, (worker(held={"a": 10}),), (), supervisor())
    assert state.done == 0


def test_a_heartbeat_behind_the_queue_never_counts_more_than_there_is() -> None:
    shards = {"b": ShardCounts(done=2, done_samples=50)}
    assert folded(shards, (worker(held={"b": 32}),), ("w0",), supervisor()).jobs[1].done == 50


SETTLED = {
    "a": ShardCounts(done=3, failed=1, done_samples=68, failed_shard_samples=32, failed_samples=2),
    "b": ShardCounts(done=2, done_samples=50),
}


def test_a_job_is_finished_when_its_results_are_there_and_until_then_it_is_being_scored() -> None:
    state = folded(SETTLED, supervised=supervisor(finished=("a",)))
    assert (state.phase, state.finished, [job.finished for job in state.jobs]) == ("scoring", False, [True, False])
    assert (state.done, state.failed) == (150, 34)
    state = folded(SETTLED, supervised=supervisor(finished=("a", "b")))
    assert (state.phase, state.finished) == ("finished", True)


def test_without_a_supervisor_a_job_is_finished_when_each_shard_is_done_or_failed() -> None:
    state = folded(SETTLED, supervised=supervisor(), alive=False)
    assert (state.phase, state.finished, state.running) == ("finished", True, False)


def test_a_finished_run_has_the_duration_of_its_work_whoever_looks_at_it_later() -> None:
    ended = supervisor(finished=("a", "b"), before=100.0, started=NOW - 60, ended=NOW - 20)
    assert folded(SETTLED, supervised=ended).elapsed == 140.0
    assert folded(SETTLED, supervised=ended, alive=False).elapsed == 140.0
    assert folded({}, supervised=supervisor(before=100.0)).elapsed == 160.0


def test_a_run_is_loading_until_a_worker_is_at_work_and_a_worker_says_at_what() -> None:
    loads = worker(phase="loading", stage="reading weights 3/7", stage_since=NOW - 12)
    usual = supervisor(stages={"m": {"reading weights": 40.0}}, startup={"m": 90.0})
    state = folded({}, (loads,), ("w0",), usual)
    (shown,) = state.workers
    assert (state.phase, state.eta) == ("loading", None)
    assert (shown.stage, shown.stage_seconds, shown.stage_usual) == ("reading weights 3/7", 12.0, 40.0)
    first = worker(in_flight=8, oldest=5.0, time=NOW - 1)
    state = folded({}, (first,), ("w0",), supervisor())
    assert (state.phase, state.workers[0].stage, state.workers[0].stage_seconds) == ("working", "first answers", 6.0)
    assert folded({}, (worker(in_flight=8, answered=1),), ("w0",), supervisor()).workers[0].stage == ""


def test_a_job_has_the_rate_of_those_who_answer_of_it_now() -> None:
    spans = {
        "a": ServingSpan(first=NOW - 10, last=NOW, answered=50),
        "b": ServingSpan(first=NOW - 99, last=NOW - 60, answered=9),
    }
    shards = {"a": ShardCounts(pending=1, done=1, done_samples=50), "b": ShardCounts(pending=1)}
    gone = worker("w1", spans=spans)
    known = supervisor(answered={"a": Answered(50, 10.0), "b": Answered(9, 39.0)})
    a, b = folded(shards, (worker(spans=spans, in_flight=8), gone), ("w0",), known).jobs
    assert a.rate == 5.0
    assert a.eta == pytest.approx(10.0)
    assert (b.rate, b.eta) == (0.0, None)
    last = {"a": ShardCounts(claimed=1, done=1, done_samples=99)}
    assert folded(last, (worker(spans=spans, in_flight=1),), ("w0",), known).jobs[0].eta == 1.0


def test_without_a_supervisor_a_score_is_what_the_summary_says() -> None:
    facts = msgspec.structs.replace(
        snapshot(SETTLED, supervised=None), measured={"a": MetricValue("f1", 0.75, (0.7, 0.8))}
    )
    a, b = fold(facts, NOW).jobs
    assert (a.metric, a.score, a.interval, b.score) == ("f1", 0.75, (0.7, 0.8), None)


def test_the_benchmarks_own_metric_comes_before_the_mean() -> None:
    tallies = {"a": Tally(value=3.0, scored=4, metric="f1", score=0.5), "b": Tally(metric="f1", scored=1, value=1.0)}
    assert [job.score for job in folded({}, supervised=supervisor(tallies=tallies)).jobs] == [0.5, None]


def test_a_job_with_a_claimed_shard_is_not_finished() -> None:
    shards = {"b": ShardCounts(claimed=1, done=1, done_samples=50)}
    assert not folded(shards, supervised=supervisor()).jobs[1].finished


def test_failed_shards_leave_nothing_to_wait_for() -> None:
    shards = {"a": ShardCounts(failed=4, failed_shard_samples=100), "b": ShardCounts(claimed=1)}
    state = folded(shards, (worker(held={"b": 20}),), ("w0",), supervisor(paces={"b": 0.1}))
    assert state.eta == pytest.approx(3.0)


def test_the_time_left_is_there_while_workers_load_if_earlier_launches_were_timed() -> None:
    before = supervisor(startup={"m": 90.0}, paces={"a": 0.5, "b": 2.0}, at_work={"m": 2})
    assert folded({}, (), (), before).eta == pytest.approx(90 + (50 + 100) / 2)
    loads = worker(phase="loading", started=NOW - 30)
    assert folded({}, (loads,), ("w0",), before).eta == pytest.approx((60 + 90 + 50 + 100) / 2)


def test_a_job_takes_no_longer_than_the_run() -> None:
    spans = {"a": ServingSpan(first=NOW - 10, last=NOW, answered=10)}
    two = (worker(spans=spans, in_flight=8), worker("w1", in_flight=8))
    shards = {"a": ShardCounts(pending=1, done=1, done_samples=10), "b": ShardCounts(done=1, done_samples=50)}
    state = folded(shards, two, ("w0", "w1"), supervisor(answered={"a": Answered(10, 10.0)}))
    assert (state.eta, state.jobs[0].eta) == (45.0, 45.0)


def test_rate_and_eta_come_from_workers_that_are_alive_and_at_work() -> None:
    workers = (
        worker(rate=20.0),
        worker("w1", rate=40.0),
        worker("w2", rate=99.0, phase="stopped"),
        worker("w3", rate=30.0),
    )
    state = folded({}, workers, ("w0", "w2", "w3"), supervisor(paces={"a": 0.04, "b": 0.04}))
    assert state.rate == 50.0
    assert state.eta == 3.0
    assert folded({}, workers, ("w0",), supervisor(), alive=False).eta is None


def test_a_worker_whose_process_is_gone_failed_and_says_so() -> None:
    (gone,) = folded({}, (worker(rate=5.0, in_flight=9),), (), supervisor()).workers
    assert (gone.phase, gone.message, gone.rate, gone.in_flight) == ("failed", "process is gone", 0.0, 0)


def test_a_worker_that_ended_by_itself_keeps_its_last_word() -> None:
    (ended,) = folded({}, (worker(phase="stopped"),), (), supervisor()).workers
    assert (ended.phase, ended.message) == ("stopped", "")
    (failed,) = folded({}, (worker(phase="failed", message="out of memory"),), (), supervisor()).workers
    assert (failed.phase, failed.message) == ("failed", "out of memory")


def test_what_a_worker_waits_for_is_its_message_while_it_lives() -> None:
    notice = Notice("http://h/v1 cannot be reached", "http://h/v1 is back", since=NOW - 12, most=300.0)
    (waiting,) = folded({}, (worker(notice=notice),), ("w0",), supervisor()).workers
    assert waiting.message == "waiting 12 of 300 s: http://h/v1 cannot be reached"
    assert waiting.notice == notice
    (gone,) = folded({}, (worker(notice=notice),), (), supervisor()).workers
    assert (gone.message, gone.notice) == ("process is gone", None)
    (failed,) = folded({}, (worker(notice=notice, phase="failed", message="gave up"),), (), supervisor()).workers
    assert (failed.message, failed.notice) == ("gave up", None)


def test_a_worker_without_heartbeat_is_silent_but_not_dead() -> None:
    (quiet,) = folded({}, (worker(time=NOW - STALE_AFTER - 1),), ("w0",), supervisor()).workers
    assert quiet.silent
    assert quiet.phase == "working"
    (ahead,) = folded({}, (worker(time=NOW + 5),), ("w0",), supervisor()).workers
    assert ahead.age == 0.0


def test_workers_of_an_earlier_launch_are_not_shown() -> None:
    state = folded({}, (worker(), worker("w7", time=NOW - 3600)), ("w0",), supervisor())
    assert [w.worker for w in state.workers] == ["w0"]


def test_workers_of_an_earlier_launch_are_shown_where_the_last_one_had_nothing_to_do() -> None:
    old = (worker(time=NOW - 3600),)
    assert folded({}, old, (), supervisor(), alive=True).workers == ()
    assert [w.worker for w in folded({}, old, (), supervisor(), alive=False).workers] == ["w0"]


def test_a_worker_carries_the_figures_of_its_own_gpus() -> None:
    gpus = tuple(
        GpuStats(uuid=u, index=i, name="H200", memory_used=i, memory_total=9, utilization=50)
        for i, u in enumerate(("GPU-x", "GPU-y"))
    )
    (one,) = folded({}, (worker(gpus=("GPU-y",)),), ("w0",), supervisor(gpus=gpus)).workers
    assert [g.uuid for g in one.gpus] == ["GPU-y"]


def test_the_running_score_is_over_scored_samples_only() -> None:
    tallies = {"a": Tally(value=3.0, scored=4, unscored=5, failed=1), "b": Tally(failed=2)}
    state = folded({}, supervised=supervisor(tallies=tallies))
    assert [job.score for job in state.jobs] == [0.75, None]


def test_elapsed_stops_with_the_supervisor_and_a_failed_one_stays_failed() -> None:
    assert folded(supervised=supervisor()).elapsed == 60.0
    dead = folded(supervised=supervisor(time=NOW - 30), alive=False)
    assert (dead.elapsed, dead.phase, dead.running) == (30.0, "stopped", False)
    assert folded(supervised=supervisor(phase="failed"), alive=False).phase == "failed"


def test_the_state_survives_json() -> None:
    state = folded({"a": ShardCounts(pending=1)}, (worker(),), ("w0",), supervisor())
    assert msgspec.json.decode(msgspec.json.encode(state), type=RunState) == state


def test_a_worker_that_ended_well_waits_for_nothing_and_of_one_that_fell_nothing_is_known() -> None:
    away = Notice("h is away", "h is back", since=NOW - 9, most=60.0)
    ended, fell = worker("w1", phase="stopped"), worker("w2", notice=away)
    drained = worker("w3", phase="stopped", notice=away)
    facts = snapshot(workers=(worker(notice=away), ended, fell, drained), live=("w0",))
    assert noticed(facts) == {"w0": away, "w1": None}


def test_a_run_whose_workers_have_not_come_to_life_yet_is_starting() -> None:
    assert folded({}, supervised=supervisor()).phase == "starting"


def test_what_a_stopped_launch_answered_counts_though_its_shards_are_unfinished() -> None:
    shards = {"a": ShardCounts(pending=4), "b": ShardCounts(pending=2)}
    for alive in (False, True):  # a launch that goes on has counted it when it began
        state = folded(shards, supervised=supervisor(kept={"a": 43}), alive=alive)
        assert (state.done, [job.done for job in state.jobs]) == (43, [43, 0])


def test_a_drain_counts_what_a_worker_answered_that_has_ended_already() -> None:
    shards = {"a": ShardCounts(pending=2, claimed=1)}
    workers = (worker("w0", phase="stopped", held={"a": 19}), worker("w1", phase="draining", held={"a": 5}))
    draining = supervisor(phase="draining")
    assert folded(shards, workers, ("w1",), draining).done == 24
    assert folded(shards, workers, ("w1",), supervisor()).done == 5  # others take its shards, and count it


def test_the_end_takes_as_long_as_the_job_that_is_left_needs_at_its_own_rate() -> None:
    pictures_before = worker(
        held={"b": 10}, in_flight=1, spans={"b": ServingSpan(first=NOW - 10, last=NOW, answered=10)}
    )
    known = supervisor(answered={"a": Answered(1000, 10.0), "b": Answered(10, 10.0)})
    both, names = (pictures_before, worker("w1")), ("w0", "w1")
    done = ShardCounts(done=1, done_samples=100)
    at_the_end = {"a": done, "b": ShardCounts(claimed=1)}
    assert folded(at_the_end, both, names, known).eta == pytest.approx(40.0)
    others_join = {"a": done, "b": ShardCounts(claimed=1, pending=1)}
    assert folded(others_join, both, names, known).eta == pytest.approx(20.0)
