"""`runs`, `cancel` and `rm`: what is there, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tests.builders import fake_run, text_tsv
from tests.report.runs import choice_tsv, finished_run, replies
from vlmeval_mp.cli import main
from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import WorkerStatus
from vlmeval_mp.runs import ending, owners, snapshot
from vlmeval_mp.runs.queue import Queue


async def test_runs_lists_state_progress_score_and_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tsv = choice_tsv(tmp_path / "mine.tsv", 4)
    await finished_run(tmp_path, [tsv], {"m": {"answers": replies(4, wrong=[1])}}, "done")
    jobs = ["--jobs", str(tmp_path / "jobs")]
    assert main.main(["submit", "--model", "m", "--engine", "fake", "--data", str(tsv), "--run", "later", *jobs]) == 0
    broken = tmp_path / "jobs" / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    capsys.readouterr()
    assert main.main(["runs", "--json", *jobs]) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert {name: entry["state"] for name, entry in found.items()} == {
        "done": "complete", "later": "queued", "broken": "damaged",
    }  # fmt: skip
    assert found["done"]["scores"] == [
        {"model": "m", "dataset": "mine", "metric": "accuracy", "value": 0.75, "as_reported": False}
    ]
    assert (found["done"]["done"], found["done"]["total"]) == (4, 4) and found["done"]["size"] > 0
    assert main.main(["runs", *jobs]) == 0
    out = capsys.readouterr().out
    assert "mine 75.0" in out and "4/4" in out and "damaged" in out


def start(tmp_path: Path, **engine: object) -> subprocess.Popen[bytes]:
    """A launch of 400 samples in a process of its own, at work when this returns."""
    tsv = text_tsv(tmp_path / "mine.tsv", 400)
    words = [
        "launch",
        "--model",
        "m",
        "--engine",
        "fake",
        "--data",
        str(tsv),
        "--run",
        "r",
        "--plain",
        "--device",
        "cpu",
    ]
    words += ["--engine-args", json.dumps(engine), "--batch-size", "2", "--jobs", str(tmp_path / "jobs")]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "vlmeval_mp.cli", *words], stdout=out, stderr=out)
    paths = JobsPaths(tmp_path / "jobs").run("r")
    end = time.monotonic() + 200
    while not any(worker.answered for worker in _workers(paths)):
        assert time.monotonic() < end and process.poll() is None, (tmp_path / "out").read_text()
        time.sleep(0.1)
    return process


def _workers(paths):
    return snapshot.Reader(paths).read().workers if paths.record.exists() else ()


@pytest.mark.slow
def test_cancel_drains_and_rm_then_deletes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(tmp_path, latency=0.3)
    jobs = ["--jobs", str(tmp_path / "jobs")]
    assert main.main(["rm", "r", "--yes", *jobs]) == 2
    assert "is being worked on; cancel it first: vlmeval-mp cancel r" in capsys.readouterr().err
    assert main.main(["cancel", "r", *jobs]) == 0
    assert process.wait(timeout=60) == 130
    assert "run r has ended; go on with: vlmeval-mp resume r" in capsys.readouterr().out
    answered = snapshot.Reader(JobsPaths(tmp_path / "jobs").run("r")).read()
    assert answered.supervisor_alive is False
    assert main.main(["cancel", "r", *jobs]) == 2
    assert "is not running" in capsys.readouterr().err
    assert main.main(["rm", "r", *jobs]) == 2  # nobody can be asked here
    assert "say --yes" in capsys.readouterr().err
    assert main.main(["rm", "r", "--yes", *jobs]) == 0
    assert sorted(path.name for path in (tmp_path / "jobs").iterdir()) == [".datasets", ".history.jsonl"]


@pytest.mark.slow
def test_cancel_now_does_not_wait_for_what_is_in_flight(tmp_path: Path) -> None:
    process = start(tmp_path, slow={"5": 500.0})
    assert main.main(["cancel", "r", "--now", "--jobs", str(tmp_path / "jobs")]) == 0
    assert process.wait(timeout=60) == 130


def test_a_process_that_took_over_the_number_is_left_alone(tmp_path: Path) -> None:
    import msgspec

    from vlmeval_mp.core.records import SupervisorStatus

    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        paths = JobsPaths(tmp_path).run("r")
        paths.workers.mkdir(parents=True)
        former = owners.current()
        mark = f"{former.host}~{former.boot}~{bystander.pid}~1~abcd"
        paths.supervisor.write_bytes(msgspec.json.encode(SupervisorStatus(pid=bystander.pid, owner=mark)))
        with pytest.raises(Exception, match="is not running"):
            ending.Supervisor(paths)
        assert bystander.poll() is None
    finally:
        os.kill(bystander.pid, signal.SIGKILL)
        bystander.wait()


def test_what_a_host_holds_that_is_gone_is_given_back_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, jobs, me = fake_run(tmp_path, 64), ["--jobs", str(tmp_path / "jobs")], owners.current()
    (job,) = snapshot.read_record(paths).jobs
    far = owners.Owner("far-away", me.boot, 17, 4, "n")
    queue = Queue(paths.queue)
    queue.claim(far, [job.name])
    queue.claim(me, [job.name])
    assert main.main(["release", "run", "--host", "nobody", *jobs]) == 2
    assert "there are: far-away" in capsys.readouterr().err
    assert main.main(["release", "run", "--host", me.host, *jobs]) == 2
    assert "is this host" in capsys.readouterr().err
    beat = WorkerStatus(worker="w9", pid=17, owner=str(far), host="far-away", model="fake", devices="", phase="working")
    paths.worker("w9").write_bytes(jsonfiles.encode(msgspec.structs.replace(beat, time=time.time() - 5)))
    assert main.main(["release", "run", "--host", "far-away", *jobs]) == 2
    assert "was heard of" in capsys.readouterr().err and len(queue.entries("claimed")) == 2
    paths.worker("w9").write_bytes(jsonfiles.encode(msgspec.structs.replace(beat, time=time.time() - 500)))
    assert main.main(["release", "run", "--host", "far-away", *jobs]) == 0
    assert "1 shards of far-away are pending again" in capsys.readouterr().out
    assert [entry.owner for entry in queue.entries("claimed")] == [str(me)]
    (back,) = queue.entries("pending")
    assert (back.attempt, back.deaths) == (1, 0)
