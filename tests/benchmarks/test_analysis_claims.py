"""From claims and runs to verdicts adjusted together."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from examples import examples
from hypothesis import Phase, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from benchmarks.analysis.claims import explore, judge_claims
from benchmarks.analysis.contrasts import simple_contrasts
from benchmarks.analysis.plain import as_plain
from benchmarks.analysis.tables import level_column
from benchmarks.metrics import METRICS
from benchmarks.plan.expansion import expand_cells
from benchmarks.runs import Factors
from benchmarks.suite.claims import Claim
from benchmarks.suite.suite import Suite

FACTORS = {"initializer": ["glorot", "he"], "normalization": ["none", "bn"]}
ONE = {"initializer": ["glorot", "he"]}
BASE_OF_ONE = {"initializer": "glorot"}

CLEAR = [0.62, 0.48, 0.71, 0.55, 0.39, 0.66, 0.58, 0.44]
UNCLEAR = [0.35, 0.12, 0.41, 0.22, 0.18, 0.3, 0.15, 0.27]
NOTHING = [0.02, -0.03, 0.01, 0.03, -0.01, -0.02, 0.04, -0.02]
SHIFTED = [each + 0.05 for each in CLEAR[::-1]]
SKEWED = [0.62, 0.48, 0.71, 0.55, 0.39, 0.30]

# Making a failing table smaller takes longer than reading it.
unhurried = examples(4, 30, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def table(cells, dataset="digits", task="classification", factors=FACTORS):
    """A run table of cells: tuple of levels -> outcome of each seed."""
    rows = []
    for number, (levels, outcomes) in enumerate(cells.items()):
        for seed, outcome in enumerate(outcomes):
            row = {"dataset": dataset, "task": task, "cell": f"{dataset} {number}", "seed": seed}
            row |= dict.fromkeys(METRICS, math.nan) | {"outcome": outcome, "test_accuracy": outcome}
            row |= {level_column(factor): level for factor, level in zip(factors, levels, strict=True)}
            rows.append(row | {"status": "done" if math.isfinite(outcome) else "failed"})
    return pd.DataFrame(rows)


def differing(differences, dataset="digits", task="classification"):
    """Two cells whose differences, seed by seed, are these."""
    baseline = 90 + np.arange(len(differences)) % 3
    cells = {("he",): (baseline + differences).tolist(), ("glorot",): baseline.tolist()}
    return table(cells, dataset, task, ONE)


def several(*samples, task="classification"):
    """One such table for each of several datasets."""
    return pd.concat([differing(each, f"d{number}", task) for number, each in enumerate(samples)], ignore_index=True)


BUNDLES = {
    "initializer": {
        "glorot": {"model.initializer": "glorot_uniform"},
        "he": {"model.initializer": "he_normal"},
    },
    "normalization": {"none": {"model.normalization": "none"}, "bn": {"model.normalization": "batch"}},
    "width": {"narrow": {"model.width": 16}, "wide": {"model.width": 64}},
    "dropout": {"dry": {"model.dropout": 0.0}, "wet": {"model.dropout": 0.2}},
}


def suite_of(factors=FACTORS, **changes):
    """A suite whose factors have these names and levels."""
    bundles = {factor: {level: BUNDLES[factor][level] for level in levels} for factor, levels in factors.items()}
    given = {"name": "claims", "datasets": ["digits"], "seeds": 8, "model": {"variant": "mlp_small"}}
    return Suite(**(given | {"factors": bundles} | changes))


def claim(statement="he is better", **changes):
    return Claim(
        **({"statement": statement, "factor": "initializer", "better": "he", "than": "glorot", "margin": 0.2} | changes)
    )


def only(runs, given_claim, suite=None, **arguments):
    """The judgements of one claim; a suite of one factor where none is given."""
    return judge_claims(runs, [given_claim], suite or suite_of(ONE), **arguments).claims[0].judgements


def verdict(*arguments, **named):
    """The verdict of one claim that has one."""
    [judgement] = only(*arguments, **named)
    return judgement.verdict


def test_the_known_cases_through_a_table(known_cases):
    """Each worked case as runs of two cells has the verdict of the case."""
    for case in known_cases["superiority"]:
        [judgement] = only(differing(case["delta"]), claim(margin=case["margin"]))
        assert (judgement.verdict.word, judgement.verdict.kind) == (case["verdict"], case["kind"])
        if "p" in case:
            assert judgement.p == pytest.approx(case["p"], rel=1e-4, abs=5e-7)
            assert judgement.adjusted_p == judgement.p


def test_the_known_corrections(known_cases):
    """Holm for registered claims and Benjamini-Hochberg for the others, as in the worked case."""
    case = known_cases["holm"]
    # Differences whose t test against 0 has just the p wanted.
    pattern = np.array([-1.5, -0.5, -0.2, 0.2, 0.5, 1.5])
    shifts = [stats.t.isf(p / 2, 5) * stats.sem(pattern) for p in case["p"]]
    runs = several(*[pattern + shift for shift in shifts])
    registered = only(runs, claim(margin=0))
    assert [each.p for each in registered] == pytest.approx(case["p"])
    assert [each.adjusted_p for each in registered] == pytest.approx(case["holm"])
    exploratory = only(runs, claim(margin=0), unregistered=["he is better"])
    assert [each.adjusted_p for each in exploratory] == pytest.approx(case["bh"])
    contrasts = simple_contrasts(runs, Factors(ONE, BASE_OF_ONE))
    assert [each.adjusted_p for each in explore(contrasts)] == pytest.approx(case["bh"])


def test_the_known_factorial_has_no_headline(known_cases):
    """The main effect of the worked factorial is clear, its simple effects differ, and so both are told instead."""
    case = known_cases["interaction"]
    runs = table({tuple(name.split("/")): outcomes for name, outcomes in case["cells"].items()})
    [judgement] = only(runs, claim(margin=0.2), suite_of())
    assert judgement.evidence.mean == pytest.approx(case["main_he_minus_glorot"], abs=1e-6)
    assert (judgement.evidence.ci_low, judgement.evidence.ci_high) == pytest.approx(case["main_ci"], abs=1e-6)
    assert judgement.verdict.text == (
        "inconclusive: simple effects differ (normalization = none: supported; normalization = bn: refuted)"
    )
    none, bn = judgement.simple_effects
    assert none.evidence.mean == pytest.approx(case["simple_none"], abs=1e-6)
    assert (bn.evidence.ci_low, bn.evidence.ci_high) == pytest.approx(case["simple_bn_ci"], abs=1e-6)


def test_where_names_the_simple_effect_that_is_meant(known_cases):
    """With `where`, the claim is about that level alone and has no simple effects."""
    case = known_cases["interaction"]
    runs = table({tuple(name.split("/")): outcomes for name, outcomes in case["cells"].items()})
    judged = judge_claims(runs, [claim(where={"normalization": "none"})], suite_of()).claims[0]
    assert judged.averaged_over == ()
    [judgement] = judged.judgements
    assert judgement.evidence.mean == pytest.approx(case["simple_none"], abs=1e-6)
    assert judgement.verdict.word == "supported"
    assert judgement.simple_effects == ()


def test_without_every_combination_other_factors_are_at_their_baseline(known_cases):
    """In the design of one factor at a time there is no main effect: the cell beside the baseline is compared."""
    cells = known_cases["interaction"]["cells"]
    kept = {tuple(name.split("/")): outcomes for name, outcomes in cells.items() if name != "he/bn"}
    runs = table(kept)
    suite = suite_of(design="one_factor")
    [judgement] = only(runs, claim(), suite)
    assert judgement.evidence.mean == pytest.approx(known_cases["interaction"]["simple_none"], abs=1e-6)
    at_bn = verdict(runs, claim(where={"normalization": "bn"}), suite)
    assert at_bn.text == "inconclusive: not in the design"


FOUR = {factor: list(levels) for factor, levels in BUNDLES.items()}
BASE_RUNS = np.array([90.0, 91, 92, 90.5, 91.5, 92.5, 90.2, 91.1])


def test_a_fraction_is_averaged_over_its_own_cells():
    """Each side is the mean of its half of the fraction; its simple effects cannot be told, and that is said."""
    suite = suite_of(FOUR, design="fractional")
    cells = {tuple(cell.levels.values()): None for cell in expand_cells(suite)}
    assert len(cells) == 8
    noise = np.random.default_rng(0).normal(0, 0.1, (8, 8))
    outcomes = {
        levels: BASE_RUNS + noise[row] + (levels[0] == "he") + 5 * (levels[1] == "bn")
        for row, levels in enumerate(cells)
    }
    judged = judge_claims(table(outcomes, factors=FOUR), [claim()], suite).claims[0]
    he, glorot = (np.mean([outcomes[each] for each in cells if each[0] == level], axis=0) for level in ("he", "glorot"))
    [judgement] = judged.judgements
    assert judgement.evidence.differences == pytest.approx(he - glorot)
    assert judgement.verdict.text == "supported: superior"
    assert judged.averaged_over == ("normalization", "width", "dropout")
    assert (judged.has_simple_effects, judgement.simple_effects) == (False, ())


def test_paired_factors_change_together():
    """The level of one names the cell, and the report is told what else changes with it."""
    cells = {("he", "bn"): BASE_RUNS + CLEAR, ("glorot", "none"): BASE_RUNS}
    judged = judge_claims(table(cells), [claim()], suite_of(design="paired")).claims[0]
    assert judged.judgements[0].evidence.differences == pytest.approx(CLEAR)
    assert (judged.averaged_over, judged.changing_with) == ((), ("normalization",))


def test_a_path_is_left_at_the_baseline():
    """Of the cells along a path, those that differ from the baseline in the claim's factor alone are compared."""
    three = {factor: FOUR[factor] for factor in ("initializer", "normalization", "width")}
    baseline = {"initializer": "glorot", "normalization": "none", "width": "narrow"}
    suite = suite_of(three, design="path", baseline=baseline)
    cells = {tuple(cell.levels.values()): BASE_RUNS for cell in expand_cells(suite)}
    cells[("he", "none", "narrow")] = BASE_RUNS + CLEAR
    judged = judge_claims(table(cells, factors=three), [claim()], suite).claims[0]
    assert judged.judgements[0].evidence.differences == pytest.approx(CLEAR)
    assert judged.averaged_over == judged.changing_with == ()


def test_pairs_follow_the_seeds_and_keep_holes():
    """The rows may come in any order; a hole is a pair without a value."""
    runs = differing([0.1, 0.2, math.nan, 0.4]).sample(frac=1, random_state=3)
    [judgement] = only(runs, claim())
    assert [pair.seed for pair in judgement.pairs] == [0, 1, 2, 3]
    assert [pair.difference for pair in judgement.pairs] == pytest.approx([0.1, 0.2, math.nan, 0.4], nan_ok=True)


def test_withdrawn_claims_keep_their_share_of_alpha():
    """Holm's correction is as if they were there and had no p."""
    runs = differing(CLEAR)
    [alone] = only(runs, claim())
    judged = judge_claims(runs, [claim()], suite_of(ONE), withdrawn=3)
    assert judged.family == 4
    assert judged.claims[0].judgements[0].adjusted_p == pytest.approx(4 * alone.p)


def test_simple_effects_that_agree_leave_the_headline():
    """Both simple effects are supported, and so is the main effect."""
    base = np.array([90.0, 91, 92, 90.5, 91.5, 92.5, 90.2, 91.1])
    cells = {("he", "none"): base + CLEAR, ("glorot", "none"): base}
    cells |= {("he", "bn"): base + 2 + CLEAR[::-1], ("glorot", "bn"): base + 2}
    [judgement] = only(table(cells), claim(), suite_of())
    assert judgement.verdict.text == "supported: superior"
    assert [check.verdict.word for check in judgement.simple_effects] == ["supported", "supported"]


def test_a_hole_anywhere_in_a_seed_is_a_missing_pair():
    """A main effect is not averaged over the runs that happen to be there."""
    base = np.array([90.0, 91, 92, 90.5, 91.5, 92.5, 90.2, 91.1])
    holed = (base + CLEAR).tolist()
    holed[2] = math.nan
    cells = {("he", "none"): holed, ("glorot", "none"): base, ("he", "bn"): base + CLEAR, ("glorot", "bn"): base}
    [judgement] = only(table(cells), claim(), suite_of())
    assert judgement.verdict.text == "inconclusive: missing pair (1 of 8 pairs)"
    assert judgement.evidence.n == 7


def test_a_diverged_run_counts_and_is_left_out_beside():
    """The run at chance level makes the claim inconclusive; without it, the check says supported."""
    runs = differing(CLEAR)
    runs.loc[2, ["outcome", "status"]] = [10.0, "diverged"]
    [judgement] = only(runs, claim())
    assert judgement.evidence.n == 8
    assert judgement.evidence.mean < 0
    assert judgement.verdict.word == "inconclusive"
    assert (judgement.without_diverged.evidence.n, judgement.without_diverged.verdict.word) == (7, "supported")
    both = several(CLEAR, SHIFTED)
    both.loc[2, ["outcome", "status"]] = [10.0, "diverged"]
    [judgement] = only(both, claim(datasets="average"))
    assert (judgement.without_diverged.evidence.n, judgement.without_diverged.verdict.word) == (14, "supported")
    [untouched] = only(differing(CLEAR), claim())
    assert untouched.without_diverged is None


def test_a_diverged_run_has_no_value_of_other_metrics():
    """The level without learning is one of the outcome: elsewhere the pair is missing, and the reason is told."""
    runs = differing(CLEAR)
    runs["test_nll"] = -runs["outcome"]
    assert verdict(runs, claim(metric="test_nll")).word == "supported"
    runs.loc[2, ["outcome", "status", "test_nll"]] = [10.0, "diverged", math.nan]
    found = verdict(runs, claim(metric="test_nll"))
    assert found.kind == "missing pair"
    assert "in 1 a run diverged" in found.detail


def test_less_is_better_for_errors():
    """The same numbers as errors turn the verdict."""
    runs = differing(CLEAR, task="regression")
    assert verdict(runs, claim()).kind == "reversed"
    assert verdict(runs, claim(better="glorot", than="he")).kind == "superior"


def test_a_metric_of_another_task_is_told():
    """Accuracy is claimed of a regression."""
    found = verdict(differing(CLEAR, task="regression"), claim(metric="test_accuracy"))
    assert found.kind == "no such metric"


def test_each_dataset_has_its_verdict_and_its_place_in_the_family():
    """Three datasets of a claim about each, and one about all, are four p-values for Holm."""
    runs = several(CLEAR, UNCLEAR, NOTHING)
    judged = judge_claims(runs, [claim(), claim("on all", datasets="all")], suite_of(ONE))
    assert judged.family == 4
    each, on_all = judged.claims
    assert [judgement.verdict.word for judgement in each.judgements] == ["supported", "inconclusive", "refuted"]
    values = [judgement.p for judgement in (*each.judgements, *on_all.judgements)]
    expected = multipletests(values, method="holm")[1]
    assert [j.adjusted_p for j in (*each.judgements, *on_all.judgements)] == pytest.approx(expected)


def test_claims_that_cannot_be_tested_still_count_in_the_family():
    """A second claim with too few seeds doubles the first one's p all the same."""
    runs = several(CLEAR, [0.3, 0.4, 0.5])
    first, second = only(runs, claim())
    assert first.adjusted_p == pytest.approx(2 * first.p)
    assert second.verdict.kind == "too few seeds"
    blank = several(CLEAR, [0.5] * 8)
    first, second = only(blank, claim())
    assert first.adjusted_p == pytest.approx(2 * first.p)
    assert (second.adjusted_p, second.verdict.kind) == (1.0, "degenerate")


@pytest.mark.parametrize(
    ("kind", "margin", "expected"),
    [
        ("equivalence", 0.2, "supported: equivalent (both gave identical results)"),
        ("non_inferiority", 0.2, "supported: non-inferior (both gave identical results)"),
        ("superiority", 0.2, "refuted: equivalent (both gave identical results)"),
        ("superiority", 0.0, "refuted: equivalent (both gave identical results)"),
    ],
)
def test_identical_results_decide_a_claim(kind, margin, expected):
    """Where every metric is the same with every seed, up to rounding, there is nothing to test: nothing differs."""
    assert verdict(differing([0.0] * 6), claim(kind=kind, margin=margin)).text == expected
    rounded = differing([0.0] * 6)
    rounded["test_loss"] = [0.5 + 1e-7 * each for each in (0, 1, -1, 2, 0, 1, 1, 0, 1, -2, 1, 0)]
    assert verdict(rounded, claim(kind=kind, margin=margin)).text == expected


def test_equal_values_of_one_metric_decide_nothing():
    """Equal accuracies with other losses come of different trainings; few seeds have no verdict, whatever they gave."""
    runs = differing([0.0] * 6)
    runs.loc[0, "test_loss"] = 0.3
    found = verdict(runs, claim(kind="equivalence"))
    assert found.text == "inconclusive: degenerate (every seed gives the same difference)"
    assert verdict(differing([0.0] * 5), claim(kind="equivalence")).kind == "too few seeds"


def test_identical_results_are_asked_of_partners():
    """With another factor averaged over, each cell is compared with the one that has its other levels."""
    one, other = [0.3, 0.5, 0.4, 0.6, 0.2, 0.7], [0.4, 0.1, 0.5, 0.3, 0.6, 0.2]
    same = {("glorot", "none"): one, ("glorot", "bn"): other, ("he", "none"): one, ("he", "bn"): other}
    crossed = same | {("he", "none"): other, ("he", "bn"): one}
    named = [verdict(table(cells), claim(kind="equivalence"), suite_of()) for cells in (same, crossed)]
    assert [each.kind for each in named] == ["equivalent", "degenerate"]


@pytest.mark.parametrize(
    ("samples", "across", "expected"),
    [
        ((CLEAR, SHIFTED), "all", "supported: superior (on each of 2)"),
        ((CLEAR, UNCLEAR), "all", "inconclusive: size unresolved (on d1)"),
        ((CLEAR, NOTHING), "all", "refuted: equivalent (on d1)"),
        ((UNCLEAR, NOTHING), "all", "refuted: equivalent (on d1)"),
        ((CLEAR, CLEAR[:5]), "all", "inconclusive: too few seeds (5<6; on d1)"),
        ((NOTHING, CLEAR[:5]), "all", "refuted: equivalent (on d0)"),
        ((NOTHING, [*CLEAR[:7], math.nan]), "all", "inconclusive: missing pair (1 of 8 pairs)"),
        ((CLEAR, SHIFTED), "average", "supported: superior"),
        ((CLEAR, UNCLEAR), "average", "supported: superior"),
        ((SHIFTED, NOTHING), "average", "inconclusive: mixed (refuted on d1)"),
        ((CLEAR,), "average", "inconclusive: too few datasets (1<2)"),
        ((CLEAR, [0.5] * 8), "average", "inconclusive: degenerate (every seed gives the same difference)"),
        ((CLEAR, [0.0] * 8), "average", "inconclusive: degenerate (every seed gives the same difference)"),
        (([0.0] * 8, [0.0] * 8), "average", "refuted: equivalent (both gave identical results)"),
        ((CLEAR, [0.0] * 8), "all", "refuted: equivalent (on d1)"),
        ((CLEAR, SHIFTED), "generalises", "inconclusive: too few datasets (2<6)"),
        ((CLEAR, SHIFTED, CLEAR[::-1], SHIFTED[::-1], CLEAR, SHIFTED), "generalises", "supported: superior"),
    ],
)
def test_several_datasets(samples, across, expected):
    """One verdict for all datasets, and why there is none."""
    assert verdict(several(*samples), claim(datasets=across)).text.startswith(expected)


def test_all_has_the_worst_p():
    """Where every dataset speaks for the claim, it is the largest; else the least against it, times the datasets."""
    [judgement] = only(several(CLEAR, UNCLEAR), claim(datasets="all"))
    assert judgement.p == pytest.approx(stats.ttest_1samp(UNCLEAR, 0.2).pvalue)
    [judgement] = only(several(CLEAR, UNCLEAR, NOTHING), claim(datasets="all"))
    assert judgement.p == pytest.approx(3 * stats.ttest_1samp(NOTHING, 0.2).pvalue)


def test_all_is_not_supported_where_one_interval_reaches_the_margin():
    """A one-sided p below alpha is not enough where the dataset's own verdict is open."""
    margin = np.mean(UNCLEAR) - 2.1 * stats.sem(UNCLEAR)
    assert stats.ttest_1samp(UNCLEAR, margin, alternative="greater").pvalue < 0.05
    [judgement] = only(several(CLEAR, UNCLEAR), claim(datasets="all", margin=margin))
    assert judgement.evidence.ci_low < margin
    assert judgement.verdict.word == "inconclusive"


@pytest.mark.parametrize("kind", ["superiority", "equivalence"])
@pytest.mark.parametrize("sample", [CLEAR, NOTHING, SKEWED])
@pytest.mark.parametrize("withdrawn", [0, 9])
def test_all_of_one_dataset_is_that_dataset(kind, sample, withdrawn):
    """The word `all` makes nothing easier: the same p, and the same verdict among other claims."""
    found = [
        only(differing(sample), claim(kind=kind, datasets=across), withdrawn=withdrawn)[0] for across in ("each", "all")
    ]
    own, on_all = found
    if own.evidence.tested.p_support <= 0.5 or own.verdict.word == "refuted":
        assert on_all.p == own.p
    assert (on_all.verdict.word, on_all.verdict.kind) == (own.verdict.word, own.verdict.kind)


def test_all_corrects_the_skewness_guard_as_its_p():
    """Refuting it, by the number of datasets; supporting it, by Holm as among ten claims."""
    against = [0.4 - each for each in SKEWED]
    assert verdict(several(against, *[UNCLEAR[:6]] * 4), claim(datasets="all")).word == "refuted"
    among_ten = verdict(several(against, *[UNCLEAR[:6]] * 9), claim(datasets="all"))
    assert (among_ten.kind, "on d0" in among_ten.detail) == ("skewed differences", True)
    both = several(SKEWED, SHIFTED[:6])
    assert verdict(both, claim(datasets="all"), withdrawn=3).word == "supported"
    [of_ten] = only(both, claim(datasets="all"), withdrawn=9)
    assert of_ten.adjusted_p < 0.05
    assert of_ten.verdict.kind == "skewed differences"


def test_every_dataset_that_refutes_all_does_so_after_correction():
    """One refutes it surely; another alone, and not among three datasets."""
    weakly = [0.2 - each for each in (0.01, 0.02, 0.03, 0.045, 0.055, -0.005, 0.02, 0.025)]
    p = stats.ttest_1samp(weakly, 0.2).pvalue
    shifted = [each + stats.sem(weakly) * 0.9 for each in weakly]
    assert p < stats.ttest_1samp(shifted, 0.2).pvalue < 0.05 < 3 * stats.ttest_1samp(shifted, 0.2).pvalue
    assert verdict(differing(shifted), claim()).word == "refuted"
    assert verdict(several(NOTHING, shifted, CLEAR), claim(datasets="all")).detail == "on d0"


def test_units_that_do_not_go_together():
    """Accuracies and errors, and errors of different targets, are not averaged."""
    mixed = pd.concat([differing(CLEAR, "a"), differing(CLEAR, "b", "regression")], ignore_index=True)
    assert verdict(mixed, claim(datasets="average")).kind == "different units"
    assert verdict(mixed, claim(datasets="all")).kind == "different units"
    errors = several(CLEAR, CLEAR, task="regression")
    assert verdict(errors, claim(datasets="average")).kind == "different units"
    assert verdict(errors, claim(datasets="all")).word == "refuted"


def test_unequal_budgets():
    """A cell that was tuned longer than the one beside it forbids a verdict on that dataset, and no other budget."""

    def trials(found, dataset="digits"):
        return {(dataset, frozenset(zip(FACTORS, levels, strict=True))): number for levels, number in found.items()}

    base = np.array([90.0, 91, 92, 90.5, 91.5, 92.5, 90.2, 91.1])
    none = {("he", "none"): base + CLEAR, ("glorot", "none"): base}
    runs = table(none | {("he", "bn"): base + 2 + SHIFTED, ("glorot", "bn"): base + 2})
    longer = trials({("he", "none"): 20, ("he", "bn"): 20})
    found = verdict(runs, claim(), suite_of(), trials=longer)
    assert found.text == "inconclusive: unequal budget (20 against 0 tuning trials a cell)"
    half = trials({("he", "none"): 20, ("glorot", "none"): 10, ("he", "bn"): 20, ("glorot", "bn"): 20})
    found = verdict(runs, claim(), suite_of(), trials=half)
    assert found.text == "inconclusive: unequal budget (20 against 10 or 20 tuning trials a cell)"
    for fair in (trials({("he", "bn"): 20, ("glorot", "bn"): 20}), trials({("he", "none"): 20}, "mnist")):
        assert verdict(runs, claim(), suite_of(), trials=fair).word == "supported"
    # The baseline stands in more cells of such a design, each tuned as long as any other.
    suite = suite_of(design="one_factor")
    each = trials({tuple(cell.levels.values()): 20 for cell in expand_cells(suite)})
    of_design = table(none | {("glorot", "bn"): base + 2})
    assert verdict(of_design, claim(), suite, trials=each).word == "supported"


def test_alpha_is_divided_over_looks():
    """What is supported at 0.05 is not at one of ten looks; a look that was not declared is refused."""
    differences = [0.35, 0.32, 0.41, 0.25, 0.19, 0.3, 0.45, 0.27]
    p = stats.ttest_1samp(differences, 0.2).pvalue
    assert 0.005 < p < 0.05
    runs = differing(differences)
    assert verdict(runs, claim()).word == "supported"
    assert verdict(runs, claim(), looks=10, look=3).word == "inconclusive"
    judged = judge_claims(runs, [claim()], suite_of(ONE), looks=2, look=1)
    assert (judged.alpha, judged.alpha_per_look, judged.looks, judged.look) == (0.05, 0.025, 2, 1)
    with pytest.raises(ValueError) as error:
        only(runs, claim(), looks=2, look=3)
    assert "look 3" in str(error.value)


def test_exploratory_claims_have_no_verdict_and_no_part_in_holm():
    """Not in the judgement, nor in the checks beside it."""
    runs = several(CLEAR, SHIFTED)
    claims = [claim(), claim("afterwards", datasets="average")]
    judged = judge_claims(runs, claims, suite_of(ONE), unregistered={"afterwards"})
    assert judged.family == 2
    later = judged.claims[1]
    assert (later.is_registered, later.judgements[0].verdict) == (False, None)
    assert [check.verdict for check in later.judgements[0].datasets] == [None, None]
    assert judged.claims[0].judgements[0].verdict.word == "supported"


def test_two_claims_with_one_statement_are_refused():
    """Their verdicts could not be told apart."""
    with pytest.raises(ValueError):
        judge_claims(differing(CLEAR), [claim(), claim(margin=0.1)], suite_of(ONE))


def test_a_repeated_run_is_refused():
    """One row for each dataset, cell and seed."""
    runs = differing(CLEAR)
    with pytest.raises(ValueError) as error:
        only(pd.concat([runs, runs.iloc[[3]]]), claim())
    assert "two rows for one run" in str(error.value)


def test_everything_as_json():
    """The whole can be written as JSON, and no claims give none."""
    runs = several(CLEAR, UNCLEAR)
    plain = as_plain(judge_claims(runs, [claim(), claim("average", datasets="average")], suite_of(ONE)))
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["claims"][0]["judgements"][0]["verdict"] == {"word": "supported", "kind": "superior", "detail": ""}
    assert judge_claims(runs, [], suite_of(ONE)).claims == ()
    assert explore([]) == []


@st.composite
def random_runs(draw):
    """Two datasets of a two by two factorial, perhaps lacking a cell, with ties, holes and diverged runs."""
    tables = []
    n_seeds = draw(st.integers(5, 8))
    cells = list(itertools.product(*FACTORS.values()))[: draw(st.sampled_from([3, 4, 4]))]
    for dataset in ("a", "b"):
        outcomes = st.lists(st.integers(0, 15).map(lambda n: n / 16), min_size=n_seeds, max_size=n_seeds)
        runs = table({each: draw(outcomes) for each in cells}, dataset)
        statuses = st.sampled_from(["done"] * 60 + ["diverged", "failed"])
        runs["status"] = draw(st.lists(statuses, min_size=len(runs), max_size=len(runs)))
        runs.loc[runs["status"] == "diverged", "outcome"] = 1 / 16
        runs.loc[runs["status"] == "failed", "outcome"] = math.nan
        tables.append(runs)
    return pd.concat(tables, ignore_index=True)


CLAIMS = [
    claim(f"{kind} {across}", kind=kind, datasets=across, margin=1 / 8)
    for kind in ("superiority", "equivalence", "non_inferiority")
    for across in ("each", "all", "average")
]


def verdicts_of(runs, claims=CLAIMS):
    judged = judge_claims(runs, claims, suite_of())
    return {(each.statement, j.dataset): j.verdict for each in judged.claims for j in each.judgements}


@unhurried
@given(random_runs(), st.randoms(use_true_random=False))
def test_verdicts_hang_on_differences_alone(runs, random):
    """Adding a constant everywhere, and shuffling the rows of each dataset, change nothing."""
    order = list(runs.index)
    random.shuffle(order)
    moved = runs.assign(outcome=runs["outcome"] + 4).loc[order].sort_values("dataset", kind="stable")
    assert verdicts_of(moved) == verdicts_of(runs)


@unhurried
@given(random_runs())
def test_a_claim_and_its_mirror_are_never_both_supported(runs):
    """Whatever is claimed across datasets."""
    mirrored = [each.model_copy(update={"better": "glorot", "than": "he"}) for each in CLAIMS]
    there, back = verdicts_of(runs), verdicts_of(runs, mirrored)
    for place in there:
        if place[0].startswith("superiority"):
            assert {there[place].word, back[place].word} != {"supported"}


@unhurried
@given(random_runs())
def test_together_is_never_more_than_the_intervals_allow(runs):
    """A supported claim about all datasets has every dataset's interval on the right side of the margin."""
    for each in judge_claims(runs, CLAIMS, suite_of()).claims:
        for judgement in each.judgements:
            if judgement.verdict.word == "inconclusive":
                continue
            assert judgement.adjusted_p < 0.05
            assert judgement.adjusted_p >= judgement.p
            assert judgement.evidence.n == judgement.evidence.n_planned
            assert len({check.verdict.word for check in judgement.simple_effects}) <= 1
            if each.kind == "superiority" and judgement.verdict.word == "supported":
                parts = [check.evidence for check in judgement.datasets] if each.across == "all" else []
                assert all(part.ci_low > 1 / 8 for part in (*parts, judgement.evidence))
