"""The running score and the health of the replies, while a job goes on."""

from __future__ import annotations

import random

import msgspec
import pytest

from vlmeval_mp.core.records import Counts, Media, Prediction, Sample, Score, Summary
from vlmeval_mp.pool.supervisor.live import Live
from vlmeval_mp.scoring.base import Rules
from vlmeval_mp.scoring.metrics.metrics import mean_of
from vlmeval_mp.scoring.metrics.running import RunningValues


def sample(row: int, picture: str = "") -> Sample:
    media = (Media(kind="image", digest=picture),) if picture else ()
    return Sample(index=str(row), row=row, kind="mcq", media=media, answer="A", options={"A": "cat", "B": "dog"})


def verdict(row: int, value: float | None) -> Score:
    return Score(index=str(row), value=value, extracted="A" if value else "")


@pytest.mark.parametrize("shared", [1, 5])
def test_the_running_interval_is_that_of_the_finished_job(shared: int) -> None:
    draw, running = random.Random(shared), RunningValues()
    samples = [sample(row, f"picture{row // shared}") for row in range(400)]
    values: list[float | None] = [float(draw.random() < 0.7) for _ in samples]
    for each, value in zip(samples, values, strict=True):
        running.add(each, value or 0.0)
    low, high = mean_of(samples, values).interval or (0.0, 0.0)
    found = running.interval() or (0.0, 0.0)
    assert found[0] == pytest.approx(low, abs=0.002)
    assert found[1] == pytest.approx(high, abs=0.002)


def test_the_tally_counts_every_sample_once_and_one_alone_has_no_interval() -> None:
    live = Live(Rules())
    live.add(sample(0), Prediction(index="0", row=0, prediction="A"), verdict(0, 1.0), verdict(0, 1.0))
    assert live.tally().interval is None
    live.add(sample(1), Prediction(index="1", row=1, prediction=""), verdict(1, 0.0), verdict(1, 0.0))
    live.add(sample(2), Prediction(index="2", row=2, error="broken"), verdict(2, None), verdict(2, None))
    live.add(sample(3), Prediction(index="3", row=3, prediction="?"), verdict(3, None), verdict(3, None))
    tally = live.tally()
    assert (tally.value, tally.scored, tally.unscored, tally.failed) == (1.0, 2, 1, 1)
    assert tally.health == {"replies": 3, "empty": 1}
    assert tally.interval is not None
    assert tally.interval[0] < 0.5 < tally.interval[1]


def test_a_sign_beyond_its_threshold_is_told_once() -> None:
    live = Live(Rules())
    for row in range(30):
        reply = Prediction(index=str(row), row=row, prediction="" if row % 10 == 0 else "A")
        live.add(sample(row), reply, verdict(row, 1.0), verdict(row, 1.0))
    assert live.news() == ["3 of 30 replies so far (10.0 %) are empty"]
    assert live.news() == []


def test_a_category_the_same_replies_and_a_preferred_letter_are_told_while_the_job_goes_on() -> None:
    live, said = Live(Rules()), []
    for row in range(400):
        chart = row % 16 == 0
        asked = msgspec.structs.replace(sample(row), category="charts" if chart else "photos", answer="AB"[row % 2])
        reply = Prediction(index=str(row), row=row, prediction="" if row in (0, 16, 32) else "A")
        found = Score(index=str(row), value=float(row % 2 == 0), extracted=reply.prediction)
        live.add(asked, reply, found, found)
        if row % 32 == 31:
            said += live.news()
    assert any("replies so far" in line and line.endswith("are empty") for line in said)
    assert any("replies so far are the very same, and no answer is right more than" in line for line in said)
    assert any("A is said" in line and "so far and right" in line for line in said)
    assert len(said) == len(set(said)) <= 5
    later = Live(Rules())
    for row in range(1000):
        asked = msgspec.structs.replace(sample(row), category="charts" if row < 25 else "photos", answer="AB"[row % 2])
        reply = Prediction(index=str(row), row=row, prediction="" if row in (500, 501, 20, 21, 22) else "AB"[row % 2])
        found = Score(index=str(row), value=1.0, extracted=reply.prediction)
        later.add(asked, reply, found, found)
    assert later.news() == ["3 of 25 replies of category charts so far (12.0 %) are empty"]


def test_the_live_score_is_the_benchmarks_own_metric() -> None:
    live = Live(Rules("pope"))
    for row, (answer, value) in enumerate([("Yes", 1.0), ("Yes", 0.0), ("No", 1.0), ("No", 1.0)]):
        asked = msgspec.structs.replace(sample(row), kind="yorn", answer=answer, options={})
        said = answer if value else "No"
        found = Score(index=str(row), value=value, extracted=said)
        live.add(asked, Prediction(index=str(row), row=row, prediction=said), found, found)
    tally = live.tally()
    assert (tally.metric, tally.score) == ("f1", pytest.approx(2 / 3))
    assert tally.value / tally.scored == 0.75


def test_a_metric_that_takes_long_is_not_made_for_each_shard() -> None:
    clock = [0.0]

    def now() -> float:
        clock[0] += 1.0
        return clock[0]

    live = Live(Rules(), now)
    shown = []
    for row in range(4):
        live.add(
            sample(row), Prediction(index=str(row), row=row, prediction="A"), verdict(row, row % 2), verdict(row, 1)
        )
        shown.append(live.tally().score)
    clock[0] += 100.0
    assert shown == [0.0, 0.5, 0.5, 0.5]
    live.add(sample(4), Prediction(index="4", row=4, prediction="A"), verdict(4, 1.0), verdict(4, 1.0))
    assert live.tally().score == pytest.approx(3 / 5)


def test_failures_are_counted_by_what_they_share() -> None:
    live = Live(Rules())
    for row in range(12):
        error = f"d.tsv row {row}, column 'image_path': file 'a/{row}.png' does not exist inside /data"
        live.add(sample(row), Prediction(index=str(row), row=row, error=error), verdict(row, None), verdict(row, None))
    assert live.tally().reasons == {"image missing": 12}


def test_the_score_of_a_finished_job_is_its_summarys() -> None:
    live = Live(Rules())
    live.add(sample(0), Prediction(index="0", row=0, prediction="A"), verdict(0, 1.0), verdict(0, 1.0))
    summary = Summary(
        model="m", dataset="d", primary_metric="f1", metrics={"f1": 0.4}, stderr=None, interval=(0.3, 0.5),
        counts=Counts(total=1, scored=1, unscored=0, failed=0), by_category={}, by_l2_category={}, by_split={},
        scorers={}, scoring="strict",
    )  # fmt: skip
    tally = live.published(summary)
    assert (tally.metric, tally.score, tally.interval) == ("f1", 0.4, (0.3, 0.5))
    bounded = msgspec.structs.replace(summary, metrics={"f1": None}, bounds=(0.1, 0.9), interval=None)
    assert (live.published(bounded).score, live.published(bounded).interval) == (None, (0.1, 0.9))
