"""Each line of a checkpoint is read once, whoever asks how often."""

from vlmeval_mp.core import linefiles
from vlmeval_mp.core.records import Prediction, Shard
from vlmeval_mp.runs import checkpoint
from vlmeval_mp.runs.checkpoint import Checkpoint
from vlmeval_mp.runs.index import Index

JOB = "m+d"


def record(writer, rows, text="yes"):
    return {row: writer.record(JOB, Prediction(index=str(row), row=row, prediction=text)) for row in rows}


def test_an_index_reads_on_from_where_it_was(tmp_path, monkeypatch):
    writer, read, real = Checkpoint(tmp_path, "w0-a"), [], linefiles.decode
    monkeypatch.setattr(linefiles, "decode", lambda line: read.append(line) or real(line))
    index = Index(tmp_path, JOB, 100)
    for first in range(0, 100, 10):
        record(writer, range(first, first + 10))
        index.refresh()
    index.refresh()
    assert len(read) == 100
    assert sorted(index.found(Shard(job=JOB, first=20, last=29)).answers) == list(range(20, 30))


def test_shards_whose_lines_are_mixed_are_loaded_without_reading_their_neighbours(tmp_path, monkeypatch):
    writer = Checkpoint(tmp_path, "w0-a")
    answers = record(writer, [row for pair in zip(range(50), range(50, 100), strict=True) for row in pair])
    dones = [checkpoint.pin(Shard(job=JOB, first=f, last=f + 9), answers, "w0") for f in range(0, 100, 10)]
    read, real = [], linefiles.decode
    monkeypatch.setattr(linefiles, "decode", lambda line: read.append(line) or real(line))
    index = Index(tmp_path, JOB, 100)
    assert [p.row for done in dones for p in index.load(done)] == list(range(100))
    assert len(read) == 200  # once to find it, once to give it


def test_a_line_that_is_not_whole_yet_is_read_once_it_is(tmp_path):
    record(Checkpoint(tmp_path, "w0-a"), range(2))
    path = tmp_path / JOB / "w0-a.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    index = Index(tmp_path, JOB, 2)
    index.refresh()
    assert index.answered == 1
    path.write_bytes(whole)
    index.refresh()
    assert (index.answered, list(index.rows())) == (2, [0, 1])


def test_of_two_answers_the_one_in_the_first_file_counts_whenever_it_was_seen(tmp_path):
    index = Index(tmp_path, JOB, 5)
    record(Checkpoint(tmp_path, "w1-late-name"), [3], "second")
    index.refresh()
    record(Checkpoint(tmp_path, "w0-early-name"), [3], "first")
    index.refresh()
    found = index.found(Shard(job=JOB, first=0, last=4)).answers
    assert {row: answer.prediction.prediction for row, answer in found.items()} == {3: "first"}
