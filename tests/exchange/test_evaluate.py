"""Somebody else's predictions: which row is of which sample, what is reported, and what the command line says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vlmeval_mp.cli import main
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Counts
from vlmeval_mp.exchange import evaluate
from vlmeval_mp.exchange.evaluate import FileToScore
from vlmeval_mp.scoring.base import COMPAT, FAILED

GOLD = [
    {"index": "1", "question": "?", "A": "cat", "B": "dog", "answer": "A", "category": "x"},
    {"index": "2", "question": "?", "A": "cat", "B": "dog", "answer": "B", "category": "x"},
    {"index": "3", "question": "?", "A": "cat", "B": "dog", "answer": "B", "category": "y"},
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pd.DataFrame(GOLD).to_csv(tmp_path / "animals.tsv", sep="\t", index=False)
    return tmp_path / "animals.tsv"


def predictions(path: Path, *rows: tuple[Any, str], columns: tuple[str, str] = ("index", "prediction")) -> Path:
    frame = pd.DataFrame(list(rows), columns=list(columns))
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


ALL = (("1", "A"), ("2", "B"), ("3", "A"))


@pytest.mark.parametrize("form", ["xlsx", "tsv", "csv", "jsonl"])
def test_a_file_of_any_format_is_scored_against_the_answers(tmp_path: Path, data: Path, form: str) -> None:
    file = predictions(tmp_path / f"m.{form}", *ALL)
    found = evaluate.evaluate(FileToScore(file, str(data)))
    assert found.summary.metrics["accuracy"] == pytest.approx(2 / 3)
    assert found.summary.counts == Counts(total=3, scored=3, unscored=0, failed=0)
    assert (found.summary.model, found.summary.dataset) == ("m", "animals")
    assert (found.warnings, found.extra, found.missing) == ((), (), ())
    assert found.summary.by_category["x"]["accuracy"] == 1.0


@pytest.mark.parametrize("spelled", [1, 1.0, "1", "1.0", " 1 "])
def test_an_index_is_the_same_however_a_table_spells_it(tmp_path: Path, data: Path, spelled: Any) -> None:
    for form in ("xlsx", "jsonl", "csv"):
        file = predictions(tmp_path / f"m.{form}", (spelled, "A"))
        assert evaluate.evaluate(FileToScore(file, str(data))).missing == ("2", "3")


def test_a_sample_without_a_row_failed_and_a_row_without_a_sample_is_left_out(tmp_path: Path, data: Path) -> None:
    file = predictions(tmp_path / "m.csv", ("1", "A"), ("9", "B"))
    found = evaluate.evaluate(FileToScore(file, str(data)))
    assert found.summary.counts == Counts(total=3, scored=1, unscored=0, failed=2)
    assert found.summary.metrics["accuracy"] is None
    assert found.summary.bounds == (pytest.approx(1 / 3), 1.0)
    assert found.warnings == (
        "m.csv: left out 1 row (index 9) of no sample of animals",
        "m.csv: counted as failed 2 samples (index 2, 3) of animals without a row",
    )


def test_an_index_that_stands_twice_is_refused_naming_the_rows(tmp_path: Path, data: Path) -> None:
    file = predictions(tmp_path / "m.csv", ("1", "A"), ("2", "A"), ("1.0", "B"))
    with pytest.raises(ConfigError, match=r"rows 1 and 3 have the same index '1\.0'"):
        evaluate.evaluate(FileToScore(file, str(data)))


def test_the_sentence_for_a_failure_is_a_failure_and_an_empty_answer_is_wrong(tmp_path: Path, data: Path) -> None:
    file = predictions(tmp_path / "m.xlsx", ("1", FAILED), ("2", ""), ("3", "B"))
    found = evaluate.evaluate(FileToScore(file, str(data)))
    assert found.summary.counts == Counts(total=3, scored=2, unscored=0, failed=1, empty=1)
    assert found.summary.metrics["accuracy"] == 0.5
    assert found.scored[0].score.note.startswith("failed: ")
    assert found.summary.other is not None
    assert found.summary.other.metrics["accuracy"] == pytest.approx(1 / 3)


def test_predictions_in_another_column_and_under_another_index(tmp_path: Path, data: Path) -> None:
    file = predictions(tmp_path / "m.csv", *ALL, columns=("id", "extracted"))
    asked = FileToScore(file, str(data), column="extracted", index="id")
    assert evaluate.evaluate(asked).summary.metrics["accuracy"] == pytest.approx(2 / 3)


def test_answers_that_are_already_extracted_are_compared_as_they_are(tmp_path: Path, data: Path) -> None:
    file = predictions(tmp_path / "m.csv", ("1", "A"), ("2", "B."), ("3", "b"))
    assert evaluate.evaluate(FileToScore(file, str(data))).summary.metrics["accuracy"] > 0.5
    found = evaluate.evaluate(FileToScore(file, str(data), extracted=True))
    assert [s.score.value for s in found.scored] == [1.0, 0.0, 0.0]
    assert found.summary.other is not None
    assert found.summary.other.differ == 0


def test_a_wrong_column_names_the_nearest(tmp_path: Path, data: Path) -> None:
    file = predictions(tmp_path / "m.csv", *ALL, columns=("index", "predictions"))
    with pytest.raises(ConfigError, match="no column 'prediction'; did you mean 'predictions'"):
        evaluate.evaluate(FileToScore(file, str(data)))
    file = predictions(tmp_path / "n.csv", *ALL, columns=("pid", "prediction"))
    with pytest.raises(ConfigError, match=r"no column 'index'.*its columns are pid, prediction"):
        evaluate.evaluate(FileToScore(file, str(data)))


def test_predictions_of_another_data_set_are_refused(tmp_path: Path, data: Path) -> None:
    file = predictions(tmp_path / "m.csv", ("val_1", "A"), ("val_2", "A"))
    with pytest.raises(ConfigError, match=r"no row belongs to a sample.*'val_1', 'val_2'.*'1', '2', '3'"):
        evaluate.evaluate(FileToScore(file, str(data)))


def test_a_data_set_without_its_pictures_is_enough(tmp_path: Path) -> None:
    data = tmp_path / "d.tsv"
    data.write_text("index\tquestion\timage\timage_path\tanswer\n1\t?\t\tgone.jpg\tyes\n2\t?\t!!\t\tno\n")
    found = evaluate.evaluate(FileToScore(predictions(tmp_path / "m.csv", ("1", "Yes"), ("2", "Yes")), str(data)))
    assert found.summary.counts == Counts(total=2, scored=2, unscored=0, failed=0)
    assert found.summary.metrics["accuracy"] == 0.5


# --- the file's own answers ----------------------------------------------------------------------------------------


def own(path: Path) -> Path:
    """A file as VLMEvalKit writes it: the data set's columns and the prediction."""
    rows = [{**gold, "index": int(gold["index"]), "prediction": "A"} for gold in GOLD]
    pd.DataFrame(rows).to_excel(path, index=False)
    return path


def test_a_file_that_holds_its_answers_needs_no_data_set(tmp_path: Path) -> None:
    found = evaluate.evaluate(FileToScore(own(tmp_path / "Qwen_animals.xlsx")))
    assert found.summary.metrics["accuracy"] == pytest.approx(1 / 3)
    assert (found.summary.dataset, found.summary.scorers) == ("Qwen_animals", {"mcq": 3})


def test_the_model_is_what_stands_before_the_data_set_in_vlmevalkits_file_names(tmp_path: Path, data: Path) -> None:
    assert evaluate.evaluate(FileToScore(own(tmp_path / "Qwen_animals.xlsx"), str(data))).summary.model == "Qwen"


def test_a_file_without_answers_asks_for_the_data_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'question' and 'answer'.*--data NAME or --data FILE\.tsv"):
        evaluate.evaluate(FileToScore(predictions(tmp_path / "m.csv", *ALL)))


def test_a_known_name_whose_tsv_is_not_here_scores_the_files_own_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path))
    found = evaluate.evaluate(FileToScore(own(tmp_path / "m.xlsx"), "MMMU_DEV_VAL"))
    assert found.summary.dataset == "MMMU_DEV_VAL"
    assert found.warnings == ("the TSV of MMMU_DEV_VAL is not here: questions and answers are those in m.xlsx",)
    with pytest.raises(ConfigError, match="'Nothing_Known' was not found"):
        evaluate.evaluate(FileToScore(own(tmp_path / "m.xlsx"), "Nothing_Known"))


def test_a_file_may_keep_its_answers_in_the_column_of_its_benchmark(tmp_path: Path) -> None:
    """VLMEvalKit's predictions on LongVideoBench have no column `answer`."""
    common = {"question": "Which?", "candidates": "['cat', 'dog']", "question_category": "S2E", "prediction": "B"}
    rows = [{"index": place, "video_path": "v.mp4", "correct_choice": place, **common} for place in (0, 1)]
    path = tmp_path / "m_LongVideoBench.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = evaluate.evaluate(FileToScore(path, "LongVideoBench"))
    assert [(s.sample.answer, s.score.value) for s in found.scored] == [("A", 0.0), ("B", 1.0)]


# --- the command line ----------------------------------------------------------------------------------------------


def test_the_command_line_scores_a_file_and_writes_only_where_asked(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = predictions(tmp_path / "m.csv", ("1", "A. because it purrs and has whiskers"), ("2", "B"))
    out = tmp_path / "out"
    command = ["eval", "--predictions", str(file), "--data", str(data)]
    before = sorted(tmp_path.rglob("*"))
    assert main.main(command) == 0
    shown = capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before
    assert "100.00" in shown
    assert f"animals: 1 sample differs between compat and strict ({COMPAT}: 33.33 to 66.67 %)" in shown
    assert "warning: m.csv: counted as failed 1 sample (index 3) of animals without a row" in shown
    assert main.main([*command, "--scoring", "compat", "--json", "--out", str(out)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["results"][0]["scoring"] == COMPAT
    assert record["folder"] == str(out)
    assert len(record["warnings"]) == 2
    assert {p.name for p in out.iterdir()} == {"predictions.jsonl", "scores.jsonl", "summary.json"}
    summary = json.loads((out / "summary.json").read_bytes())
    assert (summary["metrics"]["accuracy"], summary["metrics"]["accuracy_scored"]) == (None, 0.5)
    assert summary["bounds"] == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--predictions", "none.csv"], "No such file"),
        (["--predictions", "m.csv", "--data", "Nothing_Known"], "'Nothing_Known' was not found"),
        (["--predictions", "m.csv", "--data", "animals.tsv", "--scorer", "mqc"], "did you mean 'mcq'"),
        (["--predictions", "m.csv", "--data", "animals.tsv", "--prediction-column", "x"], "no column 'x'"),
        (["r", "--predictions", "m.csv"], "leave one out"),
        (["r", "--data", "animals.tsv"], "--data goes with --predictions"),
        (["r", "--extracted"], "--extracted goes with --predictions"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    tmp_path: Path,
    data: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predictions(tmp_path / "m.csv", *ALL)
    monkeypatch.chdir(tmp_path)
    assert main.main(["eval", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("m.xlsx", b"nothing"), ("m.csv", b""), ("m.jsonl.gz", b"\x1f\x8bnothing"), ("m.json", b"[{]")],
)
def test_a_broken_file_is_one_message_and_exit_code_2(
    tmp_path: Path, data: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main.main(["eval", "--predictions", str(tmp_path / name), "--data", str(data)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "told"), [("qwen_POPE.tsv", ("POPE", "f1")), ("qwen_mine.tsv", ("qwen_mine", "accuracy"))]
)
def test_a_table_named_after_a_benchmark_is_scored_as_that_benchmark(
    tmp_path: Path, name: str, told: tuple[str, str]
) -> None:
    rows = [f"{i}\tIs it?\t{'yes' if i % 2 else 'no'}\trandom\tyes" for i in range(4)]
    (tmp_path / name).write_text("\n".join(["index\tquestion\tanswer\tcategory\tprediction", *rows]))
    found = evaluate.evaluate(FileToScore(tmp_path / name))
    assert (found.summary.dataset, found.summary.primary_metric) == told
    assert any("read as POPE, by the file's name" in line for line in found.warnings) == (told[0] == "POPE")
    said = evaluate.evaluate(FileToScore(tmp_path / name, scorer="exact"))
    assert said.summary.scorers == {"exact": 4}


def test_a_table_of_a_benchmark_that_only_vlmevalkit_scores_says_how_to_have_that(tmp_path: Path) -> None:
    file = tmp_path / "qwen_CharXiv_reasoning_val.tsv"
    file.write_text("index\tquestion\tanswer\tprediction\n1\tWhat?\tx\tx")
    found = evaluate.evaluate(FileToScore(file))
    assert [
        line for line in found.warnings if "--data CharXiv_reasoning_val has VLMEvalKit's own class score it" in line
    ]
