"""Differences between levels, paired over seeds, and oriented so that more is better.

A simple contrast compares the cell that differs from the baseline cell in one factor only with the baseline cell. A
main effect compares two levels of a factor after averaging over all other factors within each seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from benchmarks.analysis.estimates import Estimate, estimate
from benchmarks.analysis.tables import level_column, refuse_repeated_runs
from benchmarks.metrics import METRICS, OUTCOME_METRICS
from benchmarks.runs import Factors

LEAST_SEEDS_FOR_MAIN_EFFECTS = 6

Kind = Literal["simple", "main"]


@dataclass(frozen=True)
class Pair:
    """One seed's difference."""

    seed: int
    difference: float
    """Level minus baseline, or baseline minus level where less is better; NaN where either run has no outcome."""
    diverged: bool
    """Whether a run of it diverged, so that its outcome is the level without learning."""


@dataclass(frozen=True)
class Contrast:
    """A level of a factor against the baseline level, on one dataset; positive where the level is better."""

    kind: Kind
    dataset: str
    factor: str
    level: str
    in_design: bool
    """False where the suite has no such cell, or no baseline cell, so that there is nothing to compare."""
    pairs: tuple[Pair, ...]
    """One per planned seed; for a main effect, each is a mean over cells."""
    estimate: Estimate
    without_diverged: Estimate | None
    """Over the pairs of which no run diverged; None where that leaves out no difference."""

    @property
    def n_planned(self) -> int:
        """Pairs that the suite plans."""
        return len(self.pairs)


def simple_contrasts(runs: pd.DataFrame, factors: Factors) -> list[Contrast]:
    """Contrast every level of every factor with the baseline, per dataset of what `run_table` gave.

    Raises:
        ValueError: a cell has a seed twice.
    """
    refuse_repeated_runs(runs)
    by_dataset = runs.groupby("dataset", sort=False)
    return [each for name, own in by_dataset for each in _contrasts("simple", str(name), own, factors)]


def main_effects(runs: pd.DataFrame, factors: Factors) -> list[Contrast]:
    """Contrast the levels of every factor, averaged over the other factors within each seed, per dataset.

    Only datasets that have nothing in the way are there; see `main_effects_obstacle`.

    Raises:
        ValueError: a cell has a seed twice.
    """
    refuse_repeated_runs(runs)
    by_dataset = runs.groupby("dataset", sort=False)
    balanced = [(str(name), own) for name, own in by_dataset if not main_effects_obstacle(own, factors)]
    return [each for name, own in balanced for each in _contrasts("main", name, own, factors)]


def main_effects_obstacle(runs: pd.DataFrame, factors: Factors) -> str | None:
    """Why the runs of a dataset give no main effects, as a clause; None where they do."""
    n_seeds = runs["seed"].nunique()
    if len(factors) == 1:
        return "with one factor they would be the differences above"
    if not is_balanced(runs, factors):
        return "they need every combination of levels in the design"
    if n_seeds < LEAST_SEEDS_FOR_MAIN_EFFECTS:
        return f"they need {LEAST_SEEDS_FOR_MAIN_EFFECTS} seeds and the suite has {n_seeds}"
    if runs["outcome"].isna().any():
        return f"{int(runs['outcome'].isna().sum())} of {len(runs)} runs have no outcome"
    return None


def is_balanced(runs: pd.DataFrame, factors: Factors) -> bool:
    """Whether the design of a dataset's runs has every combination of levels."""
    return bool(runs["cell"].nunique() == math.prod(len(levels) for levels in factors.values()))


def oriented(runs: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """The runs of one dataset with a metric for their outcome, turned so that more is better.

    Args:
        runs: rows of one dataset of what `run_table` gave.
        metric: None is the task's outcome metric. The level without learning is known of that one alone: in any other,
            a diverged run has no value.
    """
    name = metric or OUTCOME_METRICS[runs["task"].iloc[0]]
    values = runs["outcome"] if name == OUTCOME_METRICS[runs["task"].iloc[0]] else runs[name]
    return runs.assign(outcome=values * METRICS[name].sign)


def level_pairs(
    runs: pd.DataFrame, factors: Factors, factor: str, level: str, than: str, fixed: Mapping[str, str]
) -> tuple[Pair, ...] | None:
    """Differences of two levels in what `oriented` gave, averaged within each seed over the factors that are not fixed.

    One pair a planned seed, NaN where any run of it has no value; None where the design lacks a cell.
    """
    held = (runs[[level_column(each) for each in fixed]] == list(fixed.values())).all(axis="columns")
    free = [len(levels) for each, levels in factors.items() if each != factor and each not in fixed]
    sides = [runs[held & (runs[level_column(factor)] == each)] for each in (level, than)]
    if any(side["cell"].nunique() != math.prod(free) for side in sides):
        return None
    return _pairs(_seed_means(sides[0]), _seed_means(sides[1]))


def _contrasts(kind: Kind, dataset: str, runs: pd.DataFrame, factors: Factors) -> Iterator[Contrast]:
    """Every level against its baseline: the other factors are at theirs, or averaged over for a main effect."""
    turned, baseline = oriented(runs), factors.baseline
    for factor, levels in factors.items():
        fixed = {each: baseline[each] for each in factors if each != factor and kind == "simple"}
        for level in levels:
            if level != baseline[factor]:
                pairs = level_pairs(turned, factors, factor, level, baseline[factor], fixed)
                yield _contrast(kind, dataset, factor, level, pairs)


def _seed_means(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over cells, seed by seed; NaN where one of the runs has no outcome."""
    outcomes = runs.pivot(index="seed", columns="cell", values="outcome").mean(axis="columns", skipna=False)
    diverged = (runs["status"] == "diverged").groupby(runs["seed"]).any()
    return pd.DataFrame({"outcome": outcomes, "diverged": diverged})


def _pairs(level: pd.DataFrame, base: pd.DataFrame) -> tuple[Pair, ...]:
    differences = (level["outcome"] - base["outcome"]).sort_index()
    diverged = {seed for each in (level, base) for seed in each.index[each["diverged"]]}
    return tuple(
        Pair(int(seed), float(difference), seed in diverged)
        for seed, difference in zip(differences.index, differences, strict=True)
    )


def _contrast(kind: Kind, dataset: str, factor: str, level: str, pairs: tuple[Pair, ...] | None) -> Contrast:
    known = pairs or ()
    counted = [pair for pair in known if math.isfinite(pair.difference)]
    without = [pair.difference for pair in counted if not pair.diverged]
    return Contrast(
        kind,
        dataset,
        factor,
        level,
        in_design=pairs is not None,
        pairs=known,
        estimate=estimate(pair.difference for pair in known),
        without_diverged=estimate(without) if len(without) < len(counted) else None,
    )
