"""What a finished shard rests on cannot be changed by anything written later."""

import pytest

from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Prediction, Shard
from vlmeval_mp.runs import checkpoint
from vlmeval_mp.runs.checkpoint import Checkpoint
from vlmeval_mp.runs.index import Index, search

JOB = "m+d"
SHARD = Shard(job=JOB, first=10, last=13)


def answer(row, text="yes"):
    return Prediction(index=str(row), row=row, prediction=text)


def loaded(folder, done):
    with Index(folder, JOB, 50) as index:
        return index.load(done)


def record(writer, rows, text="yes"):
    return {row: writer.record(JOB, answer(row, text)) for row in rows}


def test_a_pinned_shard_is_read_back_in_row_order(tmp_path):
    writer = Checkpoint(tmp_path, "w0-a")
    answers = record(writer, [13, 40, 11, 10, 41, 12])
    done = checkpoint.pin(SHARD, answers, "w0")
    assert [p.row for p in loaded(tmp_path, done)] == [10, 11, 12, 13]


def test_lines_appended_after_the_pin_change_nothing(tmp_path):
    writer = Checkpoint(tmp_path, "w0-a")
    done = checkpoint.pin(SHARD, record(writer, range(10, 14)), "w0")
    record(writer, range(10, 14), "zombie")
    assert {p.prediction for p in loaded(tmp_path, done)} == {"yes"}


def test_a_resumed_shard_rests_on_both_workers_and_the_first_answer_counts(tmp_path):
    dead = Checkpoint(tmp_path, "w1-dead")
    record(dead, [10, 12], "first")
    heir = Checkpoint(tmp_path, "w0-heir")
    found = search(tmp_path, SHARD)
    assert sorted(found.answers) == [10, 12]
    done = checkpoint.pin(SHARD, {**found.answers, **record(heir, [11, 13], "second")}, "w0")
    record(dead, [11, 13], "late")
    assert [p.prediction for p in loaded(tmp_path, done)] == ["first", "second", "first", "second"]


def test_two_answers_for_one_row_give_the_same_winner_to_search_and_load(tmp_path):
    one, two = Checkpoint(tmp_path, "w0-b"), Checkpoint(tmp_path, "w0-a")
    record(one, range(10, 14), "one")
    record(two, range(10, 14), "two")
    record(two, range(10, 14), "three")
    found = search(tmp_path, SHARD)
    done = checkpoint.pin(SHARD, found.answers, "w0")
    assert [p.prediction for p in loaded(tmp_path, done)] == ["two"] * 4
    assert [s.file for s in done.spans] == [f"{JOB}/w0-a.jsonl"]


def test_an_altered_answer_is_noticed_and_the_message_says_what_to_do(tmp_path):
    writer = Checkpoint(tmp_path, "w0-a")
    done = checkpoint.pin(SHARD, record(writer, range(10, 14)), "w0")
    path = tmp_path / JOB / "w0-a.jsonl"
    path.write_bytes(path.read_bytes().replace(b"yes", b"yEs", 1))
    with pytest.raises(StorageError, match=r"rows 10–13 .* delete queue/done/m\+d.0000010-0000013.json"):
        loaded(tmp_path, done)


def test_a_line_with_a_valid_checksum_but_other_content_is_noticed(tmp_path):
    writer = Checkpoint(tmp_path, "w0-a")
    done = checkpoint.pin(SHARD, record(writer, range(10, 14)), "w0")
    path = tmp_path / JOB / "w0-a.jsonl"
    path.unlink()
    record(Checkpoint(tmp_path, "w0-a"), range(10, 14), "nay")
    with pytest.raises(StorageError):
        loaded(tmp_path, done)


def test_failed_samples_are_counted_in_the_pin(tmp_path):
    writer = Checkpoint(tmp_path, "w0-a")
    answers = record(writer, [10, 11, 12])
    answers[13] = writer.record(JOB, Prediction(index="13", row=13, error="image 1 is damaged"))
    assert checkpoint.pin(SHARD, answers, "w0").failed == 1


def test_intents_without_an_answer_name_the_suspect(tmp_path):
    writer = Checkpoint(tmp_path, "w0-a")
    for row in (10, 11, 11):
        writer.intend(JOB, row)
    record(writer, [10])
    found = search(tmp_path, SHARD)
    assert dict(found.alone) == {11: 2}


def test_an_error_and_an_empty_answer_are_not_the_same(tmp_path):
    writer = Checkpoint(tmp_path, "w0-a")
    writer.record(JOB, Prediction(index="10", row=10, prediction=""))
    writer.record(JOB, Prediction(index="11", row=11, error=""))
    found = search(tmp_path, SHARD).answers
    assert found[10].prediction.error is None
    assert found[11].prediction.error == ""


def test_text_that_no_file_can_hold_is_made_whole(tmp_path):
    writer = Checkpoint(tmp_path, "w0-a")
    writer.record(JOB, Prediction(index="10", row=10, prediction="half \ud83d smile 🙂\u2028"))
    writer.record(JOB, Prediction(index="11", row=11, error="no file 'caf\udce9.png'"))
    found = search(tmp_path, SHARD).answers
    assert found[10].prediction.prediction == "half ? smile 🙂\u2028"
    assert found[11].prediction.error == "no file 'caf?.png'"
