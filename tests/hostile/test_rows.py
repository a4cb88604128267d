"""Every row of the hostile TSV: the file is refused as a whole, and each fault is found in a file of its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import shared_data
from vlmeval_mp.core.errors import ConfigError, RequestError
from vlmeval_mp.core.records import DataSpec, MediaLimits, Request, Sample, Sampling
from vlmeval_mp.datasets.store import Dataset, prepare
from vlmeval_mp.requests import media, prompts

SOURCE = shared_data() / "hostile" / "hostile_rows.tsv"
ROWS = pd.read_csv(SOURCE, sep="\t", keep_default_na=False, dtype=str)
CONTROL = ROWS[ROWS["index"] == "0"]


def read(frame: pd.DataFrame, folder: Path) -> Dataset:
    path = folder / "rows.tsv"
    frame.to_csv(path, sep="\t", index=False)
    return prepare(DataSpec(name="rows", path=str(path)), folder / "store")


def with_fault(index: str, folder: Path) -> tuple[Dataset, Sample]:
    """A file of the control row and the row `index`, and the latter's sample."""
    row = ROWS[ROWS["index"] == index]
    dataset = read(row if index == "0" else pd.concat([CONTROL, row]), folder)
    return dataset, dataset.samples(len(dataset) - 1, len(dataset) - 1)[0]


def ask(dataset: Dataset, sample: Sample) -> Request:
    assert not sample.error
    return media.prepare(sample.index, prompts.build(sample), Sampling(), dataset.folder, MediaLimits(), 0, 0.0)


def test_the_file_as_a_whole_is_refused_for_its_duplicate_index(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(DataSpec(name="rows", path=str(SOURCE)), tmp_path)
    assert str(caught.value) == (
        f"{SOURCE.resolve()}: row 14 (index '12'), column 'index': is also that of row 13; give every row its own"
    )
    assert not list(tmp_path.iterdir())


def test_every_row_is_covered() -> None:
    tested = [*ANSWERED, *SAMPLE_ERRORS, *MEDIA_ERRORS, "2", "12", "12"]
    assert sorted(tested, key=int) == list(ROWS["index"])


def test_a_reference_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"row 2 \(index '2'\), column 'image': refers to index '99', which no row has"
    ):
        with_fault("2", tmp_path)


def test_a_duplicate_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"row 3 \(index '12'\), column 'index': is also that of row 2"):
        with_fault("12", tmp_path)


ANSWERED = {
    "0": 1,
    "1": 1,
    "3": 1,
    "4": 1,
    "5": 1,
    "9": 1,
    "10": 1,
    "11": 1,
    "13": 2,
    "16": 1,
    "17": 1,
    "18": 1,
    "19": 1,
}


@pytest.mark.parametrize(("index", "images"), ANSWERED.items())
def test_a_row_that_is_only_awkward_is_asked_with_its_own_text(tmp_path: Path, index: str, images: int) -> None:
    dataset, sample = with_fault(index, tmp_path)
    row = ROWS[ROWS["index"] == index].iloc[0]
    options = {letter: row[letter] for letter in "ABCD" if row[letter]}
    assert (sample.question, sample.options, sample.answer) == (row["question"], options, row["answer"])
    request = ask(dataset, sample)
    assert len(request.images) == images
    assert f"Question: {row['question']}\n" in request.messages[0].parts[-1].text


@pytest.mark.parametrize("index", ["1", "3", "4", "5"])
def test_every_way_to_write_the_control_picture_gives_the_same_picture(tmp_path: Path, index: str) -> None:
    dataset, sample = with_fault(index, tmp_path)
    control = dataset.samples(0, 0)[0]
    assert sample.media[0].digest == control.media[0].digest
    assert ask(dataset, sample).images[0].tobytes() == ask(dataset, control).images[0].tobytes()


SAMPLE_ERRORS = {
    "7": "rows.tsv row 2, column 'image': is empty",
    "8": "rows.tsv row 2, column 'question': is empty",
    "14": "rows.tsv row 2, column 'image': is an empty list",
}


@pytest.mark.parametrize(("index", "error"), SAMPLE_ERRORS.items())
def test_a_row_that_cannot_be_asked_says_why(tmp_path: Path, index: str, error: str) -> None:
    _, sample = with_fault(index, tmp_path)
    assert sample.error == error


MEDIA_ERRORS = {
    "6": r"^image 1: rows\.tsv row 2, column 'image': is not base64: character '!' at 1 of ",
    "15": r"^image 2 \(media/.*\.bin\) cannot be decoded \(its header",
    "20": r"^image 1 \(media/.*\.jpg\) cannot be decoded \(OSError: image file is truncated",
}


@pytest.mark.parametrize(("index", "error"), MEDIA_ERRORS.items())
def test_a_picture_that_cannot_be_used_costs_its_sample_only(tmp_path: Path, index: str, error: str) -> None:
    dataset, sample = with_fault(index, tmp_path)
    with pytest.raises(RequestError, match=error):
        ask(dataset, sample)
    assert len(ask(dataset, dataset.samples(0, 0)[0]).images) == 1
