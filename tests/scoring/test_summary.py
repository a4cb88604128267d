"""Numbers over many verdicts, checked by hand and against simulation."""

from __future__ import annotations

import math
import random
import statistics

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmeval_mp.core.records import Counts, Media, Prediction, Sample, Score, Summary
from vlmeval_mp.scoring.base import Rules, ScoredSample
from vlmeval_mp.scoring.metrics.metrics import standard_error
from vlmeval_mp.scoring.summary import summarize


def sample(row: int, *digests: str, category: str = "", split: str = "") -> Sample:
    media = tuple(Media(kind="image", digest=d) for d in digests)
    return Sample(index=str(row), row=row, kind="mcq", answer="A", media=media, category=category, split=split)


def outcome(row: int, value: float | None, error: str | None = None) -> tuple[Prediction, Score]:
    return Prediction(index=str(row), row=row, prediction="A", error=error), Score(index=str(row), value=value)


def summary_of(samples: list[Sample], predictions: list[Prediction | None], scores: list[Score]) -> Summary:
    scored = [ScoredSample(*each) for each in zip(samples, predictions, scores, strict=True)]
    return summarize("m", "d", scored, Rules())


def test_failed_samples_are_outside_accuracy_and_wrong_in_accuracy_all() -> None:
    outcomes = [outcome(0, 1.0), outcome(1, 0.0), outcome(2, 1.0), outcome(3, None, "broken")]
    samples = [sample(i) for i in range(4)]
    summary = summary_of(samples, [p for p, _ in outcomes], [s for _, s in outcomes])
    assert summary.metrics == {"accuracy": pytest.approx(2 / 3), "accuracy_all": 0.5}
    assert summary.counts == Counts(total=4, scored=3, unscored=0, failed=1)
    assert summary.primary_metric == "accuracy"
    assert summary.scorers == {"mcq": 4}
    assert summary.scoring == "strict"


def test_truncated_and_empty_answers_are_counted_and_the_other_mode_is_told() -> None:
    samples = [sample(i) for i in range(3)]
    cut = Prediction(index="0", row=0, prediction="A", finish_reason="length")
    predictions = [cut, Prediction(index="1", row=1, prediction=" \n"), Prediction(index="2", row=2, error="broken")]
    strict = [Score(index="0", value=1.0), Score(index="1", value=0.0), Score(index="2", value=None)]
    compat = [Score(index=str(i), value=0.0) for i in range(3)]
    ours, theirs = (
        [ScoredSample(*each) for each in zip(samples, predictions, s, strict=True)] for s in (strict, compat)
    )
    summary = summarize("m", "d", ours, Rules(), theirs)
    assert summary.counts == Counts(total=3, scored=2, unscored=0, failed=1, truncated=1, empty=1)
    assert summary.other is not None
    assert summary.other.differ == 1
    assert summary.other.metrics["accuracy"] == 0.0
    assert summary.other.scoring == "compat (ms-vlmeval 0.0.20)"


def test_a_sample_without_prediction_counts_as_failed() -> None:
    summary = summary_of([sample(0)], [None], [Score(index="0", value=None)])
    assert summary.counts == Counts(total=1, scored=0, unscored=0, failed=1)
    assert summary.metrics["accuracy"] is None
    assert summary.bounds is not None


def test_nothing_scored_is_no_number_rather_than_zero() -> None:
    summary = summary_of([], [], [])
    assert summary.metrics == {"accuracy": None, "accuracy_all": None}
    assert summary.stderr is None
    assert summary.by_category == {}


def test_groups_are_sorted_and_show_their_own_counts() -> None:
    samples = [sample(0, category="z"), sample(1, category="a"), sample(2, category="a"), sample(3)]
    pairs = [outcome(0, 1.0), outcome(1, 0.0), outcome(2, None, "x"), outcome(3, 1.0)]
    groups = summary_of(samples, [p for p, _ in pairs], [s for _, s in pairs]).by_category
    assert list(groups) == ["a", "z"]
    assert groups["a"] == {
        "accuracy": 0.0,
        "accuracy_all": 0.0,
        "stderr": None,
        "low": None,
        "high": None,
        "total": 2,
        "scored": 1,
        "unscored": 0,
        "failed": 1,
    }


def test_the_error_of_independent_samples_is_the_plain_one() -> None:
    values: list[float | None] = [1.0, 0.0, 1.0, 1.0, None]
    samples = [sample(i, f"image{i}") for i in range(5)]
    known = [v for v in values if v is not None]
    assert standard_error(samples, values) == pytest.approx(statistics.stdev(known) / math.sqrt(4))


def test_samples_that_share_an_image_are_one_cluster() -> None:
    # two images, two samples each, always right or wrong together: residuals ±1/2, cluster sums ±1, times G / (G - 1)
    samples = [sample(0, "x"), sample(1, "x"), sample(2, "y"), sample(3, "y")]
    assert standard_error(samples, [1.0, 1.0, 0.0, 0.0]) == pytest.approx(math.sqrt(2 * 2) / 4)


def test_a_chain_of_shared_images_is_one_cluster_and_one_cluster_has_no_error() -> None:
    samples = [sample(0, "x", "y"), sample(1, "y", "z"), sample(2, "z")]
    assert standard_error(samples, [1.0, 0.0, 1.0]) is None


def test_unusable_media_without_digest_join_nothing() -> None:
    samples = [sample(0, ""), sample(1, ""), sample(2)]
    assert standard_error(samples, [1.0, 0.0, 1.0]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("values", [[], [1.0], [None, None, 1.0]])
def test_fewer_than_two_scored_samples_have_no_error(values: list[float | None]) -> None:
    assert standard_error([sample(i) for i in range(len(values))], values) is None


def test_the_clustered_error_is_the_spread_of_the_mean_over_repeated_draws() -> None:
    draw = random.Random(1)
    samples = [sample(i, f"image{i // 5}") for i in range(300)]
    means, errors = [], []
    for _ in range(300):
        values: list[float | None] = []
        for _ in range(60):
            easy = draw.random()
            values += [float(draw.random() < easy) for _ in range(5)]
        means.append(statistics.fmean(v for v in values if v is not None))
        errors.append(standard_error(samples, values) or 0.0)
    assert statistics.fmean(errors) == pytest.approx(statistics.stdev(means), rel=0.1)


@given(st.lists(st.tuples(st.sampled_from([None, 0.0, 0.5, 1.0]), st.booleans(), st.integers(0, 3)), max_size=30))
@settings(deadline=None)
def test_counts_always_add_up_and_the_same_input_gives_the_same_bytes(
    rows: list[tuple[float | None, bool, int]],
) -> None:
    samples = [sample(i, str(image)) for i, (_, _, image) in enumerate(rows)]
    pairs = [outcome(i, None if bad else v, "x" if bad else None) for i, (v, bad, _) in enumerate(rows)]
    summaries = [summary_of(samples, [p for p, _ in pairs], [s for _, s in pairs]) for _ in range(2)]
    counts = summaries[0].counts
    assert counts.total == counts.scored + counts.unscored + counts.failed == len(rows)
    assert msgspec.json.encode(summaries[0]) == msgspec.json.encode(summaries[1])
