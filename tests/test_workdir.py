"""What `--work-dir` writes is VLMEvalKit's tree, and what a table cannot carry is named."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.builders import fake_run, text_tsv, worker_for
from vlmeval_mp import results, snapshot, workdir
from vlmeval_mp.cli import main
from vlmeval_mp.errors import ConfigError
from vlmeval_mp.merge import merge
from vlmeval_mp.scoring.postprocess import last_boxed

ANSWERS = {"0": "A", "1": "=1+1", "2": "x" * 40_000, "3": "a\x01b", "4": "None", "5": "B"}
NOW = 1_700_000_000.0


async def exported(tmp_path, form="xlsx"):
    paths = fake_run(tmp_path, 7, {"sampling": {"max_tokens": 50_000}}, answers=ANSWERS, fail=["6"])
    record = snapshot.read_record(paths)
    await worker_for(paths, record).run()
    for job in record.jobs:
        results.write(paths.results(job.model, job.dataset), job.model, job.dataset, *merge(paths, job))
    damaged = workdir.export(paths, record, tmp_path / "out", form, NOW)
    return tmp_path / "out" / "fake", damaged


async def test_the_tree_has_vlmevalkits_names_and_newest_run_links(tmp_path):
    root, _ = await exported(tmp_path)
    (run,) = root.glob("T????????-??????")
    assert {p.name for p in run.iterdir()} == {"fake_numbers.xlsx", "fake_numbers_acc.csv", "status.json"}
    assert (root / "fake_numbers.xlsx").resolve() == (run / "fake_numbers.xlsx").resolve()
    status = json.loads((run / "status.json").read_text())
    assert status["eval_id"] == run.name
    assert status["datasets"]["numbers"]["status"] == "done"
    assert set(status["datasets"]["numbers"]["rows_not_carried_whole"]) == {"2", "3", "4"}


async def test_the_table_holds_what_evaluate_needs(tmp_path):
    root, _ = await exported(tmp_path)
    table = pd.read_excel(root / "fake_numbers.xlsx")
    assert {"index", "question", "A", "B", "answer", "prediction"} <= set(table.columns)
    assert list(table["index"]) == list(range(7))
    assert table["prediction"][1] == "=1+1"
    assert table["prediction"][6] == workdir.FAILED


async def test_rows_that_xlsx_damages_are_named(tmp_path):
    _, damaged = await exported(tmp_path)
    assert [(d.file, d.index) for d in damaged] == [("fake_numbers.xlsx", i) for i in "234"]
    assert damaged[0].reason == "cut to 32767 of 40000 characters"


@pytest.mark.parametrize(("form", "harmed"), [("tsv", ["4"]), ("json", [])])
async def test_other_formats_damage_less(tmp_path, form, harmed):
    root, damaged = await exported(tmp_path, form)
    assert [d.index for d in damaged] == harmed
    file = root / f"fake_numbers.{form}"
    read = pd.read_json(file) if form == "json" else pd.read_csv(file, sep="\t")
    assert len(read["prediction"][2]) == 40_000


def test_an_unknown_format_is_refused():
    with pytest.raises(ConfigError, match="PRED_FORMAT: 'csv' is none of xlsx, tsv, json"):
        workdir.pred_format({"PRED_FORMAT": "csv"})


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
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    command = ["launch", "--config", "config.json", "--work-dir", "out", "--device", "cpu", "--plain", "--verbose"]
    assert main([*command, "--reuse", "--judge", "exact_matching"]) == 0
    said = capsys.readouterr().err
    assert "--reuse: has no effect; the same launch again always goes on" in said
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
