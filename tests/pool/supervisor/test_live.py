"""The running score and the health of the replies, while a job goes on."""

from __future__ import annotations

import random

import pytest

from vlmeval_mp.core.records import Media, Prediction, Sample, Score
from vlmeval_mp.pool.supervisor.live import Live
from vlmeval_mp.scoring.metrics.metrics import mean_of
from vlmeval_mp.scoring.metrics.running import Running


def sample(row: int, picture: str = "") -> Sample:
    media = (Media(kind="image", digest=picture),) if picture else ()
    return Sample(index=str(row), row=row, kind="mcq", media=media, answer="A", options={"A": "cat", "B": "dog"})


def verdict(row: int, value: float | None) -> Score:
    return Score(index=str(row), value=value, extracted="A" if value else "")


@pytest.mark.parametrize("shared", [1, 5])
def test_the_running_interval_is_that_of_the_finished_job(shared: int) -> None:
    draw, running = random.Random(shared), Running()
    samples = [sample(row, f"picture{row // shared}") for row in range(400)]
    values: list[float | None] = [float(draw.random() < 0.7) for _ in samples]
    for each, value in zip(samples, values, strict=True):
        running.add(each, value or 0.0)
    low, high = mean_of(samples, values).interval or (0.0, 0.0)
    found = running.interval() or (0.0, 0.0)
    assert found[0] == pytest.approx(low, abs=0.002)
    assert found[1] == pytest.approx(high, abs=0.002)


def test_the_tally_counts_every_sample_once_and_one_alone_has_no_interval() -> None:
    live = Live()
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
    live = Live()
    for row in range(30):
        reply = Prediction(index=str(row), row=row, prediction="" if row % 10 == 0 else "A")
        live.add(sample(row), reply, verdict(row, 1.0), verdict(row, 1.0))
    assert live.news() == ["3 of 30 replies so far (10.0 %) are empty"]
    assert live.news() == []
