"""Tidy tables of planned and stored runs."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.analysis.tables import epoch_table, level_column, level_columns, refuse_repeated_runs, run_table
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.store import DatasetFacts, StoredRun

DIGITS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification")
HOUSES = DatasetFacts("1.0.0", 442, 110, 1, (10,), "official test split", task="regression", mean_rmse=77.5)
FACTS = {"digits": DIGITS, "mnist": replace(DIGITS, num_classes=4), "houses": HOUSES}
HISTORY = {"val_accuracy": [0.5, 0.7, 0.9], "train_loss": [2.0, 1.0, 0.5]}
ODD_FACTOR = {"seed": {"short": {"train.epochs": 1}, "long": {"train.epochs": 2}}}


@pytest.fixture
def planned_of(suite_of):
    """Give a function that plans the runs of a small suite: 2 levels and 5 seeds, unless keys are replaced."""

    def plan(**changes):
        suite = suite_of(**({"seeds": 5} | changes))
        return expand_runs(expand_cells(suite), suite.seed_list, dict.fromkeys(suite.datasets, "1.0.0"))

    return plan


def stored_run(run, **changes):
    """A run as a store gives it, done unless that is changed."""
    usual = {
        "status": "done",
        "metrics": {"test_accuracy": 0.9 + run.seed / 100},
        "history": HISTORY,
        "parameters": 9034,
        "macs": 8832,
        "message": None,
    }
    facts = {"seconds": 0.4, "traceback": None, "attempts": 1, "machine": "m", "finished_at": "2026-01-01T00:00:00"}
    place = {"key": run.key, "dataset": run.dataset, "dataset_version": run.dataset_version, "seed": run.seed}
    return StoredRun(**place, settings={}, **facts, **(usual | changes))


def stored_with_holes(planned):
    """Run 0 diverged, run 1 failed, run 2 is missing, run 3 gave no test accuracy; all others are done."""
    stored = {run.key: stored_run(run) for run in planned}
    cut = {name: values[:2] for name, values in HISTORY.items()}
    stored[planned[0].key] = stored_run(planned[0], status="diverged", metrics={}, history=cut)
    stored[planned[1].key] = stored_run(planned[1], status="failed", metrics={}, history={}, message="out of memory")
    del stored[planned[2].key]
    stored[planned[3].key] = stored_run(planned[3], metrics={"test_loss": 0.3})
    return stored


def test_one_row_per_planned_run(planned_of):
    """Every planned run has its row, in the order of the plan, whatever became of it."""
    planned = planned_of()
    runs = run_table(planned, stored_with_holes(planned), FACTS)
    assert runs["key"].tolist() == [run.key for run in planned]
    assert runs["seed"].tolist() == [0, 1, 2, 3, 4] * 2
    assert runs["cell"].tolist() == [0] * 5 + [1] * 5
    assert runs["status"].tolist()[:5] == ["diverged", "failed", "missing", "done", "done"]
    assert runs["message"].tolist()[:3] == ["", "out of memory", ""]
    assert level_columns(runs) == [level_column("model.activation")]


def test_the_outcome_of_each_status(planned_of):
    """A diverged run counts at the chance level, a done one at its accuracy, and holes have no outcome."""
    planned = planned_of()
    runs = run_table(planned, stored_with_holes(planned), FACTS)
    assert runs["outcome"][0] == pytest.approx(0.1)
    assert runs["outcome"][1:4].isna().all()
    assert runs["outcome"][4] == pytest.approx(0.94)
    assert math.isnan(runs["test_accuracy"][0])


def test_the_chance_level_is_that_of_the_dataset(planned_of):
    """With two datasets of different numbers of classes, each diverged run counts at its own."""
    planned = planned_of(datasets=["digits", "mnist"], seeds=1)
    runs = run_table(planned, {run.key: stored_run(run, status="diverged") for run in planned}, FACTS)
    assert runs["dataset"].tolist() == ["digits", "digits", "mnist", "mnist"]
    assert runs["outcome"].tolist() == [0.1, 0.1, 0.25, 0.25]


@pytest.mark.parametrize(("mean_rmse", "expected"), [(77.5, 77.5), (None, math.nan)])
def test_the_outcome_of_each_task(planned_of, mean_rmse, expected):
    """Beside an accuracy, the outcome of a regression is its RMSE; diverged, the error of the mean or nothing."""
    planned = planned_of(datasets=["digits", "houses"], seeds=1)
    metrics = {"test_accuracy": 0.9, "test_rmse": 51.0}
    stored = {run.key: stored_run(run, metrics=metrics) for run in planned}
    stored[planned[3].key] = stored_run(planned[3], status="diverged", metrics={})
    runs = run_table(planned, stored, FACTS | {"houses": replace(HOUSES, mean_rmse=mean_rmse)})
    assert runs["task"].tolist() == ["classification"] * 2 + ["regression"] * 2
    assert runs["outcome"].tolist() == pytest.approx([0.9, 0.9, 51.0, expected], nan_ok=True)


def test_the_curves_of_each_task(planned_of):
    """Every curve metric of any task has a column; what a run does not have is NaN."""
    planned = planned_of(datasets=["digits", "houses"], seeds=1)
    stored = {run.key: stored_run(run) for run in planned}
    stored[planned[2].key] = stored_run(planned[2], history={"val_rmse": [60.0, 50.0], "train_loss": [1.0, 0.5]})
    epochs = epoch_table(planned, stored)
    own = epochs[epochs["cell"] == 2]
    assert own["val_rmse"].tolist() == [60.0, 50.0]
    assert own["val_accuracy"].isna().all()
    assert epochs.loc[epochs["cell"] == 0, "val_rmse"].isna().all()


def test_a_repeated_run_is_refused(planned_of):
    """A second row for a dataset, cell and seed raises, and says which."""
    planned = planned_of()
    with pytest.raises(ValueError) as error:
        run_table([*planned, planned[7]], {}, FACTS)
    assert "seed = 2" in str(error.value)
    assert "digits" in str(error.value)


def test_the_same_levels_on_another_dataset_are_no_repetition():
    """Only dataset, levels and seed together name a run."""
    rows = [("a", "x", 0), ("a", "x", 1), ("a", "y", 0), ("b", "x", 0)]
    refuse_repeated_runs(pd.DataFrame(rows, columns=["dataset", level_column("f"), "seed"]))


def test_a_factor_may_have_the_name_of_a_column(planned_of):
    """A bundle called "seed" keeps apart from what the table itself says."""
    planned = planned_of(factors=ODD_FACTOR, seeds=2)
    stored = {run.key: stored_run(run) for run in planned}
    runs, epochs = run_table(planned, stored, FACTS), epoch_table(planned, stored)
    assert runs["seed"].tolist() == [0, 1, 0, 1]
    assert runs[level_column("seed")].tolist() == ["short", "short", "long", "long"]
    assert set(epochs[level_column("seed")]) == {"short", "long"}


def test_one_row_per_epoch(planned_of):
    """Done runs have all their epochs, diverged ones those before, failed and missing ones none."""
    planned = planned_of()
    epochs = epoch_table(planned, stored_with_holes(planned))
    counts = epochs.groupby(["cell", "seed"]).size()
    assert counts.to_dict() == {(0, 0): 2, (0, 3): 3, (0, 4): 3} | {(1, seed): 3 for seed in range(5)}
    first = epochs[(epochs["cell"] == 0) & (epochs["seed"] == 4)]
    assert first["epoch"].tolist() == [1, 2, 3]
    assert first["val_accuracy"].tolist() == HISTORY["val_accuracy"]


def test_values_that_are_not_finite_are_missing(planned_of):
    """An infinite loss is no value of the curve, and a metric that is absent is NaN."""
    planned = planned_of(seeds=1)
    odd = {"metrics": {"test_accuracy": math.inf}, "history": {"train_loss": [1.5, math.inf, 0.5]}}
    stored = {run.key: stored_run(run, **odd) for run in planned}
    runs, epochs = run_table(planned, stored, FACTS), epoch_table(planned, stored)
    assert epochs["train_loss"].tolist()[:3] == pytest.approx([1.5, math.nan, 0.5], nan_ok=True)
    assert epochs["val_accuracy"].isna().all()
    assert runs["outcome"].isna().all()
    assert runs["val_loss"].isna().all()


def test_a_store_without_runs_gives_an_empty_epoch_table(planned_of):
    """Before anything has run, all rows are missing and there is no epoch."""
    planned = planned_of()
    assert set(run_table(planned, {}, FACTS)["status"]) == {"missing"}
    assert epoch_table(planned, {}).empty
