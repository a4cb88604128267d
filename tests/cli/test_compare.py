"""`compare`: known flips, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from tests.report.runs import choice_tsv, finished_run, png, replies
from vlmeval_mp.cli import compare as compare_verb
from vlmeval_mp.cli import main

FIRST, SECOND = [3, 5, 8, 12, 20], [5, 21]
"""Rows that each side gets wrong: the second gains 3, 8, 12 and 20, and loses 21."""


@pytest.fixture
async def jobs(tmp_path: Path) -> Path:
    pictures = [png((9 * i, 0, 0)) for i in range(30)]
    tsv = choice_tsv(tmp_path / "mine.tsv", 30, pictures=pictures)
    await finished_run(tmp_path, [tsv], {"m": {"answers": replies(30, wrong=FIRST)}}, "one")
    await finished_run(tmp_path, [tsv], {"m": {"answers": replies(30, wrong=SECOND)}}, "two")
    return tmp_path / "jobs"


def compare(capsys: pytest.CaptureFixture[str], jobs: Path, *words: str) -> Any:
    assert main.main(["compare", *words, "--jobs", str(jobs), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


async def test_known_flips_are_found_with_their_exact_p(jobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = compare(capsys, jobs, "one", "two")["compared"]
    assert (found["gained"], found["lost"]) == (["3", "8", "12", "20"], ["21"])
    assert found["whole"]["p"] == pytest.approx(stats.binomtest(4, 5).pvalue)
    assert found["whole"]["difference"] == pytest.approx(3 / 30)
    parts = {part["name"]: (part["gained"], part["lost"]) for part in found["categories"]}
    assert parts == {"part 0": (2, 1), "part 1": (0, 0), "part 2": (2, 0)}


async def test_the_terminal_says_how_sure_and_which(jobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["compare", "one", "two", "--jobs", str(jobs)]) == 0
    out = capsys.readouterr().out
    assert "mine: two against one, strict, 30 samples in common" in out
    assert "83.33" in out and "93.33" in out and "+10.00" in out and "0.38" in out
    assert "gained: 3, 8, 12, 20\nlost: 21" in out


async def test_samples_about_one_picture_are_one_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tsv = choice_tsv(tmp_path / "mine.tsv", 12, pictures=[png(), png((0, 9, 0)), png((0, 0, 9))])
    models = {"a": {"answers": replies(12, wrong=range(0, 12, 3))}, "b": {"answers": replies(12)}}
    await finished_run(tmp_path, [tsv], models, "both")
    (found,) = compare(capsys, tmp_path / "jobs", "both")["compared"]
    assert (found["first"], found["second"]) == ("both:a", "both:b")
    assert found["whole"]["clusters"] == 3 and found["whole"]["p"] == 1.0


async def test_other_data_are_refused_with_both_digests(
    jobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tsv = choice_tsv(tmp_path / "three" / "mine.tsv", 9)
    await finished_run(tmp_path, [tsv], {"m": {}}, "three")
    assert main.main(["compare", "one", "three", "--jobs", str(jobs)]) == 2
    assert "one and three on mine cannot be compared: the data differ (digest" in capsys.readouterr().err
    fourth = choice_tsv(tmp_path / "fourth.tsv", 9)
    await finished_run(tmp_path, [fourth], {"m": {}}, "four")
    assert main.main(["compare", "one", "four", "--jobs", str(jobs)]) == 2
    assert "no data set in common: one has mine, the other fourth" in capsys.readouterr().err


async def test_a_run_of_several_models_asks_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tsv = choice_tsv(tmp_path / "mine.tsv", 6)
    await finished_run(tmp_path, [tsv], {"a": {}, "b": {}}, "both")
    await finished_run(tmp_path, [tsv], {"a": {"answers": replies(6)}}, "one")
    jobs = str(tmp_path / "jobs")
    assert main.main(["compare", "one", "both", "--jobs", jobs]) == 2
    assert "both has several models (a, b); say which one, as both:MODEL" in capsys.readouterr().err
    assert main.main(["compare", "one", "both:c", "--jobs", jobs]) == 2
    assert "run both has no 'c'" in capsys.readouterr().err
    (found,) = compare(capsys, tmp_path / "jobs", "one", "both:a/mine")["compared"]
    assert (found["first"], found["second"]) == ("one", "both:a")


async def test_failed_samples_are_left_out_or_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tsv = choice_tsv(tmp_path / "mine.tsv", 10)
    await finished_run(tmp_path, [tsv], {"m": {"answers": replies(10), "fail": ["4"]}}, "one")
    await finished_run(tmp_path, [tsv], {"m": {"answers": replies(10)}}, "two")
    (found,) = compare(capsys, tmp_path / "jobs", "one", "two")["compared"]
    assert (found["unpaired"], found["whole"]["n"], found["gained"]) == (1, 9, [])
    (found,) = compare(capsys, tmp_path / "jobs", "one", "two", "--failed-as-wrong")["compared"]
    assert (found["unpaired"], found["whole"]["n"], found["gained"]) == (0, 10, ["4"])


@pytest.mark.browser
async def test_the_page_shows_two_replies_side_by_side(jobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.report.browser import Browser

    page = compare(capsys, jobs, "one", "two", "--page")["page"]
    with Browser() as browser:
        browser.open(Path(page))
        assert "+10.00" in browser.text(".headline")
        browser.go("#flips?data=mine&show=lost")
        assert browser.text("#detail h2") == "mine / 21"
        columns = browser.js("[...document.querySelectorAll('.column .answer')].map((e) => e.innerText)")
        assert columns == ["The answer is B.", "The answer is A."]
        browser.key("g")
        assert browser.text("#count") == "4 of 30 samples in common"
        assert browser.failures == []


def test_a_long_category_stands_above_its_numbers_where_the_screen_has_no_room() -> None:
    numbers = ["3", "66.67", "100.00", "+33.33", "-41.53 to +79.23", "1", "0", "1.00"]
    rows = [["all", *numbers], ["metric geometry - length", *numbers]]
    assert [line.split("  ")[0] for line in compare_verb._lines(rows, None)] == ["", "all", "metric geometry - length"]
    heading, first, name, second = compare_verb._lines(rows, 80)
    assert (name, second.split()) == ("metric geometry - length", " ".join(numbers).split())
    assert first.startswith("all ") and {len(heading), len(first), len(second)} == {len(first)} and len(first) <= 80
