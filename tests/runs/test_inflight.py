"""What an engine has is known after its process was killed."""

import signal
import subprocess
import sys

from vlmeval_mp.runs import inflight
from vlmeval_mp.runs.inflight import InFlight

KILLED = """
import os, signal, sys
from pathlib import Path
from vlmeval_mp.runs.inflight import InFlight
kept = InFlight(Path(sys.argv[1]), 4)
with kept.holds(0, 7):
    pass
with kept.holds(0, 5), kept.holds(2, 0):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_in_flight_at_a_sigkill_is_read_back_and_what_was_answered_is_not(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "w0.inflight")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert sorted(inflight.read(tmp_path / "w0.inflight")) == [(0, 5), (2, 0)]


def test_a_place_is_free_again_and_more_than_there_are_places_harm_nothing(tmp_path):
    path = tmp_path / "w0.inflight"
    kept = InFlight(path, 1)
    for row in range(5):
        with kept.holds(0, row), kept.holds(0, 100 + row):
            assert inflight.read(path) == [(0, row)]
    assert inflight.read(path) == []


def test_a_missing_or_torn_file_holds_nothing(tmp_path):
    assert inflight.read(tmp_path / "none") == []
    (tmp_path / "torn").write_bytes(b"\x01\x00")
    assert inflight.read(tmp_path / "torn") == []
