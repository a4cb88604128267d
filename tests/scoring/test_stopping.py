"""When a job has been asked enough, and how often the interval at the stop covers the score of the whole job."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vlmeval_mp.core.records import Stop
from vlmeval_mp.scoring.metrics import stopping as rules
from vlmeval_mp.scoring.metrics.metrics import mean
from vlmeval_mp.scoring.metrics.stopping import Stopping

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.delitem(sys.modules, "stopping", raising=False)
    return importlib.import_module("stopping")


def test_the_order_and_the_size_of_shards_change_nothing(stopping: ModuleType) -> None:
    rows = stopping.answered(stopping.Job(1500, 0.8, 3.0), random.Random(2))
    ends = []
    for seed, size in ((None, 32), (1, 32), (2, 7)):
        found = Stopping(mean, "strict", len(rows), 3.0)
        order = [(first, rows[first : first + size]) for first in range(0, len(rows), size)]
        if seed is not None:
            random.Random(seed).shuffle(order)
        ends.append(next((stop for first, piece in order if (stop := found.add(first, piece))), None))
    assert ends[0] == ends[1] == ends[2]
    assert ends[0] is not None
    assert ends[0].asked < 700


def test_no_job_is_stopped_by_a_lucky_beginning_or_by_a_remnant(stopping: ModuleType) -> None:
    rows = stopping.answered(stopping.Job(400, 1.0, 24.0), random.Random(2))
    stop = Stopping(mean, "strict", len(rows), 24.0).add(0, rows[: rules.LEAST - 1])
    assert stop is None
    unread = [type(r)(r.sample, r.prediction, type(r.score)(index=r.score.index, value=None)) for r in rows[:20]]
    assert Stopping(mean, "strict", len(rows), 24.0).add(0, [*unread, *rows[20:300]]) is None


@pytest.mark.slow
@pytest.mark.parametrize("each", [1, 5], ids=["independent", "clustered"])
def test_the_interval_at_the_stop_covers_the_whole_jobs_score(stopping: ModuleType, each: int) -> None:
    found = stopping.simulate(stopping.Job(1000, 0.8, 3.5, each=each, varied=each > 1), 200)
    assert found.stopped == 200
    assert found.covered >= 0.93 * 200
    assert found.asked < 0.8


def test_the_sentence_says_how_far_the_job_went() -> None:
    stop = Stop(asked=640, of=5000, metric="accuracy", interval=(0.6, 0.62), half_width=1.0, target=1.0)
    assert rules.sentence(stop) == (
        "stopped early after 640 of 5,000 samples, in a random order: over all of them accuracy is 60.00 to 62.00 % "
        "(95 %; ± 1.00 where 1 was asked for)"
    )
