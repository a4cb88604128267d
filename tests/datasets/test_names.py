from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec
from vlmeval_mp.datasets import benchmarks, names
from vlmeval_mp.datasets.store import prepare
from vlmeval_mp.requests import prompts
from vlmeval_mp.runs import submit
from vlmeval_mp.scoring import families
from vlmeval_mp.scoring.base import EVALUATOR


@pytest.fixture(autouse=True)
def lmu_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "LMUData"
    folder.mkdir()
    (folder / "MMStar.tsv").write_text("index\tquestion\n")
    monkeypatch.setenv("LMUData", str(folder))
    return folder


def test_a_path_is_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("")
    assert names.find(str(path)) == path


def test_a_name_is_found_in_lmu_data(lmu_data: Path) -> None:
    assert names.find("MMStar") == names.find("MMStar.tsv") == lmu_data / "MMStar.tsv"


def test_a_missing_name_says_where_it_was_looked_for_and_the_nearest_one(lmu_data: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        names.find("MMStarr")
    assert f"looked for MMStarr, {lmu_data}/MMStarr.tsv; did you mean 'MMStar'?" in str(caught.value)


def test_the_nearest_name_is_the_one_that_is_here(lmu_data: Path) -> None:
    (lmu_data / "MMBench_DEV_EN.tsv").write_text("")
    with pytest.raises(ConfigError, match=r"did you mean 'MMBench_DEV_EN'\?"):
        names.find("mmbench_dev_en")


def test_a_folder_is_no_data_set_and_a_tsv_in_it_is_named(lmu_data: Path) -> None:
    with pytest.raises(ConfigError, match=rf"is a folder; name a TSV in it, such as {lmu_data}/MMStar\.tsv"):
        names.find(str(lmu_data))


def test_a_missing_benchmark_says_where_its_official_file_comes_from_and_goes_to(lmu_data: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        names.find("POPE")
    url = "https://opencompass.openxlab.space/utils/VLMEval/POPE.tsv"
    assert f"the official file is {url}: put it at {lmu_data}/POPE.tsv" in str(caught.value)


def test_a_missing_file_says_that_lmu_data_is_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LMUData")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"LMUData/POPE\.tsv \(LMUData is not set\)"):
        names.find("POPE")


def test_a_missing_bundled_name_says_where_it_should_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(names, "_BUNDLED_FOLDER", tmp_path / "demo")
    with pytest.raises(ConfigError, match=r"demo/DigitsMCQ\.tsv"):
        names.find("DigitsMCQ")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "DigitsMCQ.tsv").write_text("")
    assert names.find("DigitsMCQ") == tmp_path / "demo" / "DigitsMCQ.tsv"


def test_defaults_go_with_the_name() -> None:
    assert names.defaults("DigitsVideo") == {"nframe": 8}
    assert names.defaults("anything") == {}
    mmmu = {"type": "mcq", "scorer": "mmmu", "prompt": "mmmu", "skip_noimg": True}
    assert names.defaults("MMMU_DEV_VAL") == names.defaults("/data/MMMU_DEV_VAL.tsv") == mmmu
    assert names.defaults("MMMU_DEV_VAL_2") == names.defaults("my_POPE") == {}


def test_every_benchmark_has_a_family_and_a_template() -> None:
    for benchmark in benchmarks.BENCHMARKS.values():
        assert benchmark.scorer in (*families.FAMILIES, EVALUATOR)
        assert benchmark.prompt in prompts.TEMPLATES


def written(folder: Path, name: str, *rows: str) -> DataSpec:
    path = folder / f"{name}.tsv"
    path.write_text("\n".join(rows) + "\n")
    return submit.resolved_data(DataSpec(name=name, path=str(path)))


PICTURE = base64.b64encode(b"\x89PNG" + bytes(60)).decode()


def test_a_benchmarks_rows_without_an_image_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["index\timage\tquestion\tanswer", "1\t\tq\tYes", f"2\t{PICTURE}\tq\tNo", "3\t2\tq\tNo"]
    dataset = prepare(written(tmp_path, "POPE", *rows), tmp_path)
    assert [(s.index, s.row, s.kind) for s in dataset.samples(0, 1)] == [("2", 0, "yorn"), ("3", 1, "yorn")]
    assert len(dataset) == 2
    assert "1 rows without an image are left out" in caplog.text
    kept = submit.resolved_data(DataSpec(name="POPE", path=str(tmp_path / "POPE.tsv"), skip_noimg=False))
    assert [s.index for s in prepare(kept, tmp_path).samples(0, 2)] == ["1", "2", "3"]
    own = prepare(written(tmp_path, "mine", *rows), tmp_path)
    assert [bool(s.error) for s in own.samples(0, 2)] == [True, False, False]


def test_a_file_in_which_no_row_has_an_image_is_refused(tmp_path: Path) -> None:
    spec = written(tmp_path, "POPE", "index\timage\tquestion\tanswer", "1\t\tq\tYes")
    with pytest.raises(ConfigError, match="no row has an image"):
        prepare(spec, tmp_path)


def test_a_file_that_is_not_the_official_one_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = written(tmp_path, "POPE", "index\tquestion\tanswer", "1\tq\tYes")
    assert len(prepare(spec, tmp_path)) == 1
    own = hashlib.md5(Path(spec.path).read_bytes()).hexdigest()
    assert f"its MD5 is {own}, that of the official file (ms-vlmeval 0.0.20) c12f5acb142f2ef1f85a26ba2fbe41d5" in (
        caplog.text
    )


def test_a_question_in_the_picture_needs_no_column(tmp_path: Path) -> None:
    spec = written(tmp_path, "MMMU_Pro_V", "index\timage\tA\tB\tanswer", f"v_1\t{PICTURE}\tx\ty\tA")
    (sample,) = prepare(spec, tmp_path).samples(0, 0)
    assert (sample.question, sample.error, sample.options) == ("placeholder", "", {"A": "x", "B": "y"})


def test_an_official_name_is_known_beside_a_tsv_that_is_called_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "MMBench_DEV_CN.tsv").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"the official file is \S+/MMBench_DEV_EN\.tsv: put it at"):
        names.find("MMBench_DEV_EN")


def test_a_misspelt_path_is_met_with_the_tsv_beside_it(tmp_path: Path) -> None:
    (tmp_path / "MCQ_mini.tsv").touch()
    with pytest.raises(ConfigError) as caught:
        names.find(str(tmp_path / "MCQ_min.tsv"))
    assert str(caught.value).endswith(f"did you mean '{tmp_path / 'MCQ_mini.tsv'}'?")
    assert str(caught.value).count("MCQ_min.tsv") == 2  # as it was given, and the one place it can be at
