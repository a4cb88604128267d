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


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (0, 6, 0.03125),
        (5, 5, 1.0),
        (9, 2, 0.0654296875),
        (2, 9, 0.0654296875),
        (60, 31, 0.00311268984839376),
        (121, 59, 4.4344492637551645e-06),
        (700, 600, 0.0060157938610449395),
        (1500, 1400, 0.06598734966518463),
    ],
)
def test_mcnemar_gives_what_statsmodels_does(gained: int, lost: int, p: float) -> None:
    """`p` is that of statsmodels 0.15.0: `mcnemar([[10, lost], [gained, 5]], exact=True)`."""
    assert mcnemar(gained, lost) == pytest.approx(p, rel=1e-9)


def sides(gained: int, lost: int, n: int) -> tuple[list[float], list[float]]:
    first = [0.0] * gained + [1.0] * lost + [1.0] * (n - gained - lost)
    second = [1.0] * gained + [0.0] * lost + [1.0] * (n - gained - lost)
    return first, second


def test_known_flips_give_the_exact_difference_p_and_interval() -> None:
    found = paired(*sides(9, 2, 100), range(100))
    assert (found.difference, found.gained, found.lost, found.test) == (0.07, 9, 2, "exact McNemar")
    assert found.p == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert found.low is not None and found.high is not None
    assert (found.low, found.high) == pytest.approx(score_interval(9, 2, 100), abs=1e-9)
    assert found.low < 0.07 < found.high


def rarer_share(gained: int, lost: int, n: int, delta: float) -> float:
    """The likeliest share of the rarer kind of flip where the shares differ by `delta`: the root of the slope of the
    likelihood."""
    common, rarer = (gained, lost) if delta >= 0 else (lost, gained)
    high = (1 - abs(delta)) / 2
    parts = ((common, abs(delta), 1), (rarer, 0.0, 1), (n - gained - lost, 1 - abs(delta), -2))

    def slope(share: float) -> float:
        return sum(count * factor / (offset + factor * share) for count, offset, factor in parts if count)

    inside = high * 1e-9
    if slope(inside) <= 0:
        return 0.0
    return high if slope(high - inside) >= 0 else float(optimize.brentq(slope, inside, high - inside, xtol=1e-16))


def score_interval(gained: int, lost: int, n: int) -> tuple[float, float]:
    """Tango's interval, by its definition: between the two differences whose score statistic is ±1.96."""

    def statistic(delta: float) -> float:
        both = 2 * rarer_share(gained, lost, n, delta) + abs(delta)
        distance = gained - lost - n * delta
        return distance and distance / math.sqrt(n * (both - delta * delta))

    estimate, end = (gained - lost) / n, 1 - 1e-9
    low = optimize.brentq(lambda d: statistic(d) - Z, -end, min(estimate, end), xtol=1e-13) if lost < n else -1.0
    high = optimize.brentq(lambda d: statistic(d) + Z, max(estimate, -end), end, xtol=1e-13) if gained < n else 1.0
    return low, high


SMALL = [(g, k - g, n) for n in (1, 2, 3, 5, 8, 13) for k in range(n + 1) for g in range(k + 1)]
LARGE = [
    (0, 0, 1500),
    (1, 0, 1500),
    (0, 1500, 1500),
    (31, 60, 500),
    (750, 750, 1500),
    (4000, 3900, 11_000),
    (0, 9, 11_000),
]


@pytest.mark.parametrize(("gained", "lost", "n"), SMALL + LARGE)
def test_the_interval_of_any_table_is_tangos(gained: int, lost: int, n: int) -> None:
    assert tango(gained, lost, n) == pytest.approx(score_interval(gained, lost, n), abs=1e-7)


def test_the_interval_of_a_published_table_is_the_published_one() -> None:
    """Airway hyper-responsiveness (Bentur et al. 2009): R's PropCIs, `scoreci.mp(7, 1, 21)`, has -0.517 to -0.026."""
    assert tango(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


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


@pytest.mark.parametrize("kind", ["all lost", "one each way in each picture", "none"])
def test_groups_that_differ_alike_are_no_certainty(kind: str) -> None:
    flips = {"all lost": (0, 40), "one each way in each picture": (20, 20), "none": (0, 0)}[kind]
    first, second = sides(*flips, 40)
    found = paired(first, second, [place % 20 for place in range(40)])
    assert found.clusters == 20 and found.low is not None and found.high is not None
    # as if each picture were one sample
    assert (found.low, found.high) == pytest.approx(score_interval(flips[0] // 2, flips[1] // 2, 20), abs=1e-7)
    assert found.low < found.high and found.low <= found.difference <= found.high


def test_no_interval_of_right_or_wrong_goes_beyond_all() -> None:
    first, second = sides(0, 39, 40)
    found = paired(first, second, [place // 2 for place in range(40)])
    error = math.sqrt(((np.array([-2.0] * 19 + [-1.0]) + 2 * 39 / 40) ** 2).sum() * 20 / 19) / 40
    assert found.low == -1.0 and found.difference == pytest.approx(-39 / 40)
    assert found.high == pytest.approx(-39 / 40 + stats.t.ppf(0.975, 19) * error)


def test_graded_scores_have_the_paired_t_interval() -> None:
    first, second = [0.2, 0.5, 1.0, 0.0, 0.4], [0.3, 0.9, 1.0, 0.1, 0.1]
    found = paired(first, second, range(5))
    expected = stats.ttest_rel(second, first).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.test == "exact permutation"
