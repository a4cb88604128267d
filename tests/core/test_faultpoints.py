"""Faults at named points: they strike where and when they are told to, in a process of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vlmeval_mp.core import faultpoints
from vlmeval_mp.core.errors import ConfigError

WRITE = """
import sys; from pathlib import Path
from vlmeval_mp.core import files, linefiles
from vlmeval_mp.core.errors import StorageError
path = Path(sys.argv[1])
lines = linefiles.Appender(path / "lines")
for number in range(3):
    try:
        files.atomic_write(path / "whole", b"%d" % number)
        lines.append(b'{"n":%d}' % number)
    except StorageError as error:
        print(error)
"""


def written(tmp_path: Path, fault: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "VLMEVAL_FAULT": fault, "VLMEVAL_FAULT_LOG": str(tmp_path / "log")}
    return subprocess.run([sys.executable, "-c", WRITE, str(tmp_path)], env=env, capture_output=True, text=True)


def test_a_kill_strikes_before_the_second_replacement_and_leaves_the_first(tmp_path):
    assert written(tmp_path, "replace:2:kill").returncode == -signal.SIGKILL
    assert (tmp_path / "whole").read_bytes() == b"0"
    assert (tmp_path / "log").read_text() == "replace kill\n"


def test_a_full_disk_is_an_error_of_the_operation_and_a_torn_line_half_of_one(tmp_path):
    done = written(tmp_path, "append:2:enospc,write:3:eio")
    assert "the disk is full" in done.stdout and "Input/output error" in done.stdout
    (tmp_path / "lines").unlink()
    assert written(tmp_path, "append:2:torn").returncode == -signal.SIGKILL
    first, half = (tmp_path / "lines").read_bytes().split(b"\n")
    assert first and 0 < len(half) < len(first)


@pytest.mark.parametrize("text", ["nowhere:1:kill", "append:x:kill", "append:1:burn", "append"])
def test_a_fault_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="is no point:nth:action"):
        faultpoints.parse(text)


def test_without_the_variable_nothing_is_counted():
    assert faultpoints.reach("append") == "" and not faultpoints._reached
