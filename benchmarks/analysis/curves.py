"""Learning curves as small multiples: a panel for each cell, or for fewer things where there are many cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.analysis.tables import level_column
from benchmarks.runs import Factors

MOST_CELLS = 12
"""Cells of one dataset that all have a panel."""

MOST_PANELS = 24
MOST_SEED_LINES = 10
MOST_EPOCHS = 40
"""Epochs that are drawn of a longer training, evenly spread, the first and the last among them."""


Shown = Literal["cells", "neighbours", "levels"]
"""What has a panel: every cell; the baseline cell and those that differ from it in one factor; or every level, averaged
over the cells that have it."""


@dataclass(frozen=True)
class Line:
    """A metric over the epochs."""

    epochs: np.ndarray
    values: np.ndarray
    diverged: bool = False


@dataclass(frozen=True)
class Panel:
    """The lines of one cell or level."""

    title: str
    group: str
    """What its baseline is shared by: empty for cells, the factor for levels."""
    is_baseline: bool
    mean: Line | None
    """Over the runs that are done; None where none is."""
    seeds: tuple[Line, ...]


@dataclass(frozen=True)
class Curves:
    """The panels of one metric on one dataset."""

    metric: str
    panels: tuple[Panel, ...]
    shown: Shown
    n_left_out: int
    """Panels that there was no room for."""


def learning_curves(epochs: pd.DataFrame, metric: str, factors: Factors, is_balanced: bool) -> Curves | None:
    """Arrange the curves of one metric on one dataset; None where no run has any.

    Args:
        epochs: rows of one dataset of what `epoch_table` gave.
        metric: one of its metrics.
        factors: every factor of the suite.
        is_balanced: whether the design has every combination of levels, so that levels can be averaged over cells.
    """
    known = epochs[epochs[metric].notna()]
    if known.empty:
        return None
    shown: Shown = "cells"
    if known["cell"].nunique() > MOST_CELLS:
        shown = "levels" if is_balanced else "neighbours"
    if shown == "levels":
        panels = _level_panels(known, metric, factors)
    else:
        panels = _cell_panels(_neighbours(known, factors) if shown == "neighbours" else known, metric, factors)
    return Curves(metric, tuple(panels[:MOST_PANELS]), shown, max(0, len(panels) - MOST_PANELS)) if panels else None


def _neighbours(epochs: pd.DataFrame, factors: Factors) -> pd.DataFrame:
    """The epochs of the cells that differ from the baseline cell in at most one factor."""
    levels = epochs[[level_column(factor) for factor in factors]]
    return epochs.loc[(levels != [factors.baseline[factor] for factor in factors]).sum(axis="columns") <= 1]


def _cell_panels(epochs: pd.DataFrame, metric: str, factors: Factors) -> list[Panel]:
    panels = []
    for _, cell in epochs.groupby("cell", sort=True):
        levels = {factor: cell[level_column(factor)].iloc[0] for factor in factors}
        lines = [
            _line(run["epoch"], run[metric], bool((run["status"] == "diverged").any()))
            for _, run in cell.groupby("seed", sort=True)
        ]
        is_baseline = levels == dict(factors.baseline)
        title, seeds = ", ".join(levels.values()), tuple(lines[:MOST_SEED_LINES])
        panels.append(Panel(title, "", is_baseline, _mean(cell, metric), seeds))
    return panels


def _level_panels(epochs: pd.DataFrame, metric: str, factors: Factors) -> list[Panel]:
    done = epochs[epochs["status"] == "done"]
    panels = []
    for factor, levels in factors.items():
        for level in levels:
            at_level = done[done[level_column(factor)] == level]
            if at_level.empty:
                continue
            lines = [_mean(of_seed, metric) for _, of_seed in at_level.groupby("seed", sort=True)]
            seeds = tuple(line for line in lines if line)[:MOST_SEED_LINES]
            is_baseline = level == factors.baseline[factor]
            panels.append(Panel(f"{factor} = {level}", factor, is_baseline, _mean(at_level, metric), seeds))
    return panels


def _mean(epochs: pd.DataFrame, metric: str) -> Line | None:
    """The mean over done runs at each epoch that all of them have."""
    done = epochs[epochs["status"] == "done"]
    if done.empty:
        return None
    by_epoch = done.groupby("epoch", sort=True)[metric].agg(["mean", "count"])
    everywhere = by_epoch[by_epoch["count"] == by_epoch["count"].max()]
    return _line(everywhere.index.to_series(), everywhere["mean"])


def _line(epochs: pd.Series, values: pd.Series, diverged: bool = False) -> Line:
    spread = np.linspace(0, len(epochs) - 1, min(len(epochs), MOST_EPOCHS))
    kept = np.unique([math.floor(position + 0.5) for position in spread])
    return Line(epochs.to_numpy()[kept], values.to_numpy()[kept], diverged)
