"""Files that were read otherwise than they were meant, each the kind of a fault that somebody met."""

from __future__ import annotations

import base64
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import shared_case
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, Sample
from vlmeval_mp.datasets import mediafiles, names, optioncheck, options, store
from vlmeval_mp.requests import prompts

PICTURE = shared_case("media-behind-links") / "b.png"


def read(path: Path, folder: Path, **fields: Any) -> list[Sample]:
    spec = DataSpec(name=path.stem, path=str(path), **(names.defaults(path.stem) | fields))
    dataset = store.prepare(spec, folder / "store")
    return dataset.samples(0, len(dataset) - 1)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "d.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# --- options ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["optjson", "choices", "optA"])
def test_options_in_other_columns_are_asked_as_such(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        samples = read(shared_case("options-not-in-letters") / f"{name}.tsv", tmp_path)
    for sample in samples:
        assert list(sample.options.values())[:2] == ["cat", "dog"]
        assert (sample.kind, sample.answer) == ("mcq", "B")
        assert "A. cat\nB. dog\n" in prompts.text(sample)
    assert "are read from the columns" in caplog.text


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("a\tb", "cat\tdog"), ("option_a\toption_b", "cat\tdog"), ("option1\toption2", "cat\tdog"),
        ("choice A\tchoice B", "cat\tdog"), ("options", "['A. cat' 'B. dog']"), ("choices", '"A. cat\nB. dog"'),
        ("OPTION_A\tOPTION_B", "cat\tdog"), ("OptionA\tOptionB", "cat\tdog"), ("Options", "['cat', 'dog']"),
        ("choices", '"{""text"": [""cat"", ""dog""], ""label"": [""A"", ""B""]}"'),
        ("options", '"[{""label"": ""A"", ""text"": ""cat""}, {""label"": ""B"", ""text"": ""dog""}]"'),
        ("options", '"[""cat"", ""dog"", null]"'),
        ("candidates", "('cat', 'dog')"), ("options", '"{""a"": ""cat"", ""b"": ""dog""}"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("answer", ["B", "b", "(B)", "dog"])
def test_columns_and_answers_may_be_spelt_in_other_ways(columns: str, cells: str, answer: str, tmp_path: Path) -> None:
    (sample,) = read(written(tmp_path, f"index\tquestion\t{columns}\tanswer", f"1\tq\t{cells}\t{answer}"), tmp_path)
    assert (sample.kind, sample.options, sample.answer) == ("mcq", {"A": "cat", "B": "dog"}, "B")
    assert sample.extra.get("answer", "B") == answer


@pytest.mark.parametrize("fields", [{"type": "vqa"}, {"scorer": "mathvista"}])
def test_options_are_not_looked_for_where_the_kind_is_said(fields: dict[str, str], tmp_path: Path) -> None:
    path = written(tmp_path, "index\tquestion\tchoices\tanswer", "1\tq\t['cat', 'dog']\tdog")
    (sample,) = read(path, tmp_path, **fields)
    assert (sample.kind, sample.options, sample.answer) == ("vqa", {}, "dog")


def test_a_row_without_options_beside_others_is_an_open_question(tmp_path: Path) -> None:
    path = written(tmp_path, "index\tquestion\tchoices\tanswer", "1\tq\t['cat', 'dog']\tdog", "2\tq\t\tseven")
    assert [(s.kind, s.answer) for s in read(path, tmp_path)] == [("mcq", "B"), ("vqa", "seven")]


def test_letters_for_answers_without_any_options_are_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, "index\tquestion\tfirst\tsecond\tanswer", "1\tq\tcat\tdog\tB", "2\tq\tcat\tdog\tA")
    with caplog.at_level(logging.WARNING):
        read(path, tmp_path)
    assert "every answer is a letter, but no row has options" in caplog.text


def test_a_missing_value_is_no_option_and_words_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        samples = read(shared_case("options-called-nan") / "MMStar.tsv", tmp_path)
    assert [list(sample.options) for sample in samples] == [
        ["B", "C", "D"], ["A", "B", "D"], ["B", "C", "D"], ["A", "B"], [*"ABCD"], [*"ABCD"], [*"ABCD"],
    ]  # fmt: skip
    assert "2 rows have an answer that is none of their options (the first is row 1, answer 'A')" in caplog.text
    assert "2 rows have options such as 'None' or 'N/A', which VLMEvalKit takes for missing" in caplog.text


def test_a_data_set_whose_rows_are_read_as_before_keeps_its_digest(tmp_path: Path) -> None:
    plain = written(tmp_path, "index\tquestion\tA\tB\tanswer", "1\tq\tcat\tdog\tB")
    digest = store.prepare(DataSpec(name="d", path=str(plain)), tmp_path / "s").info.digest
    assert digest.startswith("7ee05709864fe1aa"), "runs of earlier versions rest on this digest"
    plain.write_text(plain.read_text().replace("cat", "nan"))
    assert store.prepare(DataSpec(name="d", path=str(plain)), tmp_path / "s").info.digest != digest


def test_a_cell_of_spaces_is_no_option(tmp_path: Path) -> None:
    path = written(tmp_path, "index\tquestion\tA\tB\tC\tanswer", "1\tq\tcat\tdog\t  \tB")
    assert list(read(path, tmp_path)[0].options) == ["A", "B"]


def test_keys_of_an_object_keep_their_letters_and_their_order() -> None:
    assert options.listed('{"B": "dog", "C": "bird"}') == ["", "dog", "bird"]
    ten = json.dumps({str(n): f"option {n}" for n in range(1, 12)})
    assert options.listed(ten) == [f"option {n}" for n in range(1, 12)]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ({"text": ["cat", "dog"], "label": ["B", "A"]}, ["dog", "cat"]),
        ([{"label": "b)", "text": "cat"}, {"label": "a)", "text": "dog"}], ["dog", "cat"]),
        ({"text": ["cat", "dog"]}, ["cat", "dog"]),
        ({"text": ["cat", "dog"], "label": ["A", "A"]}, []),
        ({"text": ["cat", "dog"], "label": ["A", "C"]}, []),
        ({"text": ["cat", "dog"], "label": ["A", "B", "C"]}, []),
        ({"text": ["cat", "dog"], "label": "AB"}, []),
        ([{"label": "A", "text": "cat"}, {"text": "dog"}], []),
        ([{"label": 2, "text": "cat"}, {"label": 1, "text": "dog"}], []),
    ],
)
def test_options_with_labels_have_the_letters_of_these_or_are_none(cell: object, found: list[str]) -> None:
    assert options.listed(json.dumps(cell)) == found


def test_texts_side_by_side_and_commas_are_no_options() -> None:
    assert options.listed("['a' 'b', 'c']") == []


@pytest.mark.parametrize(
    ("columns", "before", "otherwise"),
    [
        ("question\toptions\tanswer", "q\t['cat', 'dog']\tA", 'q\t"[""cat"", ""dog"", null]"\tA'),
        ("question\toptions\tanswer", "q\t{'a': 'cat', 'b': 'dog'}\tA", "q\t{'B': 'cat', 'C': 'dog'}\tB"),
        ("question\ta\tb\tc\tanswer", "q\tcat\tdog\t\tA", "q\tcat\tdog\t \tA"),
        ("question\tA\tB\tC\tanswer", "q\tcat\tdog\t\tA", "q\tcat\tdog\t \tA"),
    ],
)
def test_only_rows_that_are_read_otherwise_than_by_version_3_give_another_digest(
    columns: str, before: str, otherwise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digests(row: str) -> list[str]:
        path = written(tmp_path, f"index\t{columns}", f"1\t{row}")
        spec = DataSpec(name="d", path=str(path))
        own = store.prepare(spec, tmp_path / "s").info.digest
        with monkeypatch.context() as patched:  # version 3 added nothing to the digest for such a row
            patched.setattr(optioncheck.OptionCheck, "_compare", lambda self, row: None)
            return [own, store.prepare(spec, tmp_path / "t").info.digest]

    same, other = digests(before), digests(otherwise)
    assert same[0] == same[1]
    assert other[0] != other[1]


def test_a_column_that_version_3_did_not_know_is_read_from_a_store_that_it_made(tmp_path: Path) -> None:
    path = written(tmp_path, "index\tquestion\tOptions\tanswer", "1\tq\t['cat', 'dog']\tB")
    spec = DataSpec(name="d", path=str(path))
    made = store.prepare(DataSpec(name="d", path=str(path), type="vqa"), tmp_path / "s").folder
    origin = json.loads((made / "origin.json").read_text())
    (made / "origin.json").write_text(json.dumps(origin | {"reader": 3, "type": ""}))
    assert store.prepare(spec, tmp_path / "s").samples(0, 0)[0].options == {"A": "cat", "B": "dog"}


def test_lines_and_lists_of_one_are_no_options() -> None:
    assert options.listed("cat\ndog") == options.listed("['cat']") == options.listed("7") == []


# --- lists -----------------------------------------------------------------------------------------------------


def test_a_list_as_numpy_prints_it_has_all_of_its_pictures(tmp_path: Path) -> None:
    first, second = read(shared_case("image-list-without-commas") / "nplist.tsv", tmp_path)
    assert len(first.media) == 2
    assert first.media == second.media


def test_a_list_of_files_without_commas_names_each(tmp_path: Path) -> None:
    for name in "ab":
        shutil.copy(PICTURE, tmp_path / f"{name}.png")
    path = written(
        tmp_path, "index\tquestion\timage_path", "1\tq\t['a.png' 'b.png']", "2\tq\t['a.png', 'b.png' 'a.png']"
    )
    numpy, mixed = read(path, tmp_path)
    assert [Path(media.file).name for media in numpy.media] == ["a.png", "b.png"]
    assert "a list needs commas" in mixed.error


def test_pictures_side_by_side_without_a_list_are_not_taken_for_one(tmp_path: Path) -> None:
    jpeg, png = (base64.b64encode(head + bytes(89)).decode() for head in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"))
    assert not jpeg.endswith("=")  # no padding, which would betray the end of the first
    wrapped = f"{jpeg[:60]}\n{jpeg[60:]}"
    path = written(
        tmp_path, "index\tquestion\timage", f"1\tq\t{jpeg} {jpeg}", f'2\tq\t"{jpeg}\n{png}"', f'3\tq\t"{wrapped}"',
        f"4\tq\t['{jpeg}', None]",
    )  # fmt: skip
    beside, below, one, gap = read(path, tmp_path)
    assert "holds several pictures side by side" in beside.media[0].error
    assert "holds several pictures side by side" in below.media[0].error
    assert [media.error for media in one.media] == [""]
    assert "has nothing in place 2 of its list" in gap.error


def test_a_line_of_a_wrapped_picture_may_begin_like_a_picture() -> None:
    jpeg = b"\xff\xd8\xff\xe1" + bytes(53) + b"\xff\xd8\xff\xdb" + bytes(90)  # a thumbnail at the second line
    wrapped = base64.encodebytes(jpeg)
    assert wrapped.split()[1].startswith(b"/9j/2")
    assert mediafiles.decode_base64(wrapped) == jpeg
    short = base64.b64encode(jpeg[:56])  # ends in "="
    for pictures in (wrapped + wrapped, short + b"\n" + short):
        assert "several pictures" in str(mediafiles.decode_base64(pictures))


# --- indexes and line ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("indexes", [("0", "0.0"), ("0.0", "0"), ("7.0", "7.00"), ("-1", "-1.0")])
def test_two_spellings_of_one_index_are_one_index(indexes: tuple[str, str], tmp_path: Path) -> None:
    path = written(tmp_path, "index\tquestion", *(f"{index}\tq" for index in indexes))
    with pytest.raises(ConfigError, match=r"row 2 \(index '.*'\), column 'index': is also that of row 1"):
        read(path, tmp_path)


def test_the_shared_file_with_zero_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is also that of row 1"):
        read(shared_case("index-zero-and-zero-point-zero") / "dup_index_float.tsv", tmp_path)


def test_lines_that_end_in_cr_alone_are_said_to(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="its lines end in CR alone"):
        read(shared_case("index-zero-and-zero-point-zero") / "cr.tsv", tmp_path)


# --- media behind links ----------------------------------------------------------------------------------------


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """A folder of pictures that is not the data set's."""
    folder = tmp_path / "far"
    folder.mkdir()
    shutil.copy(PICTURE, folder / "b.png")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_link_beside_the_tsv_allows_its_folder(far: Path, home: Path, tmp_path: Path) -> None:
    (home / "nas").symlink_to(far)
    path = written(home, "index\tquestion\timage_path", "1\tq\tnas/b.png", f"2\tq\t{far}/b.png")
    assert [media.error for sample in read(path, tmp_path) for media in sample.media] == ["", ""]


def test_a_file_that_is_there_but_outside_is_said_to_be(far: Path, home: Path, tmp_path: Path) -> None:
    shutil.copy(PICTURE, home / "own.png")
    (home / "images").mkdir()
    (home / "images" / "b.png").symlink_to(far / "b.png")
    path = written(home, "index\tquestion\timage_path", "1\tq\town.png", "2\tq\timages/b.png", "3\tq\tno.png")
    own, linked, absent = (sample.media[0].error for sample in read(path, tmp_path))
    assert own == ""
    assert f"is there ({far}/b.png), but outside of the data set's folders" in linked
    assert f"ln -s {far} {home}/" in linked
    assert "does not exist inside" in absent


@pytest.mark.parametrize("column", ["image_path", "video"])
def test_a_data_set_whose_every_file_is_outside_is_refused(column: str, far: Path, home: Path, tmp_path: Path) -> None:
    path = written(home, f"index\tquestion\t{column}", f"1\tq\t{far}/b.png")
    with pytest.raises(ConfigError, match="every file that it names is outside of its folders"):
        read(path, tmp_path)


# --- names -----------------------------------------------------------------------------------------------------


def test_a_file_named_after_long_video_bench_is_scored_as_it(tmp_path: Path) -> None:
    from vlmeval_mp.exchange.evaluate import FileToScore, evaluate

    shutil.copy(shared_case("longvideobench-by-name") / "m_LongVideoBench.tsv", tmp_path)
    found = evaluate(FileToScore(file=tmp_path / "m_LongVideoBench.tsv"))
    named = evaluate(FileToScore(file=tmp_path / "m_LongVideoBench.tsv", data="LongVideoBench"))
    assert set(found.summary.scorers) == {"longvideobench"}
    for name in ("m_LongVideoBench_64frame_subs.tsv", "m_LongVideoBench_1fps.tsv"):
        shutil.copy(tmp_path / "m_LongVideoBench.tsv", tmp_path / name)
        assert evaluate(FileToScore(file=tmp_path / name)).summary.metrics == found.summary.metrics
    assert json.dumps(found.summary.metrics) == json.dumps(named.summary.metrics)
