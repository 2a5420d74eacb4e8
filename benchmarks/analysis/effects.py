"""What factors do together, and how much each explains.

Interactions and importance need a balanced table: every combination of levels, with every seed and an outcome in each.
`effects_obstacle` says in words what is in the way, and then there is nothing to show.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from benchmarks.analysis.contrasts import Pair, is_balanced, level_pairs, oriented
from benchmarks.analysis.estimates import Estimate, estimate, is_degenerate, p_against_zero
from benchmarks.analysis.tables import factor_of, level_column, level_columns, refuse_repeated_runs
from benchmarks.metrics import OUTCOME_METRICS
from benchmarks.runs import Factors
from benchmarks.suite.claims import LEAST_SEEDS

LEAST_SEEDS_FOR_IMPORTANCE = 3


@dataclass(frozen=True)
class Interaction:
    """How much more a change of one factor does at one level of another factor than at a second one."""

    dataset: str
    factor: str
    level: str
    than: str
    at_factor: str
    at_level: str
    at_than: str
    pairs: tuple[Pair, ...]
    """Per seed: (level - than at `at_level`) - (level - than at `at_than`)."""
    estimate: Estimate
    p: float
    """Of the t test against no interaction, not adjusted; NaN where the pairs do not vary."""


@dataclass(frozen=True)
class Importance:
    """The share of the variance between runs that a factor, or two together, explain."""

    dataset: str
    term: tuple[str, ...]
    """One factor, or two whose interaction it is."""
    df: int
    f: float
    p: float
    omega_squared: float
    """About the share of variance explained; chance puts it a little below zero where there is nothing."""


def effects_obstacle(runs: pd.DataFrame, factors: Factors, least_seeds: int) -> str | None:
    """Why the runs of one dataset give no effects, as a clause; None where they do."""
    if not is_balanced(runs, factors):
        n_cells = math.prod(len(levels) for levels in factors.values())
        return f"they need all {n_cells} combinations of levels, and the design has {runs['cell'].nunique()}"
    seeds = runs.groupby("cell")["seed"].agg(frozenset)
    if seeds.nunique() > 1:
        return "they need the same seeds in every cell"
    if len(seeds.iloc[0]) < least_seeds:
        return f"they need {least_seeds} seeds and the suite has {len(seeds.iloc[0])}"
    holes = int(runs["outcome"].isna().sum())
    return f"{holes} of {len(runs)} runs have no outcome" if holes else None


def interactions(runs: pd.DataFrame, factors: Factors) -> list[Interaction]:
    """The interaction of every two factors, for every pair of their levels, per dataset.

    Of a pair of levels, the baseline is what the other is compared with, or else the one that is named first.
    Datasets with anything in the way are left out; see `effects_obstacle`, of `LEAST_SEEDS`.
    """
    found = []
    for dataset, of_dataset in _balanced(runs, factors, LEAST_SEEDS):
        for first, second in itertools.combinations(factors, 2):
            changes, places = (_level_pairs_of(factors[each], factors.baseline[each]) for each in (first, second))
            for (level, than), (at_level, at_than) in itertools.product(changes, places):
                here, there = (
                    level_pairs(of_dataset, factors, first, level, than, {second: at}) or ()
                    for at in (at_level, at_than)
                )
                pairs = tuple(
                    Pair(a.seed, a.difference - b.difference, a.diverged or b.diverged)
                    for a, b in zip(here, there, strict=True)
                )
                differences = estimate(pair.difference for pair in pairs)
                names = (first, level, than, second, at_level, at_than)
                found.append(Interaction(dataset, *names, pairs, differences, p_against_zero(differences)))
    return found


def importance(runs: pd.DataFrame, factors: Factors) -> list[Importance]:
    """What each factor and each two factors explain, beside the seeds, per dataset; the largest share first.

    Datasets with anything in the way are left out; see `effects_obstacle`, of `LEAST_SEEDS_FOR_IMPORTANCE`.
    """
    found = []
    for dataset, of_dataset in _balanced(runs, factors, LEAST_SEEDS_FOR_IMPORTANCE):
        if not is_degenerate(of_dataset["outcome"].to_numpy()):
            found += sorted(_shares(dataset, of_dataset, list(factors)), key=lambda each: -each.omega_squared)
    return found


def _shares(dataset: str, runs: pd.DataFrame, factors: Sequence[str]) -> list[Importance]:
    # Names of settings are no names of variables in a formula.
    short = {f"f{number}": factor for number, factor in enumerate(factors)}
    table = pd.DataFrame({name: runs[level_column(factor)] for name, factor in short.items()})
    # Around their mean and in units of their spread, sums of squares keep all their digits.
    outcomes = runs["outcome"] - runs["outcome"].mean()
    table = table.assign(y=outcomes / outcomes.abs().max(), seed=runs["seed"])
    terms = [(name,) for name in short] + list(itertools.combinations(short, 2))
    written = {term: ":".join(f"C({name})" for name in term) for term in terms}
    fitted = ols("y ~ " + " + ".join([*written.values(), "C(seed)"]), data=table).fit()
    found = anova_lm(fitted, typ=2)
    error, total = fitted.mse_resid, found["sum_sq"].sum()
    return [
        Importance(
            dataset=dataset,
            term=tuple(short[name] for name in term),
            df=int(row["df"]),
            f=float(row["F"]),
            p=float(row["PR(>F)"]),
            omega_squared=float((row["sum_sq"] - row["df"] * error) / (total + error)),
        )
        for term, row in ((term, found.loc[text]) for term, text in written.items())
    ]


@dataclass(frozen=True)
class CellMeans:
    """The mean of every combination of the levels of two factors, on one dataset."""

    dataset: str
    metric: str
    first: str
    second: str
    first_levels: tuple[str, ...]
    second_levels: tuple[str, ...]
    means: Mapping[tuple[str, str], Estimate]
    """(level of the first, level of the second) -> over the seeds; a combination that is not in the design has none."""
    n_planned: int
    """Seeds that each should have."""
    averaged_over: tuple[str, ...]
    """Other factors that are averaged over within each seed."""
    held: Mapping[str, str]
    """Other factors that are held at their baseline, where the design lacks combinations."""


def cell_means(runs: pd.DataFrame, factors: Factors, first: str, second: str) -> CellMeans:
    """The mean of each combination of two factors, over the others where the design has every combination of these.

    A seed of which a run has no value counts for nothing; the number of seeds tells. The runs are of one dataset.
    """
    others = [each for each in factors if each not in (first, second)]
    balanced = is_balanced(runs, factors)
    held = {} if balanced else {each: factors.baseline[each] for each in others}
    kept = runs[(runs[[level_column(each) for each in held]] == list(held.values())).all(axis="columns")]
    means = {}
    for (one, other), cells in kept.groupby([level_column(first), level_column(second)], sort=False):
        by_seed = cells.pivot(index="seed", columns="cell", values="outcome").mean(axis="columns", skipna=False)
        means[str(one), str(other)] = estimate(by_seed)
    return CellMeans(
        str(runs["dataset"].iloc[0]),
        OUTCOME_METRICS[runs["task"].iloc[0]],
        first,
        second,
        tuple(factors[first]),
        tuple(factors[second]),
        means,
        int(runs["seed"].nunique()),
        tuple(others) if balanced else (),
        held,
    )


@dataclass(frozen=True)
class ParetoPoint:
    """A cell by what it costs and what it gives."""

    dataset: str
    levels: Mapping[str, str]
    outcome: float
    """Mean over the seeds, as it is measured."""
    cost: float
    """Mean over the seeds."""
    is_on_front: bool
    """Whether no other cell of the dataset is as good for less, or better for as much."""


def pareto_points(runs: pd.DataFrame, cost: str) -> list[ParetoPoint]:
    """Every cell whose runs all have an outcome and a cost, with the front of each dataset.

    Args:
        runs: what `run_table` gave, perhaps with further columns.
        cost: the column of what is to be small, such as "seconds" or "parameters".
    """
    refuse_repeated_runs(runs)
    points = []
    for dataset, of_dataset in runs.groupby("dataset", sort=False):
        turned = oriented(of_dataset)
        by_cell = turned.groupby("cell", sort=False)
        whole = by_cell[["outcome", cost]].count().eq(by_cell.size(), axis="index").all(axis="columns")
        cells = by_cell[["outcome", cost]].mean()[whole]
        outcomes, prices = cells["outcome"].to_numpy(), cells[cost].to_numpy()
        as_measured = of_dataset.groupby("cell", sort=False)["outcome"].mean()[cells.index]
        columns = level_columns(of_dataset)
        first = of_dataset.drop_duplicates("cell").set_index("cell")[columns].loc[cells.index].astype(str)
        for outcome, price, measured, labels in zip(outcomes, prices, as_measured, first.to_numpy(), strict=True):
            is_beaten = (outcomes >= outcome) & (prices <= price) & ((outcomes > outcome) | (prices < price))
            levels = dict(zip(map(factor_of, columns), labels, strict=True))
            points.append(ParetoPoint(str(dataset), levels, float(measured), float(price), not is_beaten.any()))
    return points


def _balanced(runs: pd.DataFrame, factors: Factors, least_seeds: int) -> list[tuple[str, pd.DataFrame]]:
    """The datasets that have nothing in the way, their outcomes turned so that more is better."""
    refuse_repeated_runs(runs)
    return [
        (str(dataset), oriented(of_dataset))
        for dataset, of_dataset in runs.groupby("dataset", sort=False)
        if effects_obstacle(of_dataset, factors, least_seeds) is None
    ]


def _level_pairs_of(levels: Sequence[str], baseline: str) -> list[tuple[str, str]]:
    """Every pair of levels, as (level, what it is compared with)."""
    ordered = sorted(levels, key=lambda level: level != baseline)
    return [(level, than) for than, level in itertools.combinations(ordered, 2)]
