"""The matrix at the end of a run of several models on several data sets."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from vlmeval_mp.core.records import Counts, Summary
from vlmeval_mp.display.matrix import matrix
from vlmeval_mp.display.tables import results_table, results_text

CELLS = {("a", "one"): "90.00", ("a", "two"): "80.00", ("b", "one"): "70.00"}


def summary(model: str, dataset: str, value: float) -> Summary:
    return Summary(
        model=model, dataset=dataset, primary_metric="accuracy", metrics={"accuracy": value}, stderr=None,
        counts=Counts(10, 10, 0, 0), by_category={}, by_l2_category={}, by_split={}, scorers={}, scoring="strict",
    )  # fmt: skip


FOUR = [
    (summary(m, d, v), None) for m, d, v in (("a", "one", 0.9), ("a", "two", 0.8), ("b", "one", 0.7), ("b", "two", 0.6))
]


def test_models_go_down_and_what_was_not_run_is_a_dash() -> None:
    assert matrix(CELLS) == [["model", "one", "two"], ["a", "90.00", "80.00"], ["b", "70.00", "–"]]


def test_where_it_is_too_wide_data_sets_go_down_and_where_that_is_too_there_is_none() -> None:
    wide = {("a", f"{place}{'x' * 20}"): "1.00" for place in range(5)} | {("b", f"0{'x' * 20}"): "2.00"}
    assert (matrix(wide, 80) or [[]])[0] == ["dataset", "a", "b"]
    assert matrix(wide, 20) is None


def test_one_model_or_one_data_set_has_no_matrix() -> None:
    assert matrix({("a", "one"): "1", ("a", "two"): "2"}) is None
    assert matrix({("a", "one"): "1", ("b", "one"): "2"}) is None


def test_the_end_of_a_run_begins_with_it_on_a_terminal_and_in_a_log(tmp_path: Path) -> None:
    log = results_text(FOUR, tmp_path).splitlines()
    assert [line.split() for line in log[:3]] == [
        ["model", "one", "two"],
        ["a", "90.00", "80.00"],
        ["b", "70.00", "60.00"],
    ]
    console = Console(width=100, record=True, file=(tmp_path / "out").open("w"))
    console.print(results_table(FOUR, tmp_path, 100))
    drawn = [line.split() for line in console.export_text().splitlines() if line.split()]
    assert ["a", "90.00", "80.00"] in drawn and drawn.index(["b", "70.00", "60.00"]) < drawn.index(
        next(line for line in drawn if line[:2] == ["dataset", "model"])
    )
    assert "model  one" not in results_text(FOUR[:2], tmp_path)
