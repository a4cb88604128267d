from __future__ import annotations

import json

import pytest

from tests.builders import text_tsv
from vlmeval_mp.cli import bench, main
from vlmeval_mp.cli.bench import TimedRun, compared, devices_words
from vlmeval_mp.core.errors import EXIT_FAILED_SAMPLES, EXIT_USAGE
from vlmeval_mp.pool.devices.layout import DevicesWanted


def test_ratios_are_of_medians_and_answers_are_compared_with_those_of_one_chat() -> None:
    same = {"job 0": "A", "job 1": "B"}
    timed = {
        "one by one": [TimedRun({"job 0": "A"}, 1.0)],
        "chat": [TimedRun(same, 1.0), TimedRun(same, 2.0), TimedRun(same, 4.0)],
        "ceiling": [TimedRun(same, 0.5)],
        "ours": [TimedRun({"job 0": "A", "job 1": "C"}, 0.8), TimedRun(same, 0.8), TimedRun(same, 8.0)],
    }
    sides = compared(timed)["sides"]
    assert sides["chat"]["samples_per_s"] == 1.0
    assert sides["ours"]["of_chat"] == 2.5
    assert sides["ours"]["of_ceiling"] == 0.625
    assert sides["ours"]["unequal"] == 1
    assert sides["one by one"]["unequal"] == 0, "samples that were not asked are not other answers"


def test_every_side_gets_the_devices_that_were_asked_for() -> None:
    words = devices_words(DevicesWanted("cpu", "", 2, batch_size=0, render_processes=2))
    assert words == [
        "--device", "cpu", "--max-workers", "1", "--tp", "2", "--batch-size", "auto", "--render-processes", "2",
    ]  # fmt: skip


def test_another_engine_is_refused(tmp_path, capsys) -> None:
    tsv = text_tsv(tmp_path / "t.tsv", 3)
    assert main.main(["bench", "--engine", "fake", "--model", "fake", "--data", str(tsv)]) == EXIT_USAGE
    assert "vllm" in capsys.readouterr().err


def test_other_answers_are_an_exit_code(tmp_path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    tsv = text_tsv(tmp_path / "t.tsv", 3)
    asked: list[str] = []

    def theirs(side, *_):
        asked.append(side)
        return TimedRun({"x": side}, 1.0)

    monkeypatch.setattr(bench, "_theirs", theirs)
    command = ["bench", "--engine", "vllm", "--model", str(tmp_path), "--data", str(tsv), "--rounds", "2", "--json"]
    (tmp_path / "config.json").write_text("{}")
    assert main.main([*command, "--sides", "chat", "ceiling"]) == EXIT_FAILED_SAMPLES
    assert asked == ["chat", "ceiling", "chat", "ceiling"], "rounds alternate"
    assert json.loads(capsys.readouterr().out)["sides"]["ceiling"]["unequal"] == 1
