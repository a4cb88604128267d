"""Preparing in threads: order, errors, memory, and that slow work is shared."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import fake_run, worker_for
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Draft, ImagePart, Media, MediaLimits, Message, Request, Sampling, VideoPart
from vlmeval_mp.engines import registry
from vlmeval_mp.engines.fake import FakeEngine
from vlmeval_mp.pool.worker.preparing import Preparer
from vlmeval_mp.requests.longmedia import RECENT
from vlmeval_mp.runs.snapshot import read_record


@dataclass
class Thing:
    name: int
    nbytes: int = 1
    thread: str = ""


def made(name: int, nbytes: int = 1, seconds: float = 0.0) -> Callable[[], Thing]:
    def make() -> Thing:
        time.sleep(seconds)
        return Thing(name, nbytes, threading.current_thread().name)

    return make


def run(threads: int, most_bytes: int, body: Callable[[Preparer[Thing]], Awaitable[None]], *, quick: int = 0) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await body(Preparer(threads, most_bytes, quick=quick))

    asyncio.run(within())


def test_each_gets_its_own_in_order_of_asking() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        finished: list[int] = []

        async def one(name: int) -> None:
            finished.append((await preparer.prepare(made(name))).name)

        await asyncio.gather(*map(one, range(500)))
        assert finished == list(range(500))

    run(1, 10_000, body)


def test_what_goes_wrong_is_raised_where_it_was_asked_and_nowhere_else() -> None:
    def bad() -> Thing:
        raise RequestError("image 1 is empty")

    async def body(preparer: Preparer[Thing]) -> None:
        asked = [preparer.prepare(made(0)), preparer.prepare(bad), preparer.prepare(made(2))]
        first, second, third = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(first, Thing) and isinstance(third, Thing)
        assert str(second) == "image 1 is empty"

    run(2, 100, body)


def test_slow_work_is_shared_among_all_threads() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        slow = await asyncio.gather(*(preparer.prepare(made(i, seconds=0.05)) for i in range(12)))
        assert len({thing.thread for thing in slow}) == 4

    run(4, 100, body)


def test_one_that_hangs_keeps_nobody_else_waiting() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        let_go = threading.Event()

        def hang() -> Thing:
            let_go.wait(15)
            return Thing(-1)

        hanging = asyncio.create_task(preparer.prepare(hang))
        await asyncio.sleep(0.05)
        others = await asyncio.gather(*(preparer.prepare(made(i)) for i in range(20)))
        assert [thing.name for thing in others] == list(range(20))
        assert not hanging.done()
        let_go.set()
        assert (await hanging).name == -1

    run(2, 100, body)


def test_nothing_is_prepared_above_the_limit_until_memory_is_released() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        tasks = [asyncio.create_task(preparer.prepare(made(i, nbytes=60))) for i in range(4)]
        await asyncio.sleep(0.2)
        assert [task.done() for task in tasks] == [True, True, False, False]  # 60, then 120 of 100 bytes
        preparer.release(60)
        await asyncio.sleep(0.2)
        assert [task.done() for task in tasks] == [True, True, True, False]
        preparer.release(60)
        preparer.release(60)
        assert (await tasks[3]).name == 3

    run(1, 100, body)


def test_one_that_is_larger_than_all_memory_is_prepared_alone() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        for i in range(3):
            assert (await preparer.prepare(made(i, nbytes=1000))).name == i
            preparer.release(1000)

    run(2, 100, body)


@pytest.mark.parametrize("after", [0.0, 0.05])
def test_who_does_not_wait_any_more_holds_no_memory(after: float) -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        given_up = asyncio.create_task(preparer.prepare(made(0, nbytes=1000, seconds=0.2)))
        await asyncio.sleep(after)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert (await preparer.prepare(made(1))).name == 1

    run(1, 100, body)


def test_nothing_is_made_for_whoever_was_cancelled_before_it_was_begun() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        until, begun = threading.Event(), list[int]()
        first = asyncio.create_task(preparer.prepare(holding(0, until, begun)))
        while not begun:
            await asyncio.sleep(0.01)
        given_up = [
            asyncio.create_task(preparer.prepare(holding(n, until, begun), long=long))
            for n, long in ((1, False), (2, True))
        ]
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.sleep(0)
        until.set()
        await first
        assert (await preparer.prepare(made(3))).name == 3
        assert begun == [0]

    run(1, 100, body)


def test_who_is_cancelled_just_as_it_is_handed_over_holds_no_memory() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        waiting = asyncio.create_task(preparer.prepare(made(0, nbytes=100)))
        hand_over = preparer._hand_over

        def hand_over_and_cancel(*arguments: object) -> None:
            hand_over(*arguments)  # type: ignore[arg-type]
            waiting.cancel()

        preparer._hand_over = hand_over_and_cancel  # type: ignore[method-assign, assignment]
        with pytest.raises(asyncio.CancelledError):
            await waiting
        preparer._hand_over = hand_over  # type: ignore[method-assign]
        assert (await preparer.prepare(made(1))).name == 1

    run(1, 50, body)


def holding(name: int, until: threading.Event, begun: list[int]) -> Callable[[], Thing]:
    def make() -> Thing:
        begun.append(name)
        assert until.wait(20)
        return Thing(name)

    return make


@pytest.mark.parametrize("threads", [2, 4])
def test_long_things_never_have_the_last_thread_while_quick_ones_come(threads: int) -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        until, begun = threading.Event(), list[int]()
        videos = [asyncio.create_task(preparer.prepare(holding(n, until, begun), long=True)) for n in range(8)]
        quick = [asyncio.create_task(preparer.prepare(made(n))) for n in range(50)]
        await asyncio.gather(*quick)
        later = [asyncio.create_task(preparer.prepare(made(n))) for n in range(50)]
        await asyncio.gather(*later)
        assert 1 <= len(begun) <= threads - 1
        until.set()
        assert [thing.name for thing in await asyncio.gather(*videos)] == list(range(8))

    run(threads, 1 << 30, body)


def test_no_more_threads_than_are_said_are_at_quick_things_and_a_long_one_has_its_own() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        until, begun = threading.Event(), list[int]()
        lock, now, most = threading.Lock(), 0, 0

        def quick() -> Thing:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.005)  # longer than a thread waits for another to join it
            with lock:
                now -= 1
            return Thing(0, 40)

        async def prepared() -> None:
            preparer.release((await preparer.prepare(quick)).nbytes)  # in between, memory is short

        asked = [asyncio.create_task(prepared()) for _ in range(30)]
        video = asyncio.create_task(preparer.prepare(holding(7, until, begun), long=True))
        while not begun:
            await asyncio.sleep(0.001)
        await asyncio.gather(*asked)
        assert most == 1, "while the video had a thread, too"
        until.set()
        assert (await video).name == 7
        await asyncio.gather(*(prepared() for _ in range(30)))
        assert most == 1

    run(3, 100, body, quick=1)


def test_a_thread_that_may_do_nothing_quick_takes_a_long_thing() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        until, begun = threading.Event(), list[int]()
        quick = [asyncio.create_task(preparer.prepare(holding(n, until, begun))) for n in range(3)]
        videos = [asyncio.create_task(preparer.prepare(holding(n, until, begun), long=True)) for n in (7, 8)]
        while {7, 8} - set(begun):
            await asyncio.sleep(0.001)
        assert not {1, 2} & set(begun), "only one thread may be at quick things"
        until.set()
        assert [thing.name for thing in await asyncio.gather(*quick, *videos)] == [0, 1, 2, 7, 8]

    run(3, 1 << 30, body, quick=1)


def test_a_thread_alone_does_quick_things_first_and_hands_them_over_before_a_long_one() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        until, begun = threading.Event(), list[int]()
        quick = [asyncio.create_task(preparer.prepare(made(n))) for n in range(3)]
        video = asyncio.create_task(preparer.prepare(holding(7, until, begun), long=True))
        await asyncio.gather(*quick)
        until.set()
        assert (await video).name == 7

    run(1, 1 << 30, body)


def test_long_things_alone_have_every_thread() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        until, begun = threading.Event(), list[int]()
        videos = [
            asyncio.create_task(preparer.prepare(holding(n, until, begun), long=True)) for n in range(RECENT + 10)
        ]
        while len(begun) < 2:
            await asyncio.sleep(0.01)
        until.set()
        await asyncio.gather(*videos)

    run(2, 1 << 30, body)


def test_no_more_long_things_are_made_than_memory_is_for() -> None:
    async def body(preparer: Preparer[Thing]) -> None:
        videos = [asyncio.create_task(preparer.prepare(made(n, nbytes=60), long=True)) for n in range(20)]
        finished, most = 0, 0
        while finished < 20:
            await asyncio.wait(videos, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0.02)
            done = [video for video in videos if video.done()]
            most = max(most, len(done))
            for video in done:
                videos.remove(video)
                preparer.release(video.result().nbytes)
            finished += len(done)
        assert 2 <= most <= 2 + 2, "100 bytes are two, and each of two threads may be at one more"

    run(2, 100, body)


@pytest.mark.parametrize(("cores", "in_place", "expected"), [(1, True, 1), (2, False, 2), (2, True, 1), (64, True, 8)])
def test_an_engine_that_renders_in_the_worker_keeps_a_core_from_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, in_place: bool, expected: int
) -> None:
    class InPlace(FakeEngine):
        def rendered(self, request: Request) -> Request:
            return request

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(registry, "engine_class", lambda _: InPlace if in_place else FakeEngine)
    paths = fake_run(tmp_path, 2)
    worker = worker_for(paths, read_record(paths))
    assert worker.asker._preparer._most_quick == expected
    assert worker.asker.openers == min(8, cores)


def test_a_worker_says_which_samples_take_long(tmp_path: Path) -> None:
    paths = fake_run(tmp_path, 2)
    worker = worker_for(paths, read_record(paths))
    asker, (job,) = worker.asker, worker.jobs.values()
    (sample,) = worker.datasets[job.name].samples(0, 0)
    said = []

    async def prepare(_make: object, *, long: bool) -> None:
        said.append(long)

    asker._preparer.prepare = prepare  # type: ignore[method-assign, assignment]

    async def open_both() -> None:
        for part in (VideoPart(media=Media(kind="video", file="a.mp4")), ImagePart(media=Media(kind="image"))):
            draft = Draft("a", (Message(role="user", parts=(part,)),), Sampling(), tmp_path, MediaLimits())
            await asker._open(job, sample, draft)

    asyncio.run(open_both())
    assert said == [True, False]
