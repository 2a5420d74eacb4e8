"""The sections of a report that a design or a number of seeds may not support: what they hold, or why not.

Where a suite is too large for a section, the section is about part of it and says so.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from benchmarks.analysis.contrasts import Contrast, Factors, oriented
from benchmarks.analysis.effects import (
    LEAST_SEEDS_FOR_IMPORTANCE,
    Importance,
    Interaction,
    ParetoPoint,
    effects_obstacle,
    importance,
    interactions,
    pareto_points,
)
from benchmarks.analysis.estimates import half_widths
from benchmarks.analysis.ranks import LEAST_DATASETS_FOR_RANKS, Ranks, rank_over_datasets
from benchmarks.analysis.tables import level_column
from benchmarks.analysis.time_to_target import LEAST_RUNS, TimeToTarget, times_to_target
from benchmarks.labels import NOTHING, counted, whole
from benchmarks.metrics import CURVE_METRICS, METRICS, Metric
from benchmarks.plan.comparisons import Estimable
from benchmarks.report import limits
from benchmarks.suite.claims import LEAST_SEEDS
from benchmarks.tasks import Task

SIZES = (3, 6, 10, 20, 40)
"""Numbers of seeds for which the precision is told."""

COSTS: Mapping[str, str] = {
    "seconds": "seconds of training",
    "parameters": "trainable parameters",
    "macs": "multiply-accumulates an example",
}
"""Column of the run table -> what it is."""


@dataclass(frozen=True)
class Interactions:
    """What two factors do together."""

    found: tuple[tuple[Interaction, float], ...]
    """Each with its p adjusted for false discoveries; the smallest p first."""
    obstacle: str | None
    """Why there are none, as a clause."""


@dataclass(frozen=True)
class Importances:
    """How much each factor explains."""

    found: tuple[Importance, ...]
    obstacle: str | None


@dataclass(frozen=True)
class Times:
    """When runs reach what the baseline has at the end."""

    metric: Metric | None
    target: float
    found: tuple[TimeToTarget, ...]
    n_cells: int
    """Cells of the dataset; `found` may hold fewer."""
    obstacle: str | None


@dataclass(frozen=True)
class Pareto:
    """Outcome against one cost."""

    cost: str
    """Name of its column."""
    title: str
    points: tuple[ParetoPoint, ...]
    n_cells: int
    """Cells of the dataset; those that are not among the points are on no front."""

    @property
    def front(self) -> list[ParetoPoint]:
        """The cells that no other one beats, the cheapest first."""
        return sorted((each for each in self.points if each.is_on_front), key=lambda each: each.cost)


@dataclass(frozen=True)
class Precision:
    """How wide the interval of a difference would be with other numbers of seeds."""

    sd: float
    """The median over the differences of the dataset of their standard deviation over the seeds."""
    n_differences: int
    half_widths: tuple[tuple[int, float], ...]
    """Seeds -> half of the width of a 95 % interval."""


@dataclass(frozen=True)
class Sections:
    """All of them, for one dataset."""

    interactions: Interactions
    importance: Importances
    times: Times
    pareto: tuple[Pareto, ...]
    precision: Precision | None
    """None where no difference has an interval."""


def sections_of(
    task: Task,
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    factors: Factors,
    baseline: Mapping[str, str],
    design: Estimable,
    contrasts: Iterable[Contrast],
) -> Sections:
    """Work out the sections of one dataset.

    Args:
        task: of the dataset.
        runs: its rows of what `run_table` gave.
        epochs: its rows of what `epoch_table` gave.
        factors: every factor of the suite.
        baseline: factor -> label of its baseline level.
        design: what the suite can estimate.
        contrasts: its simple contrasts.
    """
    return Sections(
        _interactions(runs, factors, baseline, design),
        _importance(runs, factors),
        _times(task, runs, epochs, factors, baseline),
        tuple(_pareto(runs, cost) for cost in COSTS),
        _precision(contrasts, runs["seed"].nunique()),
    )


def ranks_of(runs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str]) -> Ranks:
    """Rank the cells over the datasets; where they are many, the baseline and those that differ in one factor."""
    cells = runs.drop_duplicates("cell")
    levels = cells[[level_column(factor) for factor in factors]]
    titles = pd.Series([", ".join(each) for each in levels.to_numpy()], index=cells["cell"])
    if titles.nunique() > limits.MOST_RANKED_CELLS:
        is_near = (levels != list(baseline.values())).sum(axis="columns") <= 1
        titles = titles[is_near.to_numpy()]
    n_datasets = runs["dataset"].nunique()
    if titles.nunique() > limits.MOST_RANKED_CELLS and n_datasets >= LEAST_DATASETS_FOR_RANKS:
        obstacle = (
            f"they are given for {limits.MOST_RANKED_CELLS} cells at most, and {titles.nunique()} differ in one factor"
        )
        return Ranks(obstacle, n_datasets, {}, math.nan, (), "")
    named = runs[runs["cell"].isin(titles.index)]
    named = named.assign(title=named["cell"].map(titles))
    means = {
        dataset: oriented(own).groupby("title", sort=False)["outcome"].agg(lambda each: each.mean(skipna=False))
        for dataset, own in named.groupby("dataset", sort=False)
    }
    return rank_over_datasets(pd.DataFrame(means).T)


def _interactions(runs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str], design: Estimable) -> Interactions:
    obstacle = _interactions_obstacle(runs, factors, design)
    if obstacle:
        return Interactions((), obstacle)
    found = interactions(runs, factors, baseline)
    p = [1.0 if math.isnan(each.p) else each.p for each in found]
    together = zip(found, map(float, stats.false_discovery_control(p)), strict=True)
    return Interactions(
        tuple(sorted(together, key=lambda each: math.inf if math.isnan(each[0].p) else each[0].p)), None
    )


def _interactions_obstacle(runs: pd.DataFrame, factors: Factors, design: Estimable) -> str | None:
    if len(factors) < 2:
        return "there is one factor"
    if not design.interactions:
        return f"the design does not allow it. {design.note.rstrip('.')}"
    pairs_of_levels = {factor: math.comb(len(levels), 2) for factor, levels in factors.items()}
    number = sum(first * second for first, second in itertools.combinations(pairs_of_levels.values(), 2))
    if number * len(runs) > limits.MOST_WORK:
        return f"there are {whole(number)} of them, over {counted(len(runs), 'run')}: too many for a report"
    return effects_obstacle(runs, factors, LEAST_SEEDS)


def _importance(runs: pd.DataFrame, factors: Factors) -> Importances:
    if len(factors) < 2:
        return Importances((), "there is one factor")
    degrees = [len(levels) - 1 for levels in factors.values()]
    terms = sum(degrees) + sum(first * second for first, second in itertools.combinations(degrees, 2))
    obstacle = effects_obstacle(runs, factors, LEAST_SEEDS_FOR_IMPORTANCE)
    if not obstacle and terms * len(runs) > limits.MOST_WORK:
        obstacle = f"an analysis of variance of {counted(len(runs), 'run')} with {whole(terms)} terms is too large"
    if obstacle:
        return Importances((), obstacle)
    found = tuple(importance(runs, factors))
    return Importances(found, None if found else "all outcomes are equal")


def _times(
    task: Task, runs: pd.DataFrame, epochs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str]
) -> Times:
    name = CURVE_METRICS[task][0]
    n_cells = runs["cell"].nunique()

    def without(obstacle: str) -> Times:
        return Times(None, math.nan, (), n_cells, obstacle)

    known = epochs[epochs[name].notna()] if len(epochs) else epochs
    if known.empty:
        return without(f"no run has a {METRICS[name].title} by epoch")
    columns = [level_column(factor) for factor in factors]
    is_baseline = (known[columns] == [baseline[factor] for factor in factors]).all(axis="columns")
    ends = known[is_baseline & (known["status"] == "done")].groupby("seed")[name].last()
    if ends.empty:
        return without("no run of the baseline is done")
    if runs["seed"].nunique() < LEAST_RUNS:
        return without(f"they need {LEAST_RUNS} seeds and the suite has {runs['seed'].nunique()}")
    target = float(ends.mean())
    kept = set(runs["cell"].drop_duplicates()[: limits.MOST_COMPARED_CELLS]) | set(known.loc[is_baseline, "cell"])
    found = times_to_target(known[known["cell"].isin(kept)], runs[runs["cell"].isin(kept)], name, target)
    return Times(METRICS[name], target, tuple(found), n_cells, None)


def _pareto(runs: pd.DataFrame, cost: str) -> Pareto:
    n_cells = runs["cell"].nunique()
    kept = runs if n_cells <= limits.MOST_COMPARED_CELLS else runs[runs["cell"].isin(_cells_near_front(runs, cost))]
    return Pareto(cost, COSTS[cost], tuple(pareto_points(kept, cost)), n_cells)


def _cells_near_front(runs: pd.DataFrame, cost: str) -> set[int]:
    """The cells on the front, and the first others: what lies behind one of the first lies behind the front."""
    by_cell = oriented(runs).groupby("cell", sort=False)
    complete = by_cell[["outcome", cost]].count().eq(by_cell.size(), axis="index").all(axis="columns")
    means = by_cell[["outcome", cost]].mean()[complete].sort_values([cost, "outcome"], ascending=[True, False])
    best_before = means["outcome"].cummax().shift(fill_value=-math.inf)
    # Of equals, which stand side by side, all are on it.
    on_front = (means["outcome"] > best_before).groupby([means[cost], means["outcome"]]).transform("any")
    return {*means.index[on_front], *runs["cell"].drop_duplicates()[: limits.MOST_COMPARED_CELLS]}


def _precision(contrasts: Iterable[Contrast], n_seeds: int) -> Precision | None:
    spreads = [each.estimate.sd for each in contrasts if each.estimate.state == "interval"]
    if not spreads:
        return None
    sd = statistics.median(spreads)
    sizes = sorted({*SIZES, n_seeds} - set(range(LEAST_SEEDS_FOR_IMPORTANCE)))
    return Precision(sd, len(spreads), tuple(zip(sizes, half_widths(sd, sizes).tolist(), strict=True)))


def time_told(found: TimeToTarget) -> str:
    """When the runs of a cell reach the target: the mean up to the horizon, or single times where runs are few."""
    survival = found.survival
    if not math.isnan(survival.restricted_mean):
        return f"{survival.restricted_mean:.3g}"
    return f"raw: {', '.join(f'{time:.3g}' for time in found.reached)}" if found.reached else NOTHING
