"""Weights are read beforehand, within bounds."""

from __future__ import annotations

import os

import pytest

from vlmeval_mp.pool.devices import readahead


@pytest.fixture
def read(monkeypatch):
    """The contents that were read, piece by piece."""
    found = []

    def readv(handle, buffers):
        count = os.preadv(handle, buffers, os.lseek(handle, 0, os.SEEK_CUR))
        os.lseek(handle, count, os.SEEK_CUR)
        found.append(bytes(buffers[0][:count]))
        return count

    monkeypatch.setattr(readahead.os, "readv", readv)
    monkeypatch.setattr(readahead, "STEP", 4)
    return found


def test_the_weights_of_a_folder_are_read_in_order_and_nothing_else(tmp_path, read):
    (tmp_path / "b.safetensors").write_bytes(b"bbbbbb")
    (tmp_path / "a.safetensors").write_bytes(b"aaa")
    (tmp_path / "config.json").write_bytes(b"x" * 50)
    readahead.begin([tmp_path, tmp_path / "none"], 1000).join()
    assert [piece for piece in read if piece] == [b"aaa", b"bbbb", b"bb"]


def test_no_more_is_read_than_half_of_what_is_free(tmp_path, read):
    (tmp_path / "a.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "b.safetensors").write_bytes(b"y" * 100)
    readahead.begin([tmp_path], 14).join()
    assert b"".join(read) == b"x" * 7
    assert readahead.read([tmp_path / "gone.safetensors"], 9) == 0
