"""A straggler at the end is asked twice: the first answer counts, one worker records it, nobody asks a third time."""

import asyncio
import json

import pytest

from tests.builders import fake_run, worker_for
from vlmeval_mp.core.records import ModelSpec, Prediction, Sampling
from vlmeval_mp.pool.worker import twins
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.snapshot import read_record
from vlmeval_mp.runs.suspects import Death, Suspects
from vlmeval_mp.runs.twins import TwinFiles

STRAGGLER = 3
WINDOW, LATENCY = 4, 0.02


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(twins, "LEAST_SECONDS", 0.2)


def together(*workers, seconds=30):
    async def all_of_them():
        async with asyncio.timeout(seconds):
            return await asyncio.gather(*map(live, workers))

    assert asyncio.run(all_of_them()) == [0] * len(workers)


def workers_for(paths, first, second, count=3):
    """Workers whose engines need `first` seconds for the straggler when it is asked first, then `second`."""
    asked = []

    def workers():
        for number in range(count):
            worker = worker_for(paths, read_record(paths), name=f"w{number}", window=WINDOW, latency=LATENCY)
            worker.engine.generate = straggling(worker.engine.generate)
            yield worker

    def straggling(real):
        async def generate(request):
            if request.id == str(STRAGGLER):
                asked.append(request.id)
                await asyncio.sleep(first if len(asked) == 1 else second)
            return await real(request)

        return generate

    return list(workers()), asked


def recorded_rows(paths):
    lines = [line for path in paths.checkpoints.rglob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted(json.loads(line)["row"] for line in lines)


def answers(paths):
    return [p.prediction for p in merge(paths, read_record(paths).jobs[0])[1]]


def undisturbed(tmp_path, samples):
    (tmp_path / "calm").mkdir()
    paths = fake_run(tmp_path / "calm", samples)
    together(worker_for(paths, read_record(paths)))
    return answers(paths)


def test_an_idle_workers_answer_ends_the_wait_for_a_straggler_and_is_recorded_once(tmp_path):
    paths = fake_run(tmp_path, 40)
    workers, asked = workers_for(paths, first=1000, second=0)
    together(*workers)
    assert recorded_rows(paths) == list(range(40))
    assert answers(paths) == undisturbed(tmp_path, 40)
    assert len(asked) == 2
    assert sum(worker.status().asked_twice for worker in workers) == 1
    assert sum(worker.counts.answered for worker in workers) == 40


def test_the_second_request_ends_when_the_first_is_answered(tmp_path):
    paths = fake_run(tmp_path, 40)
    workers, asked = workers_for(paths, first=5, second=1000)
    together(*workers)
    assert recorded_rows(paths) == list(range(40))
    assert len(asked) == 2
    assert sum(worker.counts.answered for worker in workers) == 40


def test_what_two_engines_answer_at_once_is_recorded_once(tmp_path):
    paths = fake_run(tmp_path, 40)
    workers, _ = workers_for(paths, first=1, second=0.4)
    together(*workers)
    assert recorded_rows(paths) == list(range(40))
    assert answers(paths) == undisturbed(tmp_path, 40)


def test_a_failure_of_the_second_request_is_not_the_samples(tmp_path):
    paths = fake_run(tmp_path, 40)
    workers, asked = workers_for(paths, first=1.5, second=0)
    for worker in workers:
        worker.asker.predict = failing_if_second(worker.asker.predict, asked)
    together(*workers)
    assert len(asked) == 2
    assert [p.error for p in merge(paths, read_record(paths).jobs[0])[1]] == [None] * 40


def failing_if_second(real, asked):
    async def predict(job, sample):
        second = sample.row == STRAGGLER and bool(asked)
        prediction = await real(job, sample)
        return Prediction(index=sample.index, row=sample.row, error="no") if second else prediction

    return predict


def test_a_sample_that_a_dead_engine_had_is_never_asked_twice(tmp_path):
    paths = fake_run(tmp_path, 40)
    job = read_record(paths).jobs[0].name
    Suspects(paths.suspects, "supervisor-dead").note([Death(job=job, rows=(STRAGGLER,))])
    workers, asked = workers_for(paths, first=1.5, second=0)
    together(*workers)
    assert len(asked) == 1
    assert recorded_rows(paths) == list(range(40))


def test_an_answer_that_waits_when_the_holder_died_is_taken_by_its_heir(tmp_path):
    paths = fake_run(tmp_path, 10)
    job = read_record(paths).jobs[0].name
    files = TwinFiles(paths.twins)
    assert files.begin(job, STRAGGLER)
    files.publish(job, Prediction(index=str(STRAGGLER), row=STRAGGLER, prediction="of the twin"))
    workers, _ = workers_for(paths, first=1000, second=1000, count=1)
    together(*workers)
    assert answers(paths)[STRAGGLER] == "of the twin"
    assert recorded_rows(paths) == list(range(10))


def lonely_worker(tmp_path, window=4):
    """A worker whose own samples are answered; `there` is what others have in their engines, `asked` whom it asked."""
    worker, there, asked = worker_for(paths := fake_run(tmp_path, 40), read_record(paths), window=window), set(), []
    job = read_record(paths).jobs[0].name

    async def never(_job, sample):
        asked.append(sample.row)
        worker.asker.in_engine += 1
        await asyncio.sleep(1000)

    worker.asker.predict = never
    worker.twins._in_other_engines = lambda: {("another", (job, row)) for row in there}
    return worker, there, asked


async def look(worker, there, *rounds, idle=True):
    """Have other engines keep what each of the `rounds` adds until it is due."""
    async with asyncio.TaskGroup() as worker.twins.group:
        for rows in rounds:
            there |= rows
            await worker.twins.look(idle=True)
            await asyncio.sleep(twins.LEAST_SECONDS + 0.05)
            await worker.twins.look(idle=idle)
            await asyncio.sleep(0.5)  # the samples are read in threads
        worker.twins.cancel()


async def test_twins_that_run_leave_the_rest_of_the_window_to_new_ones(tmp_path):
    worker, there, asked = lonely_worker(tmp_path)
    await look(worker, there, {1, 2}, {3, 4, 5})
    assert sorted(asked) == [1, 2, 4, 5], "four places, two of them taken"


async def test_a_worker_with_samples_of_its_own_asks_for_nobody_else(tmp_path):
    worker, there, asked = lonely_worker(tmp_path)
    await look(worker, there, {1, 2}, idle=False)
    assert asked == []


async def test_the_last_rows_of_an_engine_that_has_many_are_asked_first(tmp_path):
    worker, there, asked = lonely_worker(tmp_path, window=2)
    await look(worker, there, {1, 2, 3, 4, 5})
    assert sorted(asked) == [4, 5]


async def test_what_somebody_else_asks_takes_no_place_and_is_tried_once(tmp_path):
    worker, there, asked = lonely_worker(tmp_path)
    for row in range(1, 5):
        worker.twins._files.begin(read_record(worker.paths).jobs[0].name, row)
    tried, real = [], worker.twins._files.begin

    def begin(job, row):
        tried.append(row)
        return real(job, row)

    worker.twins._files.begin = begin
    await look(worker, there, {1, 2, 3, 4, 5, 6}, set())
    assert sorted(asked) == [5, 6]
    assert sorted(tried) == [1, 2, 3, 4, 5, 6]


def test_one_sample_has_one_twin(tmp_path):
    files = TwinFiles(tmp_path / "twins")
    assert [files.begin("job.with.dots", 7), files.begin("job.with.dots", 7)] == [True, False]
    assert files.answered() == set()
    files.publish("job.with.dots", Prediction(index="x", row=7, prediction="A"))
    assert files.answered() == {("job.with.dots", 7)}
    assert files.take("job.with.dots", 7).prediction == "A"
    assert files.take("job.with.dots", 7) is None
    assert not files.begin("job.with.dots", 7)


@pytest.mark.parametrize(
    ("engine", "sampling", "differs"),
    [
        ("vllm", Sampling(), False),
        ("vllm", Sampling(temperature=0.7), True),
        ("vllm", Sampling(temperature=0.7, seed=1), False),
        ("transformers", Sampling(), False),
        ("transformers", Sampling(temperature=0.7, seed=1), True),
        ("openai", Sampling(), True),
        ("vlmevalkit", Sampling(), True),
    ],
)
def test_only_what_answers_equally_and_costs_nothing_is_asked_twice(engine, sampling, differs):
    assert twins.may_differ(ModelSpec(name="m", path="m", engine=engine, sampling=sampling)) == differs
