"""Preparing in threads: order, errors, memory, and that slow work is shared."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.pool.worker.preparing import Preparer


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


def run(threads: int, most_bytes: int, body: Callable[[Preparer[Thing]], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await body(Preparer(threads, most_bytes))

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
