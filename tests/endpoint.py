"""A small real HTTP server that speaks as an OpenAI-compatible endpoint, as scripted."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD: dict[str, Any] = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "seven"}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}  # fmt: skip


class Endpoint(ThreadingHTTPServer):
    """Answers each question by the next step of `script`, and "seven", or what `reply` says, once that is empty.

    A step is a status, "hang up", a text to be sent as it is, or (status, headers, error object). `owner` is who the
    endpoint says it is; None: it lists no models. `seconds` is how long an answer takes. A question with `poison` in it
    gets 502, always.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        port: int = 0,
        owner: str | None = None,
        seconds: float = 0.0,
        reply: Callable[[str], str] = lambda _: "seven",
    ) -> None:
        self.script: list[Any] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.owner, self.seconds = owner, seconds
        self.poison = ""
        self.reply = reply
        self.open = self.most = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        if self.server.owner is None:
            self._send(404, json.dumps({"error": {"message": "no models here"}}))
        else:
            models = [{"id": "m", "object": "model", "created": 1, "owned_by": self.server.owner}]
            self._send(200, json.dumps({"object": "list", "data": models}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.keys.add(self.headers["authorization"])
            self.server.open += 1
            self.server.most = max(self.server.most, self.server.open)
            step = self.server.script.pop(0) if self.server.script else 200
            if self.server.poison and self.server.poison in json.dumps(body["messages"]):
                step = 502
        time.sleep(self.server.seconds)
        with self.server.lock:
            self.server.open -= 1
        if step == "hang up":
            self.close_connection = True
        elif isinstance(step, tuple):
            self._send(step[0], json.dumps({"error": step[2]}), step[1])
        elif isinstance(step, str):
            self._send(200, step)
        else:  # an error that repeats the key, as some endpoints do
            wrong = {"error": {"message": f"you sent {self.headers['authorization']}"}}
            self._send(step, json.dumps(self._good(body) if step == 200 else wrong))

    def _good(self, body: dict[str, Any]) -> dict[str, Any]:
        said = self.server.reply("".join(map(_text, body["messages"])))
        choice = GOOD["choices"][0] | {"message": {"role": "assistant", "content": said}}
        return GOOD | {"choices": [choice]}

    def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            all_headers = {"content-type": "application/json", "retry-after": "0.01"} | (headers or {})
            for name, value in all_headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def endpoint(**options: Any) -> Iterator[Endpoint]:
    server = Endpoint(**options)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
