"""Estimates of small samples, against scipy, statsmodels and known answers."""

from __future__ import annotations

import math

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from benchmarks.analysis.estimates import LEAST_N, estimate, standardized_mean

finite = st.floats(-1, 1, allow_nan=False)

unhurried = examples(40, 100)


def test_known_intervals(known_cases):
    """Mean, standard deviation and interval are those of the worked cases."""
    for case in known_cases["superiority"]:
        found = estimate(case["delta"])
        if "ci" in case:
            assert (found.ci_low, found.ci_high) == pytest.approx(case["ci"], abs=1e-6)
        if "sd" in case:
            assert (found.mean, found.sd) == pytest.approx((case["mean"], case["sd"]), abs=1e-6)


def test_a_skewed_sample_by_hand():
    """The mean, not the median, with t of n - 1 degrees of freedom: worked out on paper for 1, 2 and 6."""
    found = estimate([1.0, 2.0, 6.0])
    assert found.mean == pytest.approx(3)
    assert found.sd == pytest.approx(math.sqrt(7))
    half = 4.302652729911275 * math.sqrt(7 / 3)
    assert (found.ci_low, found.ci_high) == pytest.approx((3 - half, 3 + half))


@unhurried
@given(st.lists(finite, min_size=3, max_size=12))
def test_equals_statsmodels(values):
    """Any sample that is not degenerate has the interval that statsmodels gives."""
    found = estimate(values)
    if found.state == "interval":
        assert (found.ci_low, found.ci_high) == pytest.approx(DescrStatsW(values).tconfint_mean(), rel=1e-6, abs=1e-12)
        assert found.sd > 0


@unhurried
@given(st.lists(st.one_of(finite, st.just(math.nan), st.just(math.inf)), max_size=8))
def test_holes_are_left_out(values):
    """Values that are not finite count nowhere, and the number of the others decides what is said."""
    kept = [value for value in values if math.isfinite(value)]
    found = estimate(values)
    assert list(found.values) == kept
    assert found.n == len(kept)
    assert (found.state == "no values") == (not kept)
    assert (found.state == "raw values") == (0 < len(kept) < LEAST_N)
    assert math.isnan(found.mean) == (len(kept) < LEAST_N)


@unhurried
@given(finite, st.integers(3, 10))
def test_equal_values_are_degenerate(value, n):
    """Where all values are equal up to rounding there is a mean and no interval."""
    found = estimate([value, *[value + 1e-17] * (n - 1)])
    assert found.state == "degenerate"
    assert found.mean == pytest.approx(value)
    assert found.sd == 0
    assert math.isnan(found.ci_low)
    assert math.isnan(found.ci_high)


def test_accuracies_that_differ_by_one_example_are_not_degenerate():
    """The tolerance for equality is far below one example of the largest test set."""
    assert estimate([0.9, 0.9, 0.9 + 1e-7]).state == "interval"


def test_least_n_can_be_raised():
    """With least n 6, five values stay raw values and six have a mean."""
    values = [0.1, 0.4, 0.2, 0.9, 0.3, 0.8]
    assert estimate(values[:5], least_n=6).state == "raw values"
    assert estimate(values, least_n=6).state == "interval"


def test_standardized_mean_has_the_correction_of_hedges():
    """Mean over standard deviation times the exact correction, which for five values is sqrt(2 / pi)."""
    found = estimate([0.62, 0.48, 0.71, 0.55, 0.39])
    correction = math.gamma(2) / (math.sqrt(2) * math.gamma(1.5))
    assert correction == pytest.approx(math.sqrt(2 / math.pi))
    assert standardized_mean(found) == pytest.approx(0.55 / stats.tstd(found.values) * correction)


@pytest.mark.parametrize("values", [[], [0.5], [0.2, 0.4], [0.3, 0.3, 0.3]])
def test_no_standardized_mean_without_an_interval(values):
    """Below the least n, and without spread, there is none."""
    assert math.isnan(standardized_mean(estimate(values)))
