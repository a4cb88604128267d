"""The queue's rules: who owns a shard is the folder its file is in, and no interruption changes that."""

import multiprocessing
import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vlmeval_mp.core.records import Done, Shard
from vlmeval_mp.runs import owners, queue
from vlmeval_mp.runs.queue import Entry, Queue

JOB = "model+data"


def make(folder, samples=100, size=10):
    queue.create(folder, queue.shards_of(JOB, samples, size))
    return Queue(folder)


def done_for(entry):
    return Done(shard=entry.shard, spans=(), digest=entry.owner, failed=0, worker="w0")


def test_shards_cover_every_row_once():
    shards = queue.shards_of(JOB, 70, 32)
    assert [row for s in shards for row in range(s.first, s.last + 1)] == list(range(70))
    assert queue.shards_of(JOB, 0, 32) == []


def test_a_file_name_round_trips_and_foreign_names_are_left_alone():
    entry = Entry(Shard(job="a.b+c.tsv", first=0, last=31), 3, 1, str(owners.current()))
    assert queue.parse(entry.name) == entry
    assert [queue.parse(n) for n in ("README", "x@1", "x.1@2", ".nfs0001", "a.1-2@x-y")] == [None] * 5


def test_claims_come_in_job_order_and_then_row_order(tmp_path):
    queue.create(tmp_path / "q", [*queue.shards_of("m+b", 20, 10), *queue.shards_of("m+a", 20, 10)])
    q = Queue(tmp_path / "q")
    me = owners.current()
    taken = [q.claim(me, ["m+b", "m+a"]).shard for _ in range(4)]
    assert [(s.job, s.first) for s in taken] == [("m+b", 0), ("m+b", 10), ("m+a", 0), ("m+a", 10)]
    assert q.claim(me, ["m+b", "m+a"]) is None


def test_a_worker_takes_only_shards_of_its_model(tmp_path):
    queue.create(tmp_path / "q", [*queue.shards_of("m1+a", 10, 10), *queue.shards_of("m2+a", 10, 10)])
    q = Queue(tmp_path / "q")
    assert q.claim(owners.current(), ["m2+a"]).shard.job == "m2+a"
    assert q.claim(owners.current(), ["m2+a"]) is None


def test_a_released_shard_is_claimed_again_with_a_higher_attempt_and_no_blame(tmp_path):
    q = make(tmp_path / "q", samples=10)
    q.release(q.claim(owners.current(), [JOB]))
    again = q.claim(owners.current(), [JOB])
    assert (again.attempt, again.deaths) == (1, 0)


def test_reaping_counts_a_death_only_when_somebody_is_to_blame(tmp_path):
    q = make(tmp_path / "q", samples=10)
    q.claim(owners.current(), [JOB])
    q.reap(lambda _: True, to_blame=lambda _: False)
    assert q.entries("pending")[0].deaths == 0
    q.claim(owners.current(), [JOB])
    q.reap(lambda _: True)
    assert (q.entries("pending")[0].attempt, q.entries("pending")[0].deaths) == (2, 1)


def test_a_living_owner_keeps_its_claim(tmp_path):
    q = make(tmp_path / "q", samples=10)
    q.claim(owners.current(), [JOB])
    assert q.reap(lambda owner: owners.is_dead(owner) is True) == []


def test_a_reused_pid_is_proof_of_death(tmp_path):
    q = make(tmp_path / "q", samples=10)
    me = owners.current()
    q.claim(owners.Owner(me.host, me.boot, me.pid, me.start + 1, me.nonce), [JOB])
    assert len(q.reap(lambda owner: owners.is_dead(owner) is True)) == 1


def test_another_host_or_container_is_never_proven_dead():
    me = owners.current()
    assert owners.is_dead(owners.Owner("elsewhere", me.boot, 1, 1, "x")) is None
    assert owners.is_dead(owners.Owner(me.host, me.boot.split("-")[0] + "-1", 1, 1, "x")) is None
    assert owners.is_dead(owners.Owner(me.host, "00000000-1", me.pid, me.start, "x")) is True


def test_the_second_to_finish_a_shard_learns_that_it_lost(tmp_path):
    """A worker stopped past its lease comes back after its shard was reaped and given to another."""
    q = make(tmp_path / "q", samples=10)
    zombie = q.claim(owners.current(), [JOB])
    q.reap(lambda _: True)
    heir = q.claim(owners.current(), [JOB])
    assert q.complete([(zombie, done_for(zombie))]) == [True]
    assert q.complete([(heir, done_for(heir))]) == [False]
    assert q.read_done(q.done_names()[0]).digest == zombie.owner
    assert q.entries("claimed") == q.entries("pending") == []


def test_a_shard_that_a_zombie_finished_is_not_claimed_again(tmp_path):
    q = make(tmp_path / "q", samples=10)
    zombie = q.claim(owners.current(), [JOB])
    q.reap(lambda _: True)
    q.complete([(zombie, done_for(zombie))])
    assert q.claim(owners.current(), [JOB]) is None
    assert q.entries("pending") == []


def test_a_kill_between_commit_and_clean_up_leaves_nothing_to_do(tmp_path):
    q = make(tmp_path / "q", samples=10)
    entry = q.claim(owners.current(), [JOB])
    claimed = tmp_path / "q" / "claimed" / entry.name
    q.complete([(entry, done_for(entry))])
    claimed.touch()
    assert q.reap(lambda _: True) == []
    assert q.entries("claimed") == q.entries("pending") == []


def test_a_shard_that_dies_from_inside_for_ever_is_given_up_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(queue, "MAX_DEATHS", 5)
    q = make(tmp_path / "q", samples=10)
    for _ in range(queue.MAX_DEATHS):
        assert q.claim(owners.current(), [JOB]) is not None
        q.reap(lambda _: True)
    assert q.claim(owners.current(), [JOB]) is None
    assert [f.shard.first for f in q.failures()] == [0]


def test_a_shard_whose_owners_are_killed_from_outside_is_never_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(queue, "MAX_DEATHS", 5)
    q = make(tmp_path / "q", samples=10)
    for _ in range(3 * queue.MAX_DEATHS):
        assert q.claim(owners.current(), [JOB]) is not None
        q.reap(lambda _: True, to_blame=lambda _: False)
    assert q.claim(owners.current(), [JOB]) is not None
    assert q.failures() == []


def test_a_shard_in_no_folder_is_pending_again_and_others_are_left_alone(tmp_path):
    q = make(tmp_path / "q", samples=40)
    shards = queue.shards_of(JOB, 40, 10)
    entry = q.claim(owners.current(), [JOB])
    q.complete([(entry, done_for(entry))])
    q.claim(owners.current(), [JOB])
    (tmp_path / "q" / "pending" / Entry(shards[3], 0, 0).name).unlink()
    assert q.restore(shards) == 1
    assert sorted((e.shard.first, e.attempt) for e in q.entries("pending")) == [(20, 0), (30, 1)]
    assert q.restore(shards) == 0


def _claim_all(folder, lock_works, results):
    q = Queue(folder)
    if not lock_works:
        q._lock = _NoLock()
    taken = []
    while entry := q.claim(owners.current(), [JOB]):
        taken.append(entry.shard.first)
    results.put(taken)


class _NoLock:
    """A lock that every caller gets, as some shared file systems grant it."""

    def acquire(self):
        pass

    def release(self):
        pass


def _race(folder, lock_works):
    make(folder, samples=2000, size=10)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_claim_all, args=(folder, lock_works, results)) for _ in range(4)]
    for process in processes:
        process.start()
    taken = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    return sorted(first for part in taken for first in part)


def test_racing_claimers_share_the_shards_without_overlap(tmp_path):
    assert _race(tmp_path / "q", lock_works=True) == list(range(0, 2000, 10))


def test_racing_claimers_share_the_shards_even_if_the_lock_is_granted_to_everybody(tmp_path):
    assert _race(tmp_path / "q", lock_works=False) == list(range(0, 2000, 10))


class QueueMachine(RuleBasedStateMachine):
    """Random claims, completions, releases, deaths and zombies: every shard is in exactly one state, done is final."""

    def __init__(self):
        super().__init__()
        import tempfile
        from pathlib import Path

        self.folder = Path(tempfile.mkdtemp()) / "q"
        self.queue = make(self.folder, samples=40)
        self.held = {}
        self.zombies = []
        self.done = {}

    @rule()
    def claim(self):
        owner = owners.current()
        entry = self.queue.claim(owner, [JOB])
        if entry:
            assert entry.shard.first not in self.done
            self.held[entry.name] = entry

    @rule(data=st.data())
    def complete(self, data):
        if self.held:
            entry = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
            self._finish(entry)

    @rule(data=st.data())
    def zombie_completes(self, data):
        if self.zombies:
            self._finish(self.zombies.pop(data.draw(st.integers(0, len(self.zombies) - 1))))

    def _finish(self, entry):
        (won,) = self.queue.complete([(entry, done_for(entry))])
        assert won == (entry.shard.first not in self.done)
        self.done.setdefault(entry.shard.first, entry.owner)

    @rule(data=st.data())
    def release(self, data):
        if self.held:
            self.queue.release(self.held.pop(data.draw(st.sampled_from(sorted(self.held)))))

    @rule(data=st.data())
    def reap(self, data):
        if self.held:
            victim = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
            self.zombies.append(victim)
            self.queue.reap(lambda owner: str(owner) == victim.owner)

    @invariant()
    def every_shard_is_somewhere_and_done_never_changes(self):
        pending = {e.shard.first for e in self.queue.entries("pending")}
        claimed = {e.shard.first for e in self.queue.entries("claimed")}
        done = {d.shard.first: d.digest for d in map(self.queue.read_done, self.queue.done_names())}
        assert done == self.done
        assert not pending & claimed
        assert pending | claimed | done.keys() == {0, 10, 20, 30}


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_the_owner_of_this_process_is_alive():
    me = owners.current()
    assert me.pid == os.getpid()
    assert owners.parse(str(me)) == me
    assert owners.is_dead(me) is False
