"""One launch a run, by a lock where there are locks, and by a heartbeat where there are none."""

import errno
import fcntl
import time

import msgspec
import pytest

from tests.builders import fake_run
from tests.helpers import supervise
from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import SupervisorStatus
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.holding import BusyError, hold


def fail_with(monkeypatch, number):
    def flock(*_):
        raise OSError(number, "scripted")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_a_run_whose_file_system_has_no_locks_is_finished_all_the_same(tmp_path, monkeypatch):
    paths = fake_run(tmp_path, 40)
    fail_with(monkeypatch, errno.ENOLCK)
    assert supervise(paths).run() == 0


def test_without_locks_a_supervisor_that_is_alive_by_its_heartbeat_counts(tmp_path, monkeypatch):
    paths, me = fake_run(tmp_path, 4), owners.current()
    fail_with(monkeypatch, errno.ENOLCK)
    alive = SupervisorStatus(pid=me.pid, owner=str(me), phase="working", time=time.time(), started=time.time())
    paths.supervisor.write_bytes(jsonfiles.encode(alive))
    with pytest.raises(BusyError, match=f"process {me.pid}"), hold(paths, "run"):
        pass
    dead = msgspec.structs.replace(alive, owner=str(owners.Owner(me.host, me.boot, me.pid, me.start + 1, "n")))
    paths.supervisor.write_bytes(jsonfiles.encode(dead))
    with hold(paths, "run"):
        pass


def test_another_error_of_the_lock_is_the_disks(tmp_path, monkeypatch):
    paths = fake_run(tmp_path, 4)
    fail_with(monkeypatch, errno.EIO)
    with pytest.raises(StorageError, match="cannot lock"), hold(paths, "run"):
        pass
