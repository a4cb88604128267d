"""Intervals: by hand, at the edges, and how often they cover the truth."""

from __future__ import annotations

import math

import pytest

from vlmeval_mp.core.records import Sample
from vlmeval_mp.scoring.metrics import intervals
from vlmeval_mp.scoring.metrics.estimates import Clusters, average, clusters, mean, ratio


def test_eighteen_of_eighteen_right_is_no_certainty() -> None:
    assert intervals.proportion(18, 18) == (pytest.approx(0.8241, abs=1e-4), 1.0)
    assert intervals.proportion(0, 18) == (0.0, pytest.approx(0.1759, abs=1e-4))
    found = Clusters(range(18)).metric(mean(dict.fromkeys(range(18), 1.0)))
    assert (found.value, found.stderr, found.method) == (1.0, 0.0, "Wilson")
    assert found.interval == (pytest.approx(0.8241, abs=1e-4), 1.0)


def test_wilsons_interval_is_the_textbooks() -> None:
    """81 of 263: Newcombe 1998, table I, method 3."""
    assert intervals.proportion(81, 263) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


def test_one_wrong_of_many_has_the_poisson_bound_next_to_the_edge() -> None:
    low, high = intervals.proportion(9, 10)
    assert high == pytest.approx(1 - -math.log(0.95) / 10)
    assert low == pytest.approx(0.5958, abs=1e-4)


def test_two_clusters_have_one_degree_of_freedom() -> None:
    """Means 0.2 and 0.6 of two clusters of four: error 0.2, times t(1) = 12.706."""
    found = intervals.mean([0.8, 2.4], [4, 4], proportions=False, bounded=False)
    assert found.stderr == pytest.approx(0.2)
    assert found.interval == (pytest.approx(0.4 - 12.706 * 0.2, abs=1e-3), pytest.approx(0.4 + 12.706 * 0.2, abs=1e-3))
    assert found.method == "t, by clusters"


def test_unequal_clusters_have_fewer_degrees_of_freedom_than_equal_ones() -> None:
    equal, unequal = (intervals._freedom(shares) for shares in ([0.2] * 5, [0.6, 0.1, 0.1, 0.1, 0.1]))
    assert equal == pytest.approx(4)
    assert unequal < 2.5


def test_clusters_that_are_right_or_wrong_together_count_as_one_sample_each() -> None:
    """Ten pictures with ten questions each are no more than ten samples where all of a picture are alike."""
    together = intervals.mean([10.0] * 5 + [0.0] * 5, [10] * 10, proportions=True, bounded=True)
    alone = intervals.proportion(50, 100)
    assert together.interval[1] - together.interval[0] > 3 * (alone[1] - alone[0])


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_clusters_that_are_all_right_or_all_wrong_have_an_interval_all_the_same(right: float) -> None:
    found = Clusters([place // 5 for place in range(50)]).metric(mean(dict.fromkeys(range(50), right)))
    assert found.stderr == 0.0
    assert found.interval is not None
    assert found.interval[1] - found.interval[0] == pytest.approx(intervals.wilson(0, 10)[1])


def test_a_metric_that_is_no_mean_is_drawn_again_and_always_the_same() -> None:
    places = range(60)
    tops = {p: float(p % 3 != 0) * 2 for p in places}
    estimate = ratio(tops, {p: 1.0 + (p % 3 != 0) for p in places})
    found = Clusters(places).metric(estimate)
    assert found == Clusters(places).metric(estimate)
    assert found.method == "bootstrap"
    assert found.interval is not None
    assert found.stderr is not None
    low, high = found.interval
    assert found.value is not None
    assert low < found.value < high
    assert (high - low) / 2 == pytest.approx(1.96 * found.stderr, rel=0.15)


def test_a_macro_mean_without_an_error_has_no_zero_interval() -> None:
    right = average(mean(dict.fromkeys(places, 1.0)) for places in (range(10), range(10, 30)))
    found = Clusters(range(30)).metric(right)
    assert found.value == 1.0
    assert found.interval is not None
    assert found.interval[0] < 0.95


def test_the_interval_of_a_number_of_points_is_in_points() -> None:
    plain = Clusters(range(40)).metric(mean({p: float(p % 4 > 0) for p in range(40)}))
    points = Clusters(range(40)).metric(mean({p: float(p % 4 > 0) for p in range(40)}) * 40)
    assert plain.interval is not None
    assert points.interval == tuple(40 * bound for bound in plain.interval)


def test_many_clusters_are_drawn_in_bounded_memory_and_give_what_few_blocks_give() -> None:
    few, many = intervals._Blocks(2_000), intervals._Blocks(20_000)
    assert sum(len(block) for block in few) == sum(len(block) for block in many) == intervals.DRAWS
    assert max(block.nbytes for block in many) <= 8 * intervals.KEPT_CELLS // 5
    assert all(block.sum(axis=1).tolist() == [2_000.0] * len(block) for block in few)


def test_samples_that_share_nothing_have_the_interval_of_clusters_of_one() -> None:
    known = {place: float(place % 3 == 0) for place in range(40)}
    alone = clusters([Sample(index=str(i), row=i, kind="vqa", question="") for i in range(40)])
    assert isinstance(alone.numbers, range)
    for estimate in (mean(known), mean({0: 1.0}), ratio(known, known)):
        assert alone.metric(estimate) == Clusters(list(range(40))).metric(estimate)
