"""Files that are replaced or created: what a reader sees after any interruption."""

import errno
import os
import threading

import pytest

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import StorageError


def test_of_many_publishers_exactly_one_wins(tmp_path):
    won = []
    threads = [
        threading.Thread(target=lambda i=i: won.append((files.publish_new(tmp_path / "x", b"%d" % i), i)))
        for i in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [i for created, i in won if created]
    assert len(winners) == 1
    assert (tmp_path / "x").read_bytes() == b"%d" % winners[0]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_atomic_write_into_a_missing_folder_names_the_file(tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*nowhere/x"):
        files.atomic_write(tmp_path / "nowhere" / "x", b"")


def test_a_failed_replacement_leaves_the_old_file(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(StorageError):
        files.atomic_write(tmp_path / "x", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def without_links(*_args, **_kwargs):
    raise OSError(errno.EPERM, "Operation not permitted")


def without_such_a_rename(*_args):
    raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize("rename", [None, without_such_a_rename])
def test_one_publisher_wins_where_there_are_no_hard_links(tmp_path, monkeypatch, rename):
    monkeypatch.setattr(os, "link", without_links)
    if rename is not None:
        monkeypatch.setattr(files, "_rename_new", rename)
    path = tmp_path / "done.json"
    assert files.publish_new(path, b"first")
    assert not files.publish_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["done.json"]


def test_a_publication_that_was_cut_short_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", without_links)
    monkeypatch.setattr(files, "_rename_new", without_such_a_rename)
    path = tmp_path / "done.json"
    sync = os.fsync

    def cut(fd):
        if path.exists():
            os.ftruncate(fd, 2)
        sync(fd)

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(StorageError, match=r"cannot create .*done\.json: 2 of 5 bytes were written"):
        files.publish_new(path, b"whole")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_link_for_another_reason_is_an_error(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StorageError, match="No space left on device"):
        files.publish_new(tmp_path / "done.json", b"x")
    assert list(tmp_path.iterdir()) == []


def test_the_sync_of_a_file_system_reports_a_folder_that_is_not_there(tmp_path):
    files.sync_file_system(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.sync_file_system(tmp_path / "gone")
