"""What render processes of the tests do with a request; found by name, as an engine's own rendering is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Request, TextPart


def build(argument: dict[str, Any]) -> Callable[[Request], Any]:
    """Return a rendering that obeys the words of a request's text; `argument` may have it fail from the start."""
    if argument.get("hangs"):
        time.sleep(1000)
    if argument.get("broken"):
        raise ValueError("this rendering has never worked")

    def render(request: Request) -> Any:
        text = next(p.text for m in request.messages for p in m.parts if isinstance(p, TextPart))
        if text == "refuse":
            raise RequestError("the prompt is too long")
        if text == "bug":
            raise TypeError("got an unexpected keyword argument")
        if text == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if text.startswith("once "):  # a file that is not there yet: the first to render it dies
            path = Path(text.removeprefix("once "))
            if not path.exists():
                path.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if text == "very slow":
            time.sleep(1000)
        if text == "slow":
            time.sleep(0.2)
        pixels = [np.asarray(i) for i in request.images] + [v.pixels for v in request.videos]
        return {"pid": os.getpid(), "text": text, "pixels": pixels}

    return render
