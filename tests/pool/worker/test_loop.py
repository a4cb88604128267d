"""One worker in this process on the fake engine: what it answers, records, skips and leaves."""

import asyncio
import dataclasses
import signal
import threading
import time

import pytest

from tests.builders import fake_run, fake_spec, picture_cell, picture_tsv, text_tsv, worker_for
from vlmeval_mp.core.errors import EXIT_DISK, EXIT_NO_WORKER, EXIT_USAGE, RequestError, StorageError
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import Prediction, RenderedInput
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import inflight, owners, submit
from vlmeval_mp.runs.checkpoint import Checkpoint
from vlmeval_mp.runs.index import search
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.snapshot import Reader, read_record
from vlmeval_mp.runs.suspects import Death, Suspects


def work(paths, **options):
    worker = worker_for(paths, read_record(paths), **options)
    return asyncio.run(live(worker)), worker


def outcome(paths):
    record = read_record(paths)
    return merge(paths, record.jobs[0])[1]


def test_every_sample_is_answered_and_every_shard_done(tmp_path):
    paths = fake_run(tmp_path, 70)
    code, worker = work(paths)
    assert (code, worker.counts.answered, worker.counts.failed) == (0, 70, 0)
    assert [p.row for p in outcome(paths)] == list(range(70))
    assert len(Queue(paths.queue).done_names()) == 3


def test_a_worker_names_the_job_it_is_answering_not_the_one_it_claimed_ahead(tmp_path):
    tsvs = [text_tsv(tmp_path / f"{name}.tsv", 40) for name in ("first", "second")]
    paths = submit.submit(fake_spec(*tsvs), JobsPaths(tmp_path / "jobs"))[0]
    worker = worker_for(paths, read_record(paths), window=2, latency=0.001)
    named, real = [], worker.outcomes.record

    def record(held, prediction):
        real(held, prediction)
        named.append((held.job.name, worker.status().job))

    worker.outcomes.record = record
    assert asyncio.run(live(worker)) == 0
    assert len(named) == 80
    assert all(answered == shown for answered, shown in named)


def test_what_is_in_flight_is_what_the_engine_has_never_more_than_the_window(tmp_path):
    paths = fake_run(tmp_path, 64)
    worker = worker_for(paths, read_record(paths), window=8, latency=0.01)
    seen, real = [], worker.outcomes.record

    def record(held, prediction):
        seen.append(worker.status().in_flight)
        real(held, prediction)

    worker.outcomes.record = record
    assert asyncio.run(live(worker)) == 0
    assert 0 < max(seen) <= 8
    assert worker.status().in_flight == 0


def test_a_refused_sample_costs_only_itself(tmp_path):
    paths = fake_run(tmp_path, 40)
    code, worker = work(paths, fail=["7"])
    assert (code, worker.counts.failed) == (0, 1)
    failed = [p for p in outcome(paths) if p.error is not None]
    assert [p.index for p in failed] == ["7"]
    assert failed[0].prediction == ""


def test_a_run_whose_first_samples_all_fail_alike_is_stopped_with_the_cause_and_records_none(tmp_path):
    paths = fake_run(tmp_path, 100)
    worker = worker_for(paths, read_record(paths))

    async def refuse(request):
        raise RequestError(f"prompt of {100 + int(request.id)} tokens: the template of 'sample {request.id}' is broken")

    worker.engine.generate = refuse
    code = asyncio.run(live(worker))
    assert code == EXIT_USAGE
    assert "the first 32 samples all failed alike" in worker.message
    assert "is broken" in worker.message
    assert "retry" not in worker.message, "none is recorded, so the same launch asks them again"
    assert sum(p.read_bytes().count(b"\n") for p in paths.checkpoints.rglob("*.jsonl")) == 0
    Queue(paths.queue).reap(lambda _: True, to_blame=lambda _: False)
    code, healthy = work(paths)
    assert (code, healthy.counts.answered, healthy.counts.failed) == (0, 100, 0)


@pytest.mark.parametrize("answered", ["31", "5"])
def test_one_answer_among_the_first_samples_lets_all_failures_be_recorded(tmp_path, answered):
    paths = fake_run(tmp_path, 100)
    code, worker = work(paths, fail=[str(n) for n in range(100) if str(n) != answered])
    assert (code, worker.counts.answered, worker.counts.failed) == (0, 100, 99)


def test_a_small_run_that_fails_altogether_is_recorded_to_its_end(tmp_path):
    paths = fake_run(tmp_path, 31)
    code, worker = work(paths, fail=[str(n) for n in range(31)])
    assert (code, worker.counts.answered, worker.counts.failed) == (0, 31, 31)


def test_no_answer_and_no_heartbeat_spells_out_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("VENDOR_API_KEY", "a-plain-looking-value")

    async def refuse(request):
        said = f"https://host/v1?key=a-plain-looking-value refused {request.id}"
        raise OSError(said) if request.id == "3" else RequestError(said)

    paths = fake_run(tmp_path, 10)
    worker = worker_for(paths, read_record(paths), window=1)
    worker.engine.generate = refuse
    assert asyncio.run(live(worker)) != 0
    kept = "".join(p.read_text() for p in paths.checkpoints.rglob("*.jsonl")) + paths.worker("w0").read_text()
    assert kept.count("https://host/v1?key=$VENDOR_API_KEY refused") >= 2
    assert "a-plain-looking-value" not in kept


def test_a_data_set_s_own_processor_arguments_go_with_its_requests_only(tmp_path):
    tsvs = [tmp_path / "OCRBench.tsv", tmp_path / "other.tsv"]
    for tsv in tsvs:
        tsv.write_text(f"index\timage\tquestion\tanswer\n1\t{picture_cell()}\tq\t['x']\n")
    own = {"OCRBench": {"min_pixels": 9}}
    spec = fake_spec(*tsvs, config={"model": {"fake": {"path": "fake", "processor": own}}})
    paths = submit.submit(spec, JobsPaths(tmp_path / "jobs"))[0]
    worker = worker_for(paths, read_record(paths))
    seen, real = {}, worker.engine.generate

    async def generate(request):
        seen[request.origin.data.name] = request.processor
        return await real(request)

    worker.engine.generate = generate
    assert asyncio.run(live(worker)) == 0
    assert seen == {"OCRBench": {"min_pixels": 9}, "other": {}}


def picture_run(folder, samples):
    """Return the paths of a run whose samples have a picture each."""
    return submit.submit(fake_spec(picture_tsv(folder / "pictures.tsv", samples)), JobsPaths(folder / "jobs"))[0]


def test_an_engine_that_renders_in_place_gets_its_own_input_and_its_refusal_costs_one_sample(tmp_path):
    paths = picture_run(tmp_path, 20)
    worker = worker_for(paths, read_record(paths))
    threads, taken, real = set(), [], worker.engine.generate

    def rendered(request):
        threads.add(threading.current_thread() is threading.main_thread())
        if request.id == "7":
            raise RequestError("too large")
        return dataclasses.replace(request, images=(), rendered=RenderedInput(request.images[0].size, 50))

    async def generate(request):
        before = worker.asker._preparer._held
        taken.append((request.images, request.rendered.take()))
        assert worker.asker._preparer._held == before - 50, "its memory is the engine's now"
        return await real(request)

    worker.engine.rendered, worker.engine.generate = rendered, generate
    assert asyncio.run(live(worker)) == 0
    assert taken == [((), (20, 20))] * 19
    assert threads == {False}, "the event loop is free for answers meanwhile"
    assert [(p.index, p.error) for p in outcome(paths) if p.error] == [("7", "too large")]
    assert worker.asker._preparer._held == 0


def test_a_sample_is_suspected_while_its_media_are_opened_not_while_it_waits_for_that(tmp_path):
    paths = picture_run(tmp_path, 30)
    worker = worker_for(paths, read_record(paths), window=1)
    noted = []

    def rendered(request):
        noted.append((int(request.id), [row for _, row in inflight.read(paths.in_flight("w0"))]))
        return dataclasses.replace(request, images=(), rendered=RenderedInput(None))

    worker.engine.rendered = rendered
    assert asyncio.run(live(worker)) == 0
    assert len(noted) == 30
    assert all(row in rows and len(rows) <= 1 + worker.asker.openers for row, rows in noted)
    assert inflight.read(paths.in_flight("w0")) == []


def test_a_panic_while_rendering_ends_the_worker_as_one_in_the_engine_does(tmp_path):
    class Panic(BaseException):
        pass

    def rendered(request):
        raise Panic("index out of bounds")

    paths = picture_run(tmp_path, 5)
    worker = worker_for(paths, read_record(paths))
    worker.engine.rendered = rendered
    with pytest.raises(BaseExceptionGroup) as caught:
        asyncio.run(asyncio.wait_for(live(worker), 20))
    assert caught.group_contains(Panic)


def test_a_worker_that_drains_opens_and_renders_nothing_more(tmp_path):
    paths = picture_run(tmp_path, 40)
    worker = worker_for(paths, read_record(paths), window=2)
    calls, at_drain = [], []

    def rendered(request):
        calls.append(request.id)
        time.sleep(0.02)
        return dataclasses.replace(request, images=(), rendered=RenderedInput(None, request.nbytes))

    real = worker.outcomes.record

    def record(held, prediction):
        real(held, prediction)
        if not at_drain:
            at_drain.append(len(calls))
            worker.drain()

    worker.engine.rendered, worker.outcomes.record = rendered, record
    assert asyncio.run(live(worker)) == 0
    busy = worker.asker._preparer._threads
    assert len(calls) <= at_drain[0] + busy < 40
    assert worker.counts.failed == 0


def test_the_window_is_kept_full_and_never_exceeded(tmp_path):
    paths = fake_run(tmp_path, 64)
    worker = worker_for(paths, read_record(paths), window=8, latency=0.01)
    seen, real = [], worker.engine.generate

    async def counted(request):
        seen.append(worker.asker.window_size - worker.asker.window._value)
        return await real(request)

    worker.engine.generate = counted
    assert asyncio.run(live(worker)) == 0
    assert max(seen) == 8
    assert sum(n == 8 for n in seen) > 40, "the window ran empty between samples or shards"


def test_a_dead_engine_ends_the_worker_and_keeps_what_was_answered(tmp_path):
    paths = fake_run(tmp_path, 64)
    code, worker = work(paths, window=4, raise_engine=10, latency=0.001)
    assert code == EXIT_NO_WORKER
    assert worker.phase == "failed"
    claimed = [e.shard for e in Queue(paths.queue).entries("claimed")]
    assert 0 < sum(len(search(paths.checkpoints, shard).answers) for shard in claimed) <= 10


def test_an_heir_asks_only_what_the_dead_worker_had_not_recorded(tmp_path):
    paths = fake_run(tmp_path, 32)
    queue, record = Queue(paths.queue), read_record(paths)
    job = record.jobs[0].name
    queue.claim(owners.current(), [job])
    dead = Checkpoint(paths.checkpoints, "w9-dead")
    for row in range(20):
        dead.record(job, Prediction(index=str(row), row=row, prediction="recorded"))
    queue.reap(lambda _: True)
    code, worker = work(paths)
    assert (code, worker.counts.answered) == (0, 12)
    assert sum(p.prediction == "recorded" for p in outcome(paths)) == 20


def test_a_shard_that_was_answered_completely_is_only_committed(tmp_path):
    paths = fake_run(tmp_path, 3)
    queue, record = Queue(paths.queue), read_record(paths)
    job = record.jobs[0].name
    queue.claim(owners.current(), [job])
    dead = Checkpoint(paths.checkpoints, "w9-dead")
    for row in range(3):
        dead.record(job, Prediction(index=str(row), row=row))
    queue.reap(lambda _: True)
    _, worker = work(paths)
    assert worker.counts.answered == 0
    assert len(outcome(paths)) == 3


def suspected(paths, together, alone):
    """A run whose engines died: with `together` in them, then twice with `alone` and nothing else."""
    queue, job = Queue(paths.queue), read_record(paths).jobs[0].name
    for _ in range(3):
        queue.claim(owners.current(), [job])
        queue.reap(lambda _: True)
    writer = Suspects(paths.suspects, "supervisor-dead")
    writer.note([Death(job=job, rows=together), *[Death(job=job, rows=(alone,), proven=True)] * 2])


def test_a_sample_that_killed_alone_twice_is_given_up_and_the_other_suspects_run_alone(tmp_path):
    paths = fake_run(tmp_path, 10)
    suspected(paths, together=(4, 5, 6), alone=5)
    worker = worker_for(paths, read_record(paths), die=["5"])
    beside, real = {}, worker.engine.generate

    async def counted(request):
        beside[request.id] = worker.asker.in_engine
        return await real(request)

    worker.engine.generate = counted
    assert asyncio.run(live(worker)) == 0
    assert (beside["4"], beside["6"], "5" in beside) == (1, 1, False)
    assert max(beside[str(row)] for row in (0, 1, 2, 3, 7, 8, 9)) > 1
    failed = [p for p in outcome(paths) if p.error]
    assert [p.index for p in failed] == ["5"]
    assert "died 3 times with this sample in it, which ran alone" in failed[0].error


def test_before_a_suspect_runs_alone_the_engine_answers_an_innocent_whose_answer_is_not_kept(tmp_path):
    paths = fake_run(tmp_path, 40)
    queue, job = Queue(paths.queue), read_record(paths).jobs[0].name
    queue.claim(owners.current(), [job])
    queue.reap(lambda _: True)
    Suspects(paths.suspects, "supervisor-dead").note([Death(job=job, rows=tuple(range(32)))])
    worker = worker_for(paths, read_record(paths))
    asked, real = [], worker.engine.generate

    async def listed(request):
        asked.append((request.id, worker.status().proven))
        return await real(request)

    worker.engine.generate = listed
    assert asyncio.run(live(worker)) == 0
    assert asked[0] == ("32", False)
    assert all(proven for _, proven in asked[1:])
    assert sorted(p.row for p in outcome(paths)) == list(range(40))


def test_what_the_engine_has_is_on_disk_while_it_has_it(tmp_path):
    paths = fake_run(tmp_path, 12)
    worker = worker_for(paths, read_record(paths), window=3)
    seen, real = [], worker.engine.generate

    async def look(request):
        seen.append((int(request.id), inflight.read(paths.in_flight(worker.assignment.name))))
        return await real(request)

    worker.engine.generate = look
    assert asyncio.run(live(worker)) == 0
    assert len(seen) == 12
    assert all((0, row) in noted and len(noted) <= 3 for row, noted in seen)
    assert inflight.read(paths.in_flight(worker.assignment.name)) == []


def test_a_drained_worker_gives_its_unfinished_shards_back(tmp_path):
    paths = fake_run(tmp_path, 64)
    worker = worker_for(paths, read_record(paths), window=2, latency=0.02)

    async def drain_soon():
        async def after_some_answers():
            while not worker.counts.answered:
                await asyncio.sleep(0.001)
            signal.raise_signal(signal.SIGTERM)

        drained = asyncio.create_task(after_some_answers())
        code = await live(worker)
        await drained
        return code

    assert asyncio.run(drain_soon()) == 0
    queue = Queue(paths.queue)
    assert queue.entries("claimed") == []
    assert all(e.deaths == 0 for e in queue.entries("pending"))
    assert 0 < worker.counts.answered < 64
    _, heir = work(paths)
    assert worker.counts.answered + heir.counts.answered == 64


def test_a_full_disk_ends_the_worker_with_its_own_exit_code(tmp_path, monkeypatch):
    paths = fake_run(tmp_path, 10)

    def full(self, job, prediction):
        raise StorageError("cannot append: the disk is full")

    monkeypatch.setattr(Checkpoint, "record", full)
    code, worker = work(paths)
    assert code == EXIT_DISK
    assert "the disk is full" in worker.message


def test_the_heartbeat_shows_what_the_worker_did(tmp_path):
    paths = fake_run(tmp_path, 40)
    work(paths, name="w3")
    (status,) = Reader(paths).read().workers
    assert (status.worker, status.phase, status.answered, status.in_flight) == ("w3", "stopped", 40, 0)
    (span,) = status.spans.values()
    assert span.answered == 40


@pytest.mark.parametrize("window", [1, 3, 1000])
def test_the_window_changes_no_byte_of_the_outcome(tmp_path, window):
    paths = fake_run(tmp_path, 50)
    work(paths, window=window, jitter=0.01)
    assert [p.prediction for p in outcome(paths)] == [p.prediction for p in _reference(tmp_path)]


def _reference(tmp_path):
    (tmp_path / "reference").mkdir()
    paths = fake_run(tmp_path / "reference", 50)
    work(paths)
    return outcome(paths)
