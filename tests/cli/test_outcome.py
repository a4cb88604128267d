"""What a launch says at its end about runs that are not finished."""

from tests.builders import fake_run
from tests.report.runs import choice_tsv, finished_run
from vlmeval_mp.cli import outcome
from vlmeval_mp.core.errors import EXIT_SIGINT
from vlmeval_mp.core.records import Prediction
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


async def test_one_fault_in_several_jobs_is_one_line_and_retry_is_named(tmp_path):
    tsvs = [choice_tsv(tmp_path / f"{name}.tsv", 4) for name in ("first", "second", "third")]
    paths = await finished_run(tmp_path, tsvs, {"m": {"fail": ["2"]}}, "bad")
    said, how = outcome.failures(paths, read_record(paths))
    assert said.startswith("m on first and 2 more jobs: sample 2 failed: scripted to fail: request '2' (each failed")
    assert said.endswith(f"says why in {paths.all_results}/*/*/predictions.jsonl)")
    assert how == f"failed samples are asked again by: vlmeval-mp retry {paths.root}"
