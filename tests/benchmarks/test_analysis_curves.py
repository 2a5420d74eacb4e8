"""Learning curves as small multiples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from benchmarks.analysis.curves import MOST_EPOCHS, MOST_SEED_LINES, learning_curves
from benchmarks.analysis.tables import level_column
from benchmarks.runs import Factors

FACTORS = {"a": ["1", "2", "3", "4"], "b": ["x", "y", "z", "w"]}
BASELINE = {"a": "1", "b": "x"}


def epochs_of(cells, n_seeds=3, n_epochs=4):
    """An epoch table whose value is 100 * cell + 10 * seed + epoch, skewed by the square of the seed."""
    rows = []
    for number, levels in enumerate(cells):
        for seed, epoch in itertools.product(range(n_seeds), range(1, n_epochs + 1)):
            row = {"cell": number, "seed": seed, "status": "done", "epoch": epoch}
            row |= {"val_accuracy": 100 * number + 10 * seed**2 + epoch, "train_loss": math.nan}
            rows.append(row | {level_column(name): level for name, level in zip(FACTORS, levels, strict=True)})
    return pd.DataFrame(rows)


def curves_of(epochs, is_balanced=True, metric="val_accuracy"):
    return learning_curves(epochs, metric, Factors(FACTORS, BASELINE), is_balanced)


def test_a_panel_per_cell():
    """Each cell has its seeds' lines and their mean; the baseline is known."""
    curves = curves_of(epochs_of([("1", "x"), ("2", "y")]))
    assert curves.shown == "cells"
    assert [(panel.title, panel.is_baseline) for panel in curves.panels] == [("1, x", True), ("2, y", False)]
    second = curves.panels[1]
    assert [line.values.tolist() for line in second.seeds] == [
        [101, 102, 103, 104],
        [111, 112, 113, 114],
        [141, 142, 143, 144],
    ]
    assert second.mean.values == pytest.approx(np.array([1, 2, 3, 4]) + 100 + 50 / 3)


def test_a_diverged_run_has_a_line_and_no_part_in_the_mean():
    """What diverged is shown as far as it came; the mean is of the others."""
    epochs = epochs_of([("1", "x")])
    epochs.loc[epochs["seed"] == 2, "status"] = "diverged"
    [panel] = curves_of(epochs[(epochs["seed"] != 2) | (epochs["epoch"] < 3)]).panels
    assert [line.diverged for line in panel.seeds] == [False, False, True]
    assert panel.seeds[2].epochs.tolist() == [1, 2]
    assert panel.mean.values.tolist() == [6, 7, 8, 9]


def test_many_cells_of_a_factorial_are_averaged_by_level():
    """Each level's mean is over all cells that have it, and each thin line is one seed over these cells."""
    curves = curves_of(epochs_of(list(itertools.product(*FACTORS.values()))))
    assert curves.shown == "levels"
    assert [panel.title for panel in curves.panels] == [
        f"{name} = {each}" for name in FACTORS for each in FACTORS[name]
    ]
    assert [panel.title for panel in curves.panels if panel.is_baseline] == ["a = 1", "b = x"]
    level = curves.panels[1]
    assert level.mean.values[0] == pytest.approx(np.mean([400, 500, 600, 700]) + 1 + 50 / 3)
    assert [line.values[0] for line in level.seeds] == pytest.approx([551, 561, 591])


def test_many_cells_of_another_design_are_not_averaged():
    """Where not every combination is there, an average by level would compare unlike cells: neighbours are shown."""
    cells = list(itertools.product(*FACTORS.values()))[:-1]
    curves = curves_of(epochs_of(cells), is_balanced=False)
    assert curves.shown == "neighbours"
    titles = [panel.title for panel in curves.panels]
    assert titles == ["1, x", "1, y", "1, z", "1, w", "2, x", "3, x", "4, x"]


def test_long_trainings_are_thinned():
    """Of many epochs few are drawn, the first and the last among them; of many seeds the first have lines."""
    [panel] = curves_of(epochs_of([("1", "x")], n_seeds=MOST_SEED_LINES + 5, n_epochs=1000)).panels
    assert len(panel.seeds) == MOST_SEED_LINES
    assert len(panel.mean.epochs) == MOST_EPOCHS
    assert (panel.mean.epochs[0], panel.mean.epochs[-1]) == (1, 1000)
    assert panel.seeds[0].values.tolist() == panel.seeds[0].epochs.tolist()


def test_no_curves_of_what_no_run_has():
    """A metric without values, as validation without validation examples, has no curves."""
    assert curves_of(epochs_of([("1", "x")]), metric="train_loss") is None
