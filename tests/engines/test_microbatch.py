from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from tests.engines.contract import ask
from vlmeval_mp.core.errors import EngineError, RequestError
from vlmeval_mp.core.records import Completion, Request
from vlmeval_mp.engines.microbatch import MicroBatcher


class Library:
    """A synchronous batch call that remembers its batches and fails as its ids say."""

    def __init__(self, fits: int = 1000) -> None:
        self.batches: list[list[str]] = []
        self.fits = fits

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        ids = [request.id for request in requests]
        self.batches.append(ids)
        time.sleep(0.005)
        if "dead" in ids:
            raise EngineError("the library is gone")
        if len(ids) > self.fits:
            raise MemoryError(f"{len(ids)} do not fit")
        if any(id_.startswith("poison") for id_ in ids):
            raise ValueError("bad picture")
        return [Completion(text=id_) for id_ in ids]


async def submit_all(batcher: MicroBatcher, ids: Sequence[str]) -> list[Completion | BaseException]:
    return await asyncio.gather(*(batcher.submit(ask(id_, "?")) for id_ in ids), return_exceptions=True)


async def test_waiting_requests_share_calls_and_each_gets_its_own_answer() -> None:
    library = Library()
    batcher = MicroBatcher(library, size=8, wait=0.01)
    ids = [str(n) for n in range(20)]
    assert [done.text for done in await submit_all(batcher, ids)] == ids  # type: ignore[union-attr]
    assert [len(batch) for batch in library.batches] == [8, 8, 4]
    await batcher.close()


async def test_a_lone_request_waits_no_longer_than_told() -> None:
    batcher = MicroBatcher(Library(), size=8, wait=0.02)
    began = time.perf_counter()
    await batcher.submit(ask("1", "?"))
    assert time.perf_counter() - began < 0.5
    await batcher.close()


async def test_poison_requests_alone_fail_and_are_found_by_halving() -> None:
    library = Library()
    batcher = MicroBatcher(library, size=32, wait=0.01)
    ids = [*map(str, range(9)), "poison-a", *map(str, range(9, 30)), "poison-b"]
    outcomes = await submit_all(batcher, ids)
    for id_, outcome in zip(ids, outcomes, strict=True):
        if id_.startswith("poison"):
            assert isinstance(outcome, RequestError)
            assert str(outcome) == "bad picture"
        else:
            assert isinstance(outcome, Completion)
            assert outcome.text == id_
    assert len(library.batches) < 20, "bisecting should not need a call for every request"
    await batcher.close()


async def test_a_batch_that_does_not_fit_is_halved_now_and_from_then_on() -> None:
    library = Library(fits=5)
    batcher = MicroBatcher(library, size=16, wait=0.01)
    outcomes = await submit_all(batcher, [str(n) for n in range(32)])
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    assert batcher.size == 4
    assert max(len(batch) for batch in library.batches[-4:]) == 4
    await batcher.close()


async def test_a_single_request_that_does_not_fit_is_refused() -> None:
    batcher = MicroBatcher(Library(fits=0), size=4, wait=0.0)
    (outcome,) = await submit_all(batcher, ["huge"])
    assert isinstance(outcome, RequestError)
    await batcher.close()


async def test_a_dead_engine_is_told_to_everyone_who_waits_and_to_all_who_come_later() -> None:
    batcher = MicroBatcher(Library(), size=2, wait=0.0)
    outcomes = await asyncio.wait_for(submit_all(batcher, ["1", "2", "dead", *map(str, range(3, 9))]), 5)
    assert [type(outcome) for outcome in outcomes] == [Completion, Completion, *[EngineError] * 7]
    with pytest.raises(EngineError, match="gone"):
        await batcher.submit(ask("9", "?"))
    await batcher.close()


async def test_a_caller_that_gave_up_is_not_asked_for() -> None:
    library = Library()
    batcher = MicroBatcher(library, size=4, wait=0.05)
    leaving = asyncio.create_task(batcher.submit(ask("gone", "?")))
    staying = asyncio.create_task(batcher.submit(ask("here", "?")))
    await asyncio.sleep(0.01)
    leaving.cancel()
    assert (await staying).text == "here"
    assert library.batches == [["here"]]
    await batcher.close()
