from __future__ import annotations

import mmap
import socket
import threading
from typing import Any

import numpy as np
import pytest

from vlmeval_mp.engines import rendertransport
from vlmeval_mp.engines.rendertransport import Message, Receiver


def through(value: Any, *, shared: bool) -> Message:
    """What arrives when `value` is sent from another thread."""
    here, there = socket.socketpair()
    sender = threading.Thread(target=rendertransport.send, args=(there, value), kwargs={"shared": shared})
    sender.start()
    receiver = Receiver(here)
    found: list[Message] = []
    while not found:
        found += receiver.receive()
    sender.join()
    there.close()
    receiver.close()
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_tensors_and_arrays_arrive_byte_for_byte_beside_the_pickle(shared: bool) -> None:
    torch = pytest.importorskip("torch")
    sent = {
        "half": torch.randn(300, 7).to(torch.bfloat16),
        "turned": torch.arange(12).reshape(3, 4).t(),
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "none": torch.empty(0, 5),
        "flags": torch.tensor([True, False]),
        "array": np.arange(10_000, dtype=np.uint8).reshape(100, 100),
        "words": ["a", ("b", None)],
    }
    message = through(sent, shared=shared)
    got = message.value
    for name in ("half", "turned", "scalar", "none", "flags"):
        assert got[name].dtype == sent[name].dtype
        assert got[name].shape == sent[name].shape
        assert torch.equal(got[name], sent[name])
    np.testing.assert_array_equal(got["array"], sent["array"])
    assert got["words"] == sent["words"]
    assert isinstance(message.block, mmap.mmap) == shared
    assert message.nbytes >= 300 * 7 * 2 + 10_000


def test_a_message_larger_than_any_socket_buffer_arrives() -> None:
    sent = np.random.default_rng(1).integers(0, 255, 30_000_000, np.uint8)
    np.testing.assert_array_equal(through({"pixels": sent}, shared=False).value["pixels"], sent)


def test_a_message_without_tensors_has_no_block() -> None:
    message = through(("refused", "too long" * 100_000), shared=True)
    assert message.block is None
    assert message.value[1].startswith("too long")


def test_memory_that_runs_out_while_it_is_written_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rendertransport.os, "write", full)
    message = through({"pixels": np.ones(1000, np.uint8)}, shared=True)
    assert not isinstance(message.block, mmap.mmap)
    assert message.value["pixels"].sum() == 1000
