"""Sends a rendered request from a render process to its worker: one message, its tensors beside it.

A message is a pickle whose tensors and arrays stay outside of it, in one block of memory. The block is a memfd, an
unnamed file in memory that goes along as a file descriptor: the receiver maps it and copies nothing, and the kernel
frees it with the last process that has it, whatever killed the others. Where that cannot be had, the block follows the
message through the same socket. Neither needs room in /dev/shm, so a container's small one does no harm.
"""

from __future__ import annotations

import array
import contextlib
import mmap
import os
import pickle
import socket
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

HEADER = struct.Struct("<QQB")
"""Bytes of the pickle, bytes of the block, and whether the block is a file descriptor (1) or follows (0)."""
ALIGNMENT = 64
PIECE = 1 << 18
MOST_FDS = 16
PROBE_BYTES = 1 << 16


class Block(bytearray):
    """A block that came through the socket; unlike `bytes`, it can be watched for its end."""


@dataclass(frozen=True, slots=True)
class Message:
    """A received message: `value`, and the `nbytes` of memory with its tensors (None: it has none)."""

    value: Any
    block: Block | mmap.mmap | None
    nbytes: int


def probe() -> str:
    """Return "" if memory can be shared through a memfd on this machine, else why not."""
    try:
        fd = os.memfd_create("vlmeval-mp-probe", os.MFD_CLOEXEC)
        try:
            os.write(fd, bytes(PROBE_BYTES))
            with mmap.mmap(fd, PROBE_BYTES, flags=mmap.MAP_PRIVATE) as mapped:
                return "" if mapped[:1] == b"\0" else "a memfd does not hold what was written"
        finally:
            os.close(fd)
    except (OSError, AttributeError, ValueError) as error:
        return str(error)


# --- sending -----------------------------------------------------------------------------------------------------


class _Pickler(pickle.Pickler):
    """Pickles torch tensors by their bytes, outside of the pickle; torch itself would copy them into it."""

    def reducer_override(self, value: Any) -> Any:
        if type(value).__module__ == "torch" and type(value).__name__ in ("Tensor", "Parameter"):
            import torch

            flat = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
            return _tensor, (pickle.PickleBuffer(flat), str(value.dtype).removeprefix("torch."), tuple(value.shape))
        return NotImplemented


def _tensor(data: Any, dtype: str, shape: tuple[int, ...]) -> Any:
    """Return the tensor whose bytes `data` are; it shares their memory."""
    import torch

    kind = getattr(torch, dtype)
    if not memoryview(data).nbytes:
        return torch.empty(shape, dtype=kind)
    return torch.frombuffer(data, dtype=torch.uint8).view(kind).reshape(shape)


def send(channel: socket.socket, value: Any, *, shared: bool) -> None:
    """Send `value`; blocks until the socket has taken it.

    Raises:
        OSError: the other side is gone.
    """
    buffers: list[memoryview] = []
    body = BytesIO()
    _Pickler(body, protocol=5, buffer_callback=lambda b: buffers.append(b.raw())).dump(value)
    sizes = array.array("Q", (len(b) for b in buffers)).tobytes()
    head = struct.pack("<I", len(buffers)) + sizes
    pieces = list(_aligned(buffers))
    nbytes = sum(len(p) for p in pieces)
    fd = _memfd(pieces) if shared and nbytes else None
    message = HEADER.pack(len(head) + body.tell(), nbytes, fd is not None) + head + body.getbuffer()
    if fd is None:
        channel.sendall(message)
        for piece in pieces:
            channel.sendall(piece)
        return
    try:
        sent = socket.send_fds(channel, [message], [fd])
    finally:
        os.close(fd)
    channel.sendall(memoryview(message)[sent:])


def _aligned(buffers: list[memoryview]) -> Iterator[memoryview]:
    """Yield the buffers, each followed by what fills it up to the alignment."""
    for buffer in buffers:
        yield buffer
        if rest := -len(buffer) % ALIGNMENT:
            yield memoryview(bytes(rest))


def _memfd(pieces: list[memoryview]) -> int | None:
    """Return an unnamed file in memory with `pieces`, or None where memory is short; writing tells, mapping kills."""
    fd = os.memfd_create("vlmeval-mp-rendered", os.MFD_CLOEXEC)
    try:
        for piece in pieces:
            while piece:
                piece = piece[os.write(fd, piece) :]
    except OSError:
        os.close(fd)
        return None
    return fd


# --- receiving ---------------------------------------------------------------------------------------------------


class Receiver:
    """Puts messages together out of what a non-blocking socket has at a time."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def receive(self) -> Iterator[Message]:
        """Read once, and yield every message that is complete by then.

        Raises:
            EOFError: the other side is gone.
            OSError: likewise.
        """
        try:
            data, fds, _, _ = socket.recv_fds(self._channel, PIECE, MOST_FDS, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return
        self._fds.extend(fds)
        if not data:
            raise EOFError
        self._data += data
        yield from self._complete()

    def _complete(self) -> Iterator[Message]:
        while len(self._data) >= HEADER.size:
            length, nbytes, shared = HEADER.unpack_from(self._data)
            whole = HEADER.size + length + (0 if shared else nbytes)
            if len(self._data) < whole:
                return
            body = bytes(self._data[HEADER.size : HEADER.size + length])
            block: Block | mmap.mmap | None = None
            if shared:
                block = _mapped(self._fds.popleft(), nbytes)
            elif nbytes:
                block = Block(self._data[HEADER.size + length : whole])
            del self._data[:whole]
            yield Message(_loaded(body, block), block, nbytes)

    def close(self) -> None:
        """Let go of what came with messages that were never complete."""
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds.clear()
        self._channel.close()


def _mapped(fd: int, nbytes: int) -> mmap.mmap:
    try:
        return mmap.mmap(fd, nbytes, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(fd)


def _loaded(body: bytes, block: Block | mmap.mmap | None) -> Any:
    (count,) = struct.unpack_from("<I", body)
    sizes = struct.unpack_from(f"<{count}Q", body, 4)
    buffers, at = [], 0
    whole = memoryview(b"" if block is None else block)
    for size in sizes:
        # an array rather than a view: its consumers keep it, and it keeps the block
        buffers.append(np.frombuffer(whole[at : at + size], np.uint8) if size else bytearray())
        at += size + -size % ALIGNMENT
    return pickle.loads(body[4 + 8 * count :], buffers=buffers)  # noqa: S301 — from a process that we started
