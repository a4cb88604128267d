"""VLMEvalKit's own `evaluate` of each video benchmark reads our table of it, and gives our compat accuracy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import worker_for
from tests.datasets import videobench_files as files
from tests.parity import evaluated
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.exchange import workdir
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import results, snapshot, submit
from vlmeval_mp.runs.merge import merge

BENCHMARKS = {
    "VideoMME": (files.video_mme, ["B. (b) a dog", "Answer: C"]),
    "MVBench": (files.mvbench, ["A) a cat", "(B) (b) a dog", "B"]),
    "MVBench_MP4": (files.mvbench_mp4, ["(C)"]),
    "MLVU_MCQ": (files.mlvu_mcq, ["(B) 2", "red"]),
    "LongVideoBench": (files.long_video_bench, ["D", "Answer: A"]),
    "TempCompass_MCQ": (lambda folder: files.tempcompass(folder, "MCQ"), ["B. right", "Caption A", "Option 2"]),
    "TempCompass_YorN": (lambda folder: files.tempcompass(folder, "YorN"), ["Yes, it is."]),
}


def accuracy(metrics: dict[str, float]) -> float:
    """Of VLMEvalKit's flat metrics: a whole, or what is right (0) and asked (1) by group."""
    if "overall|overall" in metrics:
        return metrics["overall|overall"]
    groups = {name: value for name, value in metrics.items() if not name.startswith("overall")}
    right, whole = (sum(v for name, v in groups.items() if name.endswith(f"|{place}")) for place in (0, 1))
    return right / whole


@pytest.mark.parametrize("form", ["xlsx", "tsv"])
async def test_their_evaluate_gives_our_accuracy(tmp_path: Path, form: str) -> None:
    asked, ours = [], []
    for kind, (write, replies) in BENCHMARKS.items():
        tsv = write(tmp_path / kind)
        config = {
            "model": {"m": {"path": "m"}},
            "data": {tsv.stem: {"path": str(tsv), "nframe": 2}},
            "engine_args": {"answers": {str(row): reply for row, reply in enumerate(replies)}},
        }
        spec = build(config, Overrides(engine="fake"), name=kind, default_engine="fake")
        paths = submit.submit(spec, JobsPaths(tmp_path / "jobs"))[0]
        record = snapshot.read_record(paths)
        assert await live(worker_for(paths, record)) == 0
        (job,) = record.jobs
        rules = results.rules_of(record.spec, job)
        answered = merge(paths, job)
        summary = results.write(paths.results(job.model, job.dataset), job.model, job.dataset, *answered, rules)
        assert (summary.counts.failed, summary.counts.total) == (0, len(replies)), kind
        (folder,) = workdir.export(paths, record, tmp_path / "out", form, 1_700_000_000.0).folders
        entry = json.loads((folder / "status.json").read_text())["datasets"][tsv.stem]
        asked.append({"class": kind, "dataset": tsv.stem, "file": str(folder / entry["prediction_file"])})
        _, compat = results.judged(job.model, job.dataset, *answered, replace(rules, mode="compat"))
        ours.append(compat.metrics[compat.primary_metric])
    for kind, own, said in zip(BENCHMARKS, ours, evaluated(asked, form, tmp_path), strict=True):
        assert "error" not in said, (kind, said)
        assert accuracy(said["metrics"]) == pytest.approx(own), kind
    assert len(set(ours)) > 3, "the accuracies do not tell the benchmarks apart"
