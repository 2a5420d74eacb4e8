"""Time to a target where some runs never reach it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.analysis.tables import level_column
from benchmarks.analysis.time_to_target import survival_of, times_to_target

unhurried = examples(20, 50)
times = st.lists(st.integers(1, 20).map(float), max_size=8)


def test_a_censored_sample_by_hand():
    """Kaplan and Meier on 3, 5, 5+, 8, 10+: 4/5, then 3/4 of it, then half of it."""
    found = survival_of([3.0, 5.0, 8.0], [5.0, 10.0])
    assert dict(zip(found.times, found.not_reached, strict=True)) == pytest.approx({3: 0.8, 5: 0.6, 8: 0.3, 10: 0.3})
    assert found.restricted_mean == pytest.approx(3 + 2 * 0.8 + 3 * 0.6 + 2 * 0.3)
    assert (found.median, found.horizon, found.n, found.n_reached) == (8, 10, 5, 3)


@unhurried
@given(times, st.integers(0, 4))
def test_those_that_never_arrive_count_the_horizon(reached, n_never):
    """Where all others are watched to the end, the restricted mean is the plain mean with the horizon for them."""
    horizon = 25.0
    found = survival_of(reached, [horizon] * n_never, horizon)
    if len(reached) + n_never < 5:
        assert math.isnan(found.restricted_mean)
        return
    assert found.restricted_mean == pytest.approx(np.mean(reached + [horizon] * n_never))
    assert math.isnan(found.median) == (2 * len(reached) < len(reached) + n_never)


def curves(runs, metric="val_accuracy"):
    """An epoch table and its run table, from (cell, status, curve) for each seed; the plan of a cell is its longest."""
    rows, seeds = [], {}
    planned = []
    for cell, status, values in runs:
        seed = seeds[cell] = seeds.get(cell, -1) + 1
        level = {level_column("a"): f"level {cell}"}
        planned.append({"cell": cell, "seed": seed, "status": status} | level)
        for epoch, value in enumerate(values, 1):
            rows.append({"cell": cell, "seed": seed, "status": status, "epoch": epoch, metric: value} | level)
    epochs, runs = pd.DataFrame(rows), pd.DataFrame(planned)
    plans = epochs.groupby("cell")["epoch"].max().astype(float)
    return epochs, runs.assign(planned_epochs=runs["cell"].map(plans))


RUNS = [
    (0, "done", [0.5, 0.8, 0.7, 0.9]),
    (0, "done", [0.5, 0.6, 0.8, 0.9]),
    (0, "done", [0.5, 0.6, 0.7, 0.75]),
    (0, "diverged", [0.5]),
    (0, "diverged", []),
    (0, "failed", []),
    (1, "done", [0.9, 0.9, 0.9, 0.9]),
]


def test_the_first_epoch_at_the_target():
    """Runs that diverged, in the first epoch too, are watched in vain to the end; a failed one is counted apart."""
    first, second = times_to_target(*curves(RUNS), "val_accuracy", 0.8)
    assert (first.reached, first.n_left_out) == ((2, 3), 1)
    assert (first.survival.n, first.survival.n_reached, first.survival.horizon) == (5, 2, 4)
    assert first.survival.restricted_mean == pytest.approx((2 + 3 + 3 * 4) / 5)
    assert (second.reached, second.levels) == ((1,), {"a": "level 1"})
    assert math.isnan(second.survival.restricted_mean)


def test_a_shorter_plan_is_no_failure():
    """Runs of 3 planned epochs are watched for 3, of 6 for 6, and both have the mean up to epoch 3 (right-censored)."""
    short, long = [0.5, 0.6, 0.7], [0.5, 0.6, 0.7, 0.8, 0.9, 0.9]
    runs = [(0, "done", short)] * 5 + [(1, "done", long)] * 4 + [(1, "diverged", [0.5])]
    epochs, planned = curves(runs)
    first, second = times_to_target(epochs, planned, "val_accuracy", 0.8)
    assert (first.survival.n_reached, first.survival.watched) == (0, 3)
    assert (second.survival.n_reached, second.survival.watched) == (4, 6)
    assert second.survival.times[-1] == 6
    assert [each.survival.horizon for each in (first, second)] == [3, 3]
    assert [each.survival.restricted_mean for each in (first, second)] == [3, 3]


def test_a_run_that_was_stopped_early_is_watched_to_the_end_of_its_plan():
    """It would not have come there; where the plan is in steps, its end is that of the longest run of the cell."""
    runs = [(0, "done", [0.5, 0.6])] * 2 + [(0, "done", [0.5, 0.6, 0.7])] * 3 + [(1, "diverged", [0.5])] * 5
    epochs, planned = curves(runs)
    early = planned.assign(planned_epochs=8.0)
    for table, ends in ((early, [8, 8]), (planned.assign(planned_epochs=math.nan), [3, 3])):
        found = times_to_target(epochs, table, "val_accuracy", 0.8)
        assert [each.survival.watched for each in found] == ends


def test_errors_are_reached_from_above():
    """Where less is better, the target is reached from above."""
    runs = [(0, "done", [0.9, 0.4, 0.6]), (0, "done", [0.9, 0.8, 0.5])]
    [found] = times_to_target(*curves(runs, "val_rmse"), "val_rmse", 0.5)
    assert found.reached == (2, 3)
