"""What two factors do together: the mean of every combination of their levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.analysis.contrasts import is_balanced
from benchmarks.analysis.estimates import Estimate, estimate
from benchmarks.analysis.tables import level_column
from benchmarks.metrics import OUTCOME_METRICS
from benchmarks.runs import Factors


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
