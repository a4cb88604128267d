"""Answers without pictures: what is read is what a run reads, and no picture is missed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import shared_data
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, Sample
from vlmeval_mp.datasets import gold
from vlmeval_mp.datasets.store import prepare


def tsv(path: Path, *lines: str) -> DataSpec:
    path.write_text("\n".join(lines) + "\n")
    return DataSpec(name=path.stem, path=str(path))


def bare(sample: Sample) -> Sample:
    return msgspec.structs.replace(sample, media=(), error="")


@pytest.mark.parametrize("name", ["MCQ_mini", "YORN_mini", "VQA_mini", "MULTI_mini", "VIDEO_mini"])
def test_samples_are_those_of_a_run_and_their_media_are_told_apart_alike(tmp_path: Path, name: str) -> None:
    spec = DataSpec(name=name, path=str(shared_data() / f"{name}.tsv"))
    ours = gold.read(spec)
    dataset = prepare(spec, tmp_path)
    theirs = dataset.samples(0, len(dataset) - 1)
    assert [bare(s) for s in ours] == [bare(s) for s in theirs]
    assert groups(ours) == groups(theirs)


def groups(samples: list[Sample]) -> list[list[int]]:
    """For each sample the first that has each of its media."""
    first: dict[str, int] = {}
    return [[first.setdefault(m.digest, s.row) for m in s.media] for s in samples]


def test_absent_and_broken_pictures_and_a_missing_question_do_not_matter(tmp_path: Path) -> None:
    spec = tsv(tmp_path / "d.tsv", "index\timage\tanswer", "1\t!!!!\tyes", "2\t\tno", "3\t1\tyes", "4\tgone\tno")
    samples = gold.read(spec)
    assert [(s.index, s.answer, s.kind, s.error) for s in samples] == [
        ("1", "yes", "yorn", ""),
        ("2", "no", "yorn", ""),
        ("3", "yes", "yorn", ""),
        ("4", "no", "yorn", ""),
    ]


def test_files_that_are_only_named_are_told_by_their_names(tmp_path: Path) -> None:
    spec = tsv(
        tmp_path / "d.tsv", "index\tquestion\timage_path\tanswer", "1\t?\ta.png\tx", "2\t?\ta.png\ty", "3\t?\tb.png\tz"
    )
    assert groups(gold.read(spec)) == [[0], [0], [2]]


def test_a_table_that_is_already_read_gives_the_same_samples(tmp_path: Path) -> None:
    rows = [
        {"index": "1", "question": 'a\tb\n"c"', "A": "None", "B": "NA", "answer": "A", "image": "x.jpg"},
        {"index": "2", "question": "?", "A": "1", "B": "2", "answer": "B", "image": "x.jpg"},
    ]
    samples = gold.of_rows(DataSpec(name="d", path="d.xlsx"), list(rows[0]), rows)
    assert [(s.question, s.options, s.answer, s.kind) for s in samples] == [
        ('a\tb\n"c"', {"A": "None", "B": "NA"}, "A", "mcq"),
        ("?", {"A": "1", "B": "2"}, "B", "mcq"),
    ]
    assert groups(samples) == [[0], [0]]


def test_a_malformed_or_missing_tsv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="row 2"):
        gold.read(tsv(tmp_path / "d.tsv", "index\tanswer", "1\tA", "1\tB"))
    with pytest.raises(ConfigError, match="no column 'index'"):
        gold.read(tsv(tmp_path / "d.tsv", "id\tanswer", "1\tA"))
    with pytest.raises(ConfigError, match="cannot be read"):
        gold.read(DataSpec(name="d", path=str(tmp_path / "none.tsv")))
