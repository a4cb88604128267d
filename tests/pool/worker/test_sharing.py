"""No worker holds more than its share, and whoever has nothing to do gets what others have not begun."""

import asyncio
import dataclasses
import time

import msgspec

from tests.builders import fake_run, worker_for
from tests.helpers import lines_written
from vlmeval_mp.core.records import SupervisorStatus, WorkerStatus
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.pool.worker.sharing import AHEAD, Sharing, most_to_hold, share
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.snapshot import read_record


def another(paths, name, **status):
    """A heartbeat of a worker that is nowhere."""
    owner = str(owners.current())
    known = {"pid": 1, "owner": owner, "host": "h", "model": "fake", "devices": "", "phase": "working", "window": 4}
    beat = WorkerStatus(worker=name, time=time.time() + 1000, **(known | status))
    paths.worker(name).write_bytes(msgspec.json.encode(beat))


def sharing_of(paths, name="w0"):
    record = read_record(paths)
    return Sharing(paths, Queue(paths.queue), owners.current(), name, "fake", [job.name for job in record.jobs])


def test_a_share_is_rounded_up():
    assert [share(left, 8) for left in (0, 1, 8, 9, 400)] == [0, 1, 1, 2, 50]


def test_one_of_eight_workers_claims_an_eighth_of_four_hundred_samples_and_no_more(tmp_path):
    paths = fake_run(tmp_path, 400)
    for number in range(1, 8):
        another(paths, f"w{number}", waiting=1)
    sharing, own = sharing_of(paths), 0
    while True:
        entry, missing = sharing.claim(own, window=256)
        if entry is None:
            break
        own += entry.shard.size
    assert own == 50
    assert missing > 0


def test_what_is_prepared_ahead_shrinks_with_what_is_pending():
    assert most_to_hold(10_000, 9_000, workers=8, window=64) == 64 + AHEAD
    assert most_to_hold(800, 288, workers=8, window=64) == 64 + 18
    assert most_to_hold(600, 88, workers=8, window=64) == 64 + 8, "an eighth of the window at least"
    assert most_to_hold(64, 64, workers=8, window=64) == 8, "and never more than a share"


def test_a_full_worker_waits_until_it_can_claim_an_eighth_of_its_window(tmp_path):
    paths = fake_run(tmp_path, 200)
    another(paths, "w1", waiting=1)
    sharing, own = sharing_of(paths), 0
    while entry := sharing.claim(own, window=64)[0]:
        own += entry.shard.size
    assert own == 64 + 32, "half of the 200 is 100; a window and what is ahead of it is less"
    (entry, missing) = sharing.claim(own - 4, window=64)
    assert entry is None
    assert 4 <= missing < 16
    entry, _ = sharing.claim(own - 4 - missing - 8, window=64)
    assert entry.shard.size >= 8


def test_a_worker_with_a_free_place_claims_what_little_its_share_has(tmp_path):
    paths = fake_run(tmp_path, 9)
    another(paths, "w1")
    entry, _ = sharing_of(paths).claim(4, window=64)
    assert entry.shard.size == 3, "13 are left, 7 for each"


def test_workers_that_still_load_have_a_share_as_long_as_they_may_be_expected(tmp_path):
    paths = fake_run(tmp_path, 32)
    beat = SupervisorStatus(pid=1, owner=str(owners.current()), time=time.time() + 1000, at_work={"fake": 4})
    paths.supervisor.write_bytes(msgspec.json.encode(beat))
    sharing = sharing_of(paths)
    assert sharing.claim(0, window=64)[0].shard.size == 8
    sharing.patience = sharing._read_at = 0.0
    assert sharing.claim(8, window=64)[0].shard.size == 24


def test_what_others_have_answered_is_not_left(tmp_path):
    paths = fake_run(tmp_path, 64)
    other = dataclasses.replace(owners.current(), nonce="another")
    job = read_record(paths).jobs[0].name
    Queue(paths.queue).claim(other, [job])
    another(paths, "w1", owner=str(other), held={job: 28})
    entry, _ = sharing_of(paths).claim(0, window=64)
    assert entry.shard.size == 18, "32 are pending and 4 not answered yet"


def test_a_worker_that_is_alone_claims_whole_shards(tmp_path):
    entry, _ = sharing_of(fake_run(tmp_path, 40)).claim(0, window=256)
    assert entry.shard.size == 32


def test_a_claim_where_nothing_is_pending_looks_at_nothing_else(tmp_path):
    paths = fake_run(tmp_path, 4)
    another(paths, "w1")
    sharing = sharing_of(paths)
    while sharing.claim(0, window=64)[0] is not None:
        pass
    sharing._queue = OnlyPending(sharing._queue)
    assert sharing.claim(4, window=64) == (None, 0)


class OnlyPending:
    def __init__(self, queue):
        self.pending = queue.pending


def test_samples_that_are_not_begun_go_to_a_worker_that_has_nothing_and_none_is_asked_twice(tmp_path):
    paths = fake_run(tmp_path, 64)
    worker = worker_for(paths, read_record(paths), window=2, latency=0.05)
    given, real = [], worker.queue.cut

    def cut(entry, row):
        given.append(entry.shard.last + 1 - row)
        return real(entry, row)

    async def joined_later():
        running = asyncio.create_task(live(worker))
        while worker.counts.answered < 4:
            await asyncio.sleep(0.01)
        worker.queue.cut = cut
        another(paths, "w1", in_flight=0)
        return await running

    assert asyncio.run(joined_later()) == 0
    assert sum(given) > 10
    assert [p.row for p in merge(paths, read_record(paths).jobs[0])[1]] == list(range(64))
    assert lines_written(paths) == 64


def test_samples_given_back_before_their_tasks_took_a_step_hold_nothing_up(tmp_path):
    paths = fake_run(tmp_path, 32)
    worker = worker_for(paths, read_record(paths), window=2, latency=0.0)
    hold, giving = worker.recorder.hold, []

    def hold_and_give(held):
        hold(held)
        if not giving:  # its turn comes after every task of the shard was made, and before any of them runs
            giving.append(asyncio.create_task(worker.giver._give(held, 10)))

    async def within_seconds():
        worker.recorder.hold = hold_and_give
        async with asyncio.timeout(20):
            return await live(worker)

    assert asyncio.run(within_seconds()) == 0
    assert giving[0].result() == 10
    assert [p.row for p in merge(paths, read_record(paths).jobs[0])[1]] == list(range(32))
    assert lines_written(paths) == 32


def test_a_worker_at_its_end_waits_for_the_cut_it_is_making_and_answers_what_nobody_takes(tmp_path):
    paths = fake_run(tmp_path, 32)
    worker = worker_for(paths, read_record(paths), window=2, latency=0.05)
    cut, wanted = worker.queue.cut, iter([8])

    def cut_slowly(entry, row):
        while worker.in_flight:
            time.sleep(0.01)
        time.sleep(0.3)
        return cut(entry, row)

    worker.queue.cut = cut_slowly
    worker.sharing.to_give = lambda unstarted: next(wanted, 0)
    assert asyncio.run(live(worker)) == 0
    worker.queue.read_news()
    assert sorted((done.shard.first, done.shard.last) for done in worker.queue.done.values()) == [(0, 23), (24, 31)]
    assert worker.queue.entries("pending") == []
    assert lines_written(paths) == 32


def test_each_of_eight_workers_answers_something_and_none_more_than_twice_its_share(tmp_path):
    paths = fake_run(tmp_path, 400)
    record = read_record(paths)
    workers = [worker_for(paths, record, name=f"w{number}", window=8, latency=0.2) for number in range(8)]

    async def all_of_them():
        async with asyncio.timeout(60):
            return await asyncio.gather(*map(live, workers))

    assert asyncio.run(all_of_them()) == [0] * 8
    assert all(0 < worker.counts.answered <= 100 for worker in workers)
    assert [p.row for p in merge(paths, record.jobs[0])[1]] == list(range(400))
    assert lines_written(paths) == 400


def test_a_worker_whose_failures_wait_to_be_compared_goes_on_to_claim_what_is_pending(tmp_path):
    paths = fake_run(tmp_path, 30, fail=[str(row) for row in range(30)])
    another(paths, "w1")
    worker = worker_for(paths, read_record(paths))
    assert asyncio.run(live(worker)) == 0
    assert worker.counts.failed == 30
