"""`--reuse` takes the answers of every file that is left, the newest first."""

from __future__ import annotations

import os
from pathlib import Path

from tests.builders import fake_run
from vlmeval_mp.cli import takeover
from vlmeval_mp.core.records import Shard
from vlmeval_mp.runs.index import search


def table(folder: Path, answers: dict[int, str], time: int, question: str = "Is {} even?") -> None:
    folder.mkdir(parents=True)
    rows = [f"{row}\t{question.format(row)}\tyes\tno\t{'AB'[row % 2]}\t{text}\n" for row, text in answers.items()]
    path = folder / "fake_numbers.tsv"
    path.write_text("index\tquestion\tA\tB\tanswer\tprediction\n" + "".join(rows))
    os.utime(path, (time, time))


def test_the_union_of_all_files_is_taken_and_the_newest_says_what_it_says(tmp_path: Path, capsys) -> None:
    paths = fake_run(tmp_path, 20)
    table(tmp_path / "work/fake/T20260101_Gaaaaaaaa", dict.fromkeys(range(15), "old"), 1000)
    table(tmp_path / "work/fake/T20260102_Gbbbbbbbb", dict.fromkeys(range(4), "new"), 2000)
    assert takeover.reuse(paths, tmp_path / "work", unpickle=False) == 15
    answers = search(paths.checkpoints, Shard(job="fake+numbers", first=0, last=19)).answers
    said = {row: answer.prediction.prediction for row, answer in answers.items()}
    assert said == dict.fromkeys(range(4), "new") | dict.fromkeys(range(4, 15), "old")
    told = capsys.readouterr().err
    assert "4 answers imported from" in told
    assert "11 answers imported from" in told
    assert "5 left to ask" in told


def test_an_older_file_of_something_else_is_left_out_and_said(tmp_path: Path, capsys) -> None:
    paths = fake_run(tmp_path, 6)
    table(tmp_path / "work/fake/T20260101_Gaaaaaaaa", dict.fromkeys(range(6), "old"), 1000, "What else is {}?")
    table(tmp_path / "work/fake/T20260102_Gbbbbbbbb", {0: "new"}, 2000)
    assert takeover.reuse(paths, tmp_path / "work", unpickle=False) == 1
    assert "an older file was not taken: " in capsys.readouterr().err
