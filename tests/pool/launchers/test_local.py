"""A worker process never outlives its supervisor, and nothing a worker started outlives the worker."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import wait_until
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.pool.launchers import local
from vlmeval_mp.pool.launchers.base import Command
from vlmeval_mp.pool.launchers.local import GUARDIAN, LocalLauncher
from vlmeval_mp.runs.owners import start_time

SLEEP = "import time; time.sleep(60)"
WITH_CHILD = (
    f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', '{SLEEP}']).pid, flush=True); {SLEEP}"
)


def command(tmp_path, code, **changes):
    given = {"argv": (sys.executable, "-c", code), "env": dict(os.environ), "log": tmp_path / "logs" / "w0.log"}
    return Command(**(given | changes))


def ended(handle):
    wait_until(lambda: handle.poll() is not None)
    return handle.poll()


def child_pid(tmp_path):
    log = tmp_path / "logs" / "w0.log"
    return int(wait_until(lambda: log.exists() and log.read_text().strip()))


@pytest.mark.parametrize("code", [0, 3, 70])
def test_the_exit_code_of_the_worker_is_reported(tmp_path, code):
    assert ended(LocalLauncher().start(command(tmp_path, f"raise SystemExit({code})"))) == code


def test_a_worker_killed_from_outside_is_reported_with_its_signal(tmp_path):
    handle = LocalLauncher().start(command(tmp_path, SLEEP))
    os.kill(handle.pid, signal.SIGKILL)
    assert ended(handle) == -signal.SIGKILL


def test_what_a_dead_worker_had_started_dies_too(tmp_path):
    handle = LocalLauncher().start(command(tmp_path, WITH_CHILD))
    child = child_pid(tmp_path)
    os.kill(handle.pid, signal.SIGKILL)
    assert ended(handle) == -signal.SIGKILL
    assert start_time(child) is None


def test_kill_ends_the_whole_group(tmp_path):
    handle = LocalLauncher().start(command(tmp_path, WITH_CHILD))
    child = child_pid(tmp_path)
    handle.kill()
    assert ended(handle) == -signal.SIGKILL
    assert start_time(child) is None


def test_a_stopped_worker_is_killed_all_the_same(tmp_path):
    handle = LocalLauncher().start(command(tmp_path, SLEEP))
    os.kill(handle.pid, signal.SIGSTOP)
    handle.kill()
    assert ended(handle) == -signal.SIGKILL


def test_drain_reaches_the_worker_as_sigterm(tmp_path):
    code = f"import signal, sys; signal.signal(15, lambda *_: sys.exit(5)); print('ready', flush=True); {SLEEP}"
    handle = LocalLauncher().start(command(tmp_path, code))
    wait_until(lambda: "ready" in (tmp_path / "logs" / "w0.log").read_text())
    handle.drain()
    assert ended(handle) == 5


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path):
    launch = (
        "import sys, os, time; from pathlib import Path\n"
        "from vlmeval_mp.pool.launchers.base import Command\n"
        "from vlmeval_mp.pool.launchers.local import LocalLauncher\n"
        f"argv = (sys.executable, '-c', {WITH_CHILD!r})\n"
        "handle = LocalLauncher().start(Command(argv, dict(os.environ), Path(sys.argv[1])))\n"
        "print(handle.pid, flush=True); time.sleep(60)"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", launch, str(tmp_path / "logs" / "w0.log")], stdout=subprocess.PIPE, text=True
    )
    worker = int(supervisor.stdout.readline())
    child = child_pid(tmp_path)
    supervisor.kill()
    wait_until(lambda: start_time(worker) is None and start_time(child) is None)
    supervisor.wait()
    supervisor.stdout.close()


def test_the_worker_dies_with_a_killed_guardian_and_its_children_with_the_next_poll(tmp_path):
    handle = LocalLauncher().start(command(tmp_path, WITH_CHILD))
    child = child_pid(tmp_path)
    handle._guardian.kill()
    assert ended(handle) == -signal.SIGKILL
    wait_until(lambda: start_time(handle.pid) is None and start_time(child) is None)


def test_the_environment_is_exactly_the_one_given_and_output_goes_to_the_log(tmp_path):
    code = "import os, sys; print(sorted(os.environ.items())); print('to stderr', file=sys.stderr)"
    ended(LocalLauncher().start(command(tmp_path, code, env={"CUDA_VISIBLE_DEVICES": "GPU-1"})))
    text = (tmp_path / "logs" / "w0.log").read_text()
    assert "('CUDA_VISIBLE_DEVICES', 'GPU-1')" in text
    assert "HOME" not in text
    assert "to stderr" in text


def test_the_log_of_a_restarted_worker_is_continued(tmp_path):
    for word in ("first", "second"):
        ended(LocalLauncher().start(command(tmp_path, f"print('{word}')")))
    assert (tmp_path / "logs" / "w0.log").read_text().split() == ["first", "second"]


def test_a_worker_is_bound_to_its_cores_and_leads_its_own_session(tmp_path):
    core = sorted(os.sched_getaffinity(0))[-1]
    code = "import os; print(os.sched_getaffinity(0), os.getsid(0) == os.getpid() == os.getpgrp())"
    ended(LocalLauncher().start(command(tmp_path, code, cores=(core,))))
    assert (tmp_path / "logs" / "w0.log").read_text().strip() == f"{{{core}}} True"


def test_a_log_that_cannot_be_written_is_an_error_that_names_its_folder(tmp_path):
    (tmp_path / "logs" / "w0.log").mkdir(parents=True)
    with pytest.raises(StorageError, match="logs writable"):
        LocalLauncher().start(command(tmp_path, SLEEP))


ON_ITS_OWN = (
    "import subprocess, sys, time; "
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], env={}, start_new_session=True); "
    "print(p.pid, flush=True); time.sleep(60)"
)
"""Starts a child in a session of its own, in whose environment nothing stands."""


@pytest.mark.parametrize("code", [WITH_CHILD, ON_ITS_OWN], ids=["same session", "own session"])
def test_nothing_outlives_supervisor_and_guardian_when_both_are_killed(tmp_path, code):
    handle = LocalLauncher().start(command(tmp_path, code))
    child = child_pid(tmp_path)
    handle._guardian.kill()  # and nobody polls, as nobody is there any more
    wait_until(lambda: start_time(handle.pid) is None and start_time(child) is None, 5)
    ended(handle)


def test_the_guardian_and_its_heir_are_not_called_python(tmp_path):
    handle = LocalLauncher().start(command(tmp_path, SLEEP))
    guardian = handle._guardian.pid
    children = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in [guardian, *children] if int(pid) != handle.pid}
    assert len(children) == 2 and names == {"vlmeval-guard"}
    handle.kill()
    ended(handle)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_that_a_scheduler_sends_to_every_process_drains(tmp_path, number):
    code = f"import signal, sys; signal.signal(15, lambda *_: sys.exit(5)); print('ready', flush=True); {SLEEP}"
    handle = LocalLauncher().start(command(tmp_path, code))
    wait_until(lambda: "ready" in (tmp_path / "logs" / "w0.log").read_text())
    handle._guardian.send_signal(number)
    assert ended(handle) == 5


def test_a_guardian_that_is_killed_while_it_starts_is_replaced(tmp_path, monkeypatch):
    struck, dying = tmp_path / "struck", tmp_path / "guardian.py"
    dying.write_text(
        f"import os, pathlib\nstruck = pathlib.Path({str(struck)!r})\n"
        "if not struck.exists():\n    struck.touch()\n    os.kill(os.getpid(), 9)\n" + GUARDIAN.read_text()
    )
    monkeypatch.setattr(local, "GUARDIAN", dying)
    assert ended(LocalLauncher().start(command(tmp_path, "raise SystemExit(3)"))) == 3
    dying.write_text("import os\nos.kill(os.getpid(), 9)\n")
    with pytest.raises(StorageError, match="was killed 5 times"):
        LocalLauncher().start(command(tmp_path, SLEEP))


def test_the_guardian_imports_the_standard_library_alone():
    """It is started for each worker, in any venv, and has to live when the worker's packages are broken."""
    nodes = [
        node for node in ast.walk(ast.parse(GUARDIAN.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} < sys.stdlib_module_names


def test_a_guardian_that_does_not_answer_is_an_error_and_no_wait_without_end(tmp_path, monkeypatch):
    silent = tmp_path / "guardian.py"
    silent.write_text(SLEEP)
    monkeypatch.setattr(local, "GUARDIAN", silent)
    monkeypatch.setattr(local, "START_SECONDS", 0.2)
    with pytest.raises(StorageError, match=r"was not started within 0 s; is this host out of memory"):
        LocalLauncher().start(command(tmp_path, SLEEP))
