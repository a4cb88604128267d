"""A worker is heard of before its engine is imported."""

from __future__ import annotations

from tests.builders import fake_run
from vlmeval_mp.core.errors import EXIT_USAGE, ConfigError
from vlmeval_mp.core.jsonfiles import read as read_json
from vlmeval_mp.core.records import WorkerStatus
from vlmeval_mp.pool.worker import __main__ as process


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
