"""How long a worker waits between two claims."""

import asyncio

import pytest

from vlmeval_mp.pool.worker.claiming import Claims


class Nothing:
    """A queue and stragglers of which there are none for this worker; `missing` as `Sharing.claim` has it."""

    running = expected = False

    def __init__(self, missing=0):
        self.missing, self.claims = missing, 0

    def claim(self, own, window):
        self.claims += 1
        return None, self.missing

    async def look(self, *, idle):
        pass


def claims_of(sharing, in_flight):
    return Claims(sharing, Nothing(), 64, in_flight, in_flight, lambda: None)


def pauses_of(claims, count):
    found = []

    async def pause(seconds, answers):
        found.append((seconds, answers))
        if len(found) == count:
            claims.end()

    async def look():
        claims._pause = pause
        return [entry async for entry in claims.entries()]

    assert asyncio.run(look()) == []
    return found


@pytest.mark.parametrize(("missing", "in_flight", "most"), [(5, 0, 1.0), (0, 64, 1.0), (0, 32, 1.0), (0, 31, 0.25)])
def test_claims_that_find_nothing_come_further_apart(missing, in_flight, most):
    pauses = pauses_of(claims_of(Nothing(missing), lambda: in_flight), 7)
    assert [seconds for seconds, _ in pauses] == [min(most, 0.05 * 2**n) for n in range(7)]


def test_what_is_left_to_others_is_looked_at_again_after_the_answers_that_are_missing():
    assert pauses_of(claims_of(Nothing(missing=7), lambda: 40), 3) == [(0.05, 7), (0.1, 7), (0.2, 7)]


def test_where_nothing_is_pending_half_of_what_is_in_flight_is_waited_for():
    assert pauses_of(claims_of(Nothing(), lambda: 5), 1) == [(0.05, 3)]


def test_what_becomes_pending_while_a_claim_finds_nothing_is_still_claimed():
    given_back = []

    class GivingBack(Nothing):
        def claim(self, own, window):
            if given_back:
                return given_back.pop(), 0
            if not self.claims:
                given_back.append("a shard")
            return super().claim(own, window)

    sharing = GivingBack()
    claims = claims_of(sharing, lambda: 0 if sharing.claims else 1)
    claims._may_come = never

    async def entries():
        return [entry async for entry in claims.entries()]

    assert asyncio.run(asyncio.wait_for(entries(), 30)) == ["a shard"]


async def never(_idle):
    return False


def test_a_pause_ends_with_the_last_of_the_answers_that_it_waits_for():
    claims = claims_of(Nothing(), lambda: 4)

    async def wait_for_two():
        pause = asyncio.create_task(claims._pause(60, 2))
        await asyncio.sleep(0)
        claims.answered()
        await asyncio.sleep(0)
        early = pause.done()
        claims.answered()
        await asyncio.wait_for(pause, 30)
        return early

    assert asyncio.run(wait_for_two()) is False


def test_a_worker_that_drains_waits_no_longer():
    claims = claims_of(Nothing(), lambda: 4)

    async def drain():
        pause = asyncio.create_task(claims._pause(60, 2))
        await asyncio.sleep(0)
        claims.end()
        await asyncio.wait_for(pause, 30)
        await claims._pause(60, 2)

    asyncio.run(asyncio.wait_for(drain(), 30))
