"""A spec becomes a run once; the same spec finds it again, a changed one is refused by name."""

import os
import stat
import time

import msgspec
import pytest

from tests.builders import fake_run, fake_spec, text_tsv
from tests.helpers import pid_of_the_dead
from vlmeval_mp.core import linefiles
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import Prediction
from vlmeval_mp.runs import find, submit
from vlmeval_mp.runs.checkpoint import Checkpoint
from vlmeval_mp.runs.queue import Queue


@pytest.fixture
def jobs(tmp_path):
    return JobsPaths(tmp_path / "jobs")


def answer_one(paths, record, _new):
    """One answer on disk: from here on the run's configuration counts."""
    Checkpoint(paths.checkpoints, "w0-x").record(record.jobs[0].name, Prediction(index="0", row=0))


def test_a_run_that_answered_nothing_gives_way_to_a_corrected_one(tmp_path, jobs):
    tsv = text_tsv(tmp_path / "a.tsv", 10)
    submit.submit(fake_spec(tsv), jobs)
    _, record, new = submit.submit(fake_spec(tsv, config={"limit": 5}), jobs)
    assert new
    assert record.jobs[0].samples == 5


def test_every_sample_is_queued_once_in_shards(tmp_path, jobs):
    paths, record, new = submit.submit(fake_spec(text_tsv(tmp_path / "a.tsv", 70)), jobs)
    assert new
    queued = sorted((e.shard.first, e.shard.last) for e in Queue(paths.queue).entries("pending"))
    assert queued == [(0, 31), (32, 63), (64, 69)]
    assert record.jobs[0].samples == 70


def test_a_limit_takes_the_first_samples(tmp_path, jobs):
    _, record, _ = submit.submit(fake_spec(text_tsv(tmp_path / "a.tsv", 70), config={"limit": 5}), jobs)
    assert record.jobs[0].samples == 5


def test_the_same_spec_finds_its_run_whatever_the_batch_size(tmp_path, jobs):
    tsv = text_tsv(tmp_path / "a.tsv", 10)
    first, record, _ = submit.submit(fake_spec(tsv, config={"batch_size": 4}), jobs)
    second, again, new = submit.submit(fake_spec(tsv, config={"batch_size": 99, "max_workers": 3}, latency=0.5), jobs)
    assert (first, record.fingerprint, new) == (second, again.fingerprint, False)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sampling": {"max_tokens": 3}}, "model.fake.sampling"),
        ({"limit": 3}, "data.a.limit"),
        ({"media": {"max_pixels": 1000}}, "media: was {}"),
        ({"model": {"fake": {"path": "other"}}, "engine": "fake"}, "model.fake.path: was fake, is other"),
    ],
)
def test_a_change_that_can_change_an_answer_is_refused_by_name(tmp_path, jobs, change, field):
    tsv = text_tsv(tmp_path / "a.tsv", 10)
    answer_one(*submit.submit(fake_spec(tsv), jobs))
    with pytest.raises(ConfigError, match="start a new run with --run NAME") as caught:
        submit.submit(fake_spec(tsv, config=change), jobs)
    assert field in str(caught.value)


def test_changed_engine_arguments_and_data_are_refused_by_name(tmp_path, jobs):
    tsv = text_tsv(tmp_path / "a.tsv", 10)
    answer_one(*submit.submit(fake_spec(tsv), jobs))
    with pytest.raises(ConfigError, match=r"engine_args.answers: was not there, is \"echo\""):
        submit.submit(fake_spec(tsv, answers="echo"), jobs)
    text_tsv(tsv, 11)
    with pytest.raises(ConfigError, match=r"data.a.content: was [0-9a-f]{64}, is [0-9a-f]{64}"):
        submit.submit(fake_spec(tsv), jobs)


def test_a_killed_submit_leaves_no_half_run(tmp_path, jobs, monkeypatch):
    spec = fake_spec(text_tsv(tmp_path / "a.tsv", 10))
    monkeypatch.setattr(submit, "RunRecord", None)
    with pytest.raises(TypeError):
        submit.submit(spec, jobs)
    monkeypatch.undo()
    assert list(jobs.root.glob("*/run.json")) == []
    assert submit.submit(spec, jobs)[2]


def test_a_folder_that_is_no_run_is_not_taken_over(tmp_path, jobs):
    (jobs.root / "run" / "precious").mkdir(parents=True)
    with pytest.raises(ConfigError, match="exists and is no run"):
        submit.submit(fake_spec(text_tsv(tmp_path / "a.tsv", 10)), jobs)


def test_a_missing_model_folder_is_refused_before_anything_starts(tmp_path, jobs):
    spec = fake_spec(text_tsv(tmp_path / "a.tsv", 10))
    model = msgspec.structs.replace(spec.models[0], engine="vllm", path="./nowhere/model")
    with pytest.raises(ConfigError, match=r"model.fake.path: there is no folder ./nowhere/model"):
        submit.submit(msgspec.structs.replace(spec, models=(model,)), jobs)


def test_unfinished_runs_are_found_and_finished_ones_are_not(tmp_path, jobs):
    paths, _, _ = submit.submit(fake_spec(text_tsv(tmp_path / "a.tsv", 10)), jobs)
    assert find.unfinished(jobs) == [paths]
    for path in (paths.queue / "pending").glob("*/*"):
        path.unlink()
    assert find.unfinished(jobs) == []
    assert find.latest(jobs) == paths


def test_no_run_at_all_says_how_to_start_one(jobs):
    with pytest.raises(ConfigError, match="start one with launch, or name another folder with --jobs"):
        find.latest(jobs)


def test_a_misspelt_run_is_told_from_those_that_are_there(tmp_path, jobs):
    with pytest.raises(ConfigError, match=r"there is no run 'rum' under .*; nor any other"):
        find.named(jobs, "rum")
    paths, _, _ = submit.submit(fake_spec(text_tsv(tmp_path / "a.tsv", 10)), jobs)
    assert find.named(jobs, "run") == paths
    with pytest.raises(ConfigError, match=r"did you mean 'run'\?"):
        find.named(jobs, "rum")
    with pytest.raises(ConfigError, match="there are: run"):
        find.named(jobs, "zzzzz")


def test_a_changed_wait_of_the_transformers_engine_finds_the_same_run(tmp_path, jobs):
    tsv = text_tsv(tmp_path / "a.tsv", 4)

    def spec(wait):
        made = fake_spec(tsv)
        model = msgspec.structs.replace(made.models[0], engine="transformers", engine_args={"wait": wait})
        return msgspec.structs.replace(made, models=(model,))

    first, record, _ = submit.submit(spec(0.1), jobs)
    answer_one(first, record, True)
    second, _, new = submit.submit(spec(0.5), jobs)
    assert (second, new) == (first, False)


def test_what_holds_questions_and_answers_is_the_users_alone(tmp_path):
    paths = fake_run(tmp_path, 10)
    linefiles.Appender(paths.checkpoints / "job" / "w0.jsonl").close()
    assert stat.S_IMODE(paths.root.stat().st_mode) == 0o700
    assert stat.S_IMODE((paths.root.parent / ".datasets").stat().st_mode) == 0o700
    assert stat.S_IMODE((paths.checkpoints / "job" / "w0.jsonl").stat().st_mode) == 0o600


def test_a_half_made_folder_of_a_killed_submit_is_removed_by_the_next_one(tmp_path):
    gone = pid_of_the_dead()
    jobs = tmp_path / "jobs"
    writers = {"a": gone, "b": gone, "c": os.getpid()}
    left, fresh, ours = (jobs / f".{name}.{pid}.0a1b2c3d.tmp" for name, pid in writers.items())
    for folder in (left, fresh, ours):
        (folder / "queue").mkdir(parents=True)
    for folder in (left, ours):
        os.utime(folder, (1, 1))
    os.utime(fresh, (time.time() - 600,) * 2)  # a process of another host may be reading a large data set
    fake_run(tmp_path, 4)
    assert not left.exists() and fresh.exists() and ours.exists()
