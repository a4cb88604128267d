"""Files of lines: what a reader sees after any interruption."""

import os
import signal
import subprocess
import sys

import pytest

from vlmeval_mp.core import linefiles
from vlmeval_mp.core.errors import StorageError


def payloads(path):
    return [payload for _, _, payload in linefiles.read(path)]


def test_a_line_stays_json_and_comes_back_unchanged(tmp_path):
    import json

    appender = linefiles.Appender(tmp_path / "a.jsonl")
    appender.append(b'{"index":"1","prediction":"\\u2028 and \xe2\x80\xa8"}')
    appender.close()
    line = (tmp_path / "a.jsonl").read_bytes().rstrip(b"\n")
    assert json.loads(line)["index"] == "1"
    assert payloads(tmp_path / "a.jsonl") == [b'{"index":"1","prediction":"\\u2028 and \xe2\x80\xa8"}']


@pytest.mark.parametrize("keep", range(1, 40))
def test_a_torn_tail_is_ignored_wherever_it_was_cut(tmp_path, keep):
    path = tmp_path / "a.jsonl"
    appender = linefiles.Appender(path)
    _, first_end = appender.append(b'{"row":0}')
    appender.append(b'{"row":1,"prediction":"something"}')
    appender.close()
    with path.open("r+b") as file:
        file.truncate(min(first_end + keep, path.stat().st_size - 1))
    assert payloads(path) == [b'{"row":0}']


def test_a_flipped_digit_is_not_taken_for_an_answer(tmp_path):
    path = tmp_path / "a.jsonl"
    appender = linefiles.Appender(path)
    for row in range(3):
        appender.append(b'{"row":%d,"value":0.81}' % row)
    appender.close()
    data = path.read_bytes()
    middle = data.index(b"0.81", data.index(b'"row":1'))
    path.write_bytes(data[:middle] + b"0.31" + data[middle + 4 :])
    assert payloads(path) == [b'{"row":0,"value":0.81}', b'{"row":2,"value":0.81}']


def test_zeroes_left_by_a_power_cut_are_ignored(tmp_path):
    path = tmp_path / "a.jsonl"
    appender = linefiles.Appender(path)
    appender.append(b'{"row":0}')
    appender.close()
    with path.open("ab") as file:
        file.write(b"\0" * 500)
    assert payloads(path) == [b'{"row":0}']


def test_reading_a_range_sees_nothing_that_was_appended_later(tmp_path):
    path = tmp_path / "a.jsonl"
    appender = linefiles.Appender(path)
    start, end = appender.append(b'{"row":0}')
    appender.append(b'{"row":1}')
    assert [p for _, _, p in linefiles.read(path, start, end)] == [b'{"row":0}']


def test_a_file_is_never_appended_to_by_a_second_writer(tmp_path):
    linefiles.Appender(tmp_path / "a.jsonl")
    with pytest.raises(StorageError, match="File exists"):
        linefiles.Appender(tmp_path / "a.jsonl")


def test_what_was_appended_survives_sigkill(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from vlmeval_mp.core import linefiles\n"
        "a = linefiles.Appender(Path(sys.argv[1])); [a.append(b'{\"row\":%d}' % i) for i in range(500)]\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.jsonl")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(payloads(tmp_path / "a.jsonl")) == 500


def test_a_full_disk_is_an_error_and_the_file_is_not_used_again(tmp_path):
    appender = linefiles.Appender(tmp_path / "a.jsonl")
    os.dup2(os.open("/dev/full", os.O_WRONLY), appender._fd)
    with pytest.raises(StorageError, match="the disk is full"):
        appender.append(b'{"row":0}')
    with pytest.raises(StorageError, match="failed before"):
        appender.append(b'{"row":1}')
    with pytest.raises(StorageError, match="failed before"):
        appender.sync()
