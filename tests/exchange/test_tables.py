"""Tables of other people's making: what each format says, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest
from openpyxl import Workbook

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.exchange import tables

ROWS = [
    {"index": "1", "prediction": "None"},
    {"index": "2", "prediction": "NA"},
    {"index": "3", "prediction": ""},
    {"index": "4", "prediction": 'two\nlines, a "quote"\tand a tab'},
    {"index": "5", "prediction": "狗 🐶"},
]


def xlsx(path: Path, *rows: list[object]) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    book.save(path)
    return path


def written(path: Path) -> Path:
    """`ROWS` in the format of `path`, as pandas writes them."""
    frame = pd.DataFrame(ROWS)
    name = path.name.removesuffix(".gz")
    if name.endswith("xlsx"):
        frame.to_excel(path, index=False)
    elif name.endswith(("tsv", "csv")):
        frame.to_csv(path, sep="\t" if name.endswith("tsv") else ",", index=False)
    else:
        frame.to_json(path, orient="records", lines=name.endswith("jsonl"), force_ascii=False)
    return path


@pytest.mark.parametrize("form", ["xlsx", "tsv", "csv", "json", "jsonl", "tsv.gz", "csv.gz", "json.gz", "jsonl.gz"])
def test_every_format_gives_the_texts_that_were_written(tmp_path: Path, form: str) -> None:
    sheet = tables.read(written(tmp_path / f"p.{form}"))
    assert sheet.columns == ("index", "prediction")
    assert list(sheet.rows) == ROWS


def test_half_a_surrogate_pair_in_an_xlsx_is_no_text(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "p.xlsx", ["index", "prediction"], [1, "A _xD83D_ B"])
    assert tables.read(path).rows[0]["prediction"] == "A ? B"


def test_numbers_of_an_xlsx_are_spelled_as_one_sees_them_there(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "p.xlsx", ["index", "prediction"], [1, 7], [2.0, 0.5], [3, True], [4, 1e22])
    assert [(r["index"], r["prediction"]) for r in tables.read(path).rows] == [
        ("1", "7"),
        ("2", "0.5"),
        ("3", "True"),
        ("4", "10000000000000000000000"),
    ]


def test_an_answer_that_became_a_formula_or_an_error_is_its_text(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "p.xlsx", ["index", "prediction"], [1, "=1+1"], [2, "#N/A"])
    assert [r["prediction"] for r in tables.read(path).rows] == ["=1+1", "#N/A"]


def test_escaped_control_characters_of_an_xlsx_are_what_they_stand_for(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "p.xlsx", ["index", "prediction"], [1, "a_x000D_b _x005F_x0041_"])
    assert tables.read(path).rows[0]["prediction"] == "a\rb _x0041_"


def test_empty_rows_and_nameless_columns_of_an_xlsx_are_none(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "p.xlsx", [None, "index", "prediction"], [0, 1, "A"], [None, None, None], [1, 2, "B"])
    assert list(tables.read(path).rows) == [{"index": "1", "prediction": "A"}, {"index": "2", "prediction": "B"}]


def test_numbers_of_json_keep_their_spelling_and_null_is_empty(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"index": 1, "prediction": 7.0}\n\n{"index": 2, "prediction": null}\n')
    assert [r["prediction"] for r in tables.read(tmp_path / "p.jsonl").rows] == ["7.0", ""]
    (tmp_path / "p.json").write_text('[{"index": 1, "prediction": NaN}, {"index": 2, "prediction": [1, "b"]}]')
    assert [r["prediction"] for r in tables.read(tmp_path / "p.json").rows] == ["", '["1", "b"]']


def test_json_may_map_each_index_to_its_answer(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"1": "A", "2": {"prediction": "B", "extraction": "C"}}')
    assert list(tables.read(tmp_path / "p.json").rows) == [
        {"index": "1", "prediction": "A", "extraction": ""},
        {"index": "2", "prediction": "B", "extraction": "C"},
    ]


def test_half_a_surrogate_pair_does_not_stop_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"index": 1, "prediction": "\\ud83d"}\n')
    assert tables.read(tmp_path / "p.jsonl").rows[0]["prediction"] == "?"


def test_a_cell_may_be_as_long_as_a_picture(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("index,image\n1," + "A" * 500_000 + "\n")
    assert len(tables.read(tmp_path / "p.csv").rows[0]["image"]) == 500_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.xlsx", b"index,prediction\n1,A\n", "is no xlsx file that can be read"),
        ("p.xlsx", b"", "is no xlsx file that can be read"),
        ("p.xlsx.gz", b"", "is not called .xlsx"),
        ("p.pkl", b"", r"is not called \.xlsx, \.tsv"),
        ("p", b"", "is not called"),
        ("p.csv", b"", "has no rows"),
        ("p.csv", b"index,prediction\n", "has no rows"),
        ("p.csv", b"index,prediction\n1,A\n2,B,C\n", "row 2 has 3 fields, but the header has 2"),
        ("p.csv", b'index,prediction\n1,"A\n2,B\n', "quote is astray"),
        ("p.csv", b"index,index\n1,A\n", "more than one column 'index'"),
        ("p.tsv", b"index\tprediction\n1\t\xff\n", r"is not UTF-8 text \(byte 19\)"),
        ("p.json", b'[{"index": 1}', "is not JSON"),
        ("p.json", b"3", "must be a list of objects"),
        ("p.json", b'{"1": "A", "1": "B"}', "the key '1' stands twice"),
        ("p.json", b"[]", "has no rows"),
        ("p.jsonl", b'{"index": 1}\n{"index": ', "line 2: is not JSON"),
        ("p.jsonl", b'{"index": 1}\n[2]\n', "line 2 is not an object"),
        ("p.jsonl.gz", b"no gzip", "is no complete gzip file"),
        ("p.jsonl.gz", gzip.compress(json.dumps({"index": 1, "x": list(range(999))}).encode())[:-20], "no complete"),
    ],
)
def test_a_broken_file_is_one_message_that_says_where(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as raised:
        tables.read(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        tables.read(tmp_path / "p.csv")
    with pytest.raises(ConfigError, match="Is a directory"):
        (tmp_path / "d.csv").mkdir()
        tables.read(tmp_path / "d.csv")
