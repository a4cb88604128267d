"""Starts that fail: once where every one would, again where the next may not; and memory that runs out."""

import json

import pytest

from tests.builders import fake_run
from tests.helpers import supervise
from vlmeval_mp.core.errors import EXIT_NO_WORKER
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.snapshot import read_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


def run(paths, **engine):
    events = {}
    supervisor = supervise(paths, on_tick=lambda s: events.update({e.text: e.level for e in s.events}), **engine)
    return supervisor.run(), list(events)


def test_a_start_that_must_fail_is_tried_once_and_its_cause_is_said(tmp_path):
    code, events = run(fake_run(tmp_path, 10), start_error="ValueError: max_model_len is larger than the model has")
    assert code == EXIT_NO_WORKER
    assert sum("started for fake" in text for text in events) == 1
    (said,) = [text for text in events if "cannot serve fake" in text]
    assert "ValueError: max_model_len is larger" in said and "every start would end alike" in said


def test_a_start_that_may_succeed_the_next_time_is_tried_again(tmp_path):
    error = "RuntimeError: NCCL error: unhandled system error"
    code, events = run(fake_run(tmp_path, 10), start_error=error, once=str(tmp_path / "struck"))
    assert code == 0
    assert any("NCCL error" in text and "starting it again" in text for text in events)


def test_a_worker_that_runs_out_of_memory_comes_back_with_half_the_window(tmp_path):
    paths = fake_run(tmp_path, 200)
    code, events = run(paths, oom_above=20, latency=0.02)
    assert code == 0
    assert any(
        "out of memory" in text and "with less, as memory ran out: 16 samples in flight" in text for text in events
    )
    kept = [json.loads(line) for line in paths.adjustments.read_text().splitlines()]
    assert [each["window"] for each in kept] == [32, 16]
    assert not list(paths.suspects.glob("*")), "nobody is to blame for a window that was too large"
    predictions = merge(paths, read_record(paths).jobs[0])[1]
    assert len(predictions) == 200 and all(p.error is None for p in predictions)
