from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from vlmeval_mp.core.records import GpuStats, ServingSpan, WorkerStatus
from vlmeval_mp.pool.supervisor.status import DeadTime, GpuHistory, Telemetry, spent
from vlmeval_mp.runs import owners


def beat(owner: str, **fields: object) -> WorkerStatus:
    return WorkerStatus(worker="w0", pid=1, owner=owner, host="h", model="m", devices="d", **fields)  # type: ignore[arg-type]


def test_the_seconds_and_tokens_of_all_workers_are_summed_those_of_dead_ones_too() -> None:
    workers = [
        beat("first", spent={"loading": 10.0, "busy": 5.0}, tokens_in=100, tokens_out=7, asked_twice=1),
        beat("second", spent={"loading": 8.0, "idle": 1.0}, tokens_in=50, tokens_out=3, asked_twice=2),
    ]
    served = {("first", "job"): ServingSpan(100.0, 104.0, 20), ("second", "job"): ServingSpan(112.0, 120.0, 30)}
    found = spent(workers, served, 4.0)
    assert found.seconds == {"loading": 18.0, "busy": 5.0, "idle": 1.0, "lost": 4.0}
    assert (found.samples, found.tokens_in, found.tokens_out, found.serving) == (50, 150, 10, 20.0)
    assert found.asked_twice == 3


def test_time_is_lost_from_a_workers_last_heartbeat_until_another_one_begins() -> None:
    lost = DeadTime()
    lost.end("w0", 5.0)  # the first start of all follows no death
    lost.begin("w0", 10.0)
    lost.begin("w1", 11.0)
    assert lost.seconds(12.0) == 2.0 + 1.0
    lost.end("w0", 13.0)
    assert lost.seconds(20.0) == 3.0 + 9.0


def test_a_launch_that_finds_nothing_to_do_keeps_the_duration_and_the_rates_of_the_one_before(tmp_path: Path) -> None:
    first = Telemetry(tmp_path / "supervisor.json", owners.current())
    first.note_served([beat("x", started=time.time() + 1, spans={"job": ServingSpan(0.0, 4.0, 20)})])
    first.end(30.0)
    first.write({}, ("job",), ())
    again = Telemetry(tmp_path / "supervisor.json", owners.current())
    again.end(0.0)
    status = again.write({}, ("job",), ())
    assert status.before + status.ended - status.started == pytest.approx(30.0, abs=0.01)
    assert status.rates == {"job": 5.0}


def test_the_load_of_a_gpu_is_looked_at_every_other_second() -> None:
    history = GpuHistory()
    gpu = GpuStats(uuid="g", index=0, name="H200", memory_used=1, memory_total=2, utilization=10)
    for second, load in ((10.0, 10), (11.0, 99), (12.0, 50)):
        (seen,) = history.with_recent([msgspec.structs.replace(gpu, utilization=load)], second)
    assert (seen.recent, seen.utilization) == ((10, 50), 50)
