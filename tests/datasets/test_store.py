from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.conftest import shared_data
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, MediaLimits, Sampling
from vlmeval_mp.datasets import store
from vlmeval_mp.datasets.mediafiles import EDGE_BYTES, WHOLE_DIGEST_BYTES, content_digest
from vlmeval_mp.datasets.reading import READER_VERSION
from vlmeval_mp.datasets.store import Dataset, prepare
from vlmeval_mp.requests import media, prompts


def png(color: str = "red", size: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), color).save(buffer, "PNG")
    return buffer.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write(path: Path, **columns: list[str]) -> Path:
    frame = pd.DataFrame(columns)
    if "index" not in frame:
        frame.insert(0, "index", [str(i) for i in range(len(frame))])
    if "question" not in frame:
        frame["question"] = "Why?"
    frame.to_csv(path, sep="\t", index=False)
    return path


def read(path: Path, type: str = "", store_folder: Path | None = None) -> Dataset:  # noqa: A002
    return prepare(DataSpec(name=path.stem, path=str(path), type=type), store_folder or path.parent / "store")


@pytest.fixture(autouse=True)
def lmu_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "LMUData"
    monkeypatch.setenv("LMUData", str(folder))
    return folder


# --- columns ---------------------------------------------------------------------------------------------------


def test_all_columns_of_the_convention_arrive_in_the_sample(tmp_path: Path) -> None:
    columns = {"hint": "h", "A": "a", "B": "b", "C": "", "Z": "z", "answer": "A", "category": "c", "l2-category": "l"}
    path = write(tmp_path / "S.tsv", **{k: [v] for k, v in columns.items()}, split=["dev"], source=["web"], note=[""])
    (sample,) = read(path).samples(0, 0)
    assert (sample.index, sample.row, sample.kind, sample.question) == ("0", 0, "mcq", "Why?")
    assert sample.options == {"A": "a", "B": "b", "Z": "z"}
    assert (sample.hint, sample.answer, sample.category, sample.l2_category, sample.split) == (
        "h",
        "A",
        "c",
        "l",
        "dev",
    )
    assert sample.extra == {"source": "web"}
    assert (sample.media, sample.error) == ((), "")


def test_options_named_none_and_na_stay_options(tmp_path: Path) -> None:
    (sample,) = read(write(tmp_path / "S.tsv", A=["None"], B=["NA"])).samples(0, 0)
    assert sample.options == {"A": "None", "B": "NA"}


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"A": ["x", "y"], "B": ["x", "y"], "answer": ["Yes", "No"]}, "mcq"),
        ({"answer": ["Yes", "no"]}, "yorn"),
        ({"answer": ["Yes", ""]}, "yorn"),
        ({"answer": ["Yes", "maybe"]}, "vqa"),
        ({"answer": ["", ""]}, "vqa"),
        ({"A": ["x", "y"]}, "vqa"),
    ],
)
def test_the_kind_is_told_by_columns_then_answers(tmp_path: Path, columns: dict[str, list[str]], kind: str) -> None:
    assert read(write(tmp_path / "S.tsv", **columns, question=["a", "b"])).info.kinds == {kind: 2}


def test_a_declared_type_decides_and_a_type_cell_decides_more(tmp_path: Path) -> None:
    path = write(tmp_path / "S.tsv", answer=["Yes", "No", "No"], type=["", "open", "MCQ"])
    assert [s.kind for s in read(path, type="yorn").samples(0, 2)] == ["yorn", "vqa", "mcq"]


def test_an_unknown_declared_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="type 'choice' is not one of"):
        read(write(tmp_path / "S.tsv", answer=["x"]), type="choice")


# --- images ----------------------------------------------------------------------------------------------------


def test_image_bytes_are_stored_once_and_unchanged(tmp_path: Path) -> None:
    data = png()
    dataset = read(write(tmp_path / "S.tsv", image=[b64(data), b64(data)]))
    first, second = dataset.samples(0, 1)
    assert first.media == second.media
    assert first.media[0].digest == hashlib.sha256(data).hexdigest()
    assert (dataset.folder / first.media[0].file).read_bytes() == data
    assert [p.name for p in (dataset.folder / "media").iterdir()] == [f"{first.media[0].digest}.png"]


@pytest.mark.parametrize(
    "form",
    [
        lambda text: "data:image/png;base64," + text,
        lambda text: "\n".join(text[i : i + 76] for i in range(0, len(text), 76)),
        lambda text: text.rstrip("="),
    ],
    ids=["data URI", "wrapped", "no padding"],
)
def test_base64_in_its_usual_disguises_is_accepted(tmp_path: Path, form: object) -> None:
    data = png() + b"x" * (1 + -len(png()) % 3)
    assert b64(data).endswith("==")
    dataset = read(write(tmp_path / "S.tsv", image=[form(b64(data))]))
    assert (dataset.folder / dataset.samples(0, 0)[0].media[0].file).read_bytes() == data


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("!" * 80, "is not base64: character '!' at 1 of 80"),
        ("A" * 81, "is cut base64: 81 characters cannot be whole bytes"),
        ("data:image/png;base64,", "is empty"),
        ("[]", "is an empty list"),
        ("[" * 300 + "]" * 300, "looks like a list"),
        ("['" + "A" * 80, "is not base64: character '\\['"),
        ("['a' + 1]", "not a valid list literal"),
    ],
)
def test_an_unusable_image_costs_its_sample_only(tmp_path: Path, text: str, fault: str) -> None:
    good, bad = read(write(tmp_path / "S.tsv", image=[b64(png()), text])).samples(0, 1)
    assert not good.error
    assert not good.media[0].error
    assert re.search(rf"S\.tsv row 2, column 'image': .*{fault}", bad.error or bad.media[0].error)


def test_a_short_value_refers_to_the_row_with_that_index_before_or_behind(tmp_path: Path) -> None:
    several = f"['{b64(png('blue'))}', '{b64(png('green'))}']"
    path = write(tmp_path / "S.tsv", index=list("abdef"), image=["b", b64(png("red")), several, "d", "b"])
    samples = read(path).samples(0, 4)
    assert samples[0].media == samples[1].media == samples[4].media
    assert samples[3].media == samples[2].media
    assert len(samples[2].media) == 2


def test_references_to_nothing_and_to_references_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"row 2 \(index '1'\), column 'image': refers to index '99', which no row has"
    ):
        read(write(tmp_path / "S.tsv", image=[b64(png()), "99"]))
    with pytest.raises(ConfigError, match=r"row 3 \(index '2'\), column 'image': refers to row 2, which is itself"):
        read(write(tmp_path / "S.tsv", image=[b64(png()), "0", "1"]))
    with pytest.raises(ConfigError, match=r"row 1 .*which is itself a reference"):
        read(write(tmp_path / "S.tsv", image=["0"]))
    assert list((tmp_path / "store").iterdir()) == []


def test_a_reference_to_a_row_without_image_is_that_samples_error(tmp_path: Path) -> None:
    one, two = read(write(tmp_path / "S.tsv", image=["", "0"])).samples(0, 1)
    assert one.error == "S.tsv row 1, column 'image': is empty"
    assert two.error == "S.tsv row 2, column 'image': row 1 has no image"


def test_list_elements_may_be_references(tmp_path: Path) -> None:
    path = write(tmp_path / "S.tsv", image=[b64(png("red")), f"['0', '{b64(png('blue'))}', '7']"])
    one, two = read(path).samples(0, 1)
    assert two.media[0] == one.media[0]
    assert not two.media[1].error
    assert "column 'image': is cut base64" in two.media[2].error


def test_an_empty_question_is_that_samples_error(tmp_path: Path) -> None:
    samples = read(write(tmp_path / "S.tsv", question=["Why?", " "], answer=["x", ""])).samples(0, 1)
    assert [sample.error for sample in samples] == ["", "S.tsv row 2, column 'question': is empty"]


# --- files by name ---------------------------------------------------------------------------------------------


def test_named_images_are_found_beside_the_tsv_and_in_lmu_data(tmp_path: Path, lmu_data: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.png").write_bytes(png("red"))
    (lmu_data / "images" / "S").mkdir(parents=True)
    (lmu_data / "images" / "S" / "b.png").write_bytes(png("blue"))
    sample, other = read(write(tmp_path / "S.tsv", image_path=["pics/a.png", "['pics/a.png', 'b.png']"])).samples(0, 1)
    assert sample.media[0].file == str(tmp_path / "pics" / "a.png")
    assert sample.media[0].digest == hashlib.sha256(png("red")).hexdigest()
    assert other.media == (sample.media[0], other.media[1])
    assert other.media[1].file == str(lmu_data / "images" / "S" / "b.png")


@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png", "{outside}", "link.png", "a\0b.png"])
def test_a_named_file_outside_the_folder_is_not_opened(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    outside = tmp_path / "secret.png"
    outside.write_bytes(png())
    (folder / "link.png").symlink_to(outside)
    (folder / "own.png").write_bytes(png())
    names = [name.format(outside=outside), "own.png"]
    sample, own = read(write(folder / "S.tsv", image_path=names)).samples(0, 1)
    assert not sample.media[0].file
    assert re.search(r"row 1, column 'image_path': file .* (leaves the|does not|outside)", sample.media[0].error)
    assert own.media[0].file


def test_videos_are_found_by_path_and_by_name(tmp_path: Path, lmu_data: Path) -> None:
    places = ["clips/a.mp4", "videos/b.mp4", "S/c.mp4"]
    for place in places:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(place.encode())
    (lmu_data / "S").mkdir(parents=True)
    (lmu_data / "S" / "d.mp4").write_bytes(b"d")
    path = write(tmp_path / "S.tsv", video=["x", "b", "c", "d.mp4", "lost"], video_path=["clips/a.mp4", "", "", "", ""])
    samples = read(path).samples(0, 4)
    assert [Path(s.media[0].file).name for s in samples[:4]] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert {s.media[0].kind for s in samples} == {"video"}
    assert "row 5, column 'video': file 'lost.mp4' does not exist inside" in samples[4].media[0].error


def test_rows_of_a_video_file_have_their_own_kinds(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"v")
    path = write(tmp_path / "S.tsv", video=["v"] * 3, A=["x", "", ""], B=["y", "", ""], answer=["A", "Yes", "three"])
    assert [s.kind for s in read(path).samples(0, 2)] == ["mcq", "yorn", "vqa"]
    assert [s.kind for s in read(path, type="vqa").samples(0, 2)] == ["vqa"] * 3


def test_a_large_file_is_told_by_size_and_edges(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with path.open("wb") as file:
        file.truncate(WHOLE_DIGEST_BYTES + 1)
    before = content_digest(path)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    edge = content_digest(path)
    with path.open("r+b") as file:
        file.seek(EDGE_BYTES + 1)
        file.write(b"x")
    assert before != edge == content_digest(path)


# --- the folder ------------------------------------------------------------------------------------------------


def test_a_second_call_does_not_read_the_tsv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "S.tsv", image=[b64(png())])
    first = read(path)
    monkeypatch.setattr(store, "Reading", None)
    assert read(path).folder == first.folder


def test_a_changed_tsv_type_or_named_file_gives_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png("red"))
    path = write(tmp_path / "S.tsv", image_path=["a.png"])
    digests = [read(path).info.digest, read(path, type="mcq").info.digest]
    (tmp_path / "a.png").write_bytes(png("blue", 20))
    digests.append(read(path).info.digest)
    write(path, image_path=["a.png"], hint=["h"])
    digests.append(read(path).info.digest)
    assert len(set(digests)) == 4


def test_a_file_that_was_missing_is_looked_for_again(tmp_path: Path) -> None:
    path = write(tmp_path / "S.tsv", image_path=["a.png"])
    assert read(path).samples(0, 0)[0].media[0].error
    (tmp_path / "a.png").write_bytes(png())
    assert not read(path).samples(0, 0)[0].media[0].error


def test_the_same_content_at_another_path_shares_the_folder_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    first = read(write(tmp_path / "x" / "S.tsv", image=[b64(png())]), store_folder=tmp_path / "store")
    second = read(write(tmp_path / "y" / "S.tsv", image=[b64(png())]), store_folder=tmp_path / "store")
    assert first.folder == second.folder
    monkeypatch.setattr(store, "Reading", None)
    assert read(tmp_path / "y" / "S.tsv", store_folder=tmp_path / "store").folder == first.folder


def test_a_moved_data_set_refers_to_its_files_where_they_are_now(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.png").write_bytes(png())
    path = write(tmp_path / "x" / "S.tsv", image_path=["a.png"])
    first = read(path, store_folder=tmp_path / "store")
    (tmp_path / "x").rename(tmp_path / "y")
    second = read(tmp_path / "y" / "S.tsv", store_folder=tmp_path / "store")
    assert first.info.digest == second.info.digest
    assert second.samples(0, 0)[0].media[0].file == str(tmp_path / "y" / "a.png")


def _two_copies(tmp_path: Path) -> tuple[Path, Path]:
    """Write a TSV that names an image and a copy of both into another folder."""
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(png())
    first, second = (write(tmp_path / name / "S.tsv", image_path=["a.png"]) for name in ("x", "y"))
    return first, second


def test_a_copy_of_a_data_set_leaves_the_stored_samples_usable(tmp_path: Path) -> None:
    first, second = _two_copies(tmp_path)
    stored = tmp_path / "store"
    folder = read(first, store_folder=stored).folder
    assert read(second, store_folder=stored).folder == folder
    assert Dataset(folder).samples(0, 0)[0].media[0].file == str(first.parent / "a.png")
    first.parent.joinpath("a.png").unlink()
    again = read(second, store_folder=stored)
    assert again.samples(0, 0)[0].media[0].file == str(second.parent / "a.png")


def test_samples_of_another_version_of_the_reader_do_not_stand_for_this_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "S.tsv", question=["Why?"])
    dataset = read(path)
    folder, now = dataset.folder, dataset.samples(0, 0)
    lines = (folder / "samples.jsonl").read_bytes().replace(b"Why?", b"How?")
    (folder / "samples.jsonl").write_bytes(lines)
    info = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text(info.replace(dataset.info.stored, hashlib.sha256(lines).hexdigest()))
    assert [sample.question for sample in read(path).samples(0, 0)] == ["How?"]  # one version: found as it is
    origin = (folder / "origin.json").read_text()
    (folder / "origin.json").write_text(origin.replace(f'"reader":{READER_VERSION}', '"reader":3'))
    again = read(path)
    assert (again.folder, again.samples(0, 0)) == (folder, now)


def test_a_stored_data_set_whose_origin_is_torn_is_replaced(tmp_path: Path) -> None:
    first, second = _two_copies(tmp_path)
    stored = tmp_path / "store"
    origin = read(first, store_folder=stored).folder / "origin.json"
    origin.write_bytes(origin.read_bytes()[:20])
    again = read(second, store_folder=stored)
    assert again.samples(0, 0)[0].media[0].file == str(second.parent / "a.png")


def test_any_range_of_samples_can_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "S.tsv", question=[f"q{i}" for i in range(50)])
    dataset = Dataset(read(path).folder)
    assert len(dataset) == dataset.info.samples == 50
    assert [s.question for s in dataset.samples(7, 9)] == ["q7", "q8", "q9"]
    assert [s.row for s in dataset.samples(0, 49)] == list(range(50))
    with pytest.raises(IndexError):
        dataset.samples(40, 50)


def test_a_damaged_folder_is_refused_with_the_next_step(tmp_path: Path) -> None:
    folder = read(write(tmp_path / "S.tsv", question=["a", "b"])).folder
    samples = folder / "samples.jsonl"
    samples.write_bytes(samples.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(ConfigError, match=r"damaged; delete .* and launch again"):
        Dataset(folder)
    with pytest.raises(ConfigError, match="no usable data set folder"):
        Dataset(tmp_path / "nowhere")
    assert len(read(tmp_path / "S.tsv")) == 2  # and reading it again repairs it


def test_launchers_that_read_at_once_agree_on_one_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "S.tsv", image=[b64(png(size=8 + i % 50)) for i in range(300)])
    found: list[Dataset] = []
    threads = [threading.Thread(target=lambda: found.append(read(path))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert {dataset.folder for dataset in found} == {found[0].folder}
    assert list((tmp_path / "store").iterdir()) == [found[0].folder]
    assert {len(dataset) for dataset in found} == {300}


_READ = """
import sys
from pathlib import Path
from vlmeval_mp.datasets.store import prepare
from vlmeval_mp.core.records import DataSpec
prepare(DataSpec(name="S", path=sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_reading_leaves_no_folder_and_its_remains_are_removed_later(tmp_path: Path) -> None:
    path = tmp_path / "S.tsv"
    image = b64(os.urandom(100_000))
    with path.open("w") as file:
        file.write("index\tquestion\timage\n")
        file.writelines(f"{i}\tWhy?\t{b64(str(i).encode() * 3)[:4]}{image}\n" for i in range(400))
    folder = tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", _READ, str(path), str(folder)])
    while not list(folder.glob(".*/media/*")):
        time.sleep(0.005)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = folder.iterdir()
    assert left.name.startswith(".")
    for each in (left, left / "drafts.jsonl"):
        os.utime(each, (0, 0))
    assert len(read(path)) == 400
    assert not left.exists()


# --- the real samples ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(shared_data().glob("*_mini.tsv")), ids=lambda path: path.stem)
def test_every_real_sample_becomes_a_request(path: Path, tmp_path: Path) -> None:
    dataset = read(path, store_folder=tmp_path)
    frame = pd.read_csv(path, sep="\t", keep_default_na=False, dtype=str)
    assert len(dataset) == len(frame) > 0
    for sample, row in zip(dataset.samples(0, len(dataset) - 1), frame.to_dict("records"), strict=True):
        assert (sample.index, sample.question, sample.answer) == (row["index"], row["question"], row["answer"])
        assert (sample.error, sample.options) == ("", {k: row[k] for k in "ABCDEFGHIJ" if row.get(k)})
        messages = prompts.build(sample)
        request = media.prepare(sample.index, messages, Sampling(), dataset.folder, MediaLimits(), 2, 0.0)
        assert len(request.images) == (0 if "video" in row else int(row.get("n_images", 1)))
        assert len(request.videos) == int("video" in row)


def test_the_real_files_have_the_kinds_their_readme_says(tmp_path: Path) -> None:
    found = {p.stem: read(p, store_folder=tmp_path).info for p in shared_data().glob("*_mini.tsv")}
    assert {name: info.kinds for name, info in found.items()} == {
        "MCQ_mini": {"mcq": 140},
        "MCQ_CN_mini": {"mcq": 10},
        "YORN_mini": {"yorn": 106},
        "VQA_mini": {"vqa": 66},
        "MULTI_mini": {"mcq": 34},
        "VIDEO_mini": {"mcq": 14, "yorn": 6, "vqa": 2},
    }
    assert (found["MULTI_mini"].max_images, found["VIDEO_mini"].max_videos) == (5, 1)


def test_samples_that_are_not_as_they_were_stored_are_refused_and_read_anew(tmp_path: Path) -> None:
    tsv = tmp_path / "numbers.tsv"
    tsv.write_text("index\tquestion\tanswer\n" + "".join(f"{i}\tWhat is {i}?\t{i}\n" for i in range(5)))
    spec, store = DataSpec(name="numbers", path=str(tsv)), tmp_path / "store"
    folder = prepare(spec, store).folder
    samples = folder / "samples.jsonl"
    samples.write_bytes(samples.read_bytes().replace(b"What is 3?", b"What is 8?"))
    with pytest.raises(ConfigError, match="is damaged; delete"):
        Dataset(folder)
    assert "What is 3?" in str(prepare(spec, store).samples(3, 3))
