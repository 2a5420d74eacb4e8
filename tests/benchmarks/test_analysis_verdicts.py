"""Verdicts on one contrast, against the worked cases, scipy and statsmodels, and properties."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from examples import examples
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from benchmarks.analysis.plain import as_plain
from benchmarks.analysis.power import promised_power, seeds_needed
from benchmarks.analysis.skewness import skew_p, transformed
from benchmarks.analysis.verdicts import Verdict, evidence_of, is_exact, sign_flip_p, verdict_of
from benchmarks.suite.claims import least_seeds

KINDS = ["superiority", "equivalence", "non_inferiority"]

unhurried = examples(20, 60)

# Sixteenths are exact in binary, so that shifting, scaling and mirroring leave no rounding behind.
sixteenths = st.integers(-32, 32).map(lambda number: number / 16)
margins = st.integers(1, 16).map(lambda number: number / 16)
samples = st.lists(sixteenths, min_size=1, max_size=9)


def judged(differences, margin, kind="superiority", alpha=0.05):
    """The verdict where this is the only claim."""
    evidence = evidence_of(differences, margin, kind, alpha)
    return verdict_of(evidence, evidence.tested.p)


def test_the_known_cases_of_superiority(known_cases):
    """Every number and every verdict of the worked cases, to the digits given."""
    for case in known_cases["superiority"]:
        evidence = evidence_of(case["delta"], case["margin"])
        verdict = verdict_of(evidence, evidence.tested.p)
        assert (verdict.word, verdict.kind) == (case["verdict"], case["kind"]), case["name"]
        found = {
            "mean": evidence.mean,
            "sd": evidence.sd,
            "ci": (evidence.ci_low, evidence.ci_high),
            "t": evidence.tested.t,
            "signflip_p": evidence.signflip_p,
        }
        for name in found.keys() & case.keys():
            assert found[name] == pytest.approx(case[name], abs=1e-5 if name == "t" else 1e-6), (case["name"], name)
        if "p" in case:
            assert evidence.tested.p == pytest.approx(case["p"], rel=1e-5, abs=5e-7), case["name"]


def test_the_known_pairing(known_cases):
    """The paired p of the worked case, which the unpaired one is far from."""
    case = known_cases["pairing"]
    evidence = evidence_of(np.subtract(case["a"], case["b"]), 0.0)
    assert evidence.tested.p == pytest.approx(case["paired_p"], abs=1e-8)
    assert (evidence.ci_low, evidence.ci_high) == pytest.approx(case["ci"], abs=1e-6)


def test_verdicts_are_printed_as_the_specification_has_them():
    """Word, kind, and what explains it."""
    assert judged([0.62, 0.48, 0.71, 0.55, 0.39], 0.2).text == "inconclusive: too few seeds (5<6)"
    assert judged([0.62, 0.48, 0.71, 0.55, 0.39, 0.66], 0.2).text == "supported: superior"
    assert judged([0.62, 0.48, math.nan, 0.55, 0.39, 0.66], 0.2).text == "inconclusive: missing pair (1 of 6 pairs)"


def test_guards_come_in_order():
    """A missing pair comes before too few seeds, these before no spread, and that before any p."""
    assert judged([0.5, math.nan, 0.5], 0.2).kind == "missing pair"
    assert judged([0.5, 0.5, 0.5], 0.2).kind == "too few seeds"
    assert judged([0.5] * 6, 0.2).kind == "degenerate"
    assert judged([], 0.2).kind == "missing pair"
    assert verdict_of(evidence_of([0.5] * 6, 0.2), 0.0).word == "inconclusive"


def test_tests_that_disagree():
    """The t test rejects and the sign-flip test does not: one value of six is on the other side of the margin."""
    differences = [0.09, 0.1, 0.11, 0.12, 0.1, -0.001]
    assert stats.ttest_1samp(differences, 0).pvalue < 0.05 < sign_flip_p(np.array(differences))
    assert judged(differences, 0.0).kind == "tests disagree"


def test_holm_can_take_a_verdict_away():
    """With its own p it is supported; with a p adjusted above alpha it says why it is not."""
    evidence = evidence_of([0.62, 0.48, 0.71, 0.55, 0.39, 0.66, 0.58, 0.44], 0.2)
    assert verdict_of(evidence, 10 * evidence.tested.p) == Verdict("supported", "superior")
    assert verdict_of(evidence, 0.05) == Verdict("inconclusive", "not after Holm")


def test_a_long_tail_towards_the_margin_takes_a_verdict_away():
    """Five values far above the margin and one just above it: t and sign flips reject, and their mirror is as open.

    The other way round, with the tail away from the margin, the skewness is no reason to doubt.
    """
    towards = np.array([1.0, 1.05, 0.95, 1.0, 0.9, 0.05])
    for differences in (towards, -towards):
        evidence = evidence_of(differences, 0.0)
        assert evidence.tested.p < 0.05 > evidence.signflip_p
        assert evidence.skew_p >= 0.05
        assert judged(differences, 0.0).kind == "skewed differences"
    assert judged([0.3, 0.25, 0.35, 0.3, 0.4, 1.2], 0.0).kind == "superior"


def test_the_skewness_guard_is_corrected_for_many_claims_too():
    """What passes alone does not where the p of the t test was raised ten times."""
    evidence = evidence_of([0.62, 0.48, 0.71, 0.55, 0.39, 0.30], 0.2)
    assert 10 * evidence.tested.p < 0.05 < 10 * evidence.skew_p
    assert verdict_of(evidence, evidence.tested.p).word == "supported"
    assert verdict_of(evidence, 10 * evidence.tested.p).kind == "skewed differences"


SYMMETRIC = np.array([3, -3, 2, -2, 1, -1, 2.5, -2.5])


@unhurried
@given(
    st.lists(sixteenths, min_size=3, max_size=5),
    sixteenths,
    margins,
    st.sampled_from(KINDS),
    st.sampled_from([1, 2, 5]),
)
@example([3.0, 2.0, 1.0, 2.5], 0.0, 2.3, "equivalence", 2)
def test_symmetric_differences_are_never_called_skewed(half, shift, margin, kind, factor):
    """Whatever is claimed, and however many claims there are: no long tail is seen where there is none."""
    evidence = evidence_of([shift + each for each in (*half, *(-each for each in half))], margin, kind)
    assert verdict_of(evidence, min(1.0, factor * evidence.tested.p)).kind != "skewed differences"


@pytest.mark.parametrize("margin", [2.3, 2.4])
def test_equivalence_among_two_claims(margin):
    """An adjusted p between half of alpha and alpha, the interval inside, no skewness: supported."""
    evidence = evidence_of(SYMMETRIC, margin, "equivalence")
    adjusted = 2 * ttost_paired(SYMMETRIC, np.zeros(8), -margin, margin)[0]
    assert 0.025 < adjusted < 0.05
    assert verdict_of(evidence, adjusted) == Verdict("supported", "equivalent")


def test_the_skewness_guard_of_equivalence_is_corrected_too():
    """A tail towards a margin passes alone, and not where the p of the t test was raised eight times."""
    evidence = evidence_of([0.2, 0.15, 0.25, 0.2, 0.1, -0.3], 0.45, "equivalence")
    one_sided = evidence.skew_p / 2
    assert 8 * evidence.tested.p < 0.05 < 8 * one_sided
    assert verdict_of(evidence, evidence.tested.p).word == "supported"
    assert verdict_of(evidence, 8 * evidence.tested.p).kind == "skewed differences"


def refuted(differences, margin, family=1):
    """The kind of the verdict on superiority among so many claims, where it is the surest of all."""
    evidence = evidence_of(differences, margin, family=family)
    verdict = verdict_of(evidence, min(1.0, family * evidence.tested.p))
    assert verdict.word == "refuted"
    return verdict.kind


@unhurried
@given(st.lists(sixteenths, min_size=3, max_size=5), st.integers(-48, -17).map(lambda number: number / 16))
def test_alone_and_without_skewness_the_interval_tells_the_kind_of_a_refutation(half, mean):
    """Below minus the margin, above it, or neither; or the sign flips do not agree."""
    differences = np.array([mean + each / 8 for each in (*half, *(-each for each in half))])
    evidence = evidence_of(differences, 1.0)
    assume(verdict_of(evidence, evidence.tested.p).word == "refuted")
    expected = "reversed" if evidence.ci_high < -1 else "equivalent" if evidence.ci_low > -1 else "no relevant gain"
    if sign_flip_p(differences + 1) >= 0.05:
        expected = "no relevant gain"
    assert refuted(differences, 1.0) == expected


@pytest.mark.parametrize(("shift", "kind"), [(-1.15, "reversed"), (-0.85, "equivalent")])
def test_the_kind_of_a_refutation_is_corrected_for_all_claims(shift, kind):
    """What one claim shows of minus the margin, at p = 0.01, twenty that are refuted beyond doubt do not."""
    differences = SYMMETRIC / 20 + shift
    p = stats.ttest_1samp(differences, -1).pvalue
    assert 0.05 / 20 < p < 0.05 / 4
    assert refuted(differences, 1.0) == refuted(differences, 1.0, family=4) == kind
    assert refuted(differences, 1.0, family=20) == "no relevant gain"


def test_the_kind_of_a_refutation_is_guarded():
    """The interval lies below minus the margin, and a long tail reaches up to it; or one value lies above it."""
    with_tail = -1.0 - np.array([1.0, 1.05, 0.95, 1.0, 0.9, 0.05]) / 8
    one_above = -1.0 - np.array([0.09, 0.1, 0.11, 0.12, 0.1, -0.001])
    for differences in (with_tail, one_above):
        assert evidence_of(differences, 1.0).ci_high < -1
        assert refuted(differences, 1.0) == "no relevant gain"


def test_a_refutation_without_a_margin_is_a_reversal():
    """There is no second test: below zero is what the corrected one has shown."""
    differences = SYMMETRIC - 4.0
    assert stats.ttest_1samp(differences, 0).pvalue > 0.05 / 50
    evidence = evidence_of(differences, 0.0, family=50)
    assert verdict_of(evidence, 2 * evidence.tested.p) == Verdict("refuted", "reversed")


def test_halls_transformation_by_hand():
    """Without skewness it leaves t as it is; and it is the cubic of his paper, with the skewness enlarged."""
    assert transformed(2.5, 0.0, 9) == pytest.approx(2.5)
    tail, per_value = 1.25 * 0.8, 2.5 / 3
    closed = ((1 + tail * per_value / 3) ** 3 - 1) / tail + tail / 54
    assert transformed(2.5, 0.8, 9) == pytest.approx(3 * closed)
    symmetric = np.array([1.0, 2, 3, 4, 5, 6, 7])
    assert skew_p(symmetric) == pytest.approx(stats.ttest_1samp(symmetric, 0).pvalue)
    assert (skew_p(np.full(6, 0.5)), skew_p(np.zeros(6))) == (0.0, 1.0)


@pytest.mark.parametrize(("size", "n"), [(1.8, 7), (0.8, 16), (0.6, 40), (0.55, 60)])
def test_promised_power_is_that_of_fresh_normal_samples(size, n):
    """Counted on other samples than those that it is made of, on both sides of where skewness is taken as normal."""
    drawn = np.random.default_rng(1).normal(size, 1, (4000, n))
    t = stats.ttest_1samp(drawn, 0, axis=1).statistic
    critical = stats.t.isf(0.025, n - 1)
    found = np.mean((t > critical) & (transformed(t, stats.skew(drawn, axis=1, bias=False), n) > critical))
    assert promised_power(size, n, 0.05) == pytest.approx(found, abs=0.025)


def test_a_divided_alpha_asks_for_more_seeds_and_a_wider_interval():
    """With alpha over two looks, six seeds can never reject by sign flips, and are told to be too few."""
    differences = [0.62, 0.48, 0.71, 0.55, 0.39, 0.66]
    assert judged(differences, 0.2, alpha=0.025).text == "inconclusive: too few seeds (6<7)"
    evidence = evidence_of(differences, 0.2, alpha=0.025)
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.975)
    assert (evidence.ci_low, evidence.ci_high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("alpha", [0.5, 0.1, 0.05, 0.025, 0.05 / 3, 0.001])
def test_the_least_number_of_seeds_is_that_at_which_sign_flips_can_reject(alpha):
    """With the least number, a unanimous sample rejects; with one less it would not, unless that is below six."""
    least = least_seeds(alpha)
    unanimous = np.linspace(1, 2, least)
    assert sign_flip_p(unanimous) < alpha
    assert least == 6 or sign_flip_p(unanimous[1:]) >= alpha


@pytest.mark.parametrize(
    ("differences", "margin", "kind", "expected"),
    [
        ([0.01, -0.02, 0.03, 0.0, -0.01, 0.02, 0.01], 0.2, "equivalence", ("supported", "equivalent")),
        ([0.41, 0.38, 0.43, 0.4, 0.39, 0.42, 0.41], 0.2, "equivalence", ("refuted", "superior")),
        ([-0.41, -0.38, -0.43, -0.4, -0.39, -0.42, -0.41], 0.2, "equivalence", ("refuted", "inferior")),
        ([0.21, 0.18, 0.23, 0.2, 0.19, 0.22, 0.16], 0.2, "equivalence", ("inconclusive", "size unresolved")),
        ([-0.01, -0.02, 0.03, 0.0, -0.01, 0.02, 0.01], 0.2, "non_inferiority", ("supported", "non-inferior")),
        ([-0.41, -0.38, -0.43, -0.4, -0.39, -0.42, -0.41], 0.2, "non_inferiority", ("refuted", "inferior")),
        ([-0.21, -0.18, -0.23, -0.2, -0.19, -0.22, -0.16], 0.2, "non_inferiority", ("inconclusive", "size unresolved")),
        ([0.01, -0.02, 0.03, 0.0, -0.01, 0.02, 0.01], 0.2, "superiority", ("refuted", "equivalent")),
        ([0.3, -0.4, 0.5, -0.3, 0.1, 0.2, -0.1], 0.2, "superiority", ("inconclusive", "direction unresolved")),
    ],
)
def test_kinds_by_hand(differences, margin, kind, expected):
    """Each kind of claim, supported, refuted and neither."""
    verdict = judged(differences, margin, kind)
    assert (verdict.word, verdict.kind) == expected


def test_equivalence_that_only_one_sided_tests_show_is_inconclusive():
    """Two one-sided tests may reject at alpha where the interval at 1 - alpha still reaches the margin."""
    differences = np.array([0.30, 0.02, 0.22, 0.10, 0.26, 0.06, 0.20])
    margin = differences.mean() + 2.2 * stats.sem(differences)
    evidence = evidence_of(differences, margin, "equivalence")
    assert 0.025 < evidence.tested.p < 0.05
    assert evidence.ci_high > margin
    assert verdict_of(evidence, evidence.tested.p) == Verdict("inconclusive", "size unresolved")


@unhurried
@given(samples, margins, st.sampled_from(KINDS))
def test_evidence_equals_scipy_and_statsmodels(differences, margin, kind):
    """Any p and interval is that of the libraries' own tests against the boundary."""
    evidence = evidence_of(differences, margin, kind)
    if evidence.state != "interval":
        assert math.isnan(evidence.tested.p)
        return
    sample = np.array(differences)
    interval = stats.ttest_1samp(sample, 0).confidence_interval(0.95)
    assert (evidence.ci_low, evidence.ci_high) == pytest.approx((interval.low, interval.high))
    if kind == "equivalence":
        expected, *_ = ttost_paired(sample, np.zeros(len(sample)), -margin, margin)
        assert evidence.tested.p_support == pytest.approx(expected, rel=1e-6, abs=1e-12)
        if abs(sample.mean()) < margin:
            assert evidence.tested.p == evidence.tested.p_support
            return
    found = stats.ttest_1samp(sample, evidence.tested.boundary)
    assert evidence.tested.p == pytest.approx(found.pvalue, rel=1e-6, abs=1e-12)
    assert abs(evidence.tested.boundary) == margin
    if kind != "equivalence":
        greater = stats.ttest_1samp(sample, evidence.tested.boundary, alternative="greater").pvalue
        assert evidence.tested.p_support == pytest.approx(greater, rel=1e-6, abs=1e-12)


@unhurried
@given(st.lists(sixteenths, min_size=2, max_size=9))
def test_sign_flips_by_counting(differences):
    """The exact p is the share of all sign patterns whose mean is at least as far from zero."""
    sample = np.array(differences)
    sums = [abs(np.dot(signs, sample)) for signs in itertools.product([1, -1], repeat=len(sample))]
    assert sign_flip_p(sample) == pytest.approx(np.mean(np.array(sums) >= abs(sample.sum())))


def test_many_sign_flips_are_drawn_with_the_seed():
    """Above 13 values the flips are random: the same for the same seed, others for another, near the exact p."""
    sample = np.random.default_rng(0).normal(0.4, 1, 14)
    assert (is_exact(13), is_exact(14)) == (True, False)
    assert sign_flip_p(sample, 1) == sign_flip_p(sample, 1) != sign_flip_p(sample, 2)
    flips = np.array(list(itertools.product([1, -1], repeat=14)))
    exact = np.mean(np.abs(flips @ sample) >= abs(sample.sum()) - 1e-12)
    assert sign_flip_p(sample, 1) == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9999))


def test_a_small_alpha_draws_as_many_flips_as_it_takes():
    """At 0.0001, sign flips that are drawn can reject; at the usual alpha they are scipy's own 9,999."""
    sample = np.random.default_rng(0).normal(5, 1, 20)
    assert judged(sample, 0.0, alpha=1e-4).text == "supported: superior"
    weak = np.random.default_rng(0).normal(0.4, 1, 20)
    expected = stats.permutation_test(
        (weak,), np.mean, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(3)
    )
    assert sign_flip_p(weak, 3) == expected.pvalue
    assert sign_flip_p(weak, 3, 1e-3) == pytest.approx(expected.pvalue, abs=0.01)
    assert (is_exact(15, 1e-3), is_exact(16, 1e-3)) == (True, False)


def test_wins_with_and_without_ties():
    """Ties count half and forbid the exact interval; five differences are too few."""
    evidence = evidence_of([0.1, 0.2, -0.1, 0.3, 0.2, 0.4, 0.1, 0.2], 0.0)
    expected = stats.binomtest(7, 8).proportion_ci(method="exact")
    assert (evidence.wins, evidence.wins_low, evidence.wins_high) == pytest.approx((7 / 8, expected.low, expected.high))
    tied = evidence_of([0.1, 0.2, 0.0, 0.3, -0.2, 0.4, 0.1, 1e-17], 0.0)
    assert tied.wins == pytest.approx(6 / 8)
    assert math.isnan(tied.wins_low)
    assert math.isnan(evidence_of([0.1, 0.2, 0.3, 0.4, 0.2], 0.0).wins)


@unhurried
@given(samples, margins)
def test_a_claim_and_its_mirror_are_never_both_supported(differences, margin):
    """Not even with margin 0: A cannot beat B while B beats A."""
    mirrored = [-each for each in differences]
    for each in (0.0, margin):
        words = {judged(differences, each).word, judged(mirrored, each).word}
        assert words != {"supported"}


@unhurried
@given(samples, margins)
def test_equivalence_is_the_same_seen_from_either_side(differences, margin):
    """Which level is named first makes no difference to the word."""
    mirrored = [-each for each in differences]
    assert judged(differences, margin, "equivalence").word == judged(mirrored, margin, "equivalence").word


@unhurried
@given(samples, margins, st.sampled_from(KINDS), st.integers(-12, 3))
def test_scaling_values_and_margin_together_changes_no_verdict(differences, margin, kind, power):
    """Per cent or shares: the verdict is the same."""
    scale = 2.0**power
    assert judged(differences, margin, kind) == judged([each * scale for each in differences], margin * scale, kind)


@unhurried
@given(samples, margins, st.sampled_from(KINDS), st.randoms(use_true_random=False))
def test_the_order_of_seeds_does_not_matter(differences, margin, kind, random):
    """A shuffled sample has the same verdict."""
    shuffled = list(differences)
    random.shuffle(shuffled)
    assert judged(shuffled, margin, kind) == judged(differences, margin, kind)


@unhurried
@given(st.lists(sixteenths, min_size=6, max_size=9), margins, st.sampled_from(KINDS), st.floats(1, 20))
def test_a_verdict_is_never_stronger_than_its_interval(differences, margin, kind, factor):
    """What is supported or refuted holds for the whole interval, and a larger adjusted p only takes verdicts away."""
    evidence = evidence_of(differences, margin, kind)
    verdict = verdict_of(evidence, min(1.0, factor * evidence.tested.p))
    low, high = evidence.ci_low, evidence.ci_high
    shown = {
        ("superiority", "supported"): low > margin,
        ("superiority", "refuted"): high < margin,
        ("non_inferiority", "supported"): low > -margin,
        ("non_inferiority", "refuted"): high < -margin,
        ("equivalence", "supported"): -margin < low and high < margin,
        ("equivalence", "refuted"): low > margin or high < -margin,
    }
    if verdict.word != "inconclusive":
        assert shown[kind, verdict.word]
        assert judged(differences, margin, kind) == verdict
        assert evidence.signflip_p < 0.05
    if (kind, verdict.kind) == ("superiority", "reversed"):
        assert high < -margin
    if (kind, verdict.kind) == ("superiority", "equivalent"):
        assert low > -margin


@unhurried
@given(st.lists(sixteenths, min_size=6, max_size=9), margins)
def test_what_is_decided_is_decided_either_way(differences, margin):
    """Without Holm, superiority is decided just where the margin is outside the interval and sign flips agree."""
    evidence = evidence_of(differences, margin)
    assume(evidence.state == "interval")
    is_outside = not evidence.ci_low <= margin <= evidence.ci_high
    is_decided = verdict_of(evidence, evidence.tested.p).word != "inconclusive"
    assert is_decided == (is_outside and evidence.signflip_p < 0.05 and evidence.skew_p < 0.05)


@pytest.mark.parametrize(("size", "alpha"), [(1.0, 0.05), (0.5, 0.05), (0.1, 0.05), (0.7, 0.01), (0.4, 0.001)])
def test_seeds_needed_are_about_those_of_statsmodels(size, alpha):
    """The number is that of `solve_power`, rounded up, and the few more that the guard against skewness costs."""
    needed = seeds_needed(size * 3, 3, alpha, guard_alpha=0.05)
    of_t_alone = math.ceil(TTestPower().solve_power(size, alpha=alpha, power=0.8))
    assert of_t_alone <= needed.number <= of_t_alone + 3
    assert promised_power(size, needed.number, alpha) >= 0.8 > promised_power(size, needed.number - 1, alpha)


@pytest.mark.parametrize(
    ("distance", "sd", "number", "text"),
    [
        (5.0, 1.0, 6, "6 seeds"),
        (1.6, 1.0, 8, "8 seeds"),
        (0.03, 1.0, 8725, "8,725 seeds"),
        (0.028, 1.0, None, "more than 10,000 seeds"),
        (0.0, 1.0, None, "never: the mean lies on the margin, and no number of seeds tells them apart"),
        (1.0, 0.0, None, "not known: the differences do not vary over the seeds"),
        (math.nan, math.nan, None, "not known: there are too few seeds to tell the spread; at least 6"),
    ],
)
def test_seeds_needed_in_words(distance, sd, number, text):
    """A number where there is one; else why there is none."""
    found = seeds_needed(distance, sd, 0.05)
    assert (found.number, found.text) == (number, text)


def test_six_seeds_promise_no_more_than_that_all_agree():
    """With six seeds sign flips reject only if all lie on one side, whose probability is Phi(d)^6."""
    assert promised_power(1.6, 6, 0.05) < stats.norm.cdf(1.6) ** 6
    assert promised_power(1.6, 7, 0.05) < TTestPower().power(1.6, 7, 0.05)
    assert promised_power(9.0, 6, 0.05) > 0.99
    assert promised_power(9.0, 5, 0.05) == 0


def test_seeds_are_planned_for_what_the_mean_says():
    """A mean below the margin needs seeds to refute, and more claims ask for more seeds."""
    differences = [0.12, -0.25, 0.08, -0.15, 0.05, -0.3, 0.1, -0.05]
    assert "to refute it; none to support it" in evidence_of(differences, 0.15).seeds_needed.text
    alone = evidence_of([0.35, 0.12, 0.41, 0.22, 0.18, 0.3, 0.15, 0.27], 0.2).seeds_needed
    d = 0.05 / np.std([0.35, 0.12, 0.41, 0.22, 0.18, 0.3, 0.15, 0.27], ddof=1)
    assert 0 <= alone.number - math.ceil(TTestPower().solve_power(d, alpha=0.05, power=0.8)) <= 3
    among_ten = evidence_of([0.35, 0.12, 0.41, 0.22, 0.18, 0.3, 0.15, 0.27], 0.2, family=10).seeds_needed
    assert 0 <= among_ten.number - math.ceil(TTestPower().solve_power(d, alpha=0.005, power=0.8)) <= 3


def test_seeds_for_equivalence_reach_it():
    """So many normal differences, exactly centred, would be shown equivalent in at least 80 of 100 samples."""
    needed = evidence_of([0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.15, -0.15], 0.1, "equivalence").seeds_needed.number
    sd = np.std([0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.15, -0.15], ddof=1)
    drawn = np.random.default_rng(0).normal(0, sd, (4000, needed))
    half = stats.t.isf(0.025, needed - 1) * drawn.std(axis=1, ddof=1) / math.sqrt(needed)
    assert 0.78 < np.mean(np.abs(drawn.mean(axis=1)) + half < 0.1) < 0.9


def test_evidence_as_plain_values():
    """What JSON holds: no NaN, no tuples, every field."""
    plain = as_plain(evidence_of([0.5, 0.5, math.nan], 0.2))
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["tested"]["p"] is None
    assert plain["differences"] == [0.5, 0.5]
    assert plain["obstacle"] == {"kind": "missing pair", "detail": "1 of 3 pairs"}
    assert as_plain({"a": np.float64(2.5), "b": np.array([1, 2])}) == {"a": 2.5, "b": [1, 2]}
