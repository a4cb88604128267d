"""What a launch says at its end about runs that are not finished."""

from tests.builders import fake_run, fake_spec, text_tsv
from tests.report.runs import choice_tsv, finished_run
from vlmeval_mp.cli import outcome
from vlmeval_mp.core.errors import EXIT_SIGINT
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import Prediction
from vlmeval_mp.runs import submit
from vlmeval_mp.runs.checkpoint import Checkpoint
from vlmeval_mp.runs.snapshot import read_record


def test_an_interrupted_launch_counts_the_answers_of_unfinished_shards_once_each(tmp_path):
    paths = fake_run(tmp_path, 40)
    record = read_record(paths)
    job = record.jobs[0].name
    for writer, rows in (("w0-x", range(5)), ("w1-x", range(3, 7))):
        checkpoint = Checkpoint(paths.checkpoints, writer)
        checkpoint.intend(job, 30)
        for row in rows:
            checkpoint.record(job, Prediction(index=str(row), row=row))
        checkpoint.close()
    said, how = outcome.unfinished(paths, record, EXIT_SIGINT)
    assert said == "fake on numbers: no score yet, 7 of 40 samples are answered"
    assert how == f"to go on, run the same command again, or: vlmeval-mp resume {paths.root}"


def test_of_many_jobs_without_a_score_the_last_line_has_all_that_are_not_named(tmp_path):
    spec = fake_spec(*(text_tsv(tmp_path / f"d{n}.tsv", 10) for n in range(9)))
    paths, record, _ = submit.submit(spec, JobsPaths(tmp_path / "jobs"))
    *named, rest, _ = outcome.unfinished(paths, record, EXIT_SIGINT)
    assert [line.partition(":")[0] for line in named] == [f"fake on d{n}" for n in range(4)]
    assert rest == "5 more jobs: no score yet, 0 of 50 samples are answered"


async def test_faults_that_differ_only_in_their_sample_are_one_line(tmp_path):
    tsvs = [choice_tsv(tmp_path / "one.tsv", 4), choice_tsv(tmp_path / "two.tsv", 4)]
    models = {"m": {"fail": ["1"]}, "n": {"fail": ["3"]}}
    paths = await finished_run(tmp_path, tsvs, models, "bad")
    said, _ = outcome.failures(paths, read_record(paths))
    assert said.startswith("m on one and 3 more jobs: sample 1 failed: scripted to fail: request '1'")


async def test_one_fault_in_several_jobs_is_one_line_and_retry_is_named(tmp_path):
    tsvs = [choice_tsv(tmp_path / f"{name}.tsv", 4) for name in ("first", "second", "third")]
    paths = await finished_run(tmp_path, tsvs, {"m": {"fail": ["2"]}}, "bad")
    said, how = outcome.failures(paths, read_record(paths))
    assert said.startswith("m on first and 2 more jobs: sample 2 failed: scripted to fail: request '2' (each failed")
    assert said.endswith(f"says why in {paths.all_results}/*/*/predictions.jsonl)")
    assert how == f"failed samples are asked again by: vlmeval-mp retry {paths.root}"
