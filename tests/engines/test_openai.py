"""The openai engine against a small real HTTP server that answers as scripted."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

from tests.engines.contract import ask, clip, picture
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.errors import ConfigError, EngineError, RequestError

module = pytest.importorskip("vlmeval_mp.engines.openai")
GOOD = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "seven"}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}  # fmt: skip


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        self.script: list[Any] = []
        self.bodies: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        step = self.server.script.pop(0) if self.server.script else 200
        if step == "hang up":
            self.close_connection = True
            return
        text = step if isinstance(step, str) else json.dumps(GOOD if step == 200 else {"error": {"message": "s3cret"}})
        self.send_response(step if isinstance(step, int) else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header("retry-after", "0.01")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def answer(server: Server, request: Any, **args: Any) -> Any:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    engine = module.OpenaiEngine(EngineSpec(model="m", args={"base_url": url, "max_retries": 2, **args}))
    await engine.start()
    try:
        return await engine.generate(request)
    finally:
        await engine.close()


async def test_an_image_arrives_pixel_by_pixel_and_the_answer_comes_back(server: Server) -> None:
    done = await answer(server, ask("1", "What?", (picture(3),), top_k=5))
    assert (done.text, done.finish_reason, done.prompt_tokens, done.completion_tokens) == ("seven", "stop", 5, 2)
    (body,) = server.bodies
    image, text = body["messages"][0]["content"]
    sent = Image.open(io.BytesIO(base64.b64decode(image["image_url"]["url"].partition(",")[2])))
    assert sent.tobytes() == picture(3).tobytes()
    assert text["text"] == "What?"
    assert (body["top_k"], body["max_tokens"], body["temperature"]) == (5, 8, 0.0)
    assert "repetition_penalty" not in body


async def test_a_video_is_sent_as_its_frames(server: Server) -> None:
    await answer(server, ask("1", "What?", videos=(clip(1, frames=3),)))
    kinds = [part["type"] for part in server.bodies[0]["messages"][0]["content"]]
    assert kinds == ["image_url"] * 3 + ["text"]


@pytest.mark.parametrize("step", [429, 500, 503, "hang up", "{not json", "{}"])
async def test_a_passing_fault_is_tried_again(server: Server, step: Any) -> None:
    server.script = [step, step]
    assert (await answer(server, ask("1", "What?"))).text == "seven"
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("step", "error", "tries"), [(400, RequestError, 1), (401, ConfigError, 1), (404, ConfigError, 1),
                                 (500, RequestError, 3)],
)  # fmt: skip
async def test_a_lasting_fault_is_told_by_kind_and_never_shows_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, step: int, error: type[Exception], tries: int
) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    server.script = [step] * 9
    with pytest.raises(error) as raised:
        await answer(server, ask("1", "What?"), api_key_env="SOME_KEY")
    assert "s3cret" not in str(raised.value)
    assert "***" in str(raised.value)
    assert len(server.bodies) == tries


async def test_an_endpoint_that_stays_away_ends_the_engine(server: Server) -> None:
    server.script = [503] * 99
    with pytest.raises(EngineError, match="away too long"):
        await answer(server, ask("1", "What?"), wait=0.05)


def test_a_key_as_an_argument_and_a_password_in_the_address_are_refused() -> None:
    with pytest.raises(ConfigError, match="api_key_env"):
        module.OpenaiEngine(EngineSpec(model="m", args={"api_key": "s3cret"}))
    with pytest.raises(ConfigError, match="password"):
        module.OpenaiEngine(EngineSpec(model="m", args={"base_url": "http://a:b@host/v1"}))
