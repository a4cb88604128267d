"""Failed samples are asked again, answered ones are not, and a kill at any moment costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
from pathlib import Path

import pytest

from tests.builders import fake_run, fake_spec, worker_for
from vlmeval_mp.cli import main
from vlmeval_mp.core import files, jsonfiles, linefiles
from vlmeval_mp.core.errors import ConfigError, StorageError
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import SupervisorStatus
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import arrivals, find, owners, progress, reopening, retrying, submit, suspects
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import shards_of
from vlmeval_mp.runs.snapshot import Reader, read_record
from vlmeval_mp.runs.state import fold
from vlmeval_mp.runs.suspects import Death, Suspects

BAD = {"3", "40", "41"}


class KilledError(BaseException):
    """What a SIGKILL is to the code under test: nothing catches it."""


def work(paths: RunPaths, **engine: object) -> None:
    record = read_record(paths)
    queue = Queue(paths.queue)
    reopening.finish(queue)
    queue.restore(s for j in record.jobs for s in shards_of(j.name, j.samples, record.spec.shard_size))
    assert asyncio.run(live(worker_for(paths, record, **engine))) == 0


def failed_run(tmp_path: Path) -> RunPaths:
    """A finished run of 70 samples, of which three failed."""
    paths = fake_run(tmp_path, 70)
    work(paths, fail=sorted(BAD))
    return paths


def outcome(paths: RunPaths):
    return merge(paths, read_record(paths).jobs[0])[1]


def reopen_all(paths: RunPaths) -> None:
    retrying.reopen(paths, retrying.failures(paths, read_record(paths)))


def asked(log: Path) -> list[str]:
    return sorted(line.split()[0] for line in log.read_text().splitlines()) if log.exists() else []


def test_only_the_failed_samples_are_asked_again_and_the_old_outcome_stays(tmp_path):
    paths = failed_run(tmp_path)
    found = retrying.failures(paths, read_record(paths))
    assert [(f.row, "scripted to fail" in f.error) for f in found] == [(3, True), (40, True), (41, True)]
    lines = {path: path.read_bytes() for path in paths.checkpoints.rglob("*.jsonl")}
    reopen_all(paths)
    assert len(Queue(paths.queue).entries("pending")) == 2
    assert progress.answered(paths.checkpoints, found[0].job.name) == 67
    work(paths, log=str(tmp_path / "log"))
    assert asked(tmp_path / "log") == sorted(BAD)
    assert [p.error for p in outcome(paths)] == [None] * 70
    assert all(path.read_bytes() == before for path, before in lines.items())
    assert len(list((paths.queue / "past").iterdir())) == 2


def test_what_the_last_launch_counted_is_forgotten(tmp_path):
    paths = failed_run(tmp_path)
    (job,) = read_record(paths).jobs
    status = SupervisorStatus(pid=1, owner="nobody", time=0.0, started=0.0, phase="stopped", kept={job.name: 70})
    files.atomic_write(paths.supervisor, jsonfiles.encode(status))
    assert fold(Reader(paths).read(), 0.0).done == 70
    reopen_all(paths)
    assert fold(Reader(paths).read(), 0.0).done < 70


def test_a_sample_that_fails_again_can_be_asked_a_third_time(tmp_path):
    paths = failed_run(tmp_path)
    reopen_all(paths)
    work(paths, fail=["40"])
    assert [f.row for f in retrying.failures(paths, read_record(paths))] == [40]
    reopen_all(paths)
    work(paths)
    assert {p.error for p in outcome(paths)} == {None}


def test_the_advice_on_a_damaged_reopening_is_right(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    paths = failed_run(tmp_path)
    with monkeypatch.context() as disk, pytest.raises(StorageError, match="No space left"):
        disk.setattr(reopening, "_reopen", full)
        reopen_all(paths)
    torn = paths.queue / "reopening.json"
    torn.write_bytes(torn.read_bytes()[:20])
    with pytest.raises(StorageError, match=r"cannot be read: .*; delete it and give the same `vlmeval-mp retry` again"):
        reopen_all(paths)
    torn.unlink()
    reopen_all(paths)
    work(paths)
    assert {p.error for p in outcome(paths)} == {None}


def test_failed_samples_of_an_unfinished_shard_are_asked_again_too(tmp_path):
    paths = fake_run(tmp_path, 32)
    worker = worker_for(paths, read_record(paths), window=1, fail=["3"], hang=["9"])

    async def until_it_hangs():
        task = asyncio.create_task(live(worker))
        while worker.counts.answered < 9:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        worker.recorder.release()  # once nothing of it claims any more

    asyncio.run(until_it_hangs())
    worker.heart.stop()
    paths.worker("w0").unlink()
    assert [f.row for f in retrying.failures(paths, read_record(paths))] == [3]
    reopen_all(paths)
    work(paths, log=str(tmp_path / "log"))
    assert "3" in asked(tmp_path / "log") and "1" not in asked(tmp_path / "log")
    assert {p.error for p in outcome(paths)} == {None}


def all_are_somewhere(paths: RunPaths) -> bool:
    record, queue = read_record(paths), Queue(paths.queue)
    queue.read_news()
    there = {entry.shard for entry in queue.entries("pending")} | {done.shard for done in queue.done.values()}
    return there >= {s for j in record.jobs for s in shards_of(j.name, j.samples, record.spec.shard_size)}


OPERATIONS = [
    (files, "atomic_write"), (files, "publish_new"), (files, "sync_folder"), (Path, "rename"), (Path, "touch"),
    (Path, "unlink"), (Path, "mkdir"), (linefiles.Appender, "append"), (linefiles.Appender, "sync"),
]  # fmt: skip


@pytest.mark.parametrize("finished", [False, True], ids=["resumed", "retried"])
def test_a_kill_between_any_two_operations_leaves_a_run_that_resumes(tmp_path, monkeypatch, finished):
    crashes, whole = 0, tmp_path / "whole"
    whole.mkdir()
    failed_run(whole)
    while True:
        place, left = tmp_path / str(crashes), crashes
        shutil.copytree(whole, place)
        paths = JobsPaths(place / "jobs").run("run")
        with monkeypatch.context() as patched:
            for owner, name in OPERATIONS:
                real = getattr(owner, name)

                def killed(*given, real=real, **more):
                    nonlocal left
                    if left == 0:
                        raise KilledError
                    left -= 1
                    return real(*given, **more)

                patched.setattr(owner, name, killed)
            try:
                reopen_all(paths)
            except KilledError:
                died = True
            else:
                died = False
        if finished:
            reopen_all(paths)
        Reader(paths).read()
        outcome(paths)  # a reader in between finds every shard whole
        assert all_are_somewhere(paths), "a shard is in no folder"
        begun = bool(find.unfinished(JobsPaths(paths.root.parent)))
        work(paths, log=str(place / "log"))
        assert set(asked(place / "log")) <= BAD and len(asked(place / "log")) == len(set(asked(place / "log")))
        errors = {p.index for p in outcome(paths) if p.error is not None}
        assert len(outcome(paths)) == 70
        assert errors == BAD - set(asked(place / "log"))
        assert begun == (errors == set()), "a bare launch finds what retry began, and nothing else"
        if finished or not died:
            assert errors == set()
        if not died:
            break
        crashes += 1
    assert crashes >= 6


def test_a_sample_given_up_as_a_killer_is_pardoned(tmp_path):
    paths = fake_run(tmp_path, 10)
    job = read_record(paths).jobs[0].name
    noted = Suspects(paths.suspects, "1-dead")
    noted.note([Death(job=job, rows=(5,), proven=True)] * 2 + [Death(job=job, rows=(4, 5))])
    noted.close()
    assert suspects.read(paths.suspects, job).against(5, answered=[4]) == 3
    later = Suspects(paths.suspects, "2-retry")
    later.pardon({job: {5}})
    later.note([Death(job=job, rows=(5, 6))])
    later.close()
    found = suspects.read(paths.suspects, job)
    assert (found.alone[5], found.together[5], found.together[4]) == (0, 1, 1)
    assert found.against(5, answered=[4, 6]) == 0


def test_a_run_that_is_being_worked_on_is_left_alone(tmp_path):
    from filelock import FileLock

    paths = failed_run(tmp_path)
    with FileLock(paths.supervisor_lock), pytest.raises(ConfigError, match="being worked on"):
        reopen_all(paths)
    assert len(Queue(paths.queue).done_names()) == 3


# --- files that arrive later ---


def picture(path: Path, colour: str = "red") -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), colour).save(path)


def pictured_run(tmp_path: Path) -> RunPaths:
    """A finished run of four pictures, the last two of which were missing."""
    for number in range(2):
        picture(tmp_path / f"{number}.png")
    rows = (f"{i}\tWhat?\tyes\tno\tA\t{i}.png" for i in range(4))
    tsv = tmp_path / "seen.tsv"
    tsv.write_text("\n".join(["index\tquestion\tA\tB\tanswer\timage_path", *rows]) + "\n")
    paths = submit.submit(fake_spec(tsv), JobsPaths(tmp_path / "jobs"))[0]
    work(paths)
    assert [p.error is None for p in outcome(paths)] == [True, True, False, False]
    return paths


def take(paths: RunPaths):
    return arrivals.take(paths, read_record(paths))


def test_files_that_arrived_are_taken_and_only_their_samples_are_asked(tmp_path):
    paths = pictured_run(tmp_path)
    picture(tmp_path / "2.png")
    picture(tmp_path / "3.png", "blue")
    record, said = take(paths)
    assert said == ["seen: files of 2 samples that were missing are there now"]
    assert record == read_record(paths)
    assert any(key.startswith("data.seen.content before") for key in record.provenance)
    reopen_all(paths)
    submit.check(paths, read_record(paths))
    work(paths, log=str(tmp_path / "log"))
    assert asked(tmp_path / "log") == ["2", "3"]
    assert {p.error for p in outcome(paths)} == {None}


def test_a_picture_that_changed_is_refused_and_nothing_is_taken(tmp_path):
    paths = pictured_run(tmp_path)
    picture(tmp_path / "2.png")
    picture(tmp_path / "0.png", "blue")
    before = read_record(paths)
    with pytest.raises(ConfigError, match="sample 0 is not what it was"):
        take(paths)
    assert read_record(paths) == before


def test_where_nothing_arrived_the_record_stays(tmp_path):
    paths = pictured_run(tmp_path)
    before = paths.record.read_bytes()
    assert take(paths)[1] == []
    assert paths.record.read_bytes() == before


def test_a_launch_after_files_arrived_says_how_they_are_taken(tmp_path):
    pictured_run(tmp_path)
    picture(tmp_path / "2.png")
    with pytest.raises(ConfigError, match="vlmeval-mp retry run"):
        submit.submit(fake_spec(tmp_path / "seen.tsv"), JobsPaths(tmp_path / "jobs"))


# --- the verb ---


def test_retry_asks_those_of_a_kind_and_ends_with_all_answered(tmp_path, capsys):
    paths = failed_run(tmp_path)
    jobs = ["--jobs", str(tmp_path / "jobs")]
    assert main.main(["retry", "run", "--dry-run", *jobs]) == 0
    assert "3 samples of 3 failed ones" in capsys.readouterr().err
    assert main.main(["retry", "run", "--error-like", "no such", *jobs]) == 2
    assert "none of the 3 failed samples is of that kind" in capsys.readouterr().err
    assert main.main(["retry", "run", "--model", "x", *jobs]) == 2
    assert len(Queue(paths.queue).done_names()) == 3
    how = ["--plain", "--device", "cpu", "--max-workers", "1"]
    assert main.main(["retry", "run", "--error-like", "REQUEST '40'", *how, *jobs]) == 1
    assert [f.row for f in retrying.failures(paths, read_record(paths))] == [3, 41]


def test_damage_is_still_noticed_after_a_retry(tmp_path):
    paths = failed_run(tmp_path)
    reopen_all(paths)
    work(paths)
    queue = Queue(paths.queue)
    queue.read_news()
    done = next(d for d in queue.done.values() if d.withdrawn)
    with Index(paths.checkpoints, done.shard.job, 70) as index:
        assert len(index.load(done)) == 32
    assert len(done.spans) == 2
    for span in done.spans:
        path = paths.checkpoints / span.file
        lines = path.read_bytes()
        path.write_bytes(lines.replace(b'"index"', b'"indxe"'))
        with Index(paths.checkpoints, done.shard.job, 70) as index, pytest.raises(StorageError):
            index.load(done)
        path.write_bytes(lines)
    with Index(paths.checkpoints, done.shard.job, 70) as index:
        assert len(index.load(done)) == 32


def test_an_index_counts_a_withdrawn_failure_as_unanswered(tmp_path):
    paths = failed_run(tmp_path)
    reopen_all(paths)
    with Index(paths.checkpoints, read_record(paths).jobs[0].name, 70) as index:
        index.refresh()
        assert index.answered == 67
        assert sorted(set(range(70)) - set(index.rows())) == [3, 40, 41]


def test_a_shard_that_was_cut_is_asked_again_in_its_parts(tmp_path):
    paths = fake_run(tmp_path, 32)
    owner, queue = owners.current(), Queue(paths.queue)
    queue.claim(owner, [read_record(paths).jobs[0].name], most=10)
    queue.reap(lambda _: True, to_blame=lambda _: False)
    work(paths, fail=["3"])
    assert sorted(done.shard.size for done in _done(paths)) == [10, 22]
    reopen_all(paths)
    work(paths, log=str(tmp_path / "log"))
    assert asked(tmp_path / "log") == ["3"]
    assert {p.error for p in outcome(paths)} == {None}


def _done(paths: RunPaths):
    queue = Queue(paths.queue)
    queue.read_news()
    return queue.done.values()
