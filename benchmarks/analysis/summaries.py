"""What the runs of each cell say together."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from benchmarks.analysis.estimates import CONFIDENCE, Estimate, estimate
from benchmarks.analysis.tables import MISSING, factor_of, level_columns, refuse_repeated_runs
from benchmarks.metrics import FURTHER_METRICS
from benchmarks.results import FAILURES
from benchmarks.runs import Levels
from benchmarks.tasks import Task


@dataclass(frozen=True)
class CellSummary:
    """A cell: how many of its runs there are, and their outcome."""

    dataset: str
    task: Task
    levels: Levels
    n_planned: int
    n_done: int
    n_diverged: int
    n_failed: int
    """Runs without an outcome, whatever ended them."""
    n_missing: int
    outcome: Estimate
    """Over done and diverged runs; a diverged run counts at the level without learning, where there is one."""
    without_diverged: Estimate | None
    """Over done runs alone; None where that leaves out no outcome."""
    further: Mapping[str, Estimate]
    """Each further metric of the task over the done runs that have it."""
    parameters: int | None
    """None where no run tells."""

    @property
    def is_complete(self) -> bool:
        """Whether every planned run has an outcome."""
        return self.outcome.n == self.n_planned

    @property
    def divergence_rate(self) -> DivergenceRate:
        """Of the runs that ended."""
        return divergence_rate(self.n_diverged, self.n_done + self.n_diverged)


@dataclass(frozen=True)
class DivergenceRate:
    """How many of the runs that ended diverged."""

    n_diverged: int
    n: int
    share: float
    """NaN where no run ended."""
    low: float
    """Of Wilson's interval."""
    high: float


def sd_interval(found: Estimate) -> tuple[float, float]:
    """The 95 % chi-square interval of a normal sample's standard deviation; NaN where the mean has no interval."""
    if found.state != "interval":
        return math.nan, math.nan
    low, high = _sd_factors(found.n)
    return found.sd * low, found.sd * high


def divergence_rate(n_diverged: int, n: int) -> DivergenceRate:
    """The share of diverged runs with Wilson's interval, which also says something where none or all diverged."""
    if not n:
        return DivergenceRate(0, 0, math.nan, math.nan, math.nan)
    low, high = proportion_confint(n_diverged, n, alpha=1 - CONFIDENCE, method="wilson")
    return DivergenceRate(n_diverged, n, n_diverged / n, float(low), float(high))


@functools.cache
def _sd_factors(n: int) -> tuple[float, float]:
    """What a standard deviation of n values is multiplied by for the ends of its interval."""
    tail = (1 - CONFIDENCE) / 2
    ends = (stats.chi2.isf(each, n - 1) for each in (tail, 1 - tail))
    low, high = (math.sqrt((n - 1) / end) for end in ends)
    return low, high


def cell_summaries(runs: pd.DataFrame) -> list[CellSummary]:
    """Summarize each cell of a run table, in the table's order.

    Raises:
        ValueError: a cell has a seed twice.
    """
    refuse_repeated_runs(runs)
    # Columns are taken apart once: pandas takes longer to cut out ten thousand cells than all else here together.
    columns = {str(name): runs[name].to_numpy() for name in runs.columns}
    factors = {factor_of(column): column for column in level_columns(runs)}
    numbers, first_places = pd.factorize(runs["cell"])
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=len(first_places)))
    return [_summary(columns, factors, order[start:end]) for start, end in itertools.pairwise([0, *ends])]


def _summary(columns: Mapping[str, np.ndarray], factors: Mapping[str, str], rows: np.ndarray) -> CellSummary:
    first, statuses = rows[0], columns["status"][rows]
    counts = Counter(statuses)
    outcomes, is_done = columns["outcome"][rows], statuses == "done"
    done = rows[is_done]
    leaves_out = bool(np.isfinite(outcomes[statuses == "diverged"]).any())
    parameters = columns["parameters"][rows]
    known = parameters[np.isfinite(parameters)]
    task = columns["task"][first]
    return CellSummary(
        dataset=columns["dataset"][first],
        task=task,
        levels={factor: columns[column][first] for factor, column in factors.items()},
        n_planned=len(rows),
        n_done=counts["done"],
        n_diverged=counts["diverged"],
        n_failed=sum(counts[status] for status in FAILURES),
        n_missing=counts[MISSING],
        outcome=estimate(outcomes),
        without_diverged=estimate(outcomes[is_done]) if leaves_out else None,
        further={name: estimate(columns[name][done]) for name in FURTHER_METRICS[task]},
        parameters=int(known[0]) if len(known) else None,
    )
