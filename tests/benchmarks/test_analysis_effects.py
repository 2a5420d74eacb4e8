"""Interactions, importance and Pareto fronts."""

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
from sklearn.preprocessing import OneHotEncoder

from benchmarks.analysis.effects import effects_obstacle, importance, interactions, pareto_points
from benchmarks.analysis.tables import level_column
from benchmarks.metrics import METRICS
from benchmarks.runs import Factors

FACTORS = {"model.initializer": ["glorot", "he"], "model.norm": ["none", "bn", "ln"]}
BASELINE = {"model.initializer": "glorot", "model.norm": "none"}
VARIED = Factors(FACTORS, BASELINE)

unhurried = examples(12, 30)


def table(cells, factors=FACTORS, task="classification"):
    """A run table of cells: tuple of levels -> outcome of each seed."""
    rows = []
    for number, (levels, outcomes) in enumerate(cells.items()):
        for seed, outcome in enumerate(outcomes):
            row = {"dataset": "digits", "task": task, "cell": number, "seed": seed, "status": "done"}
            row |= dict.fromkeys(METRICS, math.nan) | {"outcome": outcome, "seconds": 1.0}
            rows.append(row | {level_column(f): level for f, level in zip(factors, levels, strict=True)})
    return pd.DataFrame(rows)


def full(n_seeds, seed=0, **changes):
    """A whole factorial of noise."""
    random = np.random.default_rng(seed)
    return table({each: random.normal(0.9, 0.02, n_seeds) for each in itertools.product(*FACTORS.values())}, **changes)


@pytest.fixture(scope="module")
def known(known_cases):
    """The worked factorial of the specification."""
    return known_cases["interaction"]


def test_the_known_interaction(known):
    """Interaction and p of the worked factorial."""
    factors = {"init": ["glorot", "he"], "norm": ["bn", "none"]}
    runs = table({tuple(name.split("/")): outcomes for name, outcomes in known["cells"].items()}, factors)
    [found] = interactions(runs, Factors(factors, {"init": "glorot", "norm": "bn"}))
    assert (found.level, found.than, found.at_level, found.at_than) == ("he", "glorot", "none", "bn")
    assert found.estimate.mean == pytest.approx(known["interaction_none_minus_bn"], abs=1e-6)
    assert found.p == pytest.approx(known["interaction_p"], abs=1e-9)


def test_every_pair_of_levels_has_its_interaction():
    """Two levels by three are three interactions, each worked out from the cells; the baseline is compared with."""
    runs = full(7)
    cells = {levels: cell["outcome"].to_numpy() for levels, cell in runs.groupby([level_column(f) for f in FACTORS])}
    found = interactions(runs, Factors(FACTORS, {**BASELINE, "model.norm": "bn"}))
    assert [(each.at_level, each.at_than) for each in found] == [("none", "bn"), ("ln", "bn"), ("ln", "none")]
    for each in found:
        here = cells["he", each.at_level] - cells["glorot", each.at_level]
        there = cells["he", each.at_than] - cells["glorot", each.at_than]
        assert each.estimate.values == pytest.approx(here - there)
        assert each.p == pytest.approx(stats.ttest_rel(here, there).pvalue)


def test_where_less_is_better_interactions_turn():
    """Errors give the interactions of accuracies with the other sign."""
    forth = interactions(full(6), VARIED)
    back = interactions(full(6, task="regression"), VARIED)
    assert [-each.estimate.mean for each in back] == pytest.approx([each.estimate.mean for each in forth])


def explained(design, outcomes):
    """Sum of squares that a linear model on these columns explains."""
    design = np.column_stack([np.ones(len(outcomes)), *design])
    fitted = design @ np.linalg.lstsq(design, outcomes, rcond=None)[0]
    return float(np.square(fitted - outcomes.mean()).sum())


@unhurried
@given(st.integers(0, 10_000), st.integers(3, 5))
def test_importance_by_least_squares(seed, n_seeds):
    """F, p and omega squared from sums of squares of nested models, worked out with plain least squares."""
    runs = full(n_seeds, seed)
    y = runs["outcome"].to_numpy()

    def dummies(*columns):
        return OneHotEncoder(sparse_output=False).fit_transform(runs[list(columns)].astype(str)).T

    a, b = (level_column(each) for each in FACTORS)
    seeds = dummies("seed")
    everything = [*dummies(a), *dummies(b), *seeds]
    both = runs.assign(ab=runs[a] + runs[b])
    joint = OneHotEncoder(sparse_output=False).fit_transform(both[["ab"]]).T
    total = float(np.square(y - y.mean()).sum())
    residual = total - explained([*joint, *seeds], y)
    mse = residual / ((6 - 1) * (n_seeds - 1))
    base = explained(everything, y)
    squares = {
        ("model.initializer",): (base - explained([*dummies(b), *seeds], y), 1),
        ("model.norm",): (base - explained([*dummies(a), *seeds], y), 2),
        ("model.initializer", "model.norm"): (explained([*joint, *seeds], y) - base, 2),
    }
    found = importance(runs, FACTORS)
    assert {each.term for each in found} == set(squares)
    assert [each.omega_squared for each in found] == sorted((each.omega_squared for each in found), reverse=True)
    for each in found:
        square, df = squares[each.term]
        assert (each.df, each.f) == (df, pytest.approx(square / df / mse, rel=1e-6))
        assert each.p == pytest.approx(stats.f.sf(each.f, df, 5 * (n_seeds - 1)), rel=1e-6)
        assert each.omega_squared == pytest.approx((square - df * mse) / (total + mse), rel=1e-6, abs=1e-9)


def test_what_explains_all_is_near_one():
    """A factor that alone moves the outcome explains nearly all of it, and the seeds nothing."""
    runs = full(4)
    runs["outcome"] = (runs[level_column("model.norm")] == "bn") + runs["outcome"] / 100
    first, *others = importance(runs, FACTORS)
    assert first.term == ("model.norm",)
    assert first.omega_squared > 0.99
    assert all(abs(each.omega_squared) < 0.01 for each in others)


def test_equal_outcomes_have_no_importance():
    """Nothing varies, so nothing is explained."""
    assert importance(full(4).assign(outcome=0.9), FACTORS) == []


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (full(6), None),
        (full(5), "they need 6 seeds and the suite has 5"),
        (full(6).query("cell != 2"), "they need all 6 combinations of levels, and the design has 5"),
        (full(7).query("cell != 2 or seed != 3"), "they need the same seeds in every cell"),
        (full(6).assign(outcome=lambda t: t["outcome"].where(t.index != 3)), "1 of 36 runs have no outcome"),
    ],
)
def test_what_is_in_the_way_is_told(runs, reason):
    """Without a whole table there are no effects, and a clause says why."""
    assert effects_obstacle(runs, FACTORS, 6) == reason
    assert bool(interactions(runs, VARIED)) == (reason is None)


def test_importance_needs_three_seeds():
    """Two are too few, five are enough although they are too few for interactions."""
    assert importance(full(2), FACTORS) == []
    assert len(importance(full(5), FACTORS)) == 3


def front_of(points, cost="seconds", task="classification"):
    """Which of cells, given as (outcome, cost), are on the front."""
    factors = {"f": [str(number) for number in range(len(points))]}
    runs = table({(str(number),): [outcome] * 2 for number, (outcome, _) in enumerate(points)}, factors, task)
    runs[cost] = np.repeat([price for _, price in points], 2)
    return [each.is_on_front for each in pareto_points(runs, cost)]


def test_the_front_by_hand():
    """Better and dearer stays, dearer and no better goes; of equals both stay."""
    points = [(0.9, 1.0), (0.95, 2.0), (0.94, 3.0), (0.95, 2.0), (0.9, 1.5), (0.8, 0.5)]
    assert front_of(points) == [True, True, False, True, False, True]
    assert front_of(points, cost="macs") == [True, True, False, True, False, True]
    assert front_of([(0.3, 1.0), (0.2, 1.0)], task="regression") == [False, True]


def test_a_cell_with_a_hole_is_on_no_front():
    """Its mean would be over other seeds than the others'."""
    runs = full(3)
    runs.loc[0, "outcome"] = math.nan
    points = pareto_points(runs, "seconds")
    assert len(points) == 5
    assert {"model.initializer": "glorot", "model.norm": "none"} not in [each.levels for each in points]


@unhurried
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=10))
def test_whatever_is_not_on_the_front_is_dominated_by_what_is(points):
    """The front is not empty, and decides every other cell."""
    front = [point for point, is_on in zip(points, front_of(points), strict=True) if is_on]
    assert front
    for outcome, cost in points:
        beaten = any(a >= outcome and b <= cost and (a, b) != (outcome, cost) for a, b in front)
        assert beaten == ((outcome, cost) not in front)
