"""A benchmark by its name alone: found in $LMUData, asked, scored and published as VLMEvalKit would."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.builders import worker_for
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import Summary
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import results, snapshot, submit
from vlmeval_mp.runs.merge import merge


def picture(value: int) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), (value, 0, 0)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def lmu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "LMUData"
    folder.mkdir()
    monkeypatch.setenv("LMUData", str(folder))
    return folder


async def run(tmp_path: Path, name: str, answers: dict[str, str], mode: str = "strict") -> Summary:
    flags = Overrides(models=("fake",), data=(name,), engine="fake", engine_args={"answers": answers}, scoring=mode)
    paths = submit.submit(build({}, flags, name=mode, default_engine="fake"), JobsPaths(tmp_path / "jobs"))[0]
    record = snapshot.read_record(paths)
    assert await live(worker_for(paths, record)) == 0
    (job,) = record.jobs
    folder = paths.results(job.model, job.dataset)
    return results.write(folder, job.model, job.dataset, *merge(paths, job), results.rules_of(record.spec, job))


async def test_pope_is_published_by_its_f1_with_an_error_by_picture(tmp_path: Path, lmu: Path) -> None:
    lines = ["index\timage\tquestion\tanswer\tcategory"]
    for index in range(12):
        image = picture(index) if index % 3 == 0 else str(index // 3 * 3)
        lines.append(
            f"{index}\t{image}\tIs it?\t{('Yes', 'No')[index % 2]}\t{('random,popular', 'popular')[index % 2]}"
        )
    (lmu / "POPE.tsv").write_text("\n".join([*lines, "12\t\tno picture\tYes\trandom"]) + "\n")
    said = {str(index): ("Yes", "No", "Yes")[index % 3] for index in range(12)}
    summary = await run(tmp_path, "POPE", said)
    assert (summary.primary_metric, summary.counts.total) == ("f1", 12)  # the row without a picture is left out
    # yes to 0, 2, 3, 5, 6, 8, 9, 11; the even ones are right
    assert summary.metrics["f1"] == pytest.approx(2 * 4 / (6 + 8))
    assert summary.metrics["yes_ratio"] == pytest.approx(8 / 12)
    assert summary.stderr is not None
    assert {name: group["total"] for name, group in summary.by_category.items()} == {"popular": 12, "random": 6}
    compat = await run(tmp_path, "POPE", said, "compat")
    assert compat.metrics["f1"] == pytest.approx(2 * 8 / (12 + 12))  # each even sample twice
    assert compat.other is not None
    assert compat.other.metrics["f1"] == pytest.approx(summary.metrics["f1"])


async def test_mmbench_is_published_by_its_circular_accuracy(tmp_path: Path, lmu: Path) -> None:
    lines = ["index\timage\tquestion\tA\tB\tanswer\tl2-category\tcategory\tsplit"]
    for turn in range(2):
        for question in range(1, 5):
            image = picture(question) if turn == 0 else str(question)
            lines.append(f"{question + turn * 1_000_000}\t{image}\tq\tcat\tdog\t{'AB'[turn]}\tx\ty\tdev")
    (lmu / "MMBench_DEV_EN.tsv").write_text("\n".join(lines) + "\n")
    said = {str(q): "A" for q in range(1, 5)} | {str(q + 1_000_000): "BBAB"[q - 1] for q in range(1, 5)}
    summary = await run(tmp_path, "MMBench_DEV_EN", said)
    assert summary.primary_metric == "circular_accuracy"
    assert summary.metrics["circular_accuracy"] == 0.75
    assert summary.metrics["vanilla_accuracy"] == 7 / 8
    assert summary.by_l2_category["x"]["circular_accuracy"] == 0.75


async def test_mathvista_is_broken_down_by_task_and_skill(tmp_path: Path, lmu: Path) -> None:
    columns = ["index", "image", "question", "answer", "question_type", "answer_type", "choices", "answer_option"]
    lines = ["\t".join([*columns, "task", "skills"])]
    for index, (task, skills) in enumerate([("geometry", "['a', 'b']"), ("figures", "['b']")]):
        asked = [str(index), picture(index), "q", "cat", "multi_choice", "text", "['cat', 'dog']", "A"]
        lines.append("\t".join([*asked, task, skills]))
    (lmu / "MathVista_MINI.tsv").write_text("\n".join(lines) + "\n")
    summary = await run(tmp_path, "MathVista_MINI", {"0": "A", "1": "B"})
    found = {column: {n: g["accuracy"] for n, g in groups.items()} for column, groups in summary.by.items()}
    assert found["task"] == {"figures": 0.0, "geometry": 1.0}
    assert found["skills"] == {"a": 1.0, "b": 0.5}
    written = json.loads((tmp_path / "jobs/strict/results/fake/MathVista_MINI/summary.json").read_text())
    assert written["by"]["skills"]["b"]["total"] == 2
