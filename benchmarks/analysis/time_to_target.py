"""How long training takes to reach a target, where some runs never do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.analysis.tables import factor_of, level_columns
from benchmarks.training.metrics import METRICS

LEAST_RUNS = 5

TimeUnit = Literal["epochs", "seconds"]


@dataclass(frozen=True)
class Survival:
    """When runs reach a target: the Kaplan-Meier estimate."""

    n: int
    n_reached: int
    times: tuple[float, ...]
    not_reached: tuple[float, ...]
    """The share that has not reached the target after each of the times; both empty below the least number of runs."""
    horizon: float
    """Up to when the mean is taken: the longest time that was watched."""
    restricted_mean: float
    """Mean time to the target, the horizon standing for what comes after it; NaN below the least number of runs."""
    median: float
    """When half have reached it; NaN where fewer ever do."""


@dataclass(frozen=True)
class TimeToTarget:
    """The runs of one cell."""

    levels: Mapping[str, str]
    reached: tuple[float, ...]
    """When each run that reached the target did so, in the order of seeds."""
    n_left_out: int
    """Runs that failed or are missing."""
    survival: Survival


def survival_of(reached: Sequence[float], censored: Sequence[float], horizon: float | None = None) -> Survival:
    """Estimate how long it takes.

    Args:
        reached: times of the runs that reached the target.
        censored: how long each of the others was watched.
        horizon: up to when the mean is taken; the longest time if it is not given.
    """
    n = len(reached) + len(censored)
    until = max([*reached, *censored], default=math.nan) if horizon is None else horizon
    if n < LEAST_RUNS:
        return Survival(n, len(reached), (), (), until, math.nan, math.nan)
    found = stats.ecdf(stats.CensoredData(uncensored=list(reached), right=list(censored))).sf
    times, shares = found.quantiles, found.probabilities
    inside = times < until
    steps = np.diff(np.concatenate([[0.0], times[inside], [until]]))
    mean = float((steps * np.concatenate([[1.0], shares[inside]])).sum())
    # Rounding must not hide that half of the runs are there.
    half = times[shares <= 0.5 + 1e-12]
    median = float(half[0]) if len(half) else math.nan
    return Survival(n, len(reached), tuple(times.tolist()), tuple(shares.tolist()), float(until), mean, median)


def times_to_target(
    epochs: pd.DataFrame, runs: pd.DataFrame, metric: str, target: float, unit: TimeUnit = "epochs"
) -> list[TimeToTarget]:
    """When the runs of each cell of one dataset first reach a value of a metric.

    A run that diverged or stopped early would never have come there: it is watched, in vain, for as long as the
    longest run of the dataset. A run that failed or is missing tells nothing, and is counted.

    Args:
        epochs: rows of one dataset of what `epoch_table` gave.
        runs: rows of the same dataset of what `run_table` gave.
        metric: a metric that is followed over the epochs.
        target: what is to be reached, from below where more is better and else from above.
        unit: of the times; seconds are the run's own, spread evenly over its epochs.
    """
    signed = (1 if METRICS[metric].better == "higher" else -1) * (epochs[metric] - target)
    by_run = epochs.assign(there=epochs["epoch"].where(signed >= 0)).groupby(["cell", "seed"])
    lengths, first_there = by_run["epoch"].max(), by_run["there"].min()
    kept = runs[runs["status"].isin(["done", "diverged"])].set_index(["cell", "seed"])
    pace = kept["seconds"] / lengths.reindex(kept.index) if unit == "seconds" else pd.Series(1.0, index=kept.index)
    watched, when = lengths.reindex(kept.index) * pace, first_there.reindex(kept.index) * pace
    horizon = float(watched.max())
    found = []
    for number, cell in runs.groupby("cell", sort=False):
        own = when[when.index.get_level_values("cell") == number].sort_index()
        reached = [float(time) for time in own.dropna()]
        survival = survival_of(reached, [horizon] * (len(own) - len(reached)), horizon)
        levels = {factor_of(column): str(cell[column].iloc[0]) for column in level_columns(cell)}
        found.append(TimeToTarget(levels, tuple(reached), len(cell) - len(own), survival))
    return found
