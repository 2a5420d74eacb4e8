"""The simulation of verdicts: its shortcut, and its rates."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.analysis.power import promised_power
from benchmarks.analysis.verdicts import evidence_of, verdict_of
from benchmarks.suite.claims import CLAIM_KINDS
from tools.error_rates import (
    DISTRIBUTIONS,
    Rate,
    achieved_power,
    false_kinds_of_family,
    false_positives,
    false_positives_of_family,
    false_positives_on_all,
    false_positives_over_looks,
    report,
    verdicts_on,
)


@pytest.mark.parametrize("kind", CLAIM_KINDS)
def test_the_shortcut_gives_the_verdicts_themselves(kind):
    """Rows that are told by the t test alone have the word that the whole verdict has."""
    samples = np.random.default_rng(0).normal(0, 0.6, (150, 7)) + np.linspace(-2.5, 2.5, 150)[:, None]
    expected = []
    for row in samples:
        evidence = evidence_of(row, 1.0, kind)
        expected.append(verdict_of(evidence, evidence.tested.p).word)
    assert verdicts_on(samples, 1.0, kind) == expected
    assert set(expected) == {"supported", "refuted", "inconclusive"}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_have_mean_0_and_deviation_1(name):
    """So that effects and margins mean the same for all."""
    drawn = DISTRIBUTIONS[name](np.random.default_rng(0), (1000, 1000))
    assert drawn.mean() == pytest.approx(0, abs=0.005)
    assert drawn.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("n", [6, pytest.param(10, marks=pytest.mark.night)])
def test_verdicts_are_wrong_no_oftener_than_alpha(n):
    """The exact interval of the rate does not lie above alpha, also where differences are skewed."""
    for name in ("normal", "between lognormal arms", "exponential (skewness 2)"):
        found = false_positives(name, n, "superiority", 800)
        either = Rate(found["supported"].count + found["refuted"].count, 800)
        assert either.count > 0
        assert either.interval[0] < 0.05
        assert false_positives(name, n, "equivalence", 800)["supported"].interval[0] < 0.05


def test_looks_together_are_wrong_no_oftener_than_alpha():
    """With alpha divided they hold it; the same looks with all of alpha each do not."""
    looks = (8, 12, 16, 20)
    assert 0 < false_positives_over_looks("normal", looks, 600).share < 0.05
    undivided = false_positives_over_looks("normal", looks, 600, alpha=0.05 * len(looks))
    assert undivided.interval[0] > 0.05


@pytest.mark.night
def test_many_are_wrong_no_oftener_than_alpha():
    """On all of three datasets, among five claims, two of equivalence, and in what ten refutations say besides."""
    on_all = false_positives_on_all("normal", 10, 3, 150)
    assert on_all["supported"].count == 0
    assert on_all["refuted"].interval[0] < 0.05
    assert false_positives_of_family("normal", 10, 5, "superiority", 150).interval[0] < 0.05
    assert false_positives_of_family("normal", 10, 2, "equivalence", 150).interval[0] < 0.05
    assert false_kinds_of_family("normal", 10, 10, 150).interval[0] < 0.05


@pytest.mark.night
def test_power_is_about_what_was_promised():
    """Thirteen seeds for an effect of one deviation."""
    low, high = achieved_power("normal", 1.0, 13, 500).interval
    assert low < promised_power(1.0, 13, 0.05) < high


def test_the_report_is_the_same_each_time():
    """A fixed seed gives the same tables."""
    told = report(1, 1)
    assert report(1, 1) == told
    assert "power, superiority" in told
    assert "no effect, on all datasets" in told
