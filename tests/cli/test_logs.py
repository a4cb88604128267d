"""`logs` shows what workers printed, without what a terminal would obey."""

import dataclasses
import os
import time

import msgspec
import pytest

from tests.helpers import pid_of_the_dead
from vlmeval_mp.cli import logs
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import SupervisorStatus
from vlmeval_mp.runs import owners


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "w0.log").write_text("".join(f"line {i}\n" for i in range(50)))
    (tmp_path / "logs" / "supervisor.log").write_text("started\n")
    return RunPaths(tmp_path)


def test_the_last_lines_of_one_worker(paths, capsys):
    logs.show(paths, "0", lines=2, follow=False)
    assert capsys.readouterr().out == "line 48\nline 49\n"


def test_all_logs_say_whose_line_it_is(paths, capsys):
    logs.show(paths, None, lines=1, follow=False)
    assert capsys.readouterr().out == "supervisor: started\nw0: line 49\n"


def test_a_missing_worker_is_refused_with_those_there_are(paths):
    with pytest.raises(ConfigError, match="no log of worker '7'; there are: supervisor, w0"):
        logs.show(paths, "7", lines=1, follow=False)


def test_terminal_escapes_and_progress_bars_do_not_get_through(paths, capsys):
    hostile = "\x1b[31mred\x1b[0m \x1b]52;c;ZXZpbA==\x07 \u202eevil\n10%\r50%\r100% done\n"
    paths.log("w0").write_text(hostile)
    logs.show(paths, "0", lines=5, follow=False)
    assert capsys.readouterr().out == "red  evil\n100% done\n"


def test_lines_that_end_in_a_carriage_return_too_are_shown(paths, capsys):
    paths.log("w0").write_bytes(b"ERROR Traceback (most recent call last):\r\nERROR KeyError\n10%\r90%\r\n")
    logs.show(paths, "0", lines=5, follow=False)
    assert capsys.readouterr().out == "ERROR Traceback (most recent call last):\nERROR KeyError\n90%\n"


def test_an_empty_log_shows_nothing(paths, capsys):
    paths.log("w0").write_text("")
    logs.show(paths, None, lines=5, follow=False)
    assert capsys.readouterr().out == "supervisor: started\n"


def test_zero_lines_show_nothing(paths, capsys):
    logs.show(paths, "0", lines=0, follow=False)
    assert capsys.readouterr().out == ""


def test_follow_shows_whole_lines_as_they_come(paths, capsys, monkeypatch):
    turns = []

    def sleep(seconds):
        turns.append(seconds)
        if len(turns) == 1:
            with paths.log("w0").open("a") as file:
                file.write("new line\nhalf a ")
        elif len(turns) == 2:
            with paths.log("w0").open("a") as file:
                file.write("line\n")
        elif len(turns) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        logs.show(paths, "0", lines=1, follow=True)
    assert capsys.readouterr().out == "line 49\nnew line\nhalf a line\n"


def test_follow_ends_with_the_run_and_leaves_nothing_out(paths, capsys, monkeypatch):
    """The last line is written while the supervisor is still there, and read after it is gone."""
    paths.workers.mkdir()
    status = SupervisorStatus(pid=os.getpid(), owner=str(owners.current()), time=time.time(), phase="working")
    paths.supervisor.write_bytes(msgspec.json.encode(status))
    gone = pid_of_the_dead()

    def sleep(_seconds):
        with paths.log("w0").open("a") as file:
            file.write("the end\n")
        dead = dataclasses.replace(owners.current(), pid=gone)
        paths.supervisor.write_bytes(msgspec.json.encode(msgspec.structs.replace(status, owner=str(dead))))

    monkeypatch.setattr(time, "sleep", sleep)
    assert logs.show(paths, "0", lines=1, follow=True) == 0
    assert capsys.readouterr().out == "line 49\nthe end\n"
