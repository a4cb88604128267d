"""What `launch` does before any worker starts."""

import pytest

from tests.builders import fake_run
from tests.runs.test_retrying import work
from vlmeval_mp.cli import launch
from vlmeval_mp.cli.main import main


def test_the_weights_of_a_finished_run_are_not_read_ahead(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, ahead = fake_run(tmp_path, 4), []
    monkeypatch.setattr(launch, "_read_ahead", lambda specs: ahead.append([spec.name for spec in specs]))
    monkeypatch.setattr(launch, "_drain_all", lambda *_: 0)
    what = ["--model", "fake", "--engine", "fake", "--data", str(tmp_path / "numbers.tsv"), "--run", "run"]
    command = ["launch", *what, "--jobs", str(tmp_path / "jobs")]
    assert main(command) == 0
    work(paths)
    assert main(command) == 0
    assert ahead == [["run"], []]
