"""A VLMEvalKit config runs unchanged, and VLMEvalKit scores what is under --work-dir as our compat mode does."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.faults.chaos import ENV
from tests.parity import evaluated
from vlmeval_mp import demo
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.runs import results
from vlmeval_mp.scoring.base import COMPAT

ROWS = 12
CONFIG = {
    "model": {
        "Qwen2-VL-2B-Instruct": {},
        "intern": {"class": "InternVLChat", "model_path": "OpenGVLab/InternVL2-1B", "version": "V2.0"},
        "mine": {
            "class": "Qwen2VLChat",
            "model_path": "Qwen/Qwen2-VL-2B-Instruct",
            "min_pixels": 1003520,
            "max_pixels": 12845056,
            "max_new_tokens": 1024,
        },
    },
    "data": {
        "MMStar": {"class": "ImageMCQDataset", "dataset": "MMStar"},
        "POPE": {"class": "ImageYORNDataset", "dataset": "POPE"},
        "Video-MME": {"class": "VideoMME", "dataset": "Video-MME", "nframe": 4, "use_subtitle": False},
        "MVBench_MP4_8frame": {},
    },
}
CLASSES = {
    "MMStar": ("ImageMCQDataset", "MMStar"),
    "POPE": ("ImageYORNDataset", "POPE"),
    "Video-MME": ("VideoMME", "Video-MME"),
    "MVBench_MP4_8frame": ("MVBench_MP4", "MVBench_MP4"),
}
REPLIES = [
    "A",
    "Yes",
    "No.",
    "(B) a dog",
    "B",
    "The answer is C",
    "no, it is not",
    "cat",
    "D. fish",
    "**Yes**",
    "C",
    "?",
]
OPTIONS = ["cat", "dog", "bird", "fish"]


def picture(row: int) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (row * 20, 40, 90)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def tsv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        lines = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        lines.writeheader()
        lines.writerows(rows)


def data_sets(folder: Path) -> None:
    """Small files of the four benchmarks' own columns in `folder`, which is `$LMUData`."""
    films = [folder / "video" / f"digits-0{number}.mp4" for number in range(2)]
    films[0].parent.mkdir()
    for film in films:
        film.write_bytes((Path(demo.__file__).parent / "data" / "videos" / film.name).read_bytes())
    base = [{"index": row, "question": f"What is in {row}?"} for row in range(ROWS)]
    image = [each | {"image": picture(each["index"])} for each in base]
    choice = dict(zip("ABCD", OPTIONS, strict=True))
    tsv(folder / "MMStar.tsv", [r | choice | {"answer": "ABCD"[r["index"] % 4], "category": "x"} for r in image])
    yes_no = [r | {"answer": ("Yes", "No")[r["index"] % 2], "category": "random,popular"} for r in image]
    tsv(folder / "POPE.tsv", yes_no)
    shown = [
        r | {"video": films[r["index"] % 2].stem, "video_path": f"video/{films[r['index'] % 2].name}"} for r in base
    ]
    about = {"duration": "short", "domain": "Knowledge", "sub_category": "Astronomy", "task_type": "Counting Problem"}
    lettered = str([f"{letter}. {text}" for letter, text in choice.items()])
    mme = [r | about | {"candidates": lettered, "answer": "ABCD"[r["index"] % 4]} for r in shown]
    tsv(folder / "Video-MME.tsv", mme)
    listed = [
        r
        | {"prefix": "video", "video": films[r["index"] % 2].name, "candidates": str(OPTIONS)}
        | {"answer": OPTIONS[r["index"] % 4], "task_type": ("Action Count", "Order")[r["index"] % 2]}
        for r in shown
    ]
    tsv(folder / "MVBench_MP4.tsv", listed)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit")
    data_sets(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    answers = {str(row): reply for row, reply in enumerate(REPLIES)}
    command = [sys.executable, "-m", "vlmeval_mp.cli", "launch", "--config", "config.json", "--work-dir", "outputs"]
    engine = ["--engine", "fake", "--engine-args", json.dumps({"answers": answers, "fail": ["7"]}), "--device", "cpu"]
    done = subprocess.run(
        [*command, *engine, "--plain"],
        cwd=folder,
        env={**ENV, "LMUData": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 1, done.stderr[-3000:]  # one sample of each data set fails, as scripted
    return folder


def test_vlmevalkit_scores_the_tree_as_our_compat_mode_does(launched: Path) -> None:
    asked, entries = [], []
    for model in CONFIG["model"]:
        (run,) = (launched / "outputs" / model).glob("T*")
        status = json.loads((run / "status.json").read_text())
        assert status["model_name"] == model
        assert list(status["datasets"]) == list(CONFIG["data"])
        for name, (kind, dataset) in CLASSES.items():
            entries.append((model, name, status["datasets"][name]))
            table = launched / "outputs" / model / f"{model}_{name}.xlsx"
            assert table.resolve() == run / f"{model}_{name}.xlsx"
            asked.append({"class": kind, "dataset": dataset, "file": str(table.resolve())})
    for (model, name, entry), said in zip(entries, evaluated(asked, "xlsx", launched), strict=True):
        assert "error" not in said, (model, name, said)
        assert entry["metrics"] == pytest.approx(said["metrics"], abs=1e-9), (model, name)


def test_vlmevalkit_reuses_the_tree_and_reports_its_numbers(launched: Path) -> None:
    asked = [
        {"root": str(launched / "outputs" / model), "model": model, "dataset": name, "indices": list(range(ROWS))}
        for model in CONFIG["model"]
        for name in CONFIG["data"]
    ]
    for each, said in zip(asked, evaluated(asked, "xlsx", launched), strict=True):
        link = launched / "outputs" / each["model"] / f"{each['model']}_{each['dataset']}.xlsx"
        assert Path(said["file"]) == link.resolve()
        assert said["complete"] == [False, True]  # the sample that failed is asked again there
        assert (said["row"]["infer_failed"], said["row"]["infer_total"]) == (1, ROWS)
        assert said["row"]["primary_metric_value"] is not None


def test_the_tree_has_what_the_run_s_summaries_have_in_compat(launched: Path) -> None:
    paths = JobsPaths(launched / "jobs").run("config")
    for model in CONFIG["model"]:
        (run,) = (launched / "outputs" / model).glob("T*")
        entries = json.loads((run / "status.json").read_text())["datasets"]
        for name, entry in entries.items():
            summary = results.read_summary(paths.results(model, name))
            assert summary is not None
            assert summary.other is not None
            assert entry["scoring"] == {summary.scoring: summary.metrics, COMPAT: summary.other.metrics}
            assert (entry["total"], entry["failed"]) == (ROWS, 1)
            # the same number, as a fraction here and as a fraction, percentage or count of right ones there
            compat = next(iter(summary.other.metrics.values()))
            theirs = entry["metrics"][entry["primary_metric"]]
            assert compat is not None
            assert any(theirs == pytest.approx(compat * scale, abs=5e-4) for scale in (1, 100, ROWS)), name
