"""The statistics of a comparison, held against scipy and against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from vlmeval_mp.report.paired import Z, mcnemar, paired, sign_flip, tango


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 5), (9, 2), (2, 9), (60, 31), (700, 600), (1500, 20)])
def test_mcnemar_is_the_binomial_test_of_the_flips(gained: int, lost: int) -> None:
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def sides(gained: int, lost: int, n: int) -> tuple[list[float], list[float]]:
    first = [0.0] * gained + [1.0] * lost + [1.0] * (n - gained - lost)
    second = [1.0] * gained + [0.0] * lost + [1.0] * (n - gained - lost)
    return first, second


def test_known_flips_give_the_exact_difference_p_and_interval() -> None:
    found = paired(*sides(9, 2, 100), range(100))
    assert (found.difference, found.gained, found.lost, found.test) == (0.07, 9, 2, "exact McNemar")
    assert found.p == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert found.low is not None and found.high is not None
    # inside the interval the score test keeps a difference, outside it does not
    for bound in (found.low, found.high):
        assert abs(score_statistic(9, 2, 100, bound)) == pytest.approx(Z, rel=1e-6)
    assert found.low < 0.07 < found.high


def score_statistic(gained: int, lost: int, n: int, delta: float) -> float:
    """Tango's statistic with its nuisance parameter found by maximizing the likelihood numerically."""

    def loss(share_lost: float) -> float:
        share_gained = share_lost + delta
        rest = 1 - share_lost - share_gained
        parts = ((gained, share_gained), (lost, share_lost), (n - gained - lost, rest))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in parts if count)

    low, high = max(0.0, -delta), (1 - delta) / 2
    share = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (gained - lost - n * delta) / math.sqrt(n * (2 * share + delta - delta * delta))


def test_no_flip_is_no_certainty() -> None:
    low, high = tango(0, 0, 50)
    assert high == pytest.approx(Z**2 / (50 + Z**2)) and low == pytest.approx(-high)


def test_sign_flips_of_single_samples_are_mcnemars_test() -> None:
    p, test = sign_flip([1.0] * 12 + [-1.0] * 4 + [0.0] * 50)
    assert test == "exact permutation" and p == pytest.approx(mcnemar(12, 4))


def test_exact_sign_flips_count_every_assignment() -> None:
    sums = [2.0, -1.0, 3.0, 0.5, -0.5, 1.0]
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1)
    expected = np.mean(np.abs(np.abs(sums) @ signs) >= abs(sum(sums)) - 1e-9)
    assert sign_flip(sums)[0] == pytest.approx(expected)


def test_scores_of_no_common_unit_are_drawn_and_repeat() -> None:
    sums = [math.sqrt(2), -math.sqrt(3), math.pi, 1.0] * 5
    p, test = sign_flip(sums)
    assert test.startswith("permutation, 20,000 draws") and sign_flip(sums)[0] == p
    exact = stats.permutation_test((np.array(sums),), np.sum, permutation_type="samples", n_resamples=50_000)
    assert p == pytest.approx(exact.pvalue, abs=0.02)


def test_samples_that_share_a_picture_count_together() -> None:
    first, second = sides(12, 0, 24)
    alone = paired(first, second, range(24))
    together = paired(first, second, [place // 4 for place in range(24)])
    assert together.clusters == 6 and together.test == "exact permutation"
    assert together.p == pytest.approx(2 * 0.5**3) and alone.p < together.p
    sums = np.array([4.0] * 3 + [0.0] * 3) - 0.5 * 4
    error = math.sqrt((sums**2).sum() * 6 / 5) / 24
    assert together.low == pytest.approx(0.5 - stats.t.ppf(0.975, 5) * error)


def test_graded_scores_have_the_paired_t_interval() -> None:
    first, second = [0.2, 0.5, 1.0, 0.0, 0.4], [0.3, 0.9, 1.0, 0.1, 0.1]
    found = paired(first, second, range(5))
    expected = stats.ttest_rel(second, first).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.test == "exact permutation"
