"""A benchmark of VLMEvalKit's that we have no scorer for, as a user runs it: by its name, with `launch` and `eval`."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from vlmeval_mp.vlmevalkit import evaluation

ENV = {**os.environ, "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def run(lmu, tmp_path):
    def command(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "vlmeval_mp.cli", *map(str, arguments), "--jobs", str(tmp_path / "jobs")],
            env={**ENV, "LMUData": str(lmu.folder)}, capture_output=True, text=True, timeout=250,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return command


def launch(*data):
    return ["launch", "--model", "m", "--engine", "fake", "--device", "cpu", "--plain", "--run", "r", "--data", *data]


def answers(table):
    return ["--engine-args", json.dumps({"answers": table})]


def summary_of(tmp_path, dataset):
    return json.loads((tmp_path / "jobs/r/results/m" / dataset / "summary.json").read_text())


def test_a_benchmark_with_a_prompt_of_its_own_is_answered_and_scored_by_its_class(run, lmu, tmp_path):
    lmu.count_bench()
    table = {"1": "1", "2": "two", "3": "I see 3", "4": "5"}
    tree = tmp_path / "outputs"
    done = run(*launch("CountBenchQA"), *answers(table), "--max-workers", "1", "--work-dir", tree)
    found = summary_of(tmp_path, "CountBenchQA")
    assert found["metrics"] == {"accuracy": 50.0}
    assert found["scoring"] == "vlmevalkit (ms-vlmeval 0.0.20)"
    assert found["counts"]["scored"] == 4
    assert "50.00" in done.stdout
    assert "scored as vlmevalkit (ms-vlmeval 0.0.20)" in done.stdout
    files = {p.name for p in (tmp_path / "jobs/r/results/m/CountBenchQA/vlmevalkit").iterdir()}
    assert {"m_CountBenchQA.tsv", "m_CountBenchQA_acc.csv"} < files
    assert (tree / "m/m_CountBenchQA_acc.csv").read_text().splitlines() == ['"accuracy"', '"50.0"']
    (status,) = (tree / "m").glob("T*/status.json")
    assert json.loads(status.read_text())["datasets"]["CountBenchQA"]["metrics"] == {"accuracy": 50.0}
    before = (tmp_path / "jobs/r/results/m/CountBenchQA/summary.json").read_bytes()
    run("eval", "r", "--judge", "exact_matching")
    assert (tmp_path / "jobs/r/results/m/CountBenchQA/summary.json").read_bytes() == before


def test_the_tree_under_work_dir_has_the_evaluator_s_own_files(run, lmu, tmp_path):
    lmu.count_bench()
    table = {"1": "1", "2": "two", "3": "I see 3", "4": "5"}
    run(*launch("CountBenchQA"), *answers(table), "--max-workers", "1", "--work-dir", tmp_path / "out")
    (tree,) = (tmp_path / "out" / "m").glob("T*")
    entry = json.loads((tree / "status.json").read_text())["datasets"]["CountBenchQA"]
    assert (entry["primary_metric"], entry["metrics"]) == ("accuracy", {"accuracy": 50.0})
    assert {"m_CountBenchQA.xlsx", "m_CountBenchQA_acc.csv"} < {p.name for p in tree.iterdir()}
    assert (tmp_path / "out" / "m" / "m_CountBenchQA_acc.csv").resolve() == tree / "m_CountBenchQA_acc.csv"


def test_several_data_sets_and_a_limit(run, lmu, tmp_path):
    """VizWiz: ten people's answers in a column of its own; a person's answer counts against the other nine."""
    lmu.viz_wiz()
    lmu.count_bench()
    table = {"1": "thing 1", "2": "no idea", "3": "thing 3"}
    run(*launch("VizWiz", "CountBenchQA"), *answers(table), "--limit", "2", "--max-workers", "1")
    found = summary_of(tmp_path, "VizWiz")
    assert (found["primary_metric"], found["metrics"]) == ("Overall", {"Overall": 50.0})
    assert found["counts"]["total"] == 2
    assert summary_of(tmp_path, "CountBenchQA")["metrics"] == {"accuracy": 50.0}


def test_a_set_that_needs_a_judge_ends_with_its_answers_and_a_clear_line(run, lmu, tmp_path):
    lmu.mmvet()
    done = run(*launch("MMVet"), "--max-workers", "1")
    found = summary_of(tmp_path, "MMVet")
    assert (found["metrics"], found["counts"]["unscored"], found["counts"]["failed"]) == ({}, 3, 0)
    assert "MMVet: needs a judge: MMVet.evaluate asks one, and none was named." in done.stdout
    warned = done.stdout.index(
        "warning: MMVet: scored by VLMEvalKit with a judge, and none is named: give --judge NAME"
    )
    assert warned < done.stdout.index("w0 started")
    silent = run(*launch("MMVet"), "--max-workers", "1", "--run", "other", "--mode", "infer")
    assert "scored by VLMEvalKit with a judge" not in silent.stdout + silent.stderr
    assert len((tmp_path / "jobs/r/results/m/MMVet/predictions.jsonl").read_text().splitlines()) == 3


def test_an_evaluator_that_fails_costs_no_answer_and_no_other_data_set(run, lmu, tmp_path):
    lmu.write("VizWiz", [{"index": 1, "image": "A" * 80, "question": "q", "answer": "a"}])
    lmu.count_bench()
    done = run(*launch("VizWiz", "CountBenchQA"), "--max-workers", "1", code=1)
    assert "m on VizWiz: not scored" in done.stderr
    assert summary_of(tmp_path, "CountBenchQA")["metrics"]["accuracy"] >= 0
    assert summary_of(tmp_path, "VizWiz")["counts"]["failed"] == 1  # no picture in it


def test_vlmevalkits_config_names_class_and_data_set(run, lmu, tmp_path):
    lmu.count_bench()
    config = tmp_path / "config.json"
    data = {"Counting": {"class": "CountBenchQA", "dataset": "CountBenchQA"}}
    config.write_text(json.dumps({"model": {"m": {}}, "data": data, "engine": "fake"}))
    how = ("--device", "cpu", "--plain", "--run", "r", "--max-workers", "1")
    run("launch", config, *how, *answers({str(i): str(i) for i in range(1, 5)}))
    assert summary_of(tmp_path, "Counting")["metrics"] == {"accuracy": 100.0}
    record = json.loads((tmp_path / "jobs/r/run.json").read_text())
    assert record["fingerprint"]["data.Counting.prompt"] == "vlmevalkit"


def test_without_vlmeval_the_install_line_is_said(run, lmu, monkeypatch):
    lmu.count_bench()
    monkeypatch.setitem(ENV, "VLMEVALKIT_PYTHON", "/nowhere/python")
    done = run(*launch("CountBenchQA"), code=3)
    assert "VLMEVALKIT_PYTHON: /nowhere/python cannot be started" in done.stderr


def test_a_misspelt_name_gets_the_nearest_and_a_missing_file_where_it_was_looked_for(run, lmu):
    assert "did you mean 'CountBenchQA'?" in run(*launch("CountBenhQA"), code=2).stderr
    said = run(*launch("VizWiz"), code=2).stderr
    assert f"{lmu.folder}/VizWiz.tsv" in said
    assert "the official file is https://" in said


def test_imported_answers_are_scored_by_its_class_too(run, lmu, tmp_path):
    lmu.count_bench()
    rows = [
        f"{i}\tHow many cats are in picture {i}?\t{i}\t{said}" for i, said in ((1, "1"), (2, "two"), (3, "3"), (4, "4"))
    ]
    (tmp_path / "m_CountBenchQA.tsv").write_text("\n".join(["index\tquestion\tanswer\tprediction", *rows]) + "\n")
    what = ["--model", "m", "--engine", "fake", "--data", "CountBenchQA", "--run", "r"]
    done = run("import", tmp_path / "m_CountBenchQA.tsv", *what)
    assert "4 answers imported" in done.stderr
    found = summary_of(tmp_path, "CountBenchQA")
    assert found["metrics"] == {"accuracy": 75.0}
    assert found["imported"] == {str(tmp_path / "m_CountBenchQA.tsv"): 4}


def test_an_import_says_of_which_answers_there_is_no_score(run, lmu, tmp_path):
    lmu.mmvet(1)
    (tmp_path / "m_MMVet.tsv").write_text("index\tquestion\tprediction\n1\tWhat is 1?\tthing 1\n")
    done = run("import", tmp_path / "m_MMVet.tsv", "--model", "m", "--engine", "fake", "--data", "MMVet", "--run", "r")
    assert "import: m on MMVet: no score: needs a judge: MMVet.evaluate asks one" in done.stderr


def test_a_second_ctrl_c_waits_for_no_evaluator_and_the_next_launch_scores(run, lmu, tmp_path):
    lmu.count_bench()
    words = [*launch("CountBenchQA"), *answers({"1": "1"}), "--max-workers", "1", "--jobs", str(tmp_path / "jobs")]
    with evaluation.lock():  # as another launch's evaluator does, for hours
        process = subprocess.Popen(
            [sys.executable, "-m", "vlmeval_mp.cli", *words], env={**ENV, "LMUData": str(lmu.folder)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        log = tmp_path / "jobs/r/results/m/CountBenchQA/vlmevalkit"
        deadline = time.monotonic() + 120
        while not log.is_dir() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Ctrl-C again stops at once" in said
    assert "m on CountBenchQA: no score yet, 4 of 4 samples are answered" in said
    assert f"vlmeval-mp resume {tmp_path}/jobs/r" in said
    assert not (tmp_path / "jobs/r/results/m/CountBenchQA/summary.json").exists()
    run(*words[:-2])
    assert summary_of(tmp_path, "CountBenchQA")["counts"]["scored"] == 4
