"""Which model a free GPU gets, and what becomes of a worker that is still loading when nothing is left for it."""

import time

import msgspec
import pytest

from tests.builders import fake_run, text_tsv
from tests.helpers import supervise
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import ServingSpan, WorkerStatus
from vlmeval_mp.pool.launchers.local import LocalLauncher
from vlmeval_mp.pool.supervisor.choosing import most_left, pace
from vlmeval_mp.runs import submit
from vlmeval_mp.runs.queue import Queue


def test_the_pace_of_a_model_is_that_of_all_its_jobs_and_workers():
    served = {
        ("w0", "big-a"): ServingSpan(first=0.0, last=10.0, answered=10),
        ("w1", "big-b"): ServingSpan(first=0.0, last=30.0, answered=10),
        ("w2", "small-a"): ServingSpan(first=5.0, last=6.0, answered=10),
        ("w3", "small-a"): ServingSpan(first=5.0, last=5.0, answered=0),
    }
    models = {"big-a": "big", "big-b": "big", "small-a": "small", "none-a": "none"}
    assert pace(models, served) == {"big": 2.0, "small": 0.1}


@pytest.mark.parametrize(
    ("waiting", "at_work", "paces", "chosen"),
    [
        ({"a": 100, "b": 300}, {}, {}, "b"),
        ({"a": 100, "b": 300}, {"a": 1, "b": 7}, {}, "a"),
        ({"a": 100, "b": 300}, {"a": 1, "b": 1}, {"a": 2.0, "b": 0.1}, "a"),
        ({"a": 100, "b": 300}, {"a": 1, "b": 1}, {"a": 2.0}, "b"),
        ({"a": 0, "b": 1}, {"b": 7}, {"a": 100.0, "b": 0.1}, "b"),
        ({"a": 0, "b": -32}, {}, {}, None),
        ({}, {}, {}, None),
    ],
)
def test_the_model_with_most_work_left_for_each_worker_gets_a_free_slot(waiting, at_work, paces, chosen):
    assert most_left(waiting, at_work, paces) == chosen


def two_models(tmp_path):
    """A run of a small and a large benchmark, each for a model of its own."""
    small, large = text_tsv(tmp_path / "small.tsv", 64), text_tsv(tmp_path / "large.tsv", 1024)
    config = {
        "model": {name: {"engine": "fake", "path": name} for name in ("one", "two")},
        "data": {"small": {"path": str(small)}, "large": {"path": str(large)}},
    }
    spec = build(config, Overrides(), name="run", default_engine="fake")
    return submit.submit(spec, JobsPaths(tmp_path / "jobs"))[0]


class Recorded(LocalLauncher):
    """Launches workers that are nowhere; `started` are their models, and `ended` those that have ended, by number."""

    def __init__(self):
        super().__init__()
        self.started, self.ended = [], set()

    def start(self, command):
        self.started.append(command.argv[command.argv.index("--model") + 1])
        return Worker(self, len(self.started) - 1)


class Worker:
    pid = 0

    def __init__(self, launcher, number):
        self.launcher, self.number = launcher, number

    def poll(self):
        return 0 if self.number in self.launcher.ended else None


def test_eight_gpus_are_shared_by_work_and_one_that_is_free_goes_to_the_model_with_more_left(tmp_path):
    paths, launcher = two_models(tmp_path), Recorded()
    supervisor = supervise(paths, launcher=launcher, workers=8)
    supervisor.slots.start_idle(supervisor.reader.read())
    assert sorted(launcher.started) == ["one"] * 4 + ["two"] * 4
    supervisor.queue.withdraw(next(j.name for j in supervisor.record.jobs if j.model == "one" and j.samples > 64), 0)
    launcher.ended = {number for number, model in enumerate(launcher.started) if model == "one"}
    for number in launcher.ended:
        beat = WorkerStatus(worker=f"w{number}", pid=0, owner="o", host="h", model="one", devices="", answered=8)
        paths.worker(beat.worker).write_bytes(msgspec.json.encode(beat))
    supervisor.slots.collect_ended(stopping=False)
    supervisor.slots.start_idle(supervisor.reader.read())
    assert launcher.started[8:] == ["two"] * 4


class SlowToLoad(LocalLauncher):
    """The second worker loads for minutes."""

    count = 0

    def start(self, command):
        self.count += 1
        if self.count == 2:
            argv = [part.replace('"load": 0', '"load": 1000') for part in command.argv]
            command = type(command)(tuple(argv), command.env, command.log, command.cores)
        return super().start(command)


def test_a_run_does_not_wait_for_a_worker_that_is_still_loading_when_nothing_is_left(tmp_path):
    paths, events = fake_run(tmp_path, 100, load=0), {}
    supervisor = supervise(paths, launcher=SlowToLoad(), workers=2)
    supervisor.on_tick = lambda state: events.update({e.text: e for e in state.events})
    began = time.monotonic()
    assert supervisor.run() == 0
    assert time.monotonic() - began < 100
    assert any("w1 is not needed any more" in text for text in events)
    assert not any("died" in text for text in events)
    assert Queue(paths.queue).entries("pending") == []
