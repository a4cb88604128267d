"""What a launch says at its end about runs that are not finished."""

from tests.builders import fake_run
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
