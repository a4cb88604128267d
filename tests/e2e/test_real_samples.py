"""Real benchmark samples and every hostile file through real vLLM: what is broken costs itself, the rest is answered.

The demo model knows digits only, so its answers to real samples mean nothing; the path does. The model is named as in a
VLMEvalKit config, and VLMEvalKit scores its answers to the digits. One launch serves all tests: vLLM starts for long.
"""

import csv
import json
import subprocess
import sys

import pytest

from tests.conftest import shared_data
from tests.engines.contract import MODEL
from tests.faults.chaos import ENV
from tests.helpers import long_fields
from tests.parity import evaluated
from vlmeval_mp.core.paths import JobsPaths

SETS = ("MCQ_mini", "MCQ_CN_mini", "YORN_mini", "VQA_mini", "MULTI_mini", "VIDEO_mini")
DIGITS = {"DigitsMCQ": "ImageMCQDataset", "DigitsYORN": "ImageYORNDataset"}
MUST_FAIL = {"reject", "reject_bomb"}
MAY_FAIL = {"decode_small", "decode_aspect", "decode_or_reject_large", "any_no_crash"}
BROKEN_VIDEOS = {"videos/empty.mp4", "videos/truncated.mp4", "videos/text.mp4"}
BROKEN_ROWS = {"6", "7", "8", "14", "15", "20"}


def hostile_files(folder):
    """The manifest's images and videos as two data sets that name them where they are."""
    hostile = shared_data() / "hostile"
    items = json.loads((hostile / "manifest.json").read_text())["items"]
    for name, column, chosen in (
        ("hostile_images", "image_path", [i["file"] for i in items if "pillow" in i]),
        ("hostile_videos", "video_path", [i["file"] for i in items if "pyav" in i]),
    ):
        rows = "".join(f"{file}\t{file}\tWhat is shown?\tit\n" for file in chosen)
        (folder / f"{name}.tsv").write_text(f"index\t{column}\tquestion\tanswer\n{rows}")
        for file in chosen:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes((hostile / file).read_bytes())
    return {i["file"]: i.get("expect", "any_no_crash") for i in items}


def hostile_rows(folder):
    """hostile_rows.tsv without the two rows for which a whole file is refused."""
    with long_fields(), (shared_data() / "hostile" / "hostile_rows.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    kept = [rows[0]] + [r for r in rows[1:] if r[0] not in ("2", "12")]
    with (folder / "hostile_rows.tsv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t").writerows(kept)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    expected = hostile_files(folder)
    hostile_rows(folder)
    data = {name: {"path": str(shared_data() / f"{name}.tsv"), "nframe": 4} for name in SETS}
    data |= {n: {"path": str(folder / f"{n}.tsv")} for n in ("hostile_images", "hostile_videos", "hostile_rows")}
    data |= {name: {"class": kind, "dataset": name, "limit": 24} for name, kind in DIGITS.items()}
    # "The digit is 8. Answer: D" is ten tokens
    model = {"class": "Qwen2VLChat", "model_path": MODEL, "max_new_tokens": 12, "use_custom_prompt": False}
    config = {"model": {"demo": model}, "data": data, "max_workers": 1}
    (folder / "real.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "vlmeval_mp.cli", "launch", str(folder / "real.json"), "--device", "cpu"]
    where = ["--jobs", str(folder / "jobs"), "--work-dir", str(folder / "outputs"), "--plain"]
    done = subprocess.run([*command, *where], env=ENV, capture_output=True, text=True, timeout=540)
    assert done.returncode == 1, done.stdout + done.stderr
    return JobsPaths(folder / "jobs").run("real"), expected


def predictions(paths, dataset):
    lines = (paths.results("demo", dataset) / "predictions.jsonl").read_bytes().splitlines()
    return {p["index"]: p for p in map(json.loads, lines)}


@pytest.mark.vllm
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dataset", SETS)
def test_every_real_sample_is_answered(run, dataset):
    found = predictions(run[0], dataset)
    assert len(found) > 0
    assert [p for p in found.values() if "error" in p] == []


@pytest.mark.vllm
def test_every_hostile_image_is_refused_or_answered_as_its_manifest_says(run):
    paths, expected = run
    for file, found in predictions(paths, "hostile_images").items():
        if expected[file] in MUST_FAIL:
            assert file in found["error"]
        elif expected[file] not in MAY_FAIL:
            assert "prediction" in found, found
        else:
            assert found.get("error", "x"), "an error must say what is wrong"


@pytest.mark.vllm
def test_every_hostile_video_is_refused_or_answered(run):
    found = predictions(run[0], "hostile_videos")
    assert {index for index, p in found.items() if "error" in p} >= BROKEN_VIDEOS
    assert "prediction" in found["videos/one_frame.mp4"]


@pytest.mark.vllm
def test_every_hostile_row_costs_only_itself(run):
    found = predictions(run[0], "hostile_rows")
    assert {index for index, p in found.items() if "error" in p} == BROKEN_ROWS
    assert len(found) == 19


@pytest.mark.vllm
@pytest.mark.kit
def test_vlmevalkit_scores_the_digits_as_we_do(run):
    folder = run[0].root.parent.parent
    (tree,) = (folder / "outputs" / "demo").glob("T*")
    entries = json.loads((tree / "status.json").read_text())["datasets"]
    asked = [{"class": kind, "dataset": n, "file": str(tree / f"demo_{n}.xlsx")} for n, kind in DIGITS.items()]
    for name, said in zip(DIGITS, evaluated(asked, "xlsx", folder), strict=True):
        assert entries[name]["metrics"] == pytest.approx(said["metrics"], abs=1e-9), name
        assert entries[name]["metrics"][entries[name]["primary_metric"]] > 0.5
