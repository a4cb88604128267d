"""What `--work-dir` writes is VLMEvalKit's tree; nothing in it is torn, and what a table cannot carry is named."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.builders import fake_run, text_tsv, worker_for
from vlmeval_mp.cli.main import main
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.exchange import predictions, workdir
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import results, snapshot
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.scoring.reading.postprocess import last_boxed

ANSWERS = {"0": "A", "1": "=1+1", "2": "x" * 40_000, "3": "a\x01b", "4": "None", "5": "B"}
NOW = 1_700_000_000.0


async def a_run(tmp_path, config=None):
    """Seven samples, answered and scored; the last one failed."""
    config = {"sampling": {"max_tokens": 50_000}} if config is None else config
    paths = fake_run(tmp_path, 7, config, answers=ANSWERS, fail=["6"])
    record = snapshot.read_record(paths)
    assert await live(worker_for(paths, record)) == 0
    for job in record.jobs:
        results.write(paths.results(job.model, job.dataset), job.model, job.dataset, *merge(paths, job))
    return paths, record


async def exported(tmp_path, form="xlsx", **options):
    paths, record = await a_run(tmp_path)
    found = workdir.export(paths, record, tmp_path / "out", form, NOW, **options)
    return tmp_path / "out" / "fake", found


async def test_the_tree_has_vlmevalkits_names_and_newest_run_links(tmp_path):
    root, found = await exported(tmp_path)
    (run,) = root.glob("T????????-??????")
    assert found.folders == [run]
    names = {"fake_numbers.xlsx", "fake_numbers_acc.csv", "fake_numbers_whole.jsonl", "status.json"}
    assert {p.name for p in run.iterdir()} == names
    for name in ("fake_numbers.xlsx", "fake_numbers_acc.csv"):
        assert not (root / name).readlink().is_absolute()
        assert (root / name).resolve() == (run / name).resolve()


async def test_status_json_has_vlmevalkits_keys_and_both_scoring_modes(tmp_path):
    _, found = await exported(tmp_path)
    status = json.loads((found.folders[0] / "status.json").read_text())
    assert status["eval_id"] == found.folders[0].name
    keys = {"schema_version", "eval_id", "created_at", "updated_at", "commit", "argv", "api_mode", "world_size"}
    assert keys | {"pred_format", "eval_format", "mode", "reuse", "model_name", "datasets"} == status.keys()
    entry = status["datasets"]["numbers"]
    assert (entry["status"], entry["prediction_file"]) == ("done", "fake_numbers.xlsx")
    assert entry["metrics"] == {entry["primary_metric"]: entry["scoring"]["compat (ms-vlmeval 0.0.20)"]["accuracy"]}
    assert entry["scoring"].keys() == {"strict", "compat (ms-vlmeval 0.0.20)"}
    assert set(entry["rows_not_carried_whole"]) == {"2", "3", "4"}


async def test_no_key_of_the_environment_is_in_status_json(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    monkeypatch.setattr("sys.argv", ["vlmeval-mp", "launch", "--engine-args", '{"x": "sk-0123456789abcdef"}'])
    _, found = await exported(tmp_path)
    assert "0123456789" not in (found.folders[0] / "status.json").read_text()


async def test_the_table_holds_what_evaluate_needs(tmp_path):
    root, _ = await exported(tmp_path)
    table = pd.read_excel(root / "fake_numbers.xlsx")
    assert list(table.columns) == ["index", "question", "A", "B", "answer", "prediction"]
    assert list(table["index"]) == list(range(7))
    assert table["prediction"][1] == "=1+1"
    assert table["prediction"][6] == predictions.FAILED


async def test_texts_that_xlsx_damages_are_named_and_kept_whole_beside_it(tmp_path):
    _, found = await exported(tmp_path)
    assert [(d.file, d.index, d.column) for d in found.damaged] == [
        ("fake_numbers.xlsx", i, "prediction") for i in "234"
    ]
    assert found.damaged[0].reason == "cut to 32767 of 40000 characters"
    whole = (found.folders[0] / "fake_numbers_whole.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in whole] == [{"index": i, "prediction": ANSWERS[i]} for i in "234"]


@pytest.mark.parametrize(("form", "harmed"), [("tsv", ["4"]), ("json", [])])
async def test_other_formats_damage_less(tmp_path, form, harmed):
    root, found = await exported(tmp_path, form)
    assert [d.index for d in found.damaged] == harmed
    file = root / f"fake_numbers.{form}"
    read = pd.read_json(file) if form == "json" else pd.read_csv(file, sep="\t")
    assert len(read["prediction"][2]) == 40_000


async def test_infer_mode_leaves_tables_without_scores_or_links(tmp_path):
    root, found = await exported(tmp_path, scored=False)
    assert not any(path.is_symlink() for path in root.iterdir())
    assert not list(found.folders[0].glob("*_acc.csv"))
    entry = json.loads((found.folders[0] / "status.json").read_text())["datasets"]["numbers"]
    assert entry["skip_reason"] == "mode_infer"


async def test_a_job_without_all_its_answers_has_its_state_and_no_table(tmp_path):
    paths = fake_run(tmp_path, 7, {"shard_size": 2}, raise_engine=5)
    record = snapshot.read_record(paths)
    found = workdir.export(paths, record, tmp_path / "out", "xlsx", NOW)
    status = json.loads((found.folders[0] / "status.json").read_text())
    assert status["datasets"]["numbers"] == {"status": "pending", "total": 7, "answered": 0}
    assert await live(worker_for(paths, record)) != 0
    found = workdir.export(paths, record, tmp_path / "out", "xlsx", NOW)
    status = json.loads((found.folders[0] / "status.json").read_text())
    assert status["datasets"]["numbers"]["status"] == "infer"
    assert [p.name for p in found.folders[0].iterdir()] == ["status.json"]


async def test_two_exports_within_a_second_do_not_share_a_folder(tmp_path):
    paths, record = await a_run(tmp_path)
    first, second = (workdir.export(paths, record, tmp_path / "out", "xlsx", NOW) for _ in range(2))
    assert first.folders != second.folders
    assert (tmp_path / "out" / "fake" / "fake_numbers.xlsx").resolve().parent == second.folders[0].resolve()


async def test_a_file_where_a_link_belongs_is_left_alone_and_named(tmp_path):
    theirs = tmp_path / "out" / "fake" / "fake_numbers.xlsx"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"of another run")
    _, found = await exported(tmp_path)
    assert theirs.read_bytes() == b"of another run"
    assert found.unlinked == [theirs]


async def test_what_cannot_be_written_is_a_storage_error(tmp_path):
    paths, record = await a_run(tmp_path)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageError, match="cannot write VLMEvalKit's tree to"):
        workdir.export(paths, record, tmp_path / "out", "xlsx", NOW)


def test_names_become_file_names_and_never_collide():
    assert workdir.folder_names(["m", "org/m"]) == {"m": "m", "org/m": "org--m"}
    both = workdir.folder_names(["org/m", "org--m", ".."])
    assert len(set(both.values())) == 3
    assert not any("/" in name or name == ".." for name in both.values())


@pytest.mark.parametrize(
    ("text", "cut"),
    [("so \\boxed{1} or \\boxed{\\frac{1}{2}}!", "\\frac{1}{2}"), ("B", "B"), ("\\boxed{C", "C"), ("", "")],
)
def test_the_last_boxed_span_is_what_qwens_post_processing_keeps(text, cut):
    assert last_boxed(text) == cut


CONFIG = {
    "model": {
        "Qwen2-VL-2B-Instruct": {},
        "mine": {"class": "LLaVA_OneVision_HF", "model_path": "llava-hf/x", "use_vllm": True},
    },
    "data": {
        "one": {"class": "ImageMCQDataset", "dataset": "one"},
        "two": {},
        "three": {"class": "CustomMCQDataset", "dataset": "two"},
        "four": {"path": "one.tsv", "limit": 3},
    },
    "engine": "fake",
}


def test_two_models_and_four_data_entries_run_unchanged_and_fill_the_tree(tmp_path, monkeypatch, capsys):
    for name in ("one", "two"):
        text_tsv(tmp_path / f"{name}.tsv", 5)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    monkeypatch.setenv("LMUData", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    command = ["launch", "--config", "config.json", "--work-dir", "out", "--device", "cpu", "--plain", "--verbose"]
    assert main([*command, "--reuse", "--judge", "exact_matching"]) == 0
    said = capsys.readouterr().err
    assert "model.mine.use_vllm: has no effect here" in said
    for model in CONFIG["model"]:
        for data in CONFIG["data"]:
            assert len(pd.read_excel(tmp_path / "out" / model / f"{model}_{data}.xlsx")) == (3 if data == "four" else 5)
    assert main([*command, "--mode", "eval"]) == 0


def test_mode_eval_of_a_run_that_is_not_there_says_so(tmp_path, monkeypatch, capsys):
    text_tsv(tmp_path / "one.tsv", 2)
    monkeypatch.chdir(tmp_path)
    arguments = ["launch", "--mode", "eval", "--model", "m", "--engine", "fake", "--data", "one.tsv"]
    assert main(arguments) == 2
    assert "there is no run 'm-one'" in capsys.readouterr().err
