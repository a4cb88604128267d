"""The three files a job ends with."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from vlmeval_mp.core.errors import StorageError, VlmevalError
from vlmeval_mp.core.records import Counts, Prediction, Sample, Summary
from vlmeval_mp.runs import results
from vlmeval_mp.scoring.base import Mode, Rules
from vlmeval_mp.scoring.compat.vqa import SINGLE

OPTIONS = {"A": "cat", "B": "dog"}


def samples(n: int) -> list[Sample]:
    return [Sample(index=f"q{i}", row=i, kind="mcq", question="?", options=OPTIONS, answer="A") for i in range(n)]


def answered(row: int, text: str = "A") -> Prediction:
    return Prediction(
        index=f"q{row}", row=row, prediction=text, finish_reason="stop", prompt_tokens=3, completion_tokens=1
    )


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_predictions_stand_in_data_set_order_and_hold_only_what_was_predicted(tmp_path: Path) -> None:
    failed = Prediction(index="q1", row=1, error="image 1 is truncated")
    results.write(tmp_path, "m", "d", samples(3), [answered(2, "B"), failed, answered(0)])
    tokens = {"finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 1}
    assert lines(tmp_path / "predictions.jsonl") == [
        {"index": "q0", "prediction": "A", **tokens},
        {"index": "q1", "error": "image 1 is truncated"},
        {"index": "q2", "prediction": "B", **tokens},
    ]


def test_the_first_failure_is_found_and_an_answer_that_speaks_of_errors_is_none(tmp_path: Path) -> None:
    assert results.first_failure(tmp_path) is None
    failed = Prediction(index="q1", row=1, error="image 1 is truncated")
    results.write(tmp_path, "m", "d", samples(2), [answered(0, '{"error":"x"}'), failed])
    assert results.first_failure(tmp_path) == results.FailedLine(index="q1", error="image 1 is truncated")
    results.write(tmp_path, "m", "d", samples(1), [answered(0, '{"error":"x"}')])
    assert results.first_failure(tmp_path) is None


def test_scores_hold_verdict_extracted_answer_and_note(tmp_path: Path) -> None:
    results.write(tmp_path, "m", "d", samples(2), [answered(0, "The answer is (A)."), answered(1, "no idea")])
    assert lines(tmp_path / "scores.jsonl") == [
        {"index": "q0", "value": 1.0, "extracted": "A"},
        {"index": "q1", "value": 0.0, "note": "no option found", "reading": "unread"},
    ]


@pytest.mark.parametrize("scorer", ["", "textvqa"])
@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_compat_is_said_not_to_apply_where_every_sample_has_one_reference(
    scorer: str, mode: Mode, tmp_path: Path
) -> None:
    def written(*answers: str) -> Summary:
        asked = [Sample(index=f"q{i}", row=i, kind="vqa", question="?", answer=each) for i, each in enumerate(answers)]
        said = [answered(0, "seven"), answered(1, "owl"), Prediction(index="q2", row=2, error="broken")]
        return results.write(tmp_path, "m", "d", asked, said, Rules(scorer, mode))

    alone = written("seven", "cat", "dog")
    assert alone.other is not None
    assert alone.other.applies == (mode == "compat")
    assert [note for note in alone.notes if note == f"compat does not apply: {SINGLE}"] == list(alone.notes) != []
    assert {line["note"] for line in lines(tmp_path / ("scores" + ".compat" * (mode == "strict") + ".jsonl"))} == {
        SINGLE
    }
    several = written("['seven', 'seven', '7', '7']", "cat", "dog")
    assert several.other is not None
    assert several.other.applies
    assert several.notes == ()


def test_the_summary_can_be_read_back_and_read_by_people(tmp_path: Path) -> None:
    summary = results.write(tmp_path, "m", "d", samples(2), [answered(0), answered(1, "B")])
    assert results.read_summary(tmp_path) == summary
    assert summary.metrics["accuracy"] == 0.5
    assert '\n  "metrics": {\n' in (tmp_path / "summary.json").read_text()


def test_the_same_predictions_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    predictions = [answered(i, "AB"[i % 2]) for i in range(10)]
    for folder, given in (("one", predictions), ("two", predictions[::-1])):
        results.write(tmp_path / folder, "m", "d", samples(10), given)
    for name in ("predictions.jsonl", "scores.jsonl", "summary.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_sample_without_prediction_counts_as_failed_and_has_no_prediction_line(tmp_path: Path) -> None:
    summary = results.write(tmp_path, "m", "d", samples(2), [answered(0)])
    assert summary.counts == Counts(total=2, scored=1, unscored=0, failed=1)
    assert [line["index"] for line in lines(tmp_path / "predictions.jsonl")] == ["q0"]
    assert [line["index"] for line in lines(tmp_path / "scores.jsonl")] == ["q0", "q1"]


def test_predictions_of_another_data_set_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(VlmevalError, match="q5"):
        results.write(tmp_path / "out", "m", "d", samples(2), [answered(5)])
    assert not (tmp_path / "out").exists()


def test_text_of_any_language_and_control_characters_survives(tmp_path: Path) -> None:
    text = 'é 狗 🐶 \x1b[31m "quoted"\nline\u2028two\x00'
    results.write(tmp_path, "m", "d", samples(1), [answered(0, text)])
    raw = (tmp_path / "predictions.jsonl").read_bytes()
    assert raw.count(b"\n") == 1
    assert json.loads(raw)["prediction"] == text


def test_a_job_that_has_not_finished_has_no_summary_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    assert results.read_summary(tmp_path) is None
    (tmp_path / "summary.json").write_text('{"model": 1}')
    with pytest.raises(VlmevalError, match=r"summary\.json"):
        results.read_summary(tmp_path)


def test_a_results_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        results.write(tmp_path / "file" / "d", "m", "d", samples(1), [answered(0)])


@pytest.mark.slow
def test_a_large_data_set_is_scored_and_written_in_seconds(tmp_path: Path) -> None:
    n = 20_000
    many, given = samples(n), [answered(i, "The answer is (A).") for i in range(n)]
    started = time.process_time()  # a loaded machine is not our slowness
    results.write(tmp_path, "m", "d", many, given)
    assert time.process_time() - started < 3.0
