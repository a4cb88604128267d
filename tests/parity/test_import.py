"""Answers that VLMEvalKit has become a run's own, and a launch asks only the rest."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pandas as pd
import pytest

from tests.builders import fake_spec, text_tsv, worker_for
from vlmeval_mp.cli import takeover
from vlmeval_mp.cli.main import main
from vlmeval_mp.core.errors import ConfigError, StorageError
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.exchange import intake
from vlmeval_mp.exchange.predictions import FAILED
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import results, snapshot, submit
from vlmeval_mp.runs.checkpoint import Checkpoint
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.queue import Queue

SAMPLES = 10


def a_run(tmp_path: Path, **engine_args):
    tsv = text_tsv(tmp_path / "numbers.tsv", SAMPLES)
    spec = fake_spec(tsv, config={"shard_size": 4}, **engine_args)
    paths, record, _ = submit.submit(spec, JobsPaths(tmp_path / "jobs"))
    return paths, record


def theirs(path: Path, predictions: dict[int, str], **columns) -> Path:
    """A prediction file as ms-vlmeval's `dump` writes it, with xlsxwriter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"index": i, "question": f"Is {i} even?", "A": "yes", "B": "no", "answer": "AB"[i % 2], "prediction": said}
        for i, said in predictions.items()
    ]
    frame = pd.DataFrame(rows).assign(**columns)
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False, engine="xlsxwriter")
    elif path.suffix == ".tsv":
        frame.to_csv(path, sep="\t", index=False, quoting=1)
    else:
        path.write_text(json.dumps(frame.to_dict("records"), indent=4, ensure_ascii=False))
    return path


def asked(log: Path) -> set[int]:
    return {int(line.split()[0]) for line in log.read_text().splitlines()} if log.exists() else set()


@pytest.mark.parametrize("ending", ["xlsx", "tsv", "json"])
async def test_what_a_file_has_is_taken_and_only_the_rest_is_asked(tmp_path, capsys, ending):
    log = tmp_path / "asked"
    paths, record = a_run(tmp_path, log=str(log))
    said = {i: f"it is {i}" for i in range(7)} | {2: FAILED, 5: "Failed to obtain answer: <class 'RuntimeError'> oom"}
    file = theirs(tmp_path / "out" / "fake" / f"fake_numbers.{ending}", said)
    assert takeover.into(paths, record, tmp_path / "out", unpickle=False) == 5
    told = capsys.readouterr().err
    assert f"fake on numbers: 5 answers imported from {file} (2 failed there, 3 not in the file); 5 left to ask" in told
    assert "VLMEvalKit keeps no prompt, sampling or version with its answers" in told
    assert await live(worker_for(paths, record)) == 0
    assert asked(log) == {2, 5, 7, 8, 9}
    _, predictions = merge(paths, record.jobs[0])
    for prediction in predictions:
        mine = prediction.row not in asked(log)
        assert prediction.imported_from == (str(file) if mine else "")
        assert (prediction.prediction == said.get(prediction.row)) == mine


async def test_shards_that_are_answered_in_full_are_done_and_pinned(tmp_path):
    paths, record = a_run(tmp_path)
    theirs(tmp_path / "fake_numbers.tsv", dict.fromkeys(range(6), "A"))
    takeover.into(paths, record, tmp_path / "fake_numbers.tsv", unpickle=False)
    queue = Queue(paths.queue)
    queue.read_news()
    (done,) = queue.done.values()
    assert (done.shard.first, done.shard.last, done.worker) == (0, 3, "import")
    assert [p.prediction for p in Index(paths.checkpoints, done.shard.job, 12).load(done)] == ["A"] * 4
    waiting = {(e.shard.first, e.attempt) for e in queue.entries("pending")}
    assert waiting == {(4, 1), (8, 1)}
    assert not queue.entries("claimed")


async def test_what_the_run_has_answered_itself_stays(tmp_path, capsys):
    paths, record = a_run(tmp_path, answers={str(i): f"mine {i}" for i in range(SAMPLES)})
    assert await live(worker_for(paths, record)) == 0
    theirs(tmp_path / "fake_numbers.tsv", dict.fromkeys(range(SAMPLES), "theirs"))
    assert takeover.into(paths, record, tmp_path / "fake_numbers.tsv", unpickle=False) == 0
    assert "0 answers imported" in capsys.readouterr().err
    assert [p.prediction for p in merge(paths, record.jobs[0])[1]] == [f"mine {i}" for i in range(SAMPLES)]


async def test_twice_is_once(tmp_path):
    paths, record = a_run(tmp_path)
    file = theirs(tmp_path / "fake_numbers.tsv", dict.fromkeys(range(6), "A"))
    counts = [takeover.into(paths, record, file, unpickle=False) for _ in range(2)]
    assert counts == [6, 0]


def test_imports_however_many_count_as_no_attempt_to_answer(tmp_path):
    """After fifty attempts a shard is given up, and a launch with --reuse imports each time."""
    paths, record = a_run(tmp_path)
    file = theirs(tmp_path / "fake_numbers.tsv", {0: "A"})
    for _ in range(3):
        takeover.into(paths, record, file, unpickle=False)
    assert {e.attempt for e in Queue(paths.queue).entries("pending")} == {1}


def test_an_import_that_breaks_gives_its_claims_back_and_the_next_goes_on(tmp_path, monkeypatch):
    paths, record = a_run(tmp_path)
    file = theirs(tmp_path / "fake_numbers.tsv", dict.fromkeys(range(6), "A"))
    recorded = Checkpoint.record

    def breaks(self, job, prediction):
        if prediction.row == 2:
            raise StorageError("the disk is full")
        return recorded(self, job, prediction)

    monkeypatch.setattr(Checkpoint, "record", breaks)
    with pytest.raises(StorageError):
        takeover.into(paths, record, file, unpickle=False)
    queue = Queue(paths.queue)
    assert not queue.entries("claimed")
    assert {e.attempt for e in queue.entries("pending")} == {1}
    monkeypatch.undo()
    assert takeover.into(paths, record, file, unpickle=False) == 4
    assert len(queue.done_names()) == 1


def test_claims_of_an_import_that_was_killed_are_taken_over(tmp_path, monkeypatch):
    paths, record = a_run(tmp_path)
    file = theirs(tmp_path / "fake_numbers.tsv", dict.fromkeys(range(SAMPLES), "A"))
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(intake, "_record", lambda *_: os._exit(9))
        takeover.into(paths, record, file, unpickle=False)
    os.waitpid(child, 0)
    queue = Queue(paths.queue)
    assert len(queue.entries("claimed")) == 3
    assert takeover.into(paths, record, file, unpickle=False) == SAMPLES
    assert len(queue.done_names()) == 3


def test_the_summary_says_what_was_imported(tmp_path):
    paths, record = a_run(tmp_path)
    file = theirs(tmp_path / "fake_numbers.tsv", dict.fromkeys(range(SAMPLES), "A"))
    takeover.into(paths, record, file, unpickle=False)
    takeover.finish(paths, record, record.spec)
    summary = results.read_summary(paths.results("fake", "numbers"))
    assert summary.imported == {str(file): SAMPLES}
    assert summary.metrics["accuracy"] == 0.5


REFUSED = [
    ({"question": "Is this another question?"}, "row 1, index '0': its question is not the data set's"),
    ({"index": range(90, 93)}, "row 1, index '90': the data set has no such sample"),
    ({"index": [0, 1, 1], "question": [f"Is {i} even?" for i in (0, 1, 1)]}, "rows 2 and 3 have the same index '1'"),
]


@pytest.mark.parametrize("ending", ["xlsx", "tsv", "json"])
@pytest.mark.parametrize(("columns", "message"), REFUSED)
def test_a_file_of_other_questions_is_refused_and_nothing_is_taken(tmp_path, ending, columns, message):
    paths, record = a_run(tmp_path)
    file = theirs(tmp_path / f"fake_numbers.{ending}", dict.fromkeys(range(3), "A"), **columns)
    with pytest.raises(ConfigError, match=message):
        takeover.into(paths, record, file, unpickle=False)
    assert not list(paths.checkpoints.rglob("*.jsonl"))
    assert {e.attempt for e in Queue(paths.queue).entries("pending")} == {0}


@pytest.mark.filterwarnings("ignore:Cell contents too long", "ignore:Ignoring URL")
def test_indices_are_matched_as_text_and_a_row_that_xlsx_lost_is_asked_again(tmp_path, capsys):
    paths, record = a_run(tmp_path)
    said = {0: "x" * 40_000, 1: "http://" + "y" * 3000, 2: "=1+1", 3: "a\x01b", 4: "None", 5: "7"}
    file = theirs(tmp_path / "fake_numbers.xlsx", said)
    assert takeover.into(paths, record, file, unpickle=False) == 4
    assert "1 cut at 32767 characters, 1 empty there, 4 not in the file" in capsys.readouterr().err
    lines = [json.loads(line) for path in paths.checkpoints.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert {x["index"]: x["prediction"] for x in lines} == {"2": "=1+1", "3": "a\x01b", "4": "None", "5": "7"}


def test_floats_where_indices_were_are_the_same_indices(tmp_path):
    paths, record = a_run(tmp_path)
    file = theirs(tmp_path / "fake_numbers.tsv", dict.fromkeys(range(3), "A"), index=[0.0, 1.0, 2.0])
    assert takeover.into(paths, record, file, unpickle=False) == 3


def test_nothing_there_says_what_was_looked_for(tmp_path):
    paths, record = a_run(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match=r"nothing of this run's jobs is there; looked for fake_numbers\.xlsx"):
        takeover.into(paths, record, tmp_path / "out", unpickle=False)
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        takeover.into(paths, record, tmp_path / "nowhere", unpickle=False)


# --- pickles -------------------------------------------------------------------------------------------------------

PICKLES = [
    "fake_numbers_checkpoint.pkl",
    "fake_numbers_supp.pkl",
    "fake_numbers_PREV.pkl",
    "02_numbers.pkl",
    "13_fake_numbers.pkl",
    "fake_numbers_8frame_nopack_checkpoint.pkl",
    "fake_numbers_1.0fps_nopack_supp.pkl",
    "fake_numbers.pkl",
]


@pytest.mark.parametrize("ending", ["tsv", "pkl"])
async def test_a_reply_that_speaks_of_a_failure_further_on_is_an_answer(tmp_path, ending):
    log = tmp_path / "asked"
    paths, record = a_run(tmp_path, log=str(log))
    said = {0: "No\nFailed to obtain answer via API.", 1: " Failed to obtain answer via API. 429", 2: "A"}
    file = tmp_path / f"fake_numbers.{ending}"
    if ending == "pkl":
        file = tmp_path / "02_numbers.pkl"
        file.write_bytes(pickle.dumps(said))
    else:
        theirs(file, said)
    assert takeover.into(paths, record, file, unpickle=True) == 2
    assert await live(worker_for(paths, record)) == 0
    assert asked(log) == set(range(SAMPLES)) - {0, 2}
    _, predictions = merge(paths, record.jobs[0])
    assert {p.row: p.prediction for p in predictions if p.imported_from} == {0: said[0], 2: said[2]}


@pytest.mark.parametrize("name", PICKLES)
def test_half_finished_pickles_are_named_and_read_only_on_demand(tmp_path, capsys, name):
    paths, record = a_run(tmp_path)
    file = tmp_path / "out" / "fake" / "T20260101-000000" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(pickle.dumps({0: "A", "1": "B", 2: FAILED}))
    assert takeover.into(paths, record, tmp_path / "out", unpickle=False) == 0
    assert f"{file} may hold half-finished answers and was not read: unpickling runs code" in capsys.readouterr().err
    assert takeover.into(paths, record, tmp_path / "out", unpickle=True) == 2
    assert "1 failed there; a pickle has no questions to compare); 8 left to ask" in capsys.readouterr().err.replace(
        "7 not in the file, ", ""
    )


def test_ranks_pickles_are_put_together(tmp_path):
    paths, record = a_run(tmp_path)
    for rank in range(2):
        mine = dict.fromkeys(range(rank, SAMPLES, 2), f"rank {rank}")
        (tmp_path / f"{rank}2_numbers.pkl").write_bytes(pickle.dumps(mine))
    assert takeover.into(paths, record, tmp_path, unpickle=True) == SAMPLES


def test_a_table_that_was_pickled_is_read(tmp_path):
    paths, record = a_run(tmp_path)
    with pd.option_context("mode.string_storage", "python"):
        frame = pd.DataFrame({"index": range(3), "question": "?", "prediction": ["A", "B", "A"]})
    # with pyarrow installed pandas would keep text in its arrays, which are refused with a message like any other class
    (tmp_path / "fake_numbers.pkl").write_bytes(pickle.dumps(frame))
    assert takeover.into(paths, record, tmp_path / "fake_numbers.pkl", unpickle=True) == 3


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize("content", [pickle.dumps({0: Harm()}), pickle.dumps(Harm())])
def test_a_pickle_that_wants_a_function_is_refused_before_it_runs(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    paths, record = a_run(tmp_path)
    (tmp_path / "fake_numbers_checkpoint.pkl").write_bytes(content)
    with pytest.raises(ConfigError, match=r"is refused: it wants posix\.mkdir, which no file of answers needs"):
        takeover.into(paths, record, tmp_path, unpickle=True)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(("content", "message"), [(b"", "is torn"), (pickle.dumps({0: "A" * 99})[:-40], "is torn")])
def test_a_torn_pickle_says_so(tmp_path, content, message):
    paths, record = a_run(tmp_path)
    (tmp_path / "fake_numbers_checkpoint.pkl").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        takeover.into(paths, record, tmp_path, unpickle=True)


def test_a_pickle_by_itself_needs_the_flag(tmp_path):
    paths, record = a_run(tmp_path)
    file = tmp_path / "fake_numbers_checkpoint.pkl"
    file.write_bytes(pickle.dumps({0: "A"}))
    with pytest.raises(ConfigError, match="is a pickle, and unpickling runs code that the file chooses"):
        takeover.into(paths, record, file, unpickle=False)


# --- the command line ----------------------------------------------------------------------------------------------


def command(tmp_path: Path, monkeypatch, *arguments: str) -> int:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    what = ["--model", "fake", "--engine", "fake", "--data", "numbers.tsv", "--run", "r"]
    return main([*arguments, *what])


def test_import_then_launch_asks_only_the_rest(tmp_path, monkeypatch, capsys):
    text_tsv(tmp_path / "numbers.tsv", SAMPLES)
    file = theirs(tmp_path / "out" / "fake" / "T20260101_Gabc123" / "fake_numbers.xlsx", dict.fromkeys(range(8), "A"))
    assert command(tmp_path, monkeypatch, "import", "out") == 0
    assert "8 answers imported" in capsys.readouterr().err
    log = tmp_path / "asked"
    launch = ["launch", "--engine-args", json.dumps({"log": str(log)}), "--device", "cpu", "--plain"]
    assert command(tmp_path, monkeypatch, *launch, "--work-dir", "out") == 0
    assert asked(log) == {8, 9}
    paths = JobsPaths(tmp_path / "jobs").run("r")
    assert f"numbers: 8 of its answers imported from {file}" in capsys.readouterr().out.replace("\n", "")
    predictions = merge(paths, snapshot.read_record(paths).jobs[0])[1]
    assert [p.imported_from for p in predictions] == [str(file)] * 8 + [""] * 2
    newest = max((tmp_path / "out" / "fake").glob("T*-*"))
    entry = json.loads((newest / "status.json").read_text())["datasets"]["numbers"]
    assert entry["imported"] == {str(file): 8}
    assert entry["source_run"] == "T20260101_Gabc123"


@pytest.mark.parametrize("layout", ["T20260101-000000/", "T20260101_G0a1b2c3d/", ""])
def test_reuse_takes_the_newest_table_of_any_layout(tmp_path, monkeypatch, capsys, layout):
    text_tsv(tmp_path / "numbers.tsv", SAMPLES)
    old = theirs(tmp_path / "out" / "fake" / "T20250101-000000" / "fake_numbers.tsv", dict.fromkeys(range(10), "old"))
    new = theirs(tmp_path / "out" / "fake" / f"{layout}fake_numbers.tsv", dict.fromkeys(range(10), "new"))
    os.utime(old, (1, 1))
    flags = ["--work-dir", "out", "--device", "cpu", "--plain"]
    assert command(tmp_path, monkeypatch, "launch", "--reuse", *flags) == 0
    said = capsys.readouterr().err
    assert f"10 answers imported from {new.relative_to(tmp_path)}" in said.replace(f"{tmp_path}/", "")
    assert f"0 answers imported from {old.relative_to(tmp_path)}" in said.replace(f"{tmp_path}/", "")
    paths = JobsPaths(tmp_path / "jobs").run("r")
    assert results.read_summary(paths.results("fake", "numbers")).imported == {str(new): 10}


def test_reuse_reads_nothing_once_all_is_answered(tmp_path, monkeypatch, capsys):
    text_tsv(tmp_path / "numbers.tsv", SAMPLES)
    launch = ["launch", "--reuse", "--work-dir", "out", "--device", "cpu", "--plain"]
    assert command(tmp_path, monkeypatch, *launch) == 0
    (table,) = (tmp_path / "out" / "fake").glob("T*/fake_numbers.xlsx")
    table.write_bytes(b"no table any more")
    assert command(tmp_path, monkeypatch, *launch) == 0
    assert "import" not in capsys.readouterr().err


def test_without_reuse_nothing_foreign_is_read(tmp_path, monkeypatch, capsys):
    text_tsv(tmp_path / "numbers.tsv", SAMPLES)
    theirs(tmp_path / "out" / "fake" / "fake_numbers.tsv", dict.fromkeys(range(10), "A"), question="another")
    flags = ["--work-dir", "out", "--device", "cpu", "--plain"]
    assert command(tmp_path, monkeypatch, "launch", *flags) == 0
    assert "import" not in capsys.readouterr().err
    paths = JobsPaths(tmp_path / "jobs").run("r")
    assert results.read_summary(paths.results("fake", "numbers")).imported == {}


def test_mode_eval_scores_what_the_work_dir_has_and_starts_no_engine(tmp_path, monkeypatch, capsys):
    text_tsv(tmp_path / "numbers.tsv", SAMPLES)
    theirs(tmp_path / "out" / "fake" / "fake_numbers.tsv", dict.fromkeys(range(9), "A"))
    flags = ["launch", "--mode", "eval", "--work-dir", "out"]
    assert command(tmp_path, monkeypatch, *flags) == 4
    said = capsys.readouterr().err
    assert "9 answers imported" in said
    assert "samples have no answer yet" in said
    (status,) = (tmp_path / "out" / "fake").glob("T*/status.json")
    entry = json.loads(status.read_text())["datasets"]["numbers"]
    assert entry == {"status": "infer", "total": 10, "answered": 9}
    theirs(tmp_path / "out" / "fake" / "fake_numbers.tsv", dict.fromkeys(range(10), "A"))
    assert command(tmp_path, monkeypatch, *flags) == 0
    paths = JobsPaths(tmp_path / "jobs").run("r")
    assert results.read_summary(paths.results("fake", "numbers")).metrics["accuracy"] == 0.5
    assert not list(paths.workers.glob("w*.json"))
