"""A prediction table says exactly which of its texts VLMEvalKit's reader does not get back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import FIELDS, Prediction, Sample
from vlmeval_mp.exchange.predictions import (
    CELL,
    FAILED,
    damages,
    encode,
    in_file_order,
    pred_format,
    read_as_vlmevalkit,
    rows,
)

URL = "http://example.org/" + "y" * 3000


def sample(index="0", **fields):
    return Sample(**{"index": index, "row": 0, "kind": "mcq", "question": "Which?", "answer": "A"} | fields)


def table(*predictions, **fields):
    samples = [sample(str(row), **fields) for row in range(len(predictions))]
    said = [Prediction(index=str(row), row=row, prediction=text) for row, text in enumerate(predictions)]
    return rows(("index", "question", "A", "B", "C", "answer", "image"), samples, said)


def reasons(form, *predictions, **fields):
    made = table(*predictions, **fields)
    return [(d.index, d.column, d.reason) for d in damages("f", made, encode(made, form), form)]


LOST = [
    ("x" * 40_000, f"cut to {CELL} of 40000 characters", None),
    ("a\x01b", "control characters are left out", None),
    ("a\rb", "control characters are left out", None),
    ("a\r\nb", "control characters are left out", None),
    ("\ufffe", "control characters are left out", None),
    ("None", "'None' reads back as empty", "'None' reads back as empty"),
    ("NA", "'NA' reads back as empty", "'NA' reads back as empty"),
    ("#N/A", "'#N/A' reads back as empty", "'#N/A' reads back as empty"),
    ("", "'' reads back as empty", "'' reads back as empty"),
    ("=1+1", None, None),
    (URL, None, None),
    (" A ", None, None),
    ('say "A"\tor\nB', None, None),
    ("_x0041_", None, None),
]


@pytest.mark.parametrize(("text", "xlsx", "tsv"), LOST, ids=[repr(text)[:12] for text, _, _ in LOST])
def test_each_kind_of_damage_is_found_and_nothing_else(text, xlsx, tsv):
    for form, reason in (("xlsx", xlsx), ("tsv", tsv), ("json", None)):
        found = [said for _, _, said in reasons(form, text, "a text")]
        if reason == "control characters are left out" and text == "\ufffe":
            reason = "'\\ufffe' reads back as empty"  # nothing is left of it
        assert found == ([reason] if reason else [])


@pytest.mark.parametrize("form", ["xlsx", "tsv"])
def test_a_column_of_numbers_is_respelt(form):
    assert reasons(form, "4", "7.5") == [("0", "prediction", "'4' reads back as '4.0'")]
    assert reasons(form, "4", "7") == []
    assert reasons(form, "4", "7.5", "cat") == []


@pytest.mark.parametrize("form", ["xlsx", "tsv"])
def test_options_and_questions_are_looked_at_too(form):
    assert reasons(form, "A", options={"A": "one", "B": "None"}) == [("0", "B", "'None' reads back as empty")]
    assert reasons(form, "A", question="NA") == [("0", "question", "'NA' reads back as empty")]
    # where the data set's own column is numbers, VLMEvalKit has numbers from the start
    assert reasons(form, "A", "B", options={"A": "1", "B": "2.50"}) == []


def test_a_failed_sample_has_vlmevalkits_sentence():
    (row,) = rows(("index", "question"), [sample()], [Prediction(index="0", row=0, error="no image")])
    assert row == {"index": "0", "question": "Which?", "prediction": FAILED}


def test_a_benchmarks_own_answer_column_is_what_its_file_had():
    given = sample(answer="B", extra={"answer": "a dog", "candidates": "['a cat', 'a dog']"})
    columns = ("index", "video", "question", "candidates", "answer")
    (row,) = rows(columns, [given], [Prediction(index="0", row=0, prediction="(B)")])
    assert row["answer"] == "a dog"
    assert "B" not in row
    assert list(row) == ["index", "question", "candidates", "answer", "prediction"]


@pytest.mark.slow
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_whatever_is_said_either_comes_back_or_is_named(predictions):
    made = table(*predictions)
    for form in ("xlsx", "tsv", "json"):
        content = encode(made, form)
        back = read_as_vlmevalkit(content, form)["prediction"].tolist()
        named = {int(d.index) for d in damages("f", made, content, form)}
        assert named == {row for row, text in enumerate(predictions) if str(back[row]) != text}


@pytest.mark.parametrize(("index", "read"), [("7", [7, 8]), ("007", ["007", "8"]), ("a_1", ["a_1", "8"])])
def test_indices_are_numbers_only_if_all_are(index, read):
    made = rows(("index",), [sample(index), sample("8")], [Prediction(index=i, row=0) for i in (index, "8")])
    assert read_as_vlmevalkit(encode(made, "json"), "json")["index"].tolist() == read


def test_an_unknown_format_is_refused():
    assert pred_format({}) == pred_format({"PRED_FORMAT": ""}) == "xlsx"
    assert pred_format({"PRED_FORMAT": "TSV"}) == "tsv"
    with pytest.raises(ConfigError, match="PRED_FORMAT: 'csv' is none of xlsx, tsv, json"):
        pred_format({"PRED_FORMAT": "csv"})


def test_a_sample_has_the_cells_that_its_file_has():
    sample = Sample(
        index="1",
        row=0,
        kind="mcq",
        question="q",
        options={"A": "x"},
        answer="A",
        l2_category="l",
        extra={"answer": "x"},
    )
    cells = {name: sample.cell(name) for name in (*FIELDS, "A", "B", "other")}
    assert {name: text for name, text in cells.items() if text} == {
        "question": "q", "answer": "x", "l2-category": "l", "A": "x",
    }  # fmt: skip


def test_a_column_whose_name_begins_like_a_formula_is_text_in_a_spreadsheet():
    import io

    import openpyxl

    data = encode([{"index": "1", '=HYPERLINK("http://x")': "a", "prediction": "=1+1"}], "xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    assert [[cell.data_type for cell in row] for row in sheet.iter_rows()] == [["s", "s", "s"], ["n", "s", "s"]]
    assert [cell.value for cell in sheet[1]][1] == '=HYPERLINK("http://x")'


def test_a_job_in_random_order_comes_out_by_index_where_indices_are_numbers() -> None:
    for names, wanted in ((["10", "9", "2"], ["2", "9", "10"]), (["b", "10", "a"], ["b", "10", "a"])):
        samples = [Sample(index=name, row=row, kind="vqa") for row, name in enumerate(names)]
        answers = [Prediction(index=name, row=row, prediction=name) for row, name in enumerate(names)]
        found, said = in_file_order(samples, answers)
        assert [each.index for each in found] == [each.prediction for each in said] == wanted
