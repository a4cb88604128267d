"""The openai engine against a small real HTTP server that answers as scripted."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from tests.endpoint import GOOD, Endpoint, endpoint
from tests.engines.contract import ask, begun, clip, descendants, picture
from tests.helpers import free_port
from vlmeval_mp.core.errors import ConfigError, EngineError, RequestError, UnavailableError
from vlmeval_mp.core.records import (
    DataSpec,
    Draft,
    ImagePart,
    Media,
    MediaLimits,
    Message,
    Sample,
    SampleOrigin,
    Sampling,
    TextPart,
)
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.engines.openai.engine import OpenaiEngine
from vlmeval_mp.requests import media

KEY = "s3cret"


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as server:
        yield server


async def answer(server: Endpoint, *requests: Any, **args: Any) -> Any:
    engine = OpenaiEngine(EngineSpec(model="m", args={"base_url": server.url, "max_retries": 2, **args}))
    await engine.start()
    try:
        return [await engine.generate(request) for request in requests][-1]
    finally:
        await engine.close()


def urls(server: Endpoint) -> list[str]:
    parts = server.bodies[-1]["messages"][0]["content"]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def sent(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


async def test_an_image_arrives_pixel_by_pixel_and_the_answer_comes_back(server: Endpoint) -> None:
    done = await answer(server, ask("1", "What?", (picture(3),), top_k=5))
    assert (done.text, done.finish_reason, done.prompt_tokens, done.completion_tokens) == ("seven", "stop", 5, 2)
    (body,) = server.bodies
    assert pixels(sent(urls(server)[0])) == picture(3).tobytes()
    assert body["messages"][0]["content"][1]["text"] == "What?"
    assert (body["top_k"], body["max_tokens"], body["temperature"]) == (5, 8, 0.0)
    assert "repetition_penalty" not in body


async def test_pictures_that_a_render_process_encodes_arrive_as_those_of_the_worker(
    server: Endpoint, tmp_path: Path
) -> None:
    picture(3).save(tmp_path / "plain.png")
    picture(4).convert("RGBA").save(tmp_path / "other.gif")
    parts = (
        *(ImagePart(media=Media(kind="image", file=name, digest=name)) for name in ("plain.png", "other.gif")),
        TextPart(text="What?"),
    )
    sample = Sample(index="1", row=0, kind="vqa", question="What?")
    origin = SampleOrigin(sample, DataSpec(name="d", path="d.tsv"), tmp_path)
    asked = (Message(role="user", parts=parts),)
    draft = Draft("1", asked, Sampling(), tmp_path, MediaLimits(), origin=origin)
    args = {"base_url": server.url}
    engine = OpenaiEngine(EngineSpec(model="m", args=args, max_images=2, render_processes=5))
    await engine.start()
    try:
        assert engine.renders
        assert len(descendants()) == 2, "encoding is light; more processes would only take memory"
        await engine.generate(media.open_draft(draft))
        await engine.generate(await engine.render(draft))
        here, there = server.bodies[-2:]
        assert there == here
        assert sent(urls(server)[0]) == (tmp_path / "plain.png").read_bytes()
        with pytest.raises(RequestError, match=r"image 1 \(gone.png\) does not exist any more"):
            gone = (ImagePart(media=Media(kind="image", file="gone.png")), TextPart(text="What?"))
            await engine.render(dataclasses.replace(draft, messages=(Message(role="user", parts=gone),)))
    finally:
        await engine.close()
    assert descendants() == {}
    assert OpenaiEngine(EngineSpec(model="m", args=args, render_processes=5)).renders is False, (
        "no pictures, no process"
    )


async def test_a_video_is_sent_as_its_frames(server: Endpoint) -> None:
    await answer(server, ask("1", "What?", videos=(clip(1, frames=3),)))
    kinds = [part["type"] for part in server.bodies[0]["messages"][0]["content"]]
    assert kinds == ["image_url"] * 3 + ["text"]


@pytest.mark.parametrize(("owner", "told"), [("vllm", True), ("openai", False)])
async def test_a_server_of_open_models_is_told_to_go_on_with_a_begun_answer(owner: str, told: bool) -> None:
    with endpoint(owner=owner) as server:
        await answer(server, begun(ask("1", "What?"), "Best option:("), ask("2", "What?"))
    first, second = server.bodies
    assert first["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "Best option:("}]}
    assert (first.get("continue_final_message"), first.get("add_generation_prompt")) == (
        (True, False) if told else (None, None)
    )
    assert "continue_final_message" not in second


# --- pictures ------------------------------------------------------------------------------------------------------


def saved(path: Path, image: Image.Image, **how: Any) -> Any:
    """A request whose picture is what anybody decodes from `path`."""
    image.save(path, **how)
    asked = ask("1", "What?", (Image.open(path).convert("RGB"),))
    message = Message(role="user", parts=(ImagePart(Media(kind="image", file=path.name)), TextPart("What?")))
    origin = SampleOrigin(Sample(index="1", row=0, kind="vqa"), DataSpec(name="d", path="d"), path.parent)
    return dataclasses.replace(asked, messages=(message,), origin=origin)


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "image/jpeg"), ("a.png", "image/png"), ("a.webp", "image/webp")])
async def test_a_picture_that_nothing_was_done_to_travels_as_its_file(
    server: Endpoint, tmp_path: Path, name: str, kind: str
) -> None:
    await answer(server, saved(tmp_path / name, picture(3)))
    assert urls(server)[0].startswith(f"data:{kind};base64,")
    assert sent(urls(server)[0]) == (tmp_path / name).read_bytes()


async def test_a_local_server_is_told_the_place_of_the_file(server: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "a b#1.jpg"
    await answer(server, saved(path, picture(3)), media="file")
    assert urls(server)[0].startswith("file:///")
    assert unquote(urlsplit(urls(server)[0]).path) == str(path)


def turned() -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


@pytest.mark.parametrize("media", ["data", "file"])
@pytest.mark.parametrize(
    ("name", "image", "how"),
    [
        ("turned.jpg", picture(3), turned()),
        ("clear.png", picture(3).convert("RGBA"), {}),
        ("palette.gif", picture(3), {}),
        ("four.jpg", picture(3).convert("CMYK"), {}),
        ("film.webp", picture(3), {"save_all": True, "append_images": [picture(4)]}),
        ("table.bmp", picture(3), {}),
    ],
)
async def test_any_other_picture_travels_as_its_pixels(
    server: Endpoint, tmp_path: Path, name: str, image: Image.Image, how: dict[str, Any], media: str
) -> None:
    request = saved(tmp_path / name, image, **how)
    await answer(server, request, media=media)
    assert urls(server)[0].startswith("data:image/png;base64,")
    assert pixels(sent(urls(server)[0])) == request.images[0].tobytes()


async def test_a_scaled_picture_travels_as_its_pixels(server: Endpoint, tmp_path: Path) -> None:
    request = saved(tmp_path / "a.png", picture(3))
    small = request.images[0].resize((10, 10))
    await answer(server, dataclasses.replace(request, images=(small,)))
    assert pixels(sent(urls(server)[0])) == small.tobytes()


async def test_a_longest_side_and_a_detail_are_kept_to(server: Endpoint, tmp_path: Path) -> None:
    request = saved(tmp_path / "a.png", picture(3).resize((100, 40)))
    await answer(server, request, image_side=50, image_detail="high")
    assert Image.open(io.BytesIO(sent(urls(server)[0]))).size == (50, 20)
    assert server.bodies[0]["messages"][0]["content"][0]["image_url"]["detail"] == "high"


async def test_a_file_that_is_gone_is_no_loss(server: Endpoint, tmp_path: Path) -> None:
    request = saved(tmp_path / "a.png", picture(3))
    (tmp_path / "a.png").unlink()
    await answer(server, request)
    assert pixels(sent(urls(server)[0])) == picture(3).tobytes()


# --- who is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("owner", "known"), [("vllm", True), ("sglang", True), ("openai", False), (None, False)])
async def test_a_server_of_open_models_is_told_every_field_so_that_it_adds_none(owner: str, known: bool) -> None:
    with endpoint(owner=owner) as server:
        await answer(server, ask("1", "What?"))
    body = server.bodies[0]
    assert ({"top_k", "repetition_penalty", "min_p"} <= body.keys()) is known
    if known:
        assert (body["top_k"], body["repetition_penalty"], body["min_p"]) == (-1, 1.0, 0.0)


async def test_a_model_that_does_not_take_a_field_is_asked_without_it(server: Endpoint) -> None:
    for field in ("max_tokens", "temperature"):
        fault = {"message": f"Unsupported: {field}", "code": "unsupported_parameter", "param": field}
        server.script.append((400, {}, fault))
    await answer(server, ask("1", "What?"), ask("2", "And?"))
    assert len(server.bodies) == 4
    for body in server.bodies[2:]:
        assert body["max_completion_tokens"] == 8
        assert not {"max_tokens", "temperature"} & body.keys()


async def test_a_field_that_is_refused_for_ever_ends_the_request(server: Endpoint) -> None:
    fault = {"message": "no", "code": "unsupported_value", "param": "temperature"}
    server.script = [(400, {}, fault)] * 50
    with pytest.raises(RequestError, match="refuses the request"):
        await answer(server, ask("1", "What?"))
    assert len(server.bodies) < 10


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [408, 409, 429, 500, 503, "hang up", "{not json", "{}"])
async def test_a_passing_fault_is_tried_again(server: Endpoint, step: Any) -> None:
    server.script = [step, step]
    assert (await answer(server, ask("1", "What?"))).text == "seven"
    assert len(server.bodies) == 3


async def test_an_endpoint_that_was_away_costs_no_retries(server: Endpoint) -> None:
    server.script = [503, 503, 503, 503, 500, 503, 500]
    assert (await answer(server, ask("1", "What?"), max_retries=2)).text == "seven"
    assert len(server.bodies) == 8


@pytest.mark.parametrize(
    ("step", "error", "tries"), [(400, RequestError, 1), (401, ConfigError, 1), (403, ConfigError, 1),
                                 (404, ConfigError, 1), (413, RequestError, 1), (501, RequestError, 1),
                                 (500, RequestError, 3)],
)  # fmt: skip
async def test_a_lasting_fault_is_told_by_kind_and_never_shows_the_key(
    server: Endpoint, monkeypatch: pytest.MonkeyPatch, step: int, error: type[Exception], tries: int
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    server.script = [step] * 9
    with pytest.raises(error) as raised:
        await answer(server, ask("1", "What?"), api_key_env="SOME_KEY")
    assert server.keys == {f"Bearer {KEY}"}
    assert KEY not in str(raised.value)
    assert "***" in str(raised.value)
    assert len(server.bodies) == tries


@pytest.mark.parametrize(("retries", "tries"), [(0, 1), (1, 2), (4, 5)])
async def test_a_request_is_tried_again_as_often_as_was_said(server: Endpoint, retries: int, tries: int) -> None:
    server.script = [500] * 9
    with pytest.raises(RequestError, match=f"failed {tries} times"):
        await answer(server, ask("1", "What?"), max_retries=retries)
    assert len(server.bodies) == tries


async def test_the_error_of_a_request_is_the_same_at_every_address(server: Endpoint) -> None:
    server.script = [400]
    with pytest.raises(RequestError) as raised:
        await answer(server, ask("1", "What?"))
    assert str(server.server_port) not in str(raised.value)


async def test_a_missing_key_is_told_by_its_variable(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    server.script = [401]
    with pytest.raises(ConfigError, match=r"wants a key, and \$NO_SUCH_KEY is empty"):
        await answer(server, ask("1", "What?"), api_key_env="NO_SUCH_KEY")


async def test_a_filtered_answer_is_an_error_and_no_empty_text(server: Endpoint) -> None:
    filtered = json.loads(json.dumps(GOOD))
    filtered["choices"][0] |= {"finish_reason": "content_filter", "message": {"role": "assistant", "content": None}}
    server.script = [json.dumps(filtered)]
    with pytest.raises(RequestError, match="filtered"):
        await answer(server, ask("1", "What?"))


async def test_an_endpoint_that_stays_away_ends_the_engine(server: Endpoint) -> None:
    server.script = [503] * 99
    with pytest.raises(EngineError, match="away too long"):
        await answer(server, ask("1", "What?"), wait=0.05)


async def test_an_endpoint_that_was_there_is_waited_for_and_its_end_names_no_address(server: Endpoint) -> None:
    server.script = [503] * 99
    with pytest.raises(UnavailableError, match=r"away too long, \d+ s: HTTP 503") as raised:
        await answer(server, ask("1", "What?"), wait=0.05, start_wait=60)
    assert str(server.server_port) not in str(raised.value)


@pytest.mark.timeout(30)
async def test_an_endpoint_that_never_answered_is_given_up_sooner_and_by_its_address() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    engine = OpenaiEngine(EngineSpec(model="m", args={"base_url": url, "wait": 300, "start_wait": 0.5}))
    with pytest.raises(UnavailableError, match=rf"nothing has answered at {url} for \d s: Connection refused"):
        await engine.start()
    await engine.close()


async def test_what_is_waited_for_is_told_while_it_lasts_and_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmeval_mp.engines.openai.absence.SAID_AFTER", 0.2)
    with endpoint() as server:
        port = server.server_port
    engine = OpenaiEngine(EngineSpec(model="m", args={"base_url": server.url, "wait": 300, "start_wait": 20}))
    before = time.time()
    starting = asyncio.create_task(engine.start())
    while (told := engine.notice) is None:
        await asyncio.sleep(0.05)
    assert (told.text, told.why) == (f"{server.url} cannot be reached", "Connection refused")
    assert (told.over, told.most) == (f"{server.url} is back", 20)
    assert before <= told.since <= time.time() - 0.2
    with endpoint(port=port):
        await starting
        assert engine.notice is None
    asking = asyncio.create_task(engine.generate(ask("1", "What?")))
    while (told := engine.notice) is None:
        await asyncio.sleep(0.05)
    assert told.most == 300
    asking.cancel()
    await engine.close()


async def test_a_request_that_is_turned_away_while_others_are_answered_fails_alone(server: Endpoint) -> None:
    server.poison = "kill"
    engine = OpenaiEngine(EngineSpec(model="m", args={"base_url": server.url, "wait": 0.3}))
    await engine.start()
    poisoned = asyncio.create_task(engine.generate(ask("1", "kill")))
    while not poisoned.done():
        assert (await engine.generate(ask("2", "What?"))).text == "seven"
    with pytest.raises(RequestError, match=r"answered others, and this for \d s with: HTTP 502"):
        await poisoned
    await engine.close()


async def test_a_used_up_quota_is_not_waited_for(server: Endpoint) -> None:
    server.script = [(429, {}, {"message": "You exceeded your current quota", "code": "insufficient_quota"})] * 9
    with pytest.raises(UnavailableError, match="no quota left"):
        await answer(server, ask("1", "What?"))
    assert len(server.bodies) == 1


async def test_a_question_waits_for_an_endpoint_that_is_not_there_yet() -> None:
    with endpoint() as server:
        port = server.server_port
    engine = OpenaiEngine(EngineSpec(model="m", args={"base_url": f"http://127.0.0.1:{port}/v1", "wait": 20}))
    starting = asyncio.create_task(engine.start())
    await asyncio.sleep(0.5)
    assert not starting.done()
    with endpoint(port=port):
        await starting
        assert (await engine.generate(ask("1", "What?"))).text == "seven"
    await engine.close()


async def test_requests_and_keys_leave_no_line_in_a_log(
    server: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    server.script = [500, 503]
    await answer(server, ask("1", "What?"))
    assert KEY not in caplog.text
    assert "HTTP Request" not in caplog.text


# --- arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"api_key": "sk-abcdefgh"}, "api_key_env"),
        ({"base_url": "http://a:b@host/v1"}, "password"),
        ({"media": "post"}, "media"),
        ({"base_urll": "x"}, "did you mean 'base_url'"),
    ],
)
def test_wrong_arguments_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OpenaiEngine(EngineSpec(model="m", args=args))


def test_without_its_library_the_engine_names_the_install_line() -> None:
    code = (
        "import sys; sys.modules['openai'] = None\n"
        "from vlmeval_mp.core import errors\nfrom vlmeval_mp.engines import registry\n"
        "try: registry.engine_class('openai')\n"
        "except errors.DependencyError as error: print(error, error.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert "pip install 'vlmeval-mp[api]') 3" in done.stdout


async def test_pictures_do_not_wait_for_the_threads_that_commit(server: Endpoint) -> None:
    engine = OpenaiEngine(EngineSpec(model="m", args={"base_url": server.url}))
    await engine.start()  # connects, which looks a name up in a default thread
    await engine.generate(ask("0", "What?", (picture(1),)))
    busy, released = ThreadPoolExecutor(1), threading.Event()
    asyncio.get_running_loop().set_default_executor(busy)
    commit = busy.submit(released.wait)
    try:
        async with asyncio.timeout(60):
            done = await engine.generate(ask("1", "What?", (picture(1),)))
    finally:
        released.set()
        await engine.close()
    assert done.text
    assert commit.result()
