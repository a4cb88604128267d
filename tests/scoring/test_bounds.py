"""A headline never rests on a remnant: what is shown where samples have no verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmeval_mp.core.records import Prediction, Sample, Score, Summary
from vlmeval_mp.display.tables import results_text
from vlmeval_mp.exchange.evaluate import FileToScore, evaluate
from vlmeval_mp.scoring.base import Rules, ScoredSample
from vlmeval_mp.scoring.metrics import intervals
from vlmeval_mp.scoring.summary import summarize

CASES = Path(__file__).parents[3] / "shared" / "cases"


def job(
    right: int, wrong: int, unscored: int = 0, failed: int = 0, missing: int = 0, note: str = "needs a judge"
) -> list[ScoredSample]:
    kinds = [1.0] * right + [0.0] * wrong + [None] * (unscored + failed + missing)
    rows = []
    for row, value in enumerate(kinds):
        place = row - right - wrong
        error = "broken" if unscored <= place < unscored + failed else None
        gone = place >= unscored + failed
        prediction = None if gone else Prediction(index=str(row), row=row, prediction="A", error=error)
        score = Score(index=str(row), value=value, note="" if value is not None else note)
        rows.append(ScoredSample(Sample(index=str(row), row=row, kind="mcq", answer="A"), prediction, score))
    return rows


def summary(scored: list[ScoredSample], scorer: str = "") -> Summary:
    return summarize("m", "d", scored, Rules(scorer))


def test_seven_scored_of_a_thousand_are_no_headline() -> None:
    found = summary(job(4, 3, unscored=993))
    assert found.metrics["accuracy"] is None
    assert found.metrics["accuracy_all"] is None
    assert found.metrics["accuracy_scored"] == pytest.approx(4 / 7)
    assert found.bounds == (0.004, 0.997)
    assert found.interval is None
    (warning,) = found.warnings
    assert warning.startswith("993 of 1,000 samples have no verdict")
    assert "993: needs a judge (index 7)" in warning


def test_one_in_a_hundred_without_a_verdict_leaves_the_number() -> None:
    found = summary(job(60, 39, unscored=1))
    assert found.metrics["accuracy"] == pytest.approx(60 / 99)
    assert found.bounds is None
    assert found.warnings == ()
    assert summary(job(60, 38, unscored=2)).metrics["accuracy"] is None


def test_samples_that_nobody_answered_are_undetermined_and_failed_ones_are_not() -> None:
    assert summary(job(6, 3, failed=1)).metrics == {"accuracy": pytest.approx(6 / 9), "accuracy_all": 0.6}
    found = summary(job(6, 3, missing=1))
    assert found.metrics["accuracy"] is None
    assert found.bounds == (0.6, 0.7)
    assert summary(job(6, 2, failed=1, missing=1)).bounds == (0.6, pytest.approx(7 / 9))


def test_reasons_are_counted_by_kind_with_one_of_each() -> None:
    rows = [*job(1, 0), *job(0, 0, unscored=3, note="answer '60' is none of its options")]
    (warning,) = summary(rows).warnings
    assert "3: answer '60' is none of its options (index 0)" in warning


def test_an_f1_is_bounded_by_the_opposite_of_each_answer() -> None:
    rows = []
    for row, (gold, said) in enumerate([("Yes", "Yes"), ("No", "No"), ("Yes", ""), ("No", "")]):
        score = Score(index=str(row), value=1.0 if said else None, extracted=said)
        sample = Sample(index=str(row), row=row, kind="yorn", answer=gold)
        rows.append(ScoredSample(sample, Prediction(index=str(row), row=row, prediction=said), score))
    assert summary(rows, "pope").bounds == (0.5, 1.0)


def test_rows_that_vanished_from_both_accuracies_are_scored_or_said() -> None:
    """The case: choice and free-form rows in one table, of which some had no score and nothing said so."""
    found = evaluate(FileToScore(CASES / "unscored-rows-vanish" / "rows.tsv")).summary
    if found.counts.unscored:
        assert found.metrics[found.primary_metric] is None
        assert found.bounds == (pytest.approx(1 / 3), 1.0)
        assert "2 of 3 samples have no verdict" in found.warnings[0]
    else:
        assert found.metrics["accuracy"] == 1.0


def test_a_file_without_an_error_has_an_interval_and_no_zero() -> None:
    """The case: 100.00 ± 0.00."""
    found = evaluate(FileToScore(CASES / "few-clusters-and-zero-errors" / "rows.tsv")).summary
    assert found.metrics["accuracy"] == 1.0
    assert found.interval == intervals.proportion(found.counts.total, found.counts.total)
    assert "±" not in results_text([(found, None)], None)
