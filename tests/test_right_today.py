"""What was right when somebody looked for faults stays right: the shared cases that need no real engine and no kill.

What real vLLM does right is asked in `tests/engines/vllm/test_engine.py`, with questions of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from tests.builders import fake_spec, worker_for
from tests.conftest import shared_case
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import DataSpec, MediaLimits, Prediction
from vlmeval_mp.datasets import store
from vlmeval_mp.exchange.evaluate import FileScores, FileToScore, evaluate
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.pool.worker.loop import Worker
from vlmeval_mp.pool.worker.recording import HeldShard
from vlmeval_mp.requests import media
from vlmeval_mp.runs import submit
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.snapshot import read_record

RIGHT = shared_case("right-today")


def scored(case: str, predictions: str, data: str) -> FileScores:
    return evaluate(FileToScore(file=RIGHT / case / predictions, data=str(RIGHT / case / data)))


def launch(folder: Path, *words: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "vlmeval_mp.cli", "launch", *map(str, words), "--jobs", "jobs", "--device", "cpu",
         "--max-workers", "1", "--plain"],
        env=os.environ | {"HF_HUB_OFFLINE": "1"}, cwd=folder, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("predictions", "data", "circular"),
    [
        ("onewrong.json", "MMBench_DEV_EN.tsv", 2 / 3), ("right.json", "MMBench_DEV_EN.tsv", 1.0),
        ("right.json", "float/MMBench_DEV_EN.tsv", 1.0),
    ],
)  # fmt: skip
def test_one_wrong_rotation_costs_its_question(predictions: str, data: str, circular: float) -> None:
    found = scored("circular", predictions, data).summary
    assert found.metrics[found.primary_metric] == pytest.approx(circular)
    vanilla = {round(value, 4) for name, value in found.metrics.items() if value is not None and "vanilla" in name}
    assert vanilla <= {0.9 if circular < 1 else 1.0}


def test_zero_width_characters_and_words_like_notice_are_read_right() -> None:
    case = "invisible-characters-and-notice"
    wanted = [json.loads(line) for line in (RIGHT / case / "predictions.jsonl").read_text().splitlines()]
    found = {each.sample.index: each.score.value for each in scored(case, "predictions.jsonl", "data.tsv").scored}
    assert found == {str(line["index"]): line["want"] for line in wanted}


def test_one_prediction_that_is_null_counts_as_wrong() -> None:
    found = scored("null-prediction", "predictions.jsonl", "data.tsv").summary
    assert found.metrics[found.primary_metric] == pytest.approx(0.375)
    assert (found.counts.total, found.counts.empty, found.counts.failed) == (8, 1, 0)


def test_two_data_sets_with_the_same_file_names_keep_their_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lmu = RIGHT / "same-file-names-two-sets" / "lmu"
    monkeypatch.setenv("LMUData", str(lmu))
    sizes: dict[str, tuple[int, int]] = {}
    for name in ("MMX", "CMMX"):
        dataset = store.prepare(DataSpec(name=name, path=str(lmu / f"{name}.tsv")), tmp_path)
        (sample,) = dataset.samples(0, 0)
        picture: Image.Image = media.open_image(dataset.folder / sample.media[0].file, MediaLimits())
        sizes[name] = picture.size
    assert sizes == {"MMX": (20, 20), "CMMX": (40, 40)}


@pytest.mark.slow
def test_a_split_without_answers_is_answered_and_unscored(tmp_path: Path) -> None:
    data = RIGHT / "no-answer-column" / "data.tsv"
    launch(tmp_path, "--model", "m", "--engine", "fake", "--data", data, "--run", "na")
    summary = json.loads((tmp_path / "jobs/na/results/m/data/summary.json").read_text())
    assert (summary["metrics"][summary["primary_metric"]], summary["counts"]["unscored"]) == (None, 3)


@pytest.mark.slow
def test_models_whose_names_collide_as_folders_get_folders_of_their_own(tmp_path: Path) -> None:
    for name in ("names.json", "answers.tsv"):
        (tmp_path / name).write_bytes((RIGHT / "same-name-other-model" / name).read_bytes())
    launch(tmp_path, "names.json", "--run", "r")
    summaries = [json.loads(path.read_text()) for path in (tmp_path / "jobs/r/results").glob("*/one/summary.json")]
    assert len(summaries) == 6
    assert len({summary["model"] for summary in summaries}) == 6


@pytest.mark.slow
def test_what_a_spreadsheet_damages_comes_back_whole_or_is_warned_about(tmp_path: Path) -> None:
    for name in ("url.json", "url.tsv"):
        (tmp_path / name).write_bytes((RIGHT / "xlsx-damage" / name).read_bytes())
    said = launch(tmp_path, "url.json", "--run", "r", "--work-dir", "wd")
    answers = json.loads((tmp_path / "url.json").read_text())["engine_args"]["answers"]
    table = min((tmp_path / "wd").rglob("*_url.xlsx"), key=lambda path: len(path.parts))
    back = pd.read_excel(table, keep_default_na=False, dtype=str).set_index("index")["prediction"].to_dict()
    whole = {index for index, text in answers.items() if back[index] == text}
    assert whole >= {index for index, text in answers.items() if text.startswith(("http", "="))}
    assert len(whole) == len(answers) - 2
    for index in answers.keys() - whole:
        assert f"{index}" in said
    assert "xlsx" in said


def test_a_run_goes_on_with_another_number_of_workers_and_asks_nothing_twice(tmp_path: Path) -> None:
    """Killed ones are `tests/faults`'s; here three leave early, each in the middle of its shards, and one goes on."""
    log = tmp_path / "log"
    data = RIGHT / "other-number-of-workers" / "many.tsv"
    paths = submit.submit(fake_spec(data, log=str(log), latency=0.001), JobsPaths(tmp_path / "jobs"))[0]
    record = read_record(paths)
    for name in ("w0", "w1", "w2"):
        worker = worker_for(paths, record, name, window=3)
        real, answered = worker.outcomes.record, []

        def leave(
            held: HeldShard,
            prediction: Prediction,
            worker: Worker = worker,
            real: Any = real,
            answered: list[int] = answered,
        ) -> None:
            real(held, prediction)
            answered.append(prediction.row)
            if len(answered) == 50:
                worker.drain()

        worker.outcomes.record = leave  # type: ignore[method-assign]
        asyncio.run(live(worker))
    before = len(log.read_text().splitlines())
    assert 150 <= before < 200
    assert asyncio.run(live(worker_for(paths, record, "w3"))) == 0
    asked = [line.split()[0] for line in log.read_text().splitlines()]
    assert (len(asked), len(set(asked))) == (300, 300)
    assert len(merge(paths, record.jobs[0])[1]) == 300


def test_two_checkpoints_of_one_name_are_no_one_model(tmp_path: Path) -> None:
    flags = Overrides(models=("/p1/checkpoint-100", "/p2/checkpoint-100"), data=("x",), engine="fake")
    with pytest.raises(ConfigError, match="checkpoint-100"):
        build({}, flags, name="r", default_engine="fake")
    data = RIGHT / "same-name-other-model" / "answers.tsv"
    jobs = JobsPaths(tmp_path / "jobs")
    one, other = (
        build(
            {},
            Overrides(models=(f"/p{n}/checkpoint-100",), data=(str(data),), engine="fake"),
            name="r",
            default_engine="fake",
        )
        for n in (1, 2)
    )
    paths = submit.submit(one, jobs)[0]
    asyncio.run(live(worker_for(paths, read_record(paths))))
    with pytest.raises(
        ConfigError, match=r"exists with another configuration[\s\S]*path: was /p1/checkpoint-100, is /p2"
    ):
        submit.submit(other, jobs)
