"""A render process: opens the media of drafts and makes an engine's own input of them, one draft after the other.

Started by `renderpool` as `python -m vlmeval_mp.engines.renderprocess PARENT FD`, on the CPU alone, with one thread. It
reads an `Order`, then numbered drafts, and answers each with what it made or with what is wrong. It ends when its
worker does: the kernel kills it with its parent, it belongs to its worker's process group, and its socket ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from vlmeval_mp.core.errors import MediaError, RequestError
from vlmeval_mp.core.records import Draft, Request
from vlmeval_mp.engines import rendertransport
from vlmeval_mp.requests import media
from vlmeval_mp.requests.kept import MediaCache

LENGTH = struct.Struct("<Q")
PR_SET_PDEATHSIG = 1

READY, MADE, UNOPENED, REFUSED, BROKEN = "ready", "made", "unopened", "refused", "broken"
"""The kinds of an answer: `UNOPENED` is the media's fault; `READY` and `BROKEN` without a number are of the process."""


@dataclass(frozen=True, slots=True)
class Order:
    """The order for a render process.

    `target` ("module:function") is called with the unpickled `argument` and returns the function from an opened
    request to the engine's input. `shared` says whether inputs go back through shared memory; at most `kept_bytes` of
    opened media are kept for further samples.
    """

    target: str
    argument: bytes
    shared: bool
    kept_bytes: int


def main(argv: Sequence[str]) -> int:
    parent, fd = map(int, argv)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        return 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor's business
    channel = socket.socket(fileno=fd)
    source = channel.makefile("rb")
    order: Order = read(source)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):
        serve(channel, source, order)
    return 0


def read(source: BinaryIO) -> Any:
    """Return the next object that the worker sent.

    Raises:
        EOFError: there is none any more.
    """
    length = source.read(LENGTH.size)
    if len(length) < LENGTH.size:
        raise EOFError
    return pickle.loads(source.read(*LENGTH.unpack(length)))  # noqa: S301 — our own worker sent it


def packed(value: Any) -> bytes:
    """Return `value` as `read` takes it."""
    data = pickle.dumps(value, protocol=5)
    return LENGTH.pack(len(data)) + data


def serve(channel: socket.socket, source: BinaryIO, order: Order) -> None:
    """Answer drafts until there are none any more.

    Raises:
        EOFError: the worker is done, or gone.
    """
    try:
        module, _, function = order.target.partition(":")
        render = getattr(importlib.import_module(module), function)(pickle.loads(order.argument))  # noqa: S301
    except Exception:
        rendertransport.send(channel, (None, BROKEN, traceback.format_exc()), shared=False)
        return
    rendertransport.send(channel, (None, READY, ""), shared=False)
    kept = MediaCache(order.kept_bytes)
    while True:
        number, draft = read(source)
        said, value = answer(draft, render, kept)
        rendertransport.send(channel, (number, said, value), shared=order.shared)


def answer(draft: Draft, render: Callable[[Request], Any], kept: MediaCache) -> tuple[str, Any]:
    """Return what became of `draft`: the engine's input, or the reason why there is none."""
    try:
        return MADE, render(media.open_draft(draft, kept))
    except MediaError as error:
        return UNOPENED, str(error)
    except RequestError as error:
        return REFUSED, str(error)
    except Exception:
        return BROKEN, traceback.format_exc()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
