"""`plan`: what is missing, what does not fit, and how long it takes, before anything is loaded."""

from __future__ import annotations

import json

import pytest

from tests.builders import text_tsv
from vlmeval_mp.cli import main
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_DEPENDENCY, EXIT_FAILED_SAMPLES
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.pool.devices import gpus, preflight
from vlmeval_mp.pool.devices.preflight import Finding
from vlmeval_mp.pool.planning import inputs, measuring
from vlmeval_mp.pool.worker.task import Measurement
from vlmeval_mp.runs.planning import PromptSizes


class Place:
    """A jobs folder and a text benchmark of `samples` samples."""

    def __init__(self, tmp_path, capsys):
        self.jobs, self.capsys = tmp_path / "jobs", capsys
        self.tsv = text_tsv(tmp_path / "numbers.tsv", 240)

    def words(self, verb, *more, data=None):
        what = ["--model", "fake", "--engine", "fake", "--data", str(data or self.tsv)]
        return [verb, *what, "--device", "cpu", "--max-workers", "1", "--jobs", str(self.jobs), *more]

    def plan(self, *more, data=None, code=EXIT_COMPLETE):
        assert main.main(self.words("plan", "--run", "r", "--json", *more, data=data)) == code
        return json.loads(self.capsys.readouterr().out)


@pytest.fixture
def place(tmp_path, capsys):
    return Place(tmp_path, capsys)


def test_prompts_are_measured_and_held_against_what_the_model_takes(place, capsys):
    (job,) = place.plan()["jobs"]
    longest = len(_prompt(200))
    assert job["sizes"]["most"] == longest
    even = [len(_prompt(number)) for number in range(0, 240, 20)]
    assert job["sizes"]["mean"] == pytest.approx(sum(even) / 12), "the longest ones do not count for the mean"
    found = place.plan("--engine-args", json.dumps({"context": longest + 100}))
    assert "answer ends after 100 tokens of 512" in found["remarks"][0]["text"]
    found = place.plan("--engine-args", json.dumps({"context": longest}))
    assert "such samples will fail" in found["remarks"][0]["text"]
    assert not (place.jobs / "r").exists(), "nothing was queued"


def _prompt(number):
    return (
        f"Question: Is {number} even?\nOptions:\nA. yes\nB. no\n"
        "Please select the correct answer from the options above. \n"
    )


def test_missing_media_are_counted_and_said_to_be_missing_where_they_were_looked_for(place, tmp_path):
    (tmp_path / "there.mp4").write_bytes(b"no video")
    rows = [f"{n}\t{'there.mp4' if n == 3 else f'gone{n}.mp4'}\tWhat is it?\tcat" for n in range(8)]
    some = tmp_path / "clips.tsv"
    some.write_text("\n".join(["index\tvideo\tquestion\tanswer", *rows]) + "\n")
    found = place.plan("--run", "some", data=some, code=EXIT_FAILED_SAMPLES)
    (said,) = [r for r in found["remarks"] if r["about"] == "clips" and "missing" in r["text"]]
    assert said["level"] == "warning"
    assert said["text"].startswith(f"7 of 8 videos are missing under {tmp_path}")
    all_ = tmp_path / "none.tsv"
    all_.write_text("\n".join(["index\tvideo\tquestion\tanswer", *(r for r in rows if "gone" in r)]) + "\n")
    found = place.plan("--run", "none", data=all_, code=EXIT_DEPENDENCY)
    assert any(r["text"].startswith(f"7 of 7 videos are missing under {tmp_path}") for r in found["remarks"])


def test_a_data_set_is_opened_and_looked_at_once_for_all_models(place, monkeypatch):
    monkeypatch.setattr(measuring, "measure", lambda *_: Measurement(able=False))
    place.plan()
    opened, looked, opening, look = [], [], Dataset.__init__, inputs.look

    def noted_opening(self, folder):
        opened.append(folder.name.partition("-")[0])
        opening(self, folder)

    def noted_look(dataset, job):
        looked.append(job.dataset)
        return look(dataset, job)

    monkeypatch.setattr(Dataset, "__init__", noted_opening)
    monkeypatch.setattr(inputs, "look", noted_look)
    found = place.plan("--model", "one", "two", "three")
    assert len(found["jobs"]) == 3
    assert opened == looked == ["numbers"]


def test_a_machine_that_cannot_run_it_and_a_judge_that_is_not_asked_are_said(place, monkeypatch, capsys):
    monkeypatch.setattr(preflight, "disk_room", lambda folder: Finding("disk", "error", "full", "make room"))
    assert main.main(place.words("launch", "--dry-run", "--judge", "gpt-4o")) == EXIT_DEPENDENCY
    out = capsys.readouterr().out
    assert "error: disk: full; make room" in out
    assert "warning: judge gpt-4o: is not asked" in out
    assert "time: unknown until a launch" in out


def test_a_run_that_is_answered_needs_no_time(place, capsys):
    assert main.main(place.words("launch", "--plain", "--run", "done")) == EXIT_COMPLETE
    main.main(place.words("plan", "--run", "done"))
    assert "time: every sample has its answer, so nothing is asked" in capsys.readouterr().out


@pytest.mark.slow
def test_after_one_launch_the_plan_of_another_run_is_within_half_again_of_what_it_takes(place):
    """Samples of 40 ms each, four at a time: sleeping decides, so that a busy machine changes little."""
    args = ["--engine-args", json.dumps({"latency": 0.04, "concurrency": 4})]
    assert main.main(place.words("launch", "--plain", "--run", "first", "--limit", "120", *args)) == EXIT_COMPLETE
    place.capsys.readouterr()
    planned = place.plan("--run", "second", *args)
    (job,) = planned["jobs"]
    assert job["seconds"] == pytest.approx(240 * 0.04 / 4, rel=0.5)
    assert job["basis"] == "its own pace in one earlier launch"
    assert planned["seconds"] > job["seconds"] + planned["models"][0]["startup"] - 0.01
    assert main.main(place.words("launch", "--plain", "--run", "second", *args)) == EXIT_COMPLETE
    place.capsys.readouterr()
    took = json.loads(JobsPaths(place.jobs).run("second").time.read_bytes())["serving"]
    assert took / 1.5 < job["seconds"] < took * 1.5
    left = place.plan("--run", "second", *args)
    assert (left["jobs"][0]["answered"], left["seconds"]) == (240, 0.0)


def test_the_plan_says_which_gpus_serve_a_model_and_that_its_weights_do_not_fit(tmp_path, monkeypatch, capsys):
    small = [GpuStats(f"GPU-{n}", n, "Tiny", 0, 2 * 10**9, 0) for n in range(2)]
    monkeypatch.setattr(gpus, "discover", lambda: small)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sizes = PromptSizes(measured=3, mean=500.0, most=900, media_mean=450.0, media_most=800)
    measured = Measurement({"demo+numbers": sizes}, context=2048, settings={"max_num_seqs": 256})
    monkeypatch.setattr(measuring, "measure", lambda *_: measured)
    words = ["plan", "--model", "demo", "--engine", "vllm", "--data", str(text_tsv(tmp_path / "numbers.tsv", 8))]
    main.main([*words, "--jobs", str(tmp_path / "jobs")])
    out = capsys.readouterr().out
    assert "demo (vllm): 2 × Tiny (GPU 0, GPU 1)" in out
    assert "max_num_seqs 256" in out
    assert "1,012 tokens (with the longest answer)" in out
    assert "warning: memory: demo: needs about 2.9 MB in bf16, and 2.0 GB cannot hold that beside its work" in out
    row = next(line for line in out.splitlines() if line.startswith("demo") and "numbers" in line)
    assert row.split()[2:9] == ["8", "500", "900", "450", "≤", "512", "yes"]
