"""The numbers and the time of a report, as its pages have them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.report.runs import choice_tsv, finished_run, replies
from vlmeval_mp.core.records import Counts, Summary, SupervisorStatus, TimeSpent
from vlmeval_mp.report import gather, overview, waterfall, write
from vlmeval_mp.report.gather import RunView
from vlmeval_mp.report.intervals import figure
from vlmeval_mp.report.pages import Options
from vlmeval_mp.report.paints import HUES, TEXTURES, paints


def summary(**more: object) -> Summary:
    plain = Summary(
        model="m", dataset="d", primary_metric="accuracy", metrics={"accuracy": 0.9}, stderr=0.02,
        counts=Counts(100, 100, 0, 0), by_category={}, by_l2_category={}, by_split={}, scorers={}, scoring="strict",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


@pytest.fixture
async def run(tmp_path: Path) -> RunView:
    """One model that is wrong three times, once truncated and once failed, and one that is not."""
    tsv = choice_tsv(tmp_path / "mine.tsv", 30)
    bad = {"answers": replies(30, wrong=[1, 2, 4], r8="B" * 600), "fail": ["6"]}
    paths = await finished_run(tmp_path, [tsv], {"bad": bad, "good": {"answers": replies(30)}})
    return gather.run_view(paths)


def test_a_figure_has_the_unit_of_its_metric() -> None:
    assert figure(summary()).text == "90.00"
    points = figure(summary(primary_metric="final_points", metrics={"final_points": 712.0}, stderr=9.0))
    assert (points.text, points.of) == ("712.00", 0.0)
    reported = figure(summary(metrics={"accuracy": 43.2}, stderr=None, as_reported=True))
    assert (reported.text, reported.interval) == ("43.20", "")
    fraction = figure(summary(metrics={"accuracy": 0.4321}, stderr=0.01, as_reported=True))
    assert (fraction.text, fraction.interval, fraction.plus_minus) == ("0.4321", "0.4125 – 0.4517", "± 0.0196")
    assert figure(summary(metrics={"accuracy": None})).text == "–"


async def test_a_cell_counts_what_went_wrong_and_leads_there(run: RunView) -> None:
    cell = overview.cell_of(run.jobs[0])
    assert cell.figure is not None and cell.figure.value == pytest.approx(100 * 25 / 29)
    assert {words: n for words, n, _ in cell.counts} == {"failed": 1, "truncated": 1, "unread": 1}
    assert ("failed", 1, "#samples?show=failed&model=bad&data=mine") in cell.counts


async def test_categories_stand_side_by_side_for_all_models(run: RunView) -> None:
    card = overview.card_of("mine", run.jobs)
    assert card is not None and list(card.models) == ["bad", "good"]
    (breakdown,) = card.breakdowns
    assert [(row.name, row.total) for row in breakdown.rows] == [("part 0", 10), ("part 1", 10), ("part 2", 10)]
    assert [figure.text for figure, _ in breakdown.rows[1].figures] == ["80.00", "100.00"]


async def test_the_head_says_how_a_run_is(run: RunView) -> None:
    chips = [chip["text"] for chip in write.facts_of(run)["chips"]]
    assert chips == ["complete", "2 models × 1 data set", "60 samples", "1 failed"]


async def test_seconds_of_workers_are_shown_where_they_are_there(run: RunView) -> None:
    spent = TimeSpent(
        {"busy": 60.0, "loading": 30.0, "idle": 10.0}, samples=120, tokens_in=6000, tokens_out=600, serving=60
    )
    begun = min(worker.started for worker in run.workers)
    status = SupervisorStatus(pid=1, owner="x", started=begun, time=begun + 100, spent=spent)
    told = RunView(run.paths, run.record, run.state, run.workers, status, run.jobs, run.now)
    assert waterfall.speeds_of(told) == [("2.0", "samples/s"), ("100.0", "tokens/s in"), ("10.0", "tokens/s out")]
    html = str(waterfall.page(told, Options()).html)
    assert "engine at work" in html and "60.0 %" in html and 'class="job-0"' in html


async def test_a_run_whose_workers_left_nothing_still_has_the_page(run: RunView) -> None:
    without = RunView(run.paths, run.record, run.state, [], None, run.jobs, run.now)
    assert "No worker of this run has left its times" in str(waterfall.page(without, Options()).html)


def test_answers_over_time_are_stacked_by_data_set() -> None:
    found = paints(["a", "b"])
    bars = waterfall.bars_of([(0.0, "b"), (0.5, "a"), (30.0, "a"), (99.0, "a")], found, 0.0, 120.0)
    assert [(round(bar.x), bar.y, bar.height, bar.paint) for bar in bars] == [
        (0, 50.0, 50.0, "paint-0"), (0, 0.0, 50.0, "paint-1"), (25, 50.0, 50.0, "paint-0"), (82, 50.0, 50.0, "paint-0"),
    ]  # fmt: skip
    assert [bar.text for bar in bars[1:3]] == ["b: 0.5 answers a second of 1.0", "a: 0.5 answers a second"]
    assert waterfall.bars_of([], found, 0.0, 100.0) == []


def test_spans_share_a_row_unless_they_overlap() -> None:
    assert waterfall.rows_of([(0, 10), (9, 20), (10, 30), (12, 13), (20, 21), (40, 41)]) == [0, 1, 0, 2, 1, 0]
    assert waterfall.rows_of([]) == []


def test_each_data_set_has_a_paint_of_its_own() -> None:
    found = paints([f"d{n}" for n in range(HUES * len(TEXTURES))])
    assert len({(paint.hue, paint.texture) for paint in found.values()}) == len({p.id for p in found.values()}) == 32
    assert paints(["a", "b", "a"]) == paints(["a", "b"])


@pytest.mark.parametrize(("seconds", "words"), [(8.24, "8.2s"), (59.4, "59s"), (195.0, "3m 15s"), (7440.0, "2h 04m")])
def test_a_duration_reads_as_people_say_it(seconds: float, words: str) -> None:
    assert waterfall.duration(seconds) == words
