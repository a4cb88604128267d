"""Disk primitives: what a reader sees after any interruption."""

import errno
import os
import signal
import subprocess
import sys
import threading

import msgspec
import pytest

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Event, SupervisorStatus


def payloads(path):
    return [payload for _, _, payload in files.read_lines(path)]


def test_a_line_stays_json_and_comes_back_unchanged(tmp_path):
    import json

    appender = files.Appender(tmp_path / "a.jsonl")
    appender.append(b'{"index":"1","prediction":"\\u2028 and \xe2\x80\xa8"}')
    appender.close()
    line = (tmp_path / "a.jsonl").read_bytes().rstrip(b"\n")
    assert json.loads(line)["index"] == "1"
    assert payloads(tmp_path / "a.jsonl") == [b'{"index":"1","prediction":"\\u2028 and \xe2\x80\xa8"}']


@pytest.mark.parametrize("keep", range(1, 40))
def test_a_torn_tail_is_ignored_wherever_it_was_cut(tmp_path, keep):
    path = tmp_path / "a.jsonl"
    appender = files.Appender(path)
    _, first_end = appender.append(b'{"row":0}')
    appender.append(b'{"row":1,"prediction":"something"}')
    appender.close()
    with path.open("r+b") as file:
        file.truncate(min(first_end + keep, path.stat().st_size - 1))
    assert payloads(path) == [b'{"row":0}']


def test_a_flipped_digit_is_not_taken_for_an_answer(tmp_path):
    path = tmp_path / "a.jsonl"
    appender = files.Appender(path)
    for row in range(3):
        appender.append(b'{"row":%d,"value":0.81}' % row)
    appender.close()
    data = path.read_bytes()
    middle = data.index(b"0.81", data.index(b'"row":1'))
    path.write_bytes(data[:middle] + b"0.31" + data[middle + 4 :])
    assert payloads(path) == [b'{"row":0,"value":0.81}', b'{"row":2,"value":0.81}']


def test_zeroes_left_by_a_power_cut_are_ignored(tmp_path):
    path = tmp_path / "a.jsonl"
    appender = files.Appender(path)
    appender.append(b'{"row":0}')
    appender.close()
    with path.open("ab") as file:
        file.write(b"\0" * 500)
    assert payloads(path) == [b'{"row":0}']


def test_reading_a_range_sees_nothing_that_was_appended_later(tmp_path):
    path = tmp_path / "a.jsonl"
    appender = files.Appender(path)
    start, end = appender.append(b'{"row":0}')
    appender.append(b'{"row":1}')
    assert [p for _, _, p in files.read_lines(path, start, end)] == [b'{"row":0}']


def test_a_file_is_never_appended_to_by_a_second_writer(tmp_path):
    files.Appender(tmp_path / "a.jsonl")
    with pytest.raises(StorageError, match="File exists"):
        files.Appender(tmp_path / "a.jsonl")


def test_what_was_appended_survives_sigkill(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from vlmeval_mp.core import files\n"
        "a = files.Appender(Path(sys.argv[1])); [a.append(b'{\"row\":%d}' % i) for i in range(500)]\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.jsonl")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(payloads(tmp_path / "a.jsonl")) == 500


def test_a_full_disk_is_an_error_and_the_file_is_not_used_again(tmp_path):
    appender = files.Appender(tmp_path / "a.jsonl")
    os.dup2(os.open("/dev/full", os.O_WRONLY), appender._fd)
    with pytest.raises(StorageError, match="the disk is full"):
        appender.append(b'{"row":0}')
    with pytest.raises(StorageError, match="failed before"):
        appender.append(b'{"row":1}')
    with pytest.raises(StorageError, match="failed before"):
        appender.sync()


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


def test_half_a_surrogate_pair_never_keeps_a_record_from_being_written():
    status = SupervisorStatus(
        pid=1, owner="o", phase="working", time=0.0, started=0.0, events=(Event(time=0.0, text="no \udcff.tsv \u00e4"),)
    )
    read = msgspec.json.decode(files.encode_json(status), type=SupervisorStatus)
    assert read.events[0].text == "no ?.tsv \u00e4"
    assert files.encode_json({"\ud800": ["\udfff", 1]}) == b'{"?":["?",1]}'


def test_a_record_without_such_text_is_encoded_as_ever():
    event = Event(time=1.5, text="\u00e4")
    assert files.encode_json(event) == msgspec.json.encode(event)


def test_a_file_of_another_kind_is_named_and_a_missing_one_is_told_apart(tmp_path):
    path = tmp_path / "status.json"
    with pytest.raises(FileNotFoundError):
        files.read_json(path, SupervisorStatus)
    for content in (b"{", b'{"pid": "x"}', b'"\xff"'):
        path.write_bytes(content)
        with pytest.raises(StorageError, match=r"status\.json cannot be read: "):
            files.read_json(path, SupervisorStatus)
    path.write_bytes(b'{"time":1.0,"text":"t"}')
    assert files.read_json(path, Event).text == "t"


def test_the_sync_of_a_file_system_reports_a_folder_that_is_not_there(tmp_path):
    files.sync_file_system(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.sync_file_system(tmp_path / "gone")
