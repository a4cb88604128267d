"""Every image benchmark of the table against ms-vlmeval's own classes: the facts, and what each sample is asked."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.parity import THEIRS
from vlmeval_mp.core.records import DataSpec, ImagePart, Part, Sample, TextPart
from vlmeval_mp.datasets.benchmarks import BENCHMARKS
from vlmeval_mp.datasets.store import prepare
from vlmeval_mp.requests import prompts
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS
from vlmeval_mp.runs import submit
from vlmeval_mp.vlmevalkit import registry

TYPES = {"mcq": {"MCQ", "MCQ_MMMU_Pro"}, "yorn": {"Y/N"}, "vqa": {"VQA"}}
MODELS = ("qwen2_vl", "qwen3_vl", "internvl")
QUESTIONS = ["What is in <image 1>?", "哪只是猫?", "Please directly answer the question and say\nhow many.", " A (b)? "]


def picture(*color: int) -> str:
    """A PNG of one color; noise beside the first pixel keeps it above the 64 characters of a reference."""
    image = Image.effect_noise((9, 9), 90).convert("RGB")
    image.putpixel((0, 0), color)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def index(name: str, row: int) -> str:
    if name.startswith("MMMU"):
        return f"validation_Accounting_{row}"
    return f"VD_figure_0_{row}_1_0" if name == "HallusionBench" else str(row + 1)


def table(name: str) -> list[dict[str, str]]:
    """A file with the official columns: one picture, two, another row's, none, and a question without options."""
    kind = BENCHMARKS[name].kind
    two = [picture(20, 1, 0), picture(20, 2, 0)]
    single = BENCHMARKS[name].prompt.startswith("mmmu-pro-v")
    images = [picture(10, 0, 0), two[0] if single else str(two), index(name, 0), "", picture(40, 0, 0)]
    rows = []
    for row, image in enumerate(images):
        question = QUESTIONS[row % len(QUESTIONS)]
        if row == 1 and name.startswith("MMMU"):
            question = "<image 2> and <image 1>: <image 2>"
        found = {"index": index(name, row), "image": image, "question": question, "answer": "A"}
        if kind == "mcq":
            letters = "ABCDEFGHIJ" if name.startswith("MMMU_Pro") else "ABCD"
            options = {letter: f"option {letter}" for letter in letters} | {"D": "" if row == 1 else "选项"}
            found |= dict.fromkeys(letters, "") if row == 4 else options
            found |= {"hint": "look left" if row in (0, 4) else "", "category": "x", "l2-category": "y", "split": "dev"}
        if single:
            del found["question"]
        rows.append(found)
    return rows


@pytest.fixture(scope="module")
def lmu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("LMUData")
    for name in BENCHMARKS:
        rows = table(name)
        with (folder / f"{name}.tsv").open("w", newline="") as file:
            lines = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
            lines.writeheader()
            lines.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def theirs(lmu: Path) -> dict[str, Any]:
    done = subprocess.run(
        [os.environ.get("VLMEVALKIT_PYTHON", sys.executable), str(THEIRS.with_name("theirprompts.py"))],
        input=json.dumps(list(BENCHMARKS)),
        capture_output=True,
        text=True,
        env={**os.environ, "LMUData": str(lmu)},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def ours(lmu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LMUData", str(lmu))

    def samples(name: str) -> tuple[DataSpec, list[Sample], Path]:
        spec = submit.resolved_data(DataSpec(name=name, path=name))
        dataset = prepare(spec, tmp_path)
        return spec, dataset.samples(0, len(dataset) - 1), dataset.folder

    return samples


def told(parts: tuple[Part, ...], folder: Path) -> list[list[Any]]:
    found: list[list[Any]] = []
    for part in parts:
        if isinstance(part, TextPart):
            found.append(["text", part.text])
        else:
            assert isinstance(part, ImagePart)
            found.append(["image", list(Image.open(folder / part.media.file).convert("RGB").getpixel((0, 0)))])  # type: ignore[arg-type]
    return found


def test_the_facts_of_every_benchmark_are_ms_vlmevals(theirs: dict[str, Any]) -> None:
    assert list(theirs) == [*BENCHMARKS, "videos"]
    for name, video in VIDEO_BENCHMARKS.items():
        assert theirs["videos"][name] == video.md5, name
    for name, benchmark in BENCHMARKS.items():
        assert theirs[name]["type"] in TYPES[benchmark.kind], name
        assert theirs[name]["md5"] == benchmark.md5, name
        assert theirs[name]["url"] == registry.known()[name].source, name


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_sample_is_asked_as_the_data_set_class_asks_it(name: str, theirs: dict[str, Any], ours: Any) -> None:
    spec, samples, folder = ours(name)
    assert [s.index for s in samples] == [row["index"] for row in theirs[name]["rows"]]
    assert [s.row for s in samples] == list(range(4))  # the row without a picture is left out by both
    for sample, row in zip(samples, theirs[name]["rows"], strict=True):
        (message,) = prompts.build(sample, spec.prompt, dataset=name)
        assert told(message.parts, folder) == [part for part in row["dataset"] if part != ["text", ""]]


@pytest.mark.parametrize("model", MODELS)
def test_every_sample_is_asked_as_the_model_class_asks_it(model: str, theirs: dict[str, Any], ours: Any) -> None:
    custom = 0
    for name in BENCHMARKS:
        spec, samples, folder = ours(name)
        for sample, row in zip(samples, theirs[name]["rows"], strict=True):
            (message,) = prompts.build(sample, spec.prompt, model=model, dataset=name)
            if row[model] is None:
                wanted: object = [part for part in row["dataset"] if part != ["text", ""]]
                assert told(message.parts, folder) == wanted, (name, sample.index)
                continue
            custom += 1
            found: object = told(message.parts, folder)
            if model == "internvl":  # one text with marks for its pictures, which are in their order
                found = in_one_text(message.parts)
            assert found == row[model], (name, sample.index)
    assert custom > 300


def in_one_text(parts: tuple[Part, ...]) -> str:
    alone = sum(isinstance(part, ImagePart) for part in parts) == 1
    mark = "<image>\n" if alone else "<image>"
    return "".join(part.text if isinstance(part, TextPart) else mark for part in parts)
