"""What a machine lacks is said before a run starts, each with the next step."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from vlmeval_mp.core.errors import DependencyError
from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.pool.devices import preflight
from vlmeval_mp.pool.devices.gpus import Process

GIB = 1 << 30


def room(monkeypatch, free, inodes=1 << 20):
    stats = os.statvfs_result((4096, 4096, 1 << 30, free // 4096, free // 4096, inodes, inodes, inodes, 0, 255))
    monkeypatch.setattr(preflight.os, "statvfs", lambda folder: stats)


@pytest.mark.parametrize(("free", "level"), [(63 << 20, "error"), (64 << 20, "warning"), (8 * GIB, "ok")])
def test_a_small_shared_memory_is_found_before_it_is_a_crash(monkeypatch, free, level):
    room(monkeypatch, free)
    found = preflight.shared_memory()
    assert found.level == level
    assert level == "ok" or "--shm-size" in found.todo


def test_a_missing_shared_memory_is_an_error_that_names_the_folder(tmp_path):
    found = preflight.shared_memory(tmp_path / "shm")
    assert (found.level, str(tmp_path / "shm") in str(found)) == ("error", True)


def test_the_soft_limit_on_open_files_is_raised_as_far_as_it_may_be():
    code = (
        "import resource; from vlmeval_mp.pool.devices import preflight\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))\n"
        "print(preflight.open_files().level, resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )

    def ends_with(hard):
        command = [sys.executable, "-c", code.format(hard=hard)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = preflight.FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, preflight.FILES_WANTED)
    assert ends_with("hard") == ["ok" if most == preflight.FILES_WANTED else "warning", str(most)]
    assert ends_with("128") == ["error", "128"]


def test_a_full_disk_and_one_without_inodes_are_errors(monkeypatch, tmp_path):
    room(monkeypatch, 1 << 20)
    assert preflight.disk_room(tmp_path).level == "error"
    room(monkeypatch, 100 * GIB, inodes=10)
    assert "inodes" in preflight.disk_room(tmp_path).said
    room(monkeypatch, 100 * GIB)
    assert preflight.disk_room(tmp_path / "not" / "there" / "yet").level == "ok"


def test_a_file_system_without_locks_or_links_is_a_warning_and_one_that_is_read_only_an_error(monkeypatch, tmp_path):
    def fails(code):
        def attempt(scratch):
            raise OSError(code, os.strerror(code))

        return attempt

    monkeypatch.setattr(preflight, "_lock", fails(errno.ENOLCK))
    assert preflight.locks(tmp_path).level == "warning"
    monkeypatch.setattr(preflight, "_link", fails(errno.EPERM))
    assert preflight.links(tmp_path).level == "warning"
    monkeypatch.setattr(preflight, "_link", fails(errno.EROFS))
    assert preflight.links(tmp_path).level == "error"
    assert list(tmp_path.iterdir()) == []


def test_a_busy_gpu_names_who_holds_it():
    gpu = GpuStats("GPU-1", 1, "NVIDIA H200", memory_used=100 * GIB, memory_total=140 * GIB, utilization=0)
    found = preflight.gpu_memory(gpu, [Process(4711, "train.py", 99 * GIB)])
    assert found.level == "warning"
    assert "train.py (pid 4711, 99.0 GiB)" in found.said
    assert preflight.gpu_memory(GpuStats("GPU-1", 1, "x", 0, 140 * GIB, 0)).level == "ok"


def test_every_error_is_in_the_refusal_and_a_warning_is_not():
    findings = [
        preflight.Finding("disk", "error", "full", "make room"),
        preflight.Finding("ports", "error", "none"),
        preflight.Finding("locks", "warning", "not there"),
    ]
    with pytest.raises(DependencyError, match=r"disk: full; make room\n.*ports: none") as raised:
        preflight.refuse(findings)
    assert "locks" not in str(raised.value)
    preflight.refuse(findings[2:])


def test_a_sound_machine_has_no_error(tmp_path):
    assert [f for f in preflight.examine(tmp_path, [], {}) if f.level == "error"] == []
