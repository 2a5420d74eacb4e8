"""Averages over datasets, generalising from them, ranks, and the noise of the test set."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

from benchmarks.analysis.datasets import average_evidence, average_of_datasets, generalised, generalised_evidence
from benchmarks.analysis.example_noise import pair_noise, right_answers
from benchmarks.analysis.ranks import rank_over_datasets
from benchmarks.analysis.verdicts import evidence_of, sign_flip_p, verdict_of

unhurried = examples(20, 50)
sizes = st.lists(st.integers(2, 12), min_size=2, max_size=2)


def summary(samples):
    """Means, deviations and sizes."""
    return [np.mean(s) for s in samples], [np.std(s, ddof=1) for s in samples], [len(s) for s in samples]


@unhurried
@given(st.integers(0, 10_000), sizes)
def test_the_average_of_two_is_welchs_test(seed, n):
    """Half the sum of two means has the degrees of freedom and, but for a sign, the p of Welch's test."""
    random = np.random.default_rng(seed)
    first, second = random.normal(0.3, 1, n[0]), random.normal(-0.2, 3, n[1])
    found = average_of_datasets(*summary([first, second]))
    expected = stats.ttest_ind(first, -second, equal_var=False)
    assert found.df == pytest.approx(expected.df)
    assert found.mean / found.error == pytest.approx(expected.statistic)
    interval = expected.confidence_interval(0.9)
    assert found.interval(0.9) == pytest.approx((interval.low / 2, interval.high / 2))


@unhurried
@given(st.integers(0, 10_000), st.integers(6, 9), st.sampled_from([0.0, 0.01, 0.3]))
def test_generalising_is_random_effects_of_statsmodels(seed, k, spread):
    """Mean, interval and spread between datasets are those of `combine_effects`, whatever the unit."""
    random = np.random.default_rng(seed)
    samples = [random.normal(random.normal(0.2, spread + 1e-9), 0.1, 8) for _ in range(k)]
    means, sds, n = summary(samples)
    found = generalised(means, sds, n)
    expected = combine_effects(np.array(means), np.square(sds) / 8, method_re="iterated", use_t=True)
    low, high = expected.conf_int()[1]
    assert found.interval() == pytest.approx((low, high), rel=1e-3, abs=1e-4)
    assert found.spread**2 == pytest.approx(max(0, expected.tau2), rel=1e-3, abs=1e-5)
    scaled = generalised([100 * each for each in means], [100 * each for each in sds], n)
    assert (scaled.mean, scaled.error) == pytest.approx((100 * found.mean, 100 * found.error), rel=1e-9)


def test_datasets_that_agree_by_hand():
    """Equal means and spreads: the error is s / sqrt(n k), the prediction has t with k - 2 and no spread of its own."""
    found = generalised([0.5] * 6, [0.2] * 6, [4] * 6)
    error = 0.2 / math.sqrt(24)
    assert (found.mean, found.error, found.spread) == pytest.approx((0.5, error, 0))
    half = stats.t.isf(0.025, 4) * error
    assert found.prediction() == pytest.approx((0.5 - half, 0.5 + half))


def parts_of(*samples, margin=0.2, kind="superiority"):
    return [evidence_of(each, margin, kind) for each in samples]


CLEAR = np.array([0.62, 0.48, 0.71, 0.55, 0.39, 0.66, 0.58, 0.44])


def test_sign_flips_of_an_average_are_of_the_seeds_means():
    """However far apart the datasets are, only what varies over the seeds is flipped."""
    apart = average_evidence(parts_of(CLEAR + 1, CLEAR[::-1] - 0.5))
    assert apart.signflip_p == sign_flip_p((CLEAR + 1 + CLEAR[::-1] - 0.5) / 2 - 0.2)
    assert apart.n == 16
    assert verdict_of(apart, apart.tested.p).word == "supported"


def test_an_average_over_unequal_seeds_is_a_missing_pair():
    """Every dataset has the seeds of the suite."""
    found = average_evidence(parts_of(CLEAR, CLEAR[:6]))
    assert (found.obstacle.kind, found.obstacle.detail) == ("missing pair", "the datasets have from 6 to 8 pairs")


def test_generalising_tells_of_datasets():
    """What counts are datasets: their number, sign flips over them, and an interval for a further one."""
    samples = [CLEAR + shift for shift in (-0.2, -0.1, 0.0, 0.05, 0.15, 0.3)]
    found = generalised_evidence(parts_of(*samples))
    assert (found.unit, found.n, found.df, found.signflip_p) == ("datasets", 6, 5, 2 / 2**6)
    assert found.prediction_low < found.ci_low < found.mean < found.ci_high < found.prediction_high
    assert "datasets" in found.seeds_needed.text
    five = generalised_evidence(parts_of(*samples[:5]))
    assert (five.obstacle.kind, five.obstacle.detail) == ("too few datasets", "5<6")


SCORES = pd.DataFrame(
    {
        "a": [9.0, 8.2, 7.1, 9.5, 6.3, 8.8, 7.7],
        "b": [8.1, 8.0, 7.0, 9.1, 6.1, 8.1, 7.4],
        "c": [7, 6.9, 6.6, 8, 5.1, 7, 7],
    }
)


def test_ranks_by_scipy():
    """Friedman's p, and Wilcoxon's with Holm; seven datasets are enough for three pairs."""
    found = rank_over_datasets(SCORES)
    assert found.mean_ranks == {"a": 1, "b": 2, "c": 3}
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*SCORES.T.to_numpy()).pvalue)
    values = [stats.wilcoxon(SCORES[x], SCORES[y]).pvalue for x, y in ("ab", "ac", "bc")]
    assert [each.p for each in found.pairs] == pytest.approx(values)
    assert [each.adjusted_p for each in found.pairs] == pytest.approx(multipletests(values, method="holm")[1])
    assert found.note == ""
    assert found.pairs[1].median_difference == pytest.approx(1.3)


def test_ranks_that_cannot_tell_pairs_apart_say_so():
    """With six datasets three pairs can never reach 0.05."""
    found = rank_over_datasets(SCORES[:6])
    assert found.note == "with 6 datasets and 3 pairs, no pair can have an adjusted p below 0.094"
    assert min(each.adjusted_p for each in found.pairs) == pytest.approx(3 / 32)


def test_no_pairs_without_friedman():
    """Where the candidates do not differ as a whole, no pair is looked at."""
    scores = pd.DataFrame({"a": [1, 2, 3, 1, 2, 3], "b": [2, 3, 1, 2, 3, 1], "c": [3, 1, 2, 3, 1, 2]}, dtype=float)
    found = rank_over_datasets(scores)
    assert (found.friedman_p, found.pairs) == (pytest.approx(1), ())
    assert set(found.mean_ranks.values()) == {2}


def test_ties_share_a_rank():
    """Two candidates that are always equal, and all that are."""
    found = rank_over_datasets(pd.DataFrame({"a": [1.0] * 6, "b": [1.0] * 6}))
    assert found.mean_ranks == {"a": 1.5, "b": 1.5}
    assert (found.pairs, found.obstacle) == ((), None)
    found = rank_over_datasets(SCORES.assign(d=SCORES["a"]))
    assert found.mean_ranks["a"] == found.mean_ranks["d"] == 1.5
    assert next(each.p for each in found.pairs if (each.first, each.second) == ("a", "d")) == 1


def test_two_candidates_need_no_friedman():
    """Wilcoxon's test says it all."""
    found = rank_over_datasets(SCORES[["a", "b"]])
    assert math.isnan(found.friedman_p)
    assert found.pairs[0].adjusted_p == pytest.approx(stats.wilcoxon(SCORES["a"], SCORES["b"]).pvalue)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (SCORES[:5], "they need 6 datasets and there are 5"),
        (SCORES[["a"]], "they need two candidates or more"),
        (SCORES.where(SCORES != 9.0), "1 of 21 scores are missing"),
    ],
)
def test_what_keeps_from_ranking(scores, reason):
    """Each obstacle in words, and then no numbers."""
    found = rank_over_datasets(scores)
    assert (found.obstacle, found.mean_ranks, found.pairs) == (reason, {}, ())


def test_noise_of_a_pair_by_hand():
    """Ten examples: two that only the first has right, one that only the second has."""
    first = [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    second = [1, 1, 1, 1, 1, 0, 0, 1, 0, 0]
    found = pair_noise(first, second)
    assert (found.only_first, found.only_second, found.difference) == pytest.approx((0.2, 0.1, 0.1))
    assert found.error == pytest.approx(math.sqrt((0.3 - 0.01) / 10))


@unhurried
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_noise_is_the_error_of_the_examples_differences(seed, n):
    """It is the standard deviation of right minus right over the root of n, and the two runs can change places."""
    random = np.random.default_rng(seed)
    first, second = random.random(n) < 0.8, random.random(n) < 0.6
    found, back = pair_noise(first, second), pair_noise(second, first)
    assert found.error == pytest.approx(np.std(first.astype(float) - second) / math.sqrt(n), abs=1e-9)
    assert (back.difference, back.error) == pytest.approx((-found.difference, found.error))


def test_right_answers_of_kept_predictions():
    """Classes are those of the largest logit, or of a single one above zero."""
    outputs = np.eye(3)[[0, 1, 2, 2]].astype("<f2")
    assert right_answers("classification", outputs, [0, 1, 2, 1]).tolist() == [True, True, True, False]
    assert right_answers("binary", [[0.5], [-1.0], [2.0]], [[1], [0], [0]]).tolist() == [True, True, False]
    for task, outputs in (("regression", [[1.0]]), ("binary", [[1.0], [2.0]]), ("classification", [1.0])):
        with pytest.raises(ValueError):
            right_answers(task, outputs, [1])
