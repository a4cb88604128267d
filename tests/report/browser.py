"""A headless Chromium that tests drive: its DevTools protocol over two pipes, JSON messages that end in a zero byte."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 120.0
"""How long one answer of the browser may take; a busy machine is slow."""


def _high(fd: int) -> int:
    """`fd` under a number that the browser's own two cannot be."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 30)
    os.close(fd)
    return high


class Browser:
    """One tab. `failures` are exceptions of scripts and refused loads, which a page of ours never has."""

    def __init__(self, width: int = 1280, height: int = 860, *, dark: bool = False) -> None:
        assert CHROMIUM, "Chromium is not installed: apt-get install chromium"
        self.failures: list[str] = []
        self.requests: list[str] = []
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        to_read, self._out = map(_high, os.pipe())
        self._in, to_write = map(_high, os.pipe())
        # the protocol's two ends are the descriptors 3 and 4 of the browser
        line = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
            "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
            f"--user-data-dir={self._profile}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", line, CHROMIUM, *flags], pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._number = 0
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self.size(width, height)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", features=scheme)

    def size(self, width: int, height: int) -> None:
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, path: Path, hash_: str = "") -> float:
        """Load a file and return the seconds until it was parsed and its scripts had run."""
        self._call("Page.navigate", url="about:blank")
        began = time.monotonic()
        self._call("Page.navigate", url=path.resolve().as_uri() + hash_)
        self.wait("location.protocol === 'file:' && document.readyState === 'complete'")
        return time.monotonic() - began

    def js(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Return once `expression` is true."""
        end = time.monotonic() + SECONDS
        while not self.js(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def key(self, key: str) -> None:
        """Press and release one key."""
        text = {"text": key} if len(key) == 1 else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def go(self, hash_: str) -> None:
        """Follow a link within the page."""
        self.js(f"location.hash = {json.dumps(hash_)}, new Promise((done) => setTimeout(done, 50))")

    def picture(self, path: Path) -> None:
        """Save what is seen as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        try:
            self._session = ""
            self._call("Browser.close")
        except (AssertionError, OSError):
            self._process.kill()
        self._process.wait(timeout=30)
        for end in (self._in, self._out):
            os.close(end)
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the protocol ---

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                found: dict[str, Any] = answer["result"]
                return found
            self._note(answer)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], SECONDS)
            data = os.read(self._in, 1 << 20) if ready else b""
            assert data, "the browser has gone or is silent"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        method, told = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.failures.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.failures.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
