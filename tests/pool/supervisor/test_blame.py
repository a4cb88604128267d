"""Which ends of a worker make its samples suspects, and which say nothing about them."""

import signal

import pytest

from vlmeval_mp.core.records import WorkerStatus
from vlmeval_mp.pool.supervisor import blame


def beat(ended_by=""):
    return WorkerStatus(worker="w0", pid=1, owner="o", host="h", model="m", devices="d", ended_by=ended_by)


@pytest.mark.parametrize(
    ("code", "status", "memory", "expected"),
    [
        (-signal.SIGKILL, beat(), False, "outside"),
        (-signal.SIGKILL, beat(), True, "memory"),
        (-signal.SIGKILL, None, False, "outside"),
        (-signal.SIGTERM, beat(), True, "outside"),
        (-signal.SIGSEGV, beat(), False, "inside"),
        (-signal.SIGABRT, None, False, "inside"),
        (-signal.SIGBUS, beat(), False, "inside"),
        (70, beat(), False, "inside"),
        (1, None, False, "inside"),
        (70, beat("EngineCore was killed by SIGKILL"), False, "outside"),
        (70, beat("EngineCore was killed by SIGKILL"), True, "memory"),
    ],
)
def test_only_a_crash_or_memory_that_ran_out_comes_from_inside(code, status, memory, expected):
    assert blame.cause(code, status, memory) == expected


def test_the_kernel_s_count_of_memory_kills_is_read_and_its_absence_is_none(tmp_path):
    (tmp_path / "vmstat").write_text("pgfault 12\noom_kill 3\noom_kill_x 9\n")
    assert blame.memory_kills(tmp_path / "vmstat") == 3
    assert blame.memory_kills(tmp_path / "none") == 0
