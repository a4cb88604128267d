"""Samples that are counted together by a column: by hand, and as MMBench's rotations are."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmeval_mp.core.records import GroupMetrics, Prediction, Sample, Score
from vlmeval_mp.display.tables import results_text
from vlmeval_mp.exchange.evaluate import FileToScore, evaluate
from vlmeval_mp.scoring.base import Rules, ScoredSample
from vlmeval_mp.scoring.metrics import intervals
from vlmeval_mp.scoring.metrics.together import together
from vlmeval_mp.scoring.summary import summarize


def variants(*groups: str, column: str = "seed") -> list[ScoredSample]:
    """Groups of samples: 1 is right, 0 wrong, f failed, ? without a verdict."""
    rows = []
    for name, verdicts in enumerate(groups):
        for each in verdicts:
            row = len(rows)
            value = {"1": 1.0, "0": 0.0}.get(each)
            error = "broken" if each == "f" else None
            sample = Sample(index=str(row), row=row, kind="vqa", answer="7", extra={column: f"q{name}"})
            prediction = Prediction(index=str(row), row=row, prediction="7", error=error)
            rows.append(ScoredSample(sample, prediction, Score(index=str(row), value=value)))
    return rows


def found(*groups: str) -> GroupMetrics:
    numbers = together(variants(*groups), "seed")
    assert numbers is not None
    return numbers


def test_worst_case_and_powers_are_those_by_hand() -> None:
    numbers = found("1111", "1110", "1100", "0000")
    assert (numbers.groups, numbers.smallest, numbers.largest, numbers.left_out) == (4, 4, 4, 0)
    assert numbers.metrics == {
        "worst_case": 0.25,
        "all_right": 0.25,
        "average": pytest.approx((1 + 0.75 + 0.5) / 4),
        "robustness": pytest.approx(1 / 2.25),
        "pass^2": pytest.approx((1 + 3 / 6 + 1 / 6) / 4),
        "pass^4": 0.25,
    }
    assert numbers.intervals["all_right"] == intervals.proportion(1, 4)


def test_a_failed_variant_is_wrong_and_one_without_a_verdict_leaves_its_group_out() -> None:
    numbers = found("11", "1f", "1?", "0?")
    assert numbers.left_out == 1
    assert numbers.metrics["all_right"] == pytest.approx(1 / 3)


def test_powers_go_as_far_as_the_smallest_group() -> None:
    assert [name for name in found("11111111", "111").metrics if name.startswith("pass")] == ["pass^2"]


def test_the_summary_has_the_groups_that_were_asked_for_and_the_table_says_them() -> None:
    summary = summarize("m", "DynaMath", variants("11", "10"), Rules(group="seed"))
    assert summary.together is not None
    assert summary.together.metrics["worst_case"] == 0.5
    text = results_text([(summary, None)], None)
    assert "DynaMath: 2 groups of 2 by seed: worst case 50.00 [" in text
    assert summarize("m", "d", variants("11"), Rules()).together is None


def test_a_column_that_is_not_there_is_said() -> None:
    summary = summarize("m", "d", variants("11", "10"), Rules(group="sed", cluster="page"))
    assert summary.warnings == (
        "no sample has anything in column 'page', so there are no clusters by it",
        "no sample has anything in column 'sed', so there are no groups by it",
    )


def test_any_column_can_be_the_cluster() -> None:
    rows = variants(*["1111", "0000"] * 5)
    alone = summarize("m", "d", rows, Rules())
    clustered = summarize("m", "d", rows, Rules(cluster="seed"))
    assert clustered.metrics == alone.metrics
    assert clustered.method == "Wilson, by clusters"
    (low, high), (inner_low, inner_high) = clustered.interval or (0, 0), alone.interval or (0, 0)
    assert high - low > 1.5 * (inner_high - inner_low)


def test_a_file_of_predictions_can_be_grouped_and_clustered(tmp_path: Path) -> None:
    file = tmp_path / "rows.tsv"
    lines = ["index\tquestion\tanswer\tseed\tprediction"]
    lines += [f"{i}\tq\tYes\ts{i // 2}\t{'No' if i == 3 else 'Yes'}" for i in range(8)]
    file.write_text("\n".join(lines) + "\n")
    summary = evaluate(FileToScore(file, group="seed", cluster="seed")).summary
    assert summary.together is not None
    assert summary.together.metrics["all_right"] == 0.75
    assert summary.method == "Wilson, by clusters"
