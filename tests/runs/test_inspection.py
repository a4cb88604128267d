"""A launch finds all that is damaged at once, names what is foreign, and removes what killed processes left."""

import os
import shutil

import pytest

from tests.builders import fake_run
from tests.helpers import pid_of_the_dead
from tests.runs.test_retrying import asked, outcome, work
from vlmeval_mp.runs import inspection, owners
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.snapshot import Reader, read_record


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of 100 samples in four shards."""
    folder = tmp_path_factory.mktemp("finished")
    work(fake_run(folder, 100))
    return folder


@pytest.fixture
def paths(finished, tmp_path):
    from vlmeval_mp.core.paths import JobsPaths

    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return JobsPaths(tmp_path / "jobs").run("run")


def inspect(paths):
    return inspection.inspect(paths, read_record(paths))


def test_a_whole_run_has_nothing_to_say(paths):
    assert inspect(paths).sentences() == []


def test_damage_of_every_kind_is_found_at_once_and_only_what_is_lost_is_asked_again(paths, tmp_path):
    whole = outcome(paths)
    (job,) = read_record(paths).jobs
    done = sorted((paths.queue / "done").iterdir())
    done[0].write_bytes(b"")
    done[1].write_bytes(done[2].read_bytes())
    (checkpoint,) = paths.checkpoints.rglob("*.jsonl")
    lines = checkpoint.read_bytes().splitlines(keepends=True)
    lost = next(n for n, line in enumerate(lines) if b'"index":"99"' in line)
    lines[lost] = lines[lost].replace(b'"index":"99"', b'"index":"98"')
    checkpoint.write_bytes(b"".join(lines))
    (paths.queue / "failed" / f"{job.name}.0000000-0000031.json").write_bytes(b"[]")
    (paths.queue / "stopped").mkdir()
    (paths.queue / "stopped" / f"{job.name}.json").write_bytes(b"{}")
    found = inspect(paths)
    assert len(found.dead) == 5 and len(list((paths.queue / "dead").iterdir())) == 5
    assert "5 files of the queue are damaged" in found.sentences()[0]
    assert inspect(paths).dead == []
    work(paths, log=str(tmp_path / "log"))
    assert asked(tmp_path / "log") == ["99"]
    assert [(p.row, p.prediction) for p in outcome(paths)] == [(p.row, p.prediction) for p in whole]


def test_foreign_files_are_named_skipped_and_left_where_they_are(paths):
    (job,) = read_record(paths).jobs
    foreign = ["done/notes.txt", "failed/x", "claimed/x@y", f"pending/{job.name}/core.123", "pending/unknown"]
    for name in foreign[:-1]:
        (paths.queue / name).parent.mkdir(exist_ok=True)
        (paths.queue / name).write_text("?")
    (paths.queue / "pending/unknown").mkdir()
    found = inspect(paths)
    assert sorted(found.foreign) == sorted(foreign) and found.dead == []
    assert all((paths.queue / name).exists() for name in foreign)
    assert Reader(paths).read().shards[job.name].done == 4
    assert len(outcome(paths)) == 100
    assert Queue(paths.queue).claim(owners.current(), [job.name]) is None


def test_shards_that_the_run_does_not_have_are_put_away(paths):
    (job,) = read_record(paths).jobs
    strange = [
        "done/other.0000000-0000009.json", f"done/{job.name}.0000000-9999999.json",
        f"pending/{job.name}/{job.name}.0000090-0000200@0-0", f"pending/{job.name}/other.0000000-0000009@0-0",
        f"claimed/other.0000000-0000009@1-0@{owners.current()}",
    ]  # fmt: skip
    for name in strange:
        (paths.queue / name).parent.mkdir(exist_ok=True)
        (paths.queue / name).write_text("?")
    assert sorted(inspect(paths).dead) == sorted(strange)
    assert len(outcome(paths)) == 100
    assert Queue(paths.queue).claim(owners.current(), [job.name]) is None


def test_what_killed_processes_left_half_written_is_removed_and_what_others_write_is_not(paths):
    gone = pid_of_the_dead()
    old = paths.queue / "done" / f".a.json.{gone}.0a1b2c3d.tmp"
    fresh = paths.workers / f".w0.json.{gone}.0a1b2c3d.tmp"
    ours = paths.workers / f".w1.json.{os.getpid()}.99999999.tmp"  # digits only, but not its writer
    users = paths.root / f".notes.{gone}.tmp"
    deep = paths.root / "results" / "m" / "d" / f".predictions.jsonl.{gone}.0a1b2c3d.tmp"
    deep.parent.mkdir(parents=True)
    for path in (old, deep, fresh, ours, users):
        path.touch()
    for path in (old, deep, ours, users):
        os.utime(path, (1, 1))
    assert inspect(paths).litter == 2
    assert not old.exists() and not deep.exists() and fresh.exists() and ours.exists() and users.exists()
