"""The committed data sets: held-out scans only, valid rows, and exactly what the seeded script writes."""

from __future__ import annotations

import ast
import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import long_fields
from vlmeval_mp.demo import benchmark, digits

DATA = Path(benchmark.__file__).parent / "data"
IMAGE_SETS = ("DigitsMCQ", "DigitsYORN", "DigitsVQA")
NAMES = (*IMAGE_SETS, "DigitsVideo")

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def tables() -> dict[str, Rows]:
    found = {}
    for name in NAMES:
        with long_fields(), (DATA / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
            found[name] = list(csv.DictReader(file, delimiter="\t"))
    return found


def pictures(rows: Rows) -> list[list[np.ndarray]]:
    """The pictures of each row, references followed."""
    seen: dict[str, str] = {}
    found = []
    for row in rows:
        cell = seen[row["image"]] if len(row["image"]) <= 64 else row["image"]
        seen[row["index"]] = cell
        packed = ast.literal_eval(cell) if cell.startswith("[") else [cell]
        found.append([np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB")) for one in packed])
    return found


def test_there_are_enough_rows_and_indexes_are_unique(tables: dict[str, Rows]) -> None:
    for name, rows in tables.items():
        assert len(rows) >= (60 if name == "DigitsVideo" else 400), name
        assert len({row["index"] for row in rows}) == len(rows), name


def test_no_scan_is_both_trained_on_and_held_out() -> None:
    train, held_out = digits.split()
    assert not set(train) & set(held_out)
    assert sorted(train + held_out) == list(range(1797))


def test_rows_show_held_out_scans_only(tables: dict[str, Rows]) -> None:
    held_out = set(digits.split()[1])
    for name, rows in tables.items():
        shown = {int(scan) for row in rows for scan in row["scan"].split()}
        assert shown <= held_out, name


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_a_row_shows_the_scans_it_names(tables: dict[str, Rows], name: str) -> None:
    rows = tables[name]
    for row, shown in zip(rows, pictures(rows), strict=True):
        scans = [int(scan) for scan in row["scan"].split()]
        assert len(shown) == len(scans)
        for picture, scan in zip(shown, scans, strict=True):
            assert np.array_equal(picture, digits.picture(digits.cells_of(scan)))


def test_the_answer_to_a_choice_is_the_digit_asked_for(tables: dict[str, Rows]) -> None:
    from vlmeval_mp.demo.lessons import WORDS

    for row in tables["DigitsMCQ"] + tables["DigitsVideo"]:
        assert len({row[letter] for letter in "ABCD"}) == 4
        place = -1 if row["category"] == "last" else 0
        digit = digits.digit_of(int(row["scan"].split()[place]))
        assert row[row["answer"]] in (str(digit), WORDS[digit])


def test_half_of_the_yes_no_answers_are_yes(tables: dict[str, Rows]) -> None:
    answers = [row["answer"] for row in tables["DigitsYORN"]]
    assert answers.count("Yes") == answers.count("No") == len(answers) / 2


def test_no_letter_is_the_answer_much_more_often_than_another(tables: dict[str, Rows]) -> None:
    answers = [row["answer"] for row in tables["DigitsMCQ"] + tables["DigitsVideo"]]
    assert all(0.2 < answers.count(letter) / len(answers) < 0.3 for letter in "ABCD")


def test_the_script_writes_the_committed_rows_again(tables: dict[str, Rows]) -> None:
    """Apart from how a picture is packed, which another Pillow may do differently; what it shows is compared above."""
    written = {
        "DigitsMCQ": benchmark.choice_rows(),
        "DigitsYORN": benchmark.yes_no_rows(),
        "DigitsVQA": benchmark.open_rows(),
        "DigitsVideo": benchmark.video_rows()[0],
    }
    for name, rows in written.items():
        without = [{key: value for key, value in row.items() if key != "image"} for row in rows]
        assert without == [{key: value for key, value in row.items() if key != "image"} for row in tables[name]]


def frames_of(path: Path) -> list[np.ndarray]:
    import av

    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_clip_decodes_to_its_scans_in_order_at_the_frames_that_are_sampled(tables: dict[str, Rows]) -> None:
    scans_of = {row["video_path"]: row["scan"].split() for row in tables["DigitsVideo"]}
    step = digits.DIGITS_PER_CLIP * digits.FRAMES_PER_DIGIT / (digits.SAMPLED_FRAMES + 1)
    for path in list(scans_of)[:6]:
        frames = frames_of(DATA / path)
        assert len(frames) == digits.DIGITS_PER_CLIP * digits.FRAMES_PER_DIGIT
        sampled = [frames[int(step * i)] for i in range(1, digits.SAMPLED_FRAMES + 1)]
        shown = [scan for scan in scans_of[path] for _ in range(2)]
        for frame, scan in zip(sampled, shown, strict=True):
            expected = digits.on_strip(digits.picture(digits.cells_of(int(scan))))
            assert np.abs(frame.astype(int) - expected).mean() < 1


def test_every_clip_that_a_row_names_is_there_and_no_other(tables: dict[str, Rows]) -> None:
    named = {row["video_path"] for row in tables["DigitsVideo"]}
    assert named == {f"videos/{path.name}" for path in (DATA / "videos").iterdir()}


def test_a_clip_written_again_has_as_many_frames(tmp_path: Path) -> None:
    path, scans = next(iter(benchmark.video_rows()[1].items()))
    benchmark.write_clip(tmp_path / "clip.mp4", scans)
    assert len(frames_of(tmp_path / "clip.mp4")) == len(frames_of(DATA / path))
