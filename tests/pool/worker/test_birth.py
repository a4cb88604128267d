"""A worker is heard of before its engine is imported."""

from __future__ import annotations

from tests.builders import fake_run, worker_for
from vlmeval_mp.core.errors import EXIT_USAGE, ConfigError
from vlmeval_mp.core.jsonfiles import read as read_json
from vlmeval_mp.core.records import WorkerStatus
from vlmeval_mp.pool.worker import __main__ as process
from vlmeval_mp.pool.worker.stages import Stages
from vlmeval_mp.runs.snapshot import read_record


def test_a_worker_that_imports_its_engine_says_so_and_keeps_its_name(tmp_path, monkeypatch):
    paths = fake_run(tmp_path, 1)
    seen = []

    def slow_import(*_):
        seen.append(read_json(paths.worker("w0"), WorkerStatus))
        raise ConfigError("no such argument")

    monkeypatch.setattr(process, "Worker", slow_import)
    words = [str(paths.root), "--name", "w0", "--model", "fake", "--device", "cpu", "--devices", "core 0"]
    assert process.main(words) == EXIT_USAGE
    (importing,), ended = seen, read_json(paths.worker("w0"), WorkerStatus)
    assert (importing.phase, importing.stage) == ("starting", "importing")
    assert (ended.phase, ended.message) == ("failed", "no such argument")
    assert ended.owner == importing.owner


def test_a_worker_began_when_its_process_did_whatever_it_has_imported_since(tmp_path):
    paths, moments = fake_run(tmp_path, 1), iter([100.0, 130.0])
    stages = Stages(tmp_path / "w0.log", lambda: next(moments))
    assert worker_for(paths, read_record(paths), stages=stages).status().started == 100.0
    stages.end()
    assert worker_for(paths, read_record(paths), stages=stages).status().started == 100.0
