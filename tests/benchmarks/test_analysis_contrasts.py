"""Paired contrasts, main effects and cell summaries, against scipy and known answers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.analysis.contrasts import main_effects, main_effects_obstacle, simple_contrasts
from benchmarks.analysis.summaries import cell_summaries
from benchmarks.analysis.tables import level_column
from benchmarks.metrics import METRICS
from benchmarks.runs import Factors

FACTORS = {"initializer": ["glorot", "he"], "normalization": ["none", "bn"]}
BASELINE = {"initializer": "glorot", "normalization": "none"}
VARIED = Factors(FACTORS, BASELINE)
statuses = st.sampled_from(["done", "done", "done", "diverged", "failed", "missing"])

unhurried = examples(20, 60)


def table(cells, statuses=None, dataset="digits"):
    """A run table of cells: tuple of levels -> outcome of each seed."""
    rows = []
    for number, (levels, outcomes) in enumerate(cells.items()):
        for seed, outcome in enumerate(outcomes):
            row = {"dataset": dataset, "task": "classification", "cell": number, "seed": seed, "outcome": outcome}
            row |= {"parameters": 10.0} | dict.fromkeys(METRICS, math.nan)
            row |= {level_column(factor): level for factor, level in zip(FACTORS, levels, strict=False)}
            rows.append(row | {"status": "done" if math.isfinite(outcome) else "failed"})
    runs = pd.DataFrame(rows)
    return runs if statuses is None else runs.assign(status=statuses)


def two_cells(level, baseline):
    """The run table of one factor with two levels."""
    return table({("he",): level, ("glorot",): baseline})


def only_contrast(runs):
    [contrast] = simple_contrasts(runs, Factors({"initializer": ["glorot", "he"]}, {"initializer": "glorot"}))
    return contrast


@st.composite
def random_runs(draw):
    """A two by two factorial of a few seeds, with ties, holes and diverged runs."""
    n_seeds = draw(st.integers(1, 8))
    levels = list(itertools.product(*FACTORS.values()))
    outcomes = st.lists(st.sampled_from([0.1, 0.5, 0.5, 0.93, 0.95, 0.97]), min_size=n_seeds, max_size=n_seeds)
    runs = table({each: draw(outcomes) for each in levels})
    runs["status"] = draw(st.lists(statuses, min_size=len(runs), max_size=len(runs)))
    runs.loc[runs["status"] == "diverged", "outcome"] = 0.1
    runs.loc[runs["status"].isin(["failed", "missing"]), "outcome"] = math.nan
    return runs


def test_the_known_pairing(known_cases):
    """Pairing gives the interval of the worked case, which an unpaired test would not."""
    case = known_cases["pairing"]
    found = only_contrast(two_cells(case["a"], case["b"])).estimate
    assert (found.ci_low, found.ci_high) == pytest.approx(case["ci"], abs=1e-6)
    unpaired = stats.ttest_ind(case["a"], case["b"], equal_var=False).confidence_interval()
    assert unpaired.low < 0 < found.ci_low


def test_the_known_factorial(known_cases):
    """Simple contrasts and the main effect of the worked factorial, with their intervals."""
    case = known_cases["interaction"]
    runs = table({tuple(name.split("/")): outcomes for name, outcomes in case["cells"].items()})
    simple = {(each.factor, each.level): each.estimate for each in simple_contrasts(runs, VARIED)}
    none = simple["initializer", "he"]
    assert none.mean == pytest.approx(case["simple_none"], abs=1e-6)
    assert (none.ci_low, none.ci_high) == pytest.approx(case["simple_none_ci"], abs=1e-6)
    at_bn = simple_contrasts(runs, Factors(FACTORS, {**BASELINE, "normalization": "bn"}))[0].estimate
    assert at_bn.mean == pytest.approx(case["simple_bn"], abs=1e-6)
    assert (at_bn.ci_low, at_bn.ci_high) == pytest.approx(case["simple_bn_ci"], abs=1e-6)
    main = next(each for each in main_effects(runs, VARIED) if each.factor == "initializer")
    assert main.level == "he"
    assert main.estimate.mean == pytest.approx(case["main_he_minus_glorot"], abs=1e-6)
    assert (main.estimate.ci_low, main.estimate.ci_high) == pytest.approx(case["main_ci"], abs=1e-6)


@unhurried
@given(random_runs())
def test_contrasts_equal_scipy_on_the_pairs_that_exist(runs):
    """Any contrast with an interval has that of `ttest_rel` over the seeds that both cells have."""
    wide = runs.pivot(index="seed", columns=[level_column(factor) for factor in FACTORS], values="outcome")
    for contrast in simple_contrasts(runs, VARIED):
        levels = tuple((BASELINE | {contrast.factor: contrast.level}).values())
        both = wide[[levels, tuple(BASELINE.values())]].dropna()
        assert contrast.n_planned == len(wide)
        assert contrast.estimate.n == len(both)
        if contrast.estimate.state == "interval":
            expected = stats.ttest_rel(both.iloc[:, 0], both.iloc[:, 1]).confidence_interval(0.95)
            found = (contrast.estimate.ci_low, contrast.estimate.ci_high)
            assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


@unhurried
@given(random_runs())
def test_swapping_level_and_baseline_turns_the_sign(runs):
    """The contrast of B with A is minus that of A with B."""
    forth = simple_contrasts(runs, VARIED)[0]
    back = simple_contrasts(runs, Factors(FACTORS, {**BASELINE, "initializer": "he"}))[0]
    assert [-pair.difference for pair in back.pairs] == pytest.approx(
        [pair.difference for pair in forth.pairs], nan_ok=True
    )
    assert back.estimate.state == forth.estimate.state
    assert -back.estimate.mean == pytest.approx(forth.estimate.mean, nan_ok=True)


@unhurried
@given(random_runs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(runs, random):
    """Contrasts and summaries of a shuffled table are the same."""
    order = list(runs.index)
    random.shuffle(order)
    shuffled = runs.loc[order]
    assert repr(simple_contrasts(shuffled, VARIED)) == repr(simple_contrasts(runs, VARIED))
    ours = {tuple(each.levels.values()): sorted(each.outcome.values) for each in cell_summaries(runs)}
    theirs = {tuple(each.levels.values()): sorted(each.outcome.values) for each in cell_summaries(shuffled)}
    assert ours == theirs


@unhurried
@given(random_runs())
def test_summaries_count_every_planned_run_once(runs):
    """Done, diverged, failed and missing add up to the plan; outcomes are those of done and diverged runs."""
    summaries = cell_summaries(runs)
    assert sum(each.n_planned for each in summaries) == len(runs)
    for each in summaries:
        assert each.n_planned == each.n_done + each.n_diverged + each.n_failed + each.n_missing
        assert each.outcome.n == each.n_done + each.n_diverged
        assert each.is_complete == (each.n_failed + each.n_missing == 0)
        assert (each.without_diverged is not None) == (each.n_diverged > 0)
        if each.without_diverged:
            assert each.without_diverged.n == each.n_done


def test_diverged_runs_count_and_are_also_left_out():
    """The mean holds the chance level of the diverged run; the second estimate does not."""
    runs = two_cells([0.9, 0.92, 0.97, 0.1, 0.95], [0.8, 0.83, 0.84, 0.86, 0.8])
    runs.loc[3, "status"] = "diverged"
    level, baseline = cell_summaries(runs)
    assert level.outcome.mean == pytest.approx(np.mean([0.9, 0.92, 0.97, 0.1, 0.95]))
    assert level.without_diverged.mean == pytest.approx(np.mean([0.9, 0.92, 0.97, 0.95]))
    assert baseline.without_diverged is None
    contrast = only_contrast(runs)
    assert [pair.diverged for pair in contrast.pairs] == [False, False, False, True, False]
    assert contrast.estimate.mean == pytest.approx(np.mean([0.1, 0.09, 0.13, -0.76, 0.15]))
    assert contrast.without_diverged.mean == pytest.approx(np.mean([0.1, 0.09, 0.13, 0.15]))


def test_a_hole_leaves_out_its_pair_and_nothing_else():
    """A seed that one cell lacks is no pair, and the plan still counts it."""
    contrast = only_contrast(two_cells([0.9, math.nan, 0.97, 0.95], [0.8, 0.83, 0.84, 0.8]))
    assert (contrast.estimate.n, contrast.n_planned) == (3, 4)
    assert contrast.estimate.values == pytest.approx((0.1, 0.13, 0.15))
    assert contrast.without_diverged is None


def test_equal_differences_are_degenerate():
    """The same difference in each seed gives no interval of width 0, although the cells themselves vary."""
    contrast = only_contrast(two_cells([0.91, 0.95, 0.94], [0.90, 0.94, 0.93]))
    assert contrast.estimate.state == "degenerate"
    assert contrast.estimate.mean == pytest.approx(0.01)


def test_a_contrast_without_its_cell_is_not_in_the_design():
    """An excluded cell leaves its contrast named and empty; an excluded baseline leaves all so."""
    outcomes = [0.9, 0.92, 0.97]
    runs = table({("glorot", "none"): outcomes, ("he", "bn"): outcomes, ("glorot", "bn"): outcomes})
    found = {(each.factor, each.level): each.in_design for each in simple_contrasts(runs, VARIED)}
    assert found == {("initializer", "he"): False, ("normalization", "bn"): True}
    without_baseline = simple_contrasts(runs[runs["cell"] != 0], VARIED)
    assert [each.in_design for each in without_baseline] == [False, False]
    assert {each.estimate.state for each in without_baseline} == {"no values"}


def test_datasets_keep_apart():
    """Each dataset is contrasted with its own baseline."""
    first = two_cells([0.9, 0.92, 0.97], [0.8, 0.83, 0.84])
    second = two_cells([0.5, 0.52, 0.57], [0.6, 0.63, 0.64]).assign(dataset="mnist")
    runs = pd.concat([first, second.assign(cell=second["cell"] + 2)], ignore_index=True)
    found = simple_contrasts(runs, Factors({"initializer": ["glorot", "he"]}, {"initializer": "glorot"}))
    assert [each.dataset for each in found] == ["digits", "mnist"]
    assert [each.estimate.mean > 0 for each in found] == [True, False]


@unhurried
@given(random_runs())
def test_where_less_is_better_every_difference_turns(runs):
    """The contrasts of errors are those of the same numbers taken for accuracies, with the other sign."""
    errors = runs.assign(task="regression")
    assert all(each.task == "regression" for each in cell_summaries(errors))
    for analyse in (simple_contrasts, main_effects):
        for error, accuracy in zip(analyse(errors, VARIED), analyse(runs, VARIED), strict=True):
            assert -error.estimate.mean == pytest.approx(accuracy.estimate.mean, nan_ok=True)
            assert -error.estimate.ci_low == pytest.approx(accuracy.estimate.ci_high, nan_ok=True)
            expected = [-pair.difference for pair in accuracy.pairs]
            assert [pair.difference for pair in error.pairs] == pytest.approx(expected, nan_ok=True)


def test_a_diverged_run_without_a_level_is_a_hole():
    """Where nothing is known that it could count as, it is left out once, and no second line repeats the first."""
    runs = two_cells([0.9, 0.92, 0.97, math.nan, 0.95], [0.8, 0.83, 0.84, 0.86, 0.8]).assign(task="regression")
    runs.loc[3, "status"] = "diverged"
    contrast = only_contrast(runs)
    assert (contrast.estimate.n, contrast.n_planned, contrast.without_diverged) == (4, 5, None)
    level = cell_summaries(runs)[0]
    assert (level.n_diverged, level.outcome.n, level.is_complete, level.without_diverged) == (1, 4, False, None)


def test_further_metrics_are_of_done_runs():
    """Each further metric of the task is summarized over the runs that are done and have it."""
    runs = two_cells([0.9, 0.92, 0.97, 0.1], [0.8, 0.83, 0.84, 0.86])
    runs.loc[3, "status"] = "diverged"
    runs["test_nll"] = [0.3, 0.2, 0.4, 9.0, 0.5, math.nan, math.nan, 0.7]
    level, baseline = cell_summaries(runs)
    assert level.further["test_nll"].values == (0.3, 0.2, 0.4)
    assert level.further["test_nll"].mean == pytest.approx(0.3)
    assert baseline.further["test_nll"].state == "raw values"
    assert level.further["test_brier"].state == "no values"
    assert "test_mae" not in level.further


def full(n_seeds):
    """A two by two factorial without holes."""
    noise = np.random.default_rng(1).normal(0.9, 0.01, (4, n_seeds))
    return table(dict(zip(itertools.product(*FACTORS.values()), noise.tolist(), strict=True)))


def with_a_hole(runs):
    """The same without the outcome of one run."""
    return runs.assign(outcome=runs["outcome"].where(runs.index != 3))


@pytest.mark.parametrize(
    ("runs", "factors", "reason"),
    [
        (full(5), FACTORS, "they need 6 seeds and the suite has 5"),
        (full(6), FACTORS, None),
        (full(6).query("cell != 2"), FACTORS, "they need every combination of levels in the design"),
        (with_a_hole(full(6)), FACTORS, "1 of 24 runs have no outcome"),
        (full(6), {"initializer": FACTORS["initializer"]}, "with one factor they would be the differences above"),
    ],
)
def test_main_effects_need_a_whole_factorial_of_six_seeds(runs, factors, reason):
    """Whatever is in the way is named, and then there are no main effects."""
    assert main_effects_obstacle(runs, factors) == reason
    effects = main_effects(runs, Factors(factors, BASELINE))
    assert bool(effects) == (reason is None)


def test_a_diverged_run_leaves_its_seed_out_of_the_second_main_effect():
    """Without diverged runs, a main effect has the other seeds only: each must be balanced."""
    runs = full(7)
    runs.loc[4, ["status", "outcome"]] = ["diverged", 0.1]
    for effect in main_effects(runs, VARIED):
        assert effect.estimate.n == 7
        assert effect.without_diverged.n == 6


def test_a_repeated_run_is_refused_everywhere():
    """Summaries, contrasts and main effects raise on a second row for a run."""
    runs = full(6)
    repeated = pd.concat([runs, runs.iloc[[3]]])
    for analyse in (cell_summaries, lambda each: simple_contrasts(each, VARIED)):
        with pytest.raises(ValueError) as error:
            analyse(repeated)
        assert "seed = 3" in str(error.value)
    with pytest.raises(ValueError):
        main_effects(repeated, VARIED)
