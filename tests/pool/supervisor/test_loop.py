"""What the supervisor decides on its own: leases of foreign owners, leftovers of killed launches, rates."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
import weakref
from itertools import pairwise

import msgspec
import pytest

from tests.builders import fake_run, fake_spec, text_tsv, worker_for
from tests.helpers import supervise
from vlmeval_mp.core.errors import EXIT_NO_WORKER
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import ServingSpan, Shard, Stop, WorkerStatus
from vlmeval_mp.pool.launchers.local import LocalLauncher
from vlmeval_mp.pool.supervisor.leases import Leases
from vlmeval_mp.pool.supervisor.orphans import RUN_MARKER, sweep_orphans
from vlmeval_mp.pool.supervisor.status import rates
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import progress, results, retrying, stops, submit
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.owners import current, start_time
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.snapshot import Reader, read_record
from vlmeval_mp.vlmevalkit import client


def test_a_launch_knows_from_its_first_moment_on_what_the_last_one_took(tmp_path):
    spec = fake_spec(text_tsv(tmp_path / "a.tsv", 60), text_tsv(tmp_path / "b.tsv", 20), latency=0.1, concurrency=8)
    jobs, seen = JobsPaths(tmp_path / "jobs"), []
    for name in ("first", "second"):
        paths, _, _ = submit.submit(msgspec.structs.replace(spec, name=name), jobs)
        ticks = []
        seen.append(ticks)
        assert supervise(paths, on_tick=lambda state, to=ticks: to.append((time.monotonic(), state))).run() == 0
    first, second = seen
    loading = [state for _, state in first if state.phase in ("starting", "loading")]
    assert loading and all(state.eta is None for state in loading), "nothing was known"
    etas = [state.eta for _, state in second if state.done < state.total]
    assert None not in etas
    ended = next(at for at, state in second if state.done == state.total)
    assert etas[0] == pytest.approx(ended - second[0][0], rel=0.7)
    assert all(later <= earlier + 1.0 for earlier, later in pairwise(etas))


def test_a_foreign_owner_is_trusted_until_it_was_seen_silent_for_the_whole_lease():
    leases = Leases(seconds=10)
    assert not leases.expired("far", 1, now=0)
    assert not leases.expired("far", 2, now=9)
    assert not leases.expired("far", 2, now=18.9)
    assert leases.expired("far", 2, now=19)


def test_an_owner_without_any_heartbeat_gets_the_lease_from_when_it_was_first_seen():
    leases = Leases(seconds=10)
    assert not leases.expired("far", None, now=100)
    assert leases.expired("far", None, now=110)


def test_the_claim_of_a_worker_on_another_host_is_left_alone(tmp_path):
    paths = fake_run(tmp_path, 64)
    me = current()
    far = type(me)("another-host", me.boot, me.pid, me.start, me.nonce)
    Queue(paths.queue).claim(far, [read_record(paths).jobs[0].name])
    supervisor = supervise(paths)
    supervisor._reap()
    assert [e.owner for e in Queue(paths.queue).entries("claimed")] == [str(far)]


def test_a_worker_on_another_host_whose_launcher_saw_its_end_holds_no_shard_any_longer(tmp_path):
    paths = fake_run(tmp_path, 64)
    me = current()
    far = type(me)("another-host", me.boot, 4242, me.start, me.nonce)
    Queue(paths.queue).claim(far, [read_record(paths).jobs[0].name])
    beat = WorkerStatus(
        worker="w0", pid=4242, owner=str(far), host=far.host, model="fake", devices="GPU 0", phase="working", time=1.0
    )
    paths.worker("w0").write_bytes(msgspec.json.encode(beat))

    class Ended:
        pid = 4242

        def poll(self):
            return -9

    class FarLauncher(LocalLauncher):
        def start(self, command):
            return Ended()

    supervisor = supervise(paths, launcher=FarLauncher())
    supervisor.slots.start_idle(supervisor.reader.read())
    assert supervisor.slots.collect_ended(stopping=False)
    supervisor._reap()
    assert Queue(paths.queue).entries("claimed") == []


def test_looking_at_gpus_counts_in_what_a_look_may_cost(tmp_path):
    supervisor = supervise(fake_run(tmp_path, 10))
    supervisor.has_gpus = True
    supervisor.launcher.devices = lambda: time.sleep(0.1) or ()
    before = time.monotonic()
    supervisor._look()
    assert supervisor._next_look - before >= 1.0


def test_a_look_that_takes_much_of_a_processor_is_repeated_rarely(tmp_path, monkeypatch):
    supervisor = supervise(fake_run(tmp_path, 1))
    used = iter([1.0, 1.05])
    monkeypatch.setattr(time, "thread_time", lambda: next(used))
    before = time.monotonic()
    supervisor._look()
    assert supervisor._next_look - before >= 2.5


def test_leftover_processes_of_a_run_are_killed_and_others_are_not(tmp_path):
    code = [sys.executable, "-c", "import time; time.sleep(60)"]
    orphan = subprocess.Popen(code, env={RUN_MARKER: str(tmp_path)}, start_new_session=True)
    other = subprocess.Popen(code, env={RUN_MARKER: str(tmp_path / "x")}, start_new_session=True)
    time.sleep(0.1)
    assert sweep_orphans(tmp_path) == 1
    orphan.wait(timeout=5)
    assert start_time(other.pid) is not None
    other.kill()
    other.wait()


def test_a_leftover_is_known_by_its_log_where_its_environment_says_nothing(tmp_path):
    (tmp_path / "logs").mkdir()
    code = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (tmp_path / "logs" / "w3.log").open("ab") as log, (tmp_path / "logs" / "x.log").open("ab") as other_log:
        orphan = subprocess.Popen(code, env={}, stdout=log, start_new_session=True)
        other = subprocess.Popen(code, env={}, stdout=other_log, start_new_session=True)
    assert sweep_orphans(tmp_path) == 1
    orphan.wait(timeout=5)
    assert start_time(other.pid) is not None
    other.kill()
    other.wait()


def test_the_rate_of_a_job_spans_all_its_workers():
    served = {
        ("w0", "a"): ServingSpan(first=0.0, last=10.0, answered=50),
        ("w1", "a"): ServingSpan(first=5.0, last=20.0, answered=50),
        ("w1", "b"): ServingSpan(first=3.0, last=3.0, answered=1),
    }
    assert rates(served) == {"a": 5.0}


def test_workers_are_no_more_than_there_are_shards(tmp_path):
    paths, seen = fake_run(tmp_path, 40), set()
    code = supervise(paths, workers=6, latency=2.0, on_tick=lambda s: seen.update(w.worker for w in s.workers)).run()
    assert code == 0
    assert len(seen) == 2


class Nowhere:
    """Launches what never runs and never ends."""

    pid = 1

    def __init__(self):
        self.started = 0

    def start(self, command):
        self.started += 1
        return self

    def poll(self):
        return None


def test_a_worker_that_has_loaded_and_not_claimed_yet_counts_for_a_shard(tmp_path):
    paths, launcher, owner = fake_run(tmp_path, 40), Nowhere(), current()
    slots = supervise(paths, workers=6, launcher=launcher).slots
    slots.start_idle(Reader(paths).read())
    for number in range(2):
        status = WorkerStatus(
            worker=f"w{number}", pid=1, owner=str(owner), host=owner.host, model="fake", devices="", phase="working"
        )
        paths.worker(f"w{number}").write_bytes(msgspec.json.encode(status))
    slots.start_idle(Reader(paths).read())
    assert launcher.started == 2


class Idle(Nowhere):
    """Launches workers that end in order at once and have answered nothing."""

    def poll(self):
        return 0


def test_workers_that_end_in_order_without_an_answer_are_started_less_and_less_often(tmp_path):
    paths, launcher = fake_run(tmp_path, 40), Idle()
    slots, snapshot = supervise(paths, launcher=launcher).slots, Reader(paths).read()
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        slots.start_idle(snapshot)
        slots.collect_ended(stopping=False)
    assert 2 <= launcher.started <= 3  # at once, after 0.25 s, after 0.75 s


def test_a_worker_without_a_heartbeat_is_killed_in_the_end(tmp_path, monkeypatch):
    class Deaf(Nowhere):
        killed = False

        def kill(self):
            self.killed = True

    monkeypatch.setattr("vlmeval_mp.pool.supervisor.stuck.LOADING_MOST", 0.01)
    monkeypatch.setattr("vlmeval_mp.pool.supervisor.slots.DUMP_SECONDS", 0.01)
    paths, launcher = fake_run(tmp_path, 40), Deaf()
    slots, snapshot = supervise(paths, launcher=launcher).slots, Reader(paths).read()
    slots.start_idle(snapshot)
    for _ in range(4):
        slots.end_stuck(snapshot)
        time.sleep(0.02)
    assert launcher.killed


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_worker_that_never_answers_is_given_up_after_a_few_tries(tmp_path, monkeypatch):
    monkeypatch.setattr("vlmeval_mp.pool.supervisor.slot.BACKOFF_FIRST", 0.01)
    paths, events = fake_run(tmp_path, 10), {}
    code = supervise(paths, on_tick=lambda s: events.update({e.text: e for e in s.events}), raise_engine=0).run()
    assert code == EXIT_NO_WORKER
    assert any("died 7 times without an answer" in text for text in events)
    assert Queue(paths.queue).entries("claimed") == []


def test_a_failed_sample_of_a_job_that_was_stopped_early_is_asked_again(tmp_path):
    paths = fake_run(tmp_path, 128)
    record = read_record(paths)
    (job,) = record.jobs
    failing = worker_for(paths, record, fail=["3", "100"])
    failing.queue.withdraw(job.name, 96)
    assert asyncio.run(live(failing)) == 0
    stops.publish(paths, job.name, Stop(96, 128, "accuracy", (0.0, 1.0), 1.0, 1.0))
    found = retrying.failures(paths, record)
    assert [failure.row for failure in found] == [3]
    retrying.reopen(paths, found)
    assert supervise(paths).run() == 0
    assert [(p.row, p.error) for p in merge(paths, job)[1]] == [(row, None) for row in range(96)]


def test_what_is_behind_the_end_of_a_job_that_was_stopped_early_is_left_alone(tmp_path):
    paths, seen = fake_run(tmp_path, 128), []
    record = read_record(paths)
    (job,) = record.jobs
    first = worker_for(paths, record)
    first.queue.withdraw(job.name, 96)
    assert asyncio.run(live(first)) == 0
    first.queue.restore([Shard(job=job.name, first=96, last=127)])
    stops.publish(paths, job.name, Stop(70, 128, "accuracy", (0.0, 1.0), 1.0, 1.0))
    assert supervise(paths, on_tick=lambda s: seen.append((s.total, s.done, len(s.workers)))).run() == 0
    assert seen[-1] == (96, 96, 0)
    assert Queue(paths.queue).entries("pending") == []
    assert len(merge(paths, job)[1]) == 70


def test_what_a_stopped_launch_says_at_the_end_is_what_is_on_disk(tmp_path):
    paths, events = fake_run(tmp_path, 40), []

    def show(state):
        events[:] = [event.text for event in state.events]
        if any(worker.answered for worker in state.workers) and not supervisor.signals:
            supervisor.signals += [signal.SIGINT, signal.SIGINT]

    supervisor = supervise(paths, on_tick=show, latency=0.3)
    supervisor.slots._ladder._windows = {"fake": 2}
    assert supervisor.run() == 130
    answered = progress.answered(paths.checkpoints, read_record(paths).jobs[0].name)
    assert 0 < answered < 32
    assert any(f"stopped: {answered} of 40 samples" in text for text in events)


def test_a_finished_run_is_scored_again_and_nothing_is_started(tmp_path):
    paths = fake_run(tmp_path, 10)
    assert supervise(paths).run() == 0
    workers = []
    assert supervise(paths, on_tick=lambda s: workers.extend(w.worker for w in s.workers)).run() == 0
    assert workers == []


def test_nothing_is_kept_of_the_samples_of_a_finished_job(tmp_path):
    supervisor = supervise(fake_run(tmp_path, 40))
    (job,) = supervisor.finisher._running
    kept = weakref.ref(supervisor.finisher._running[job])
    assert supervisor.run() == 0
    assert kept() is None
    (tally,) = supervisor.finisher.tallies().values()
    assert tally.scored == 40


def test_an_error_that_ends_a_run_waits_for_no_evaluator(tmp_path, monkeypatch):
    evaluating, left = threading.Event(), threading.Event()

    def evaluate(*_):
        with client.stoppable() as told:
            evaluating.set()
            left.set() if told.wait(60) else None
        raise client.StoppedError

    def show(state):
        if evaluating.is_set():
            raise BrokenPipeError  # as when the reader of a pipe has left

    monkeypatch.setattr(results, "write_pairs", evaluate)
    supervisor = supervise(fake_run(tmp_path, 4), on_tick=show)
    with pytest.raises(BrokenPipeError):
        supervisor.run()
    assert left.wait(5)
