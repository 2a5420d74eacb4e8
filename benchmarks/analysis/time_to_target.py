"""How long training takes to reach a target, where some runs never do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.analysis.tables import factor_of, level_columns
from benchmarks.metrics import METRICS

LEAST_RUNS = 5


@dataclass(frozen=True, kw_only=True)
class Survival:
    """When runs reach a target: the Kaplan-Meier estimate."""

    n: int
    n_reached: int
    times: tuple[float, ...] = ()
    not_reached: tuple[float, ...] = ()
    """The share that has not reached the target after each of the times; both empty below the least number of runs."""
    watched: float
    """The longest time that a run was watched for."""
    horizon: float
    """Up to when the mean is taken."""
    restricted_mean: float = math.nan
    """Mean time to the target, the horizon standing for what comes after it; NaN below the least number of runs."""
    median: float = math.nan
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
    watched = max([*reached, *censored], default=math.nan)
    until = watched if horizon is None else horizon
    if n < LEAST_RUNS:
        return Survival(n=n, n_reached=len(reached), watched=watched, horizon=until)
    found = stats.ecdf(stats.CensoredData(uncensored=list(reached), right=list(censored))).sf
    times, shares = found.quantiles, found.probabilities
    inside = times < until
    steps = np.diff(np.concatenate([[0.0], times[inside], [until]]))
    mean = float((steps * np.concatenate([[1.0], shares[inside]])).sum())
    # Rounding must not hide that half of the runs are there.
    half = times[shares <= 0.5 + 1e-12]
    median = float(half[0]) if len(half) else math.nan
    return Survival(
        n=n,
        n_reached=len(reached),
        times=tuple(times.tolist()),
        not_reached=tuple(shares.tolist()),
        watched=watched,
        horizon=float(until),
        restricted_mean=mean,
        median=median,
    )


def times_to_target(epochs: pd.DataFrame, runs: pd.DataFrame, metric: str, target: float) -> list[TimeToTarget]:
    """When the runs of each cell of one dataset first reach a value of a metric, in epochs.

    A run that diverged or was stopped early would not have come there: it is watched, in vain, to the end of its plan.
    What it would have done beyond that nobody knows, so means are taken up to the end of the shortest plan. A run that
    failed or is missing tells nothing, and is counted.

    Args:
        epochs: rows of one dataset of what `epoch_table` gave.
        runs: rows of the same dataset of what `run_table` gave.
        metric: a metric that is followed over the epochs.
        target: what is to be reached, from below where more is better and else from above.
    """
    signed = METRICS[metric].sign * (epochs[metric] - target)
    first_there = epochs.assign(there=epochs["epoch"].where(signed >= 0)).groupby(["cell", "seed"])["there"].min()
    kept = runs[runs["status"].isin(["done", "diverged"])].set_index(["cell", "seed"])
    when, ends = first_there.reindex(kept.index), _planned_ends(epochs, kept)
    horizon = float(ends.min())
    found = []
    for number, cell in runs.groupby("cell", sort=False):
        own = when[when.index.get_level_values("cell") == number].sort_index()
        reached = [float(time) for time in own.dropna()]
        survival = survival_of(reached, [float(end) for end in ends[own.index][own.isna()]], horizon)
        levels = {factor_of(column): str(cell[column].iloc[0]) for column in level_columns(cell)}
        found.append(TimeToTarget(levels, tuple(reached), len(cell) - len(own), survival))
    return found


def _planned_ends(epochs: pd.DataFrame, kept: pd.DataFrame) -> pd.Series:
    """The epochs that each run was to have.

    Where the length is planned in steps or images, those that the longest run of its cell had that is done, or else the
    longest of the dataset.
    """
    lengths = epochs.groupby(["cell", "seed"])["epoch"].max().reindex(kept.index)
    of_cells = lengths.where(kept["status"] == "done").groupby(level="cell").transform("max")
    return kept["planned_epochs"].fillna(of_cells).fillna(lengths.max())
