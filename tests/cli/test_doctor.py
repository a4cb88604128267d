"""`doctor`, and what `launch` looks at before it starts a worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import text_tsv
from vlmeval_mp.cli import main
from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.pool.devices import gpus, preflight
from vlmeval_mp.pool.devices.gpus import Process
from vlmeval_mp.pool.devices.preflight import Finding

GIB = 1 << 30


def test_doctor_lists_what_there_is_and_who_holds_a_gpu(tmp_path, monkeypatch, capsys):
    gpu = GpuStats(uuid="U", index=0, name="H", memory_used=30 * GIB, memory_total=140 * GIB, utilization=5)
    monkeypatch.setattr(gpus, "discover", lambda: [gpu])
    monkeypatch.setattr(gpus, "holders", lambda names: {"U": [Process(1, names(1), 30 * GIB)]})
    assert main.main(["doctor", "--json", "--jobs", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    by_name = {each["what"]: each for each in found["findings"]}
    held = by_name["GPU 0 (H)"]
    name = Path("/proc/1/comm").read_text().strip()
    assert found["ok"] is True
    assert held["level"] == "warning" and f"held by {name} (pid 1" in held["said"] and "--gpus" in held["todo"]
    assert main.main(["doctor", "--jobs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "shared memory" in out and "look at the warnings first" in out


def test_doctor_ends_with_three_where_nothing_can_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(preflight, "disk_room", lambda folder: Finding("disk", "error", "full", "make room"))
    assert main.main(["doctor", "--jobs", str(tmp_path)]) == 3
    assert "full; make room" in capsys.readouterr().out


def launch(tmp_path, capsys):
    words = ["launch", "--engine", "fake", "--model", "m", "--data", str(text_tsv(tmp_path / "n.tsv", 2)), "--plain"]
    code = main.main([*words, "--run", "r", "--device", "cpu", "--max-workers", "1", "--jobs", str(tmp_path / "jobs")])
    return code, capsys.readouterr()


def test_a_launch_that_cannot_work_is_refused_before_a_worker_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(preflight, "disk_room", lambda folder: Finding("disk", "error", "full", "make room"))
    code, said = launch(tmp_path, capsys)
    assert code == 3
    assert "disk: full; make room" in said.err
    assert not list((tmp_path / "jobs" / "r" / "workers").glob("w*.json"))


def test_a_launch_says_once_what_is_not_as_it_should_be(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(preflight, "disk_room", lambda folder: Finding("disk", "warning", "nearly full", "make room"))
    code, said = launch(tmp_path, capsys)
    assert code == 0
    assert (said.out + said.err).count("disk: nearly full; make room") == 1


@pytest.mark.parametrize(("engines", "asked"), [({"vllm"}, True), ({"fake", "openai"}, False)])
def test_shared_memory_is_looked_at_for_vllm_alone(tmp_path, engines, asked):
    assert any(f.what == "shared memory" for f in preflight.before_launch(tmp_path, engines)) is asked
