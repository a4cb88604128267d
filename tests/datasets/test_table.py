from __future__ import annotations

from pathlib import Path

import pytest

from vlmeval_mp.datasets import table
from vlmeval_mp.errors import ConfigError


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
    assert table.find(str(path)) == path


def test_a_name_is_found_in_lmu_data(lmu_data: Path) -> None:
    assert table.find("MMStar") == table.find("MMStar.tsv") == lmu_data / "MMStar.tsv"


def test_a_missing_name_says_where_it_was_looked_for_and_the_nearest_one(lmu_data: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        table.find("MMStarr")
    assert f"looked for MMStarr, {lmu_data}/MMStarr.tsv; did you mean 'MMStar'?" in str(caught.value)


def test_a_missing_bundled_name_says_where_it_should_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(table, "_BUNDLED_FOLDER", tmp_path / "demo")
    with pytest.raises(ConfigError, match=r"demo/DigitsMCQ\.tsv"):
        table.find("DigitsMCQ")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "DigitsMCQ.tsv").write_text("")
    assert table.find("DigitsMCQ") == tmp_path / "demo" / "DigitsMCQ.tsv"


def test_defaults_go_with_the_name() -> None:
    assert table.defaults("DigitsVideo") == {"nframe": 8}
    assert table.defaults("anything") == {}
