from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.engines.contract import descendants, picture
from vlmeval_mp.core.errors import EngineError, RequestError
from vlmeval_mp.core.records import Draft, ImagePart, Media, MediaLimits, Message, Sampling, TextPart
from vlmeval_mp.engines import renderpool, rendertransport
from vlmeval_mp.engines.base import NotRenderedError
from vlmeval_mp.engines.renderpool import RenderPool

TARGET = "tests.engines.rendertargets:build"


def pool_of(count: int, most_bytes: int = 1 << 30, **argument: Any) -> RenderPool:
    return RenderPool(count, TARGET, pickle.dumps(argument), most_bytes)


@contextlib.asynccontextmanager
async def running(pool: RenderPool) -> AsyncIterator[RenderPool]:
    pool.start()
    pool.attach()
    try:
        yield pool
    finally:
        await pool.close()


def draft(id_: str, text: str, folder: Path, shade: int = 1, side: int = 56) -> Draft:
    """A draft about one picture, which is written to `folder` if it is not there."""
    name = f"{shade}-{side}.png"
    if not (folder / name).exists():
        picture(shade, (side, side)).save(folder / name)
    parts = (ImagePart(media=Media(kind="image", file=name, digest=name)), TextPart(text=text))
    return Draft(id_, (Message(role="user", parts=parts),), Sampling(), folder, MediaLimits())


async def value(pool: RenderPool, wanted: Draft) -> Any:
    request = await pool.render(wanted)
    assert request.rendered is not None
    return request.rendered.take()


async def test_pictures_are_opened_in_another_process_and_come_back_as_they_are(tmp_path: Path) -> None:
    async with running(pool_of(1)) as pool:
        made = await value(pool, draft("a", "what?", tmp_path, shade=3, side=300))
        assert made["pid"] in pool.pids
        assert made["pid"] != os.getpid()
        assert made["text"] == "what?"
        np.testing.assert_array_equal(made["pixels"][0], np.asarray(picture(3, (300, 300))))


async def test_what_is_wrong_with_a_sample_is_its_own_error_in_the_workers_words(tmp_path: Path) -> None:
    absent = draft("b", "what?", tmp_path)
    (tmp_path / "1-56.png").unlink()
    with pytest.raises(RequestError) as here:
        from vlmeval_mp.requests import media

        media.open_draft(absent)
    async with running(pool_of(1)) as pool:
        outcomes = await asyncio.gather(
            value(pool, absent),
            value(pool, draft("a", "refuse", tmp_path, shade=2)),
            value(pool, draft("c", "fine", tmp_path, shade=3)),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], RequestError)
        assert str(outcomes[0]) == str(here.value)
        assert isinstance(outcomes[1], RequestError)
        assert str(outcomes[1]) == "the prompt is too long"
        assert outcomes[2]["text"] == "fine"


async def test_a_mistake_of_the_program_is_no_samples_error(tmp_path: Path) -> None:
    async with running(pool_of(1)) as pool:
        with pytest.raises(EngineError, match="TypeError: got an unexpected keyword argument"):
            await pool.render(draft("a", "bug", tmp_path))


async def test_samples_that_share_a_picture_go_to_one_process_and_others_to_any(tmp_path: Path) -> None:
    async with running(pool_of(2)) as pool:
        await asyncio.gather(*(value(pool, draft(f"w{n}", "slow", tmp_path, shade=50 + n)) for n in range(4)))
        asked = [draft(f"{n}", "what?", tmp_path, shade=n % 4) for n in range(16)]
        made = await asyncio.gather(*(value(pool, each) for each in asked))
        homes = [{made[n]["pid"] for n in range(shade, 16, 4)} for shade in range(4)]
        assert all(len(home) == 1 for home in homes)
        assert len(set.union(*homes)) == 2


async def test_idle_processes_help_one_with_a_long_queue(tmp_path: Path) -> None:
    async with running(pool_of(2)) as pool:
        await asyncio.gather(*(value(pool, draft(f"w{n}", "slow", tmp_path, shade=50 + n)) for n in range(4)))
        made = await asyncio.gather(*(value(pool, draft(f"{n}", "slow", tmp_path)) for n in range(20)))
        assert len({each["pid"] for each in made}) == 2


async def test_a_process_that_is_killed_is_replaced_and_its_samples_are_rendered_again(tmp_path: Path) -> None:
    async with running(pool_of(2)) as pool:
        before = set(pool.pids)
        waiting = [asyncio.create_task(value(pool, draft(f"{n}", "slow", tmp_path, shade=n))) for n in range(12)]
        await waiting[0]
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        made = await asyncio.gather(*waiting)
        assert [len(each["pixels"]) for each in made] == [1] * 12
        assert len(set(pool.pids) - before) == 2
    assert descendants() == {}


async def test_a_sample_that_kills_once_is_rendered_by_the_next_process(tmp_path: Path) -> None:
    async with running(pool_of(1)) as pool:
        assert (await value(pool, draft("a", f"once {tmp_path / 'died'}", tmp_path)))["pixels"]


async def test_a_sample_that_kills_twice_is_an_error_that_names_its_picture(tmp_path: Path) -> None:
    async with running(pool_of(1)) as pool:
        asked = [draft("bad", "die", tmp_path, shade=9), *(draft(f"{n}", "what?", tmp_path, n) for n in range(3))]
        outcomes = await asyncio.gather(*(value(pool, each) for each in asked), return_exceptions=True)
        assert isinstance(outcomes[0], RequestError)
        assert "image 1 (9-56.png): 2 render processes died" in str(outcomes[0])
        assert [each["text"] for each in outcomes[1:]] == ["what?"] * 3


async def begun(pool: RenderPool, id_: str) -> int:
    """Wait until a process has been given the draft `id_`; return its pid."""
    while True:
        for place in pool._places:
            if place.process is not None and any(job.draft.id == id_ for job in place.given.values()):
                return place.process.pid
        await asyncio.sleep(0.01)


async def test_nothing_is_rendered_for_whoever_was_cancelled_before_it_was_given_out(tmp_path: Path) -> None:
    async with running(pool_of(1)) as pool, asyncio.timeout(30):
        given_up = asyncio.create_task(pool.render(draft("a", "very slow", tmp_path)))
        await asyncio.sleep(0)
        given_up.cancel()
        assert (await value(pool, draft("b", "what?", tmp_path, shade=2)))["pixels"]


@pytest.mark.parametrize("deaths", [1, renderpool.DEATHS_OF_A_DRAFT])
async def test_a_process_that_dies_over_what_nobody_waits_for_leaves_the_others_theirs(
    tmp_path: Path, deaths: int
) -> None:
    problems = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
    async with running(pool_of(1)) as pool, asyncio.timeout(30):
        given_up = asyncio.create_task(pool.render(draft("a", "very slow", tmp_path)))
        other = asyncio.create_task(value(pool, draft("b", "what?", tmp_path, shade=2)))
        for _ in range(deaths - 1):
            os.kill(pid := await begun(pool, "a"), signal.SIGKILL)
            while pid in pool.pids:
                await asyncio.sleep(0.01)
        pid = await begun(pool, "a")
        given_up.cancel()
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        assert (await other)["pixels"]
    assert problems == []


async def test_closing_waits_for_all_processes_together_and_kills_those_that_are_busy(tmp_path: Path) -> None:
    pool = pool_of(3)
    pool.start()
    pool.attach()
    waiting = [asyncio.create_task(pool.render(draft(f"{n}", "very slow", tmp_path, n))) for n in range(3)]
    while sum(len(place.given) for place in pool._places) < 3:
        await asyncio.sleep(0.05)
    began = time.monotonic()
    await pool.close()
    assert time.monotonic() - began < 2 * renderpool.END_SECONDS
    assert descendants() == {}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_rendering_that_cannot_begin_leaves_the_work_to_the_worker(tmp_path: Path) -> None:
    async with running(pool_of(2, broken=True)) as pool:
        waiting = [pool.render(draft(f"{n}", "what?", tmp_path)) for n in range(3)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, NotRenderedError) for outcome in outcomes)
        assert not pool.usable
        with pytest.raises(NotRenderedError):
            await pool.render(draft("later", "what?", tmp_path))


async def test_a_process_that_hangs_in_its_start_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderpool, "START_SECONDS", 1.0)
    async with running(pool_of(1, hangs=True)) as pool:
        with pytest.raises(NotRenderedError):
            await asyncio.wait_for(pool.render(draft("a", "what?", tmp_path)), 60)


async def test_no_more_is_rendered_than_may_be_in_memory_until_some_of_it_is_gone(tmp_path: Path) -> None:
    one = 200 * 200 * 3
    async with running(pool_of(1, most_bytes=3 * one)) as pool:
        waiting = [asyncio.create_task(pool.render(draft(f"{n}", "what?", tmp_path, n, side=200))) for n in range(12)]
        await waiting[0]
        await asyncio.sleep(0.5)
        done = [task for task in waiting if task.done()]
        assert 3 <= len(done) <= 6
        assert pool.held_bytes <= 6 * (one + rendertransport.ALIGNMENT)
        while done:
            for task in done:
                rendered = task.result().rendered
                assert rendered is not None
                rendered.take()
                waiting.remove(task)
            finished = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED) if waiting else [()]
            done = list(finished[0])
        assert not waiting
        await asyncio.sleep(0.05)
        assert pool.held_bytes == 0


async def test_inputs_come_through_sockets_where_memory_cannot_be_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> int:
        raise OSError("no memfd here")

    monkeypatch.setattr(os, "memfd_create", refuse)
    async with running(pool_of(1)) as pool:
        made = await value(pool, draft("a", "what?", tmp_path, shade=3, side=900))
        np.testing.assert_array_equal(made["pixels"][0], np.asarray(picture(3, (900, 900))))
    assert "no memfd here" in caplog.text


def test_render_processes_and_their_memory_end_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    """What they share has no name, so nothing of it can be left."""
    draft("a", "slow", tmp_path)
    program = f"""
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {str(Path.cwd())!r})
from tests.engines.test_renderpool import draft, pool_of
async def main():
    pool = pool_of(2); pool.start(); pool.attach()
    print(*pool.pids, flush=True)
    held = [await pool.render(draft(str(n), "slow", Path({str(tmp_path)!r}))) for n in range(3)]
    print("held", pool.held_bytes, flush=True)
    await asyncio.gather(*(pool.render(draft(str(n), "slow", Path({str(tmp_path)!r}))) for n in range(1000)))
asyncio.run(main())
"""
    worker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pids = [int(word) for word in worker.stdout.readline().split()]
    assert worker.stdout.readline().startswith("held")
    shared = [m for m in Path(f"/proc/{worker.pid}/maps").read_text().splitlines() if "vlmeval-mp-rendered" in m]
    assert len(shared) >= 3
    assert all("/memfd:" in m and m.endswith("(deleted)") for m in shared)
    worker.kill()
    worker.wait()
    deadline = time.monotonic() + 10
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_picture_is_decoded_once_for_the_samples_that_share_it(tmp_path: Path) -> None:
    async with running(pool_of(1)) as pool:
        first = await value(pool, draft("a", "what?", tmp_path, shade=3))
        Image.new("RGB", (8, 8)).save(tmp_path / "3-56.png")  # who opened it again would see this
        second = await value(pool, replace(draft("b", "and?", tmp_path, shade=3)))
        np.testing.assert_array_equal(second["pixels"][0], first["pixels"][0])
