"""Rotations of options and random orders: what a prepared data set then holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, Prediction, Sample
from vlmeval_mp.datasets import arrangement
from vlmeval_mp.datasets.store import Dataset, prepare
from vlmeval_mp.runs import results, submit
from vlmeval_mp.scoring.base import Rules

ROWS = [
    ("1", "which?", "cat", "dog", "bird", "B"),
    ("2", "what?", "red", "blue", "", "A"),
    ("3", "how many?", "", "", "", "7"),
]


def tsv(folder: Path, indices: tuple[str, ...] = ("1", "2", "3")) -> Path:
    path = folder / "rows.tsv"
    lines = ["index\tquestion\tA\tB\tC\tanswer"]
    lines += ["\t".join([index, *row[1:]]) for index, row in zip(indices, ROWS, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def prepared(folder: Path, path: Path, **said: object) -> Dataset:
    return prepare(DataSpec(name="rows", path=str(path), **said), folder / "store")  # type: ignore[arg-type]


def test_every_rotation_is_asked_and_the_answer_moves_with_its_option(tmp_path: Path) -> None:
    samples = list(prepared(tmp_path, tsv(tmp_path), circular=True))
    assert [(s.index, s.row, "".join(s.options.values()), s.answer) for s in samples] == [
        ("1", 0, "catdogbird", "B"),
        ("1000001", 1, "dogbirdcat", "A"),
        ("2000001", 2, "birdcatdog", "C"),
        ("2", 3, "redblue", "A"),
        ("1000002", 4, "bluered", "B"),
        ("3", 5, "", "7"),
    ]
    assert {s.options.get(s.answer) for s in samples[:3]} == {"dog"}
    assert [s.extra["g_index"] for s in samples] == ["1", "1", "1", "2", "2", "3"]


def test_indices_that_are_no_numbers_or_too_large_get_a_mark(tmp_path: Path) -> None:
    samples = prepared(tmp_path, tsv(tmp_path, ("a1", "2000000", "3")), circular=True)
    assert [s.index for s in samples] == ["a1", "a1#1", "a1#2", "2000000", "2000000#1", "3"]


def test_a_question_is_right_if_all_of_its_rotations_are(tmp_path: Path) -> None:
    samples = prepared(tmp_path, tsv(tmp_path), circular=True).samples(0, 4)
    replies = ["B", "A", "A", "A", "B"]  # the third rotation of question 1 is wrong
    predictions = [
        Prediction(index=s.index, row=s.row, prediction=reply) for s, reply in zip(samples, replies, strict=True)
    ]
    for mode in ("strict", "compat"):
        summary = results.write(tmp_path, "m", "d", samples, predictions, Rules(mode=mode, circular=True))
        assert summary.primary_metric == "circular_accuracy"
    strict = results.write(tmp_path, "m", "d", samples, predictions, Rules(circular=True))
    assert strict.metrics["circular_accuracy"] == 0.5
    assert strict.metrics["vanilla_accuracy"] == 0.8
    assert strict.metrics["unrotated_accuracy"] == 1.0


def test_a_data_set_without_options_keeps_its_own_metric(tmp_path: Path) -> None:
    sample = Sample(index="1", row=0, kind="vqa", answer="7", extra={"g_index": "1"})
    reply = Prediction(index="1", row=0, prediction="7")
    summary = results.write(tmp_path, "m", "d", [sample], [reply], Rules(circular=True))
    assert summary.primary_metric == "accuracy"


def test_a_limit_counts_questions_with_all_of_their_rotations(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, tsv(tmp_path), circular=True)
    assert [arrangement.rows_of_questions(iter(dataset), n) for n in (1, 2, 3, 9)] == [3, 5, 6, 6]


def test_a_random_order_is_the_same_each_time_and_another_for_another_seed(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("index\tquestion\tanswer\n" + "".join(f"{i}\tq\t{i}\n" for i in range(200)))
    orders = [
        [s.index for s in prepared(tmp_path / place, path, order=seed)]
        for place, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0], key=int) == [str(i) for i in range(200)] != orders[0]
    rows = [s.row for s in prepared(tmp_path / "a", path, order=1)]
    assert rows == list(range(200))


def test_rotations_stay_together_in_a_random_order(tmp_path: Path) -> None:
    samples = list(prepared(tmp_path, tsv(tmp_path), circular=True, order=3))
    names = [arrangement.question_of(s) for s in samples]
    assert [name for i, name in enumerate(names) if i == 0 or name != names[i - 1]] == list(dict.fromkeys(names))
    assert [s.row for s in samples] == list(range(6))


def test_each_arrangement_has_a_folder_of_its_own_that_is_found_again(tmp_path: Path) -> None:
    path = tsv(tmp_path)
    said: list[dict[str, object]] = [{}, {"circular": True}, {"order": 1}, {"order": 2}, {"circular": True, "order": 1}]
    folders = [prepared(tmp_path, path, **each).folder for each in said]
    assert len(set(folders)) == len(said)
    assert [prepared(tmp_path, path, **each).folder for each in said] == folders


def test_circular_is_refused_where_it_would_rotate_nothing_or_twice(tmp_path: Path) -> None:
    path = str(tsv(tmp_path))
    with pytest.raises(ConfigError, match="its file holds the rotations already"):
        submit.resolved_data(DataSpec(name="d", path=path, scorer="circular", circular=True))
    with pytest.raises(ConfigError, match="own class builds its prompts"):
        submit.resolved_data(DataSpec(name="d", path=path, prompt="vlmevalkit", circular=True))
