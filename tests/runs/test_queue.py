"""The queue's rules: who owns a shard is the folder its file is in, and no interruption changes that."""

import contextlib
import itertools
import multiprocessing
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vlmeval_mp.core.records import Done, Shard
from vlmeval_mp.runs import owners, queue, shards
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import Entry

JOB = "model+data"


def make(folder, samples=100, size=10):
    queue.create(folder, shards.shards_of(JOB, samples, size))
    return Queue(folder)


def finished(q):
    q.read_news()
    return list(q.done.values())


def rows(shard):
    return set(range(shard.first, shard.last + 1))


def done_for(entry):
    return Done(shard=entry.shard, spans=(), digest=entry.owner, failed=0, worker="w0")


def test_shards_cover_every_row_once():
    assert [row for s in shards.shards_of(JOB, 70, 32) for row in range(s.first, s.last + 1)] == list(range(70))
    assert shards.shards_of(JOB, 0, 32) == []


def test_a_file_name_round_trips_and_foreign_names_are_left_alone():
    entry = Entry(Shard(job="a.b+c.tsv", first=0, last=31), 3, 1, str(owners.current()))
    assert shards.parse(entry.name) == entry
    assert [shards.parse(n) for n in ("README", "x@1", "x.1@2", ".nfs0001", "a.1-2@x-y")] == [None] * 5


def test_claims_come_in_job_order_and_then_row_order(tmp_path):
    queue.create(tmp_path / "q", [*shards.shards_of("m+b", 20, 10), *shards.shards_of("m+a", 20, 10)])
    q = Queue(tmp_path / "q")
    me = owners.current()
    taken = [q.claim(me, ["m+b", "m+a"]).shard for _ in range(4)]
    assert [(s.job, s.first) for s in taken] == [("m+b", 0), ("m+b", 10), ("m+a", 0), ("m+a", 10)]
    assert q.claim(me, ["m+b", "m+a"]) is None


def test_a_worker_takes_only_shards_of_its_model(tmp_path):
    queue.create(tmp_path / "q", [*shards.shards_of("m1+a", 10, 10), *shards.shards_of("m2+a", 10, 10)])
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
    assert [d.digest for d in finished(q)] == [zombie.owner]
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
    for number in range(3 * queue.MAX_DEATHS):
        assert q.claim(owners.current(), [JOB]) is not None
        q.reap(lambda _: True, to_blame=lambda _, number=number: number < queue.MAX_DEATHS - 1)
    assert q.claim(owners.current(), [JOB]) is not None
    assert q.failures() == []


def test_a_shard_in_no_folder_is_pending_again_and_others_are_left_alone(tmp_path):
    q = make(tmp_path / "q", samples=40)
    every = shards.shards_of(JOB, 40, 10)
    entry = q.claim(owners.current(), [JOB])
    q.complete([(entry, done_for(entry))])
    q.claim(owners.current(), [JOB])
    (tmp_path / "q" / "pending" / JOB / Entry(every[3], 0, 0).name).unlink()
    assert q.restore(every) == 1
    assert sorted((e.shard.first, e.attempt) for e in q.entries("pending")) == [(20, 0), (30, 1)]
    assert q.restore(every) == 0


def test_a_run_made_before_each_job_had_a_folder_goes_on(tmp_path):
    q = make(tmp_path / "q", samples=30)
    flat = tmp_path / "q" / "pending"
    for path in sorted((flat / JOB).iterdir()):
        path.rename(flat / path.name)
    (flat / JOB).rmdir()
    assert q.any_left()
    assert q.pending_counts() == {JOB: 3}
    assert q.restore(shards.shards_of(JOB, 30, 10)) == 0
    assert [q.claim(owners.current(), [JOB]).shard.first for _ in range(3)] == [0, 10, 20]
    assert [p.name for p in flat.iterdir()] == [JOB]


def test_a_claim_looks_at_no_other_job_s_shards(tmp_path, monkeypatch):
    queue.create(tmp_path / "q", [*shards.shards_of("m1+a", 10, 10), *shards.shards_of("m2+a", 1000, 10)])
    q, listed, real = Queue(tmp_path / "q"), [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(Path(folder).name) or real(folder))
    assert q.claim(owners.current(), ["m1+a"]) is not None
    assert q.claim(owners.current(), ["m1+a"]) is None
    assert "m1+a" in listed
    assert "m2+a" not in listed


def test_a_claim_that_finds_nothing_takes_no_lock(tmp_path, monkeypatch):
    q = make(tmp_path / "q", samples=0)
    monkeypatch.setattr(q, "_lock", None)
    assert q.claim(owners.current(), [JOB]) is None


def test_a_claim_of_less_than_a_shard_leaves_the_rest_to_others(tmp_path):
    q = make(tmp_path / "q", samples=20)
    sizes = [q.claim(owners.current(), [JOB], most).shard.size for most in (4, 0, 3)]
    assert sizes == [4, 6, 3]
    assert sorted(row for e in (*q.entries("claimed"), *q.entries("pending")) for row in rows(e.shard)) == [*range(20)]


def test_a_shard_that_was_cut_is_never_done_as_a_whole(tmp_path):
    """A worker that was taken for dead cuts its shard; its heir, which has all answers, learns that there are two."""
    q = make(tmp_path / "q", samples=10)
    zombie = q.claim(owners.current(), [JOB])
    q.reap(lambda _: True)
    heir = q.claim(owners.current(), [JOB])
    assert q.cut(zombie, 6) is None
    assert q.complete([(heir, done_for(heir))]) == [False]
    assert sorted((e.shard.first, e.shard.last) for e in q.entries("pending")) == [(0, 5), (6, 9)]
    assert q.entries("claimed") == finished(q) == []


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


class CrashError(BaseException):
    """The process is killed here."""


@contextlib.contextmanager
def killed_before(operation):
    """Kill this process before its file operation of that number, counted from 0: nothing after it happens."""
    left = itertools.count(operation, -1)

    def counted(real):
        def call(*arguments, **options):
            if next(left) <= 0:
                raise CrashError
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "touch", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        patch.setattr(os, "link", counted(os.link))
        with contextlib.suppress(CrashError):
            yield


class QueueMachine(RuleBasedStateMachine):
    """Random claims, cuts, completions, releases, deaths, zombies, and kills between any two file operations.

    At every moment each row is in exactly one shard that is pending, claimed or done, once what the dead left is
    reaped; what is done stays done, by the worker that was first.
    """

    ROWS = 40

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp()) / "q"
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(os, "fsync", lambda _: None)  # a hundred thousand of them; no power fails here
        self.queue = make(self.folder, samples=self.ROWS)
        self.held = {}
        self.zombies = []
        self.done = {}

    def teardown(self):
        self.patch.undo()
        shutil.rmtree(self.folder.parent)

    def _draw(self, data):
        return self.held.pop(data.draw(st.sampled_from(sorted(self.held))))

    @rule(most=st.integers(0, 11))
    def claim(self, most):
        entry = self.queue.claim(owners.current(), [JOB], most)
        if entry:
            assert most == 0 or entry.shard.size <= most
            assert not self.done.keys() & rows(entry.shard)
            self.held[entry.name] = entry

    @precondition(lambda self: self.held)
    @rule(data=st.data(), at=st.integers(1, 9))
    def give_a_part_back(self, data, at):
        entry = self._draw(data)
        row = entry.shard.first + at
        kept = self.queue.cut(entry, row) if row <= entry.shard.last else entry
        if kept is None:  # a zombie had cut it before
            self._finish(entry)
        else:
            self.held[kept.name] = kept

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def complete(self, data):
        self._finish(self._draw(data))

    @precondition(lambda self: self.zombies)
    @rule(data=st.data())
    def zombie_completes(self, data):
        self._finish(self.zombies.pop(data.draw(st.integers(0, len(self.zombies) - 1))))

    @precondition(lambda self: self.zombies)
    @rule(data=st.data(), at=st.integers(1, 9))
    def zombie_gives_a_part_back(self, data, at):
        """Whether it wins the cut or not, it finds that its claim is no more."""
        place = data.draw(st.integers(0, len(self.zombies) - 1))
        entry = self.zombies[place]
        if entry.shard.first + at <= entry.shard.last:
            assert self.queue.cut(entry, entry.shard.first + at) is None

    def _finish(self, entry):
        (won,) = self.queue.complete([(entry, done_for(entry))])
        if won:
            assert not self.done.keys() & rows(entry.shard)
            self.done |= dict.fromkeys(rows(entry.shard), entry.owner)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data):
        self.queue.release(self._draw(data))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def reap(self, data):
        victim = self._draw(data)
        self.zombies.append(victim)
        self.queue.reap(lambda owner: str(owner) == victim.owner)

    @rule(data=st.data(), operation=st.integers(0, 6), what=st.sampled_from(["claim", "cut", "complete", "release"]))
    def is_killed(self, data, operation, what):
        """A worker is killed before any file operation of what it does; then its claims are reaped."""
        if what == "claim":
            owner, doomed = owners.current(), Queue(self.folder)
            with killed_before(operation):
                doomed.claim(owner, [JOB], data.draw(st.integers(0, 5)))
        elif self.held:
            entry, doomed = self._draw(data), Queue(self.folder)
            owner = owners.parse(entry.owner)
            with killed_before(operation):
                if what == "cut" and entry.shard.size > 1:
                    doomed.cut(entry, entry.shard.first + data.draw(st.integers(1, entry.shard.size - 1)))
                elif what == "complete":
                    doomed.complete([(entry, done_for(entry))])
                elif what == "release":
                    doomed.release(entry)
            if any(d.shard == entry.shard for d in finished(self.queue)):
                self.done |= dict.fromkeys(rows(entry.shard) - self.done.keys(), entry.owner)
        else:
            return
        with killed_before(data.draw(st.integers(0, 6))):  # whoever reaps may be killed too
            Queue(self.folder).reap(lambda each: each == owner)
        self.queue.reap(lambda each: each == owner)

    @rule()
    def supervisor_begins(self):
        """What zombies alone held is found missing and pending again; nothing else is."""
        self.queue.restore(shards.shards_of(JOB, self.ROWS, 10))

    @invariant()
    def every_row_is_in_one_place_and_done_never_changes(self):
        """A claim of a shard that was cut stands for those of its parts that no file stands for."""
        assert {row: d.digest for d in finished(self.queue) for row in rows(d.shard)} == self.done
        entries = [*self.queue.entries("pending"), *self.queue.entries("claimed")]
        live = [e.shard for e in entries if not self.queue.done_path(e.shard).exists()]
        places = Counter(row for shard in live for row in rows(shard))
        assert max(places.values(), default=1) == 1
        assert not places.keys() & self.done.keys()
        there = {shards.stem(e.shard) for e in entries} | {
            name.removesuffix(".json") for name in self.queue.done_names()
        }
        cut = [self.queue.cuts.get(f"{shards.stem(e.shard)}.json") for e in entries]
        owed = {row for c in cut if c for part in c.parts if shards.stem(part) not in there for row in rows(part)}
        assert places.keys() | self.done.keys() | owed == set(range(self.ROWS))


TestQueueMachine = pytest.mark.slow(QueueMachine.TestCase)
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_the_owner_of_this_process_is_alive():
    me = owners.current()
    assert me.pid == os.getpid()
    assert owners.parse(str(me)) == me
    assert owners.is_dead(me) is False
