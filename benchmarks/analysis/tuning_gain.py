"""What tuning was worth: every cell with the settings that were found against the same cell without, seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.analysis.estimates import Estimate, estimate
from benchmarks.analysis.tables import factor_of, level_columns, run_table
from benchmarks.metrics import METRICS, OUTCOME_METRICS, Metric
from benchmarks.plan.study import Study


@dataclass(frozen=True)
class CellWorth:
    """What tuning was worth to one cell."""

    levels: Mapping[str, str]
    n_planned: int
    n_diverged: int
    """Runs of the pairs that diverged; each counts at the level without learning."""
    tuned: float
    """Mean outcome of the pairs with what was found."""
    untuned: float
    """Mean outcome of the pairs without."""
    gain: Estimate
    """Of tuned over untuned, paired over the seeds; positive means better."""
    is_changed: bool
    """Whether anything was found that differs from what the suite says."""


@dataclass(frozen=True)
class Worth:
    """What tuning was worth on one dataset."""

    dataset: str
    metric: Metric
    """The outcome."""
    cells: tuple[CellWorth, ...]
    overall: Estimate
    """Of the mean gain over all cells, with the seeds with which all cells have a pair."""

    @property
    def n_above(self) -> int:
        """Cells whose interval lies above zero."""
        return sum(each.gain.state == "interval" and each.gain.ci_low > 0 for each in self.cells)

    @property
    def n_below(self) -> int:
        """Cells whose interval lies below zero."""
        return sum(each.gain.state == "interval" and each.gain.ci_high < 0 for each in self.cells)

    @property
    def n_around(self) -> int:
        """Cells whose interval holds zero."""
        return sum(each.gain.state == "interval" for each in self.cells) - self.n_above - self.n_below


def worth_of_tuning(study: Study, tuned: pd.DataFrame) -> list[Worth]:
    """What tuning was worth, dataset by dataset; nothing where the suite does not ask for it.

    Args:
        study: which; its store holds the untuned runs.
        tuned: what `run_table` gave of the reported runs.

    Raises:
        StoreError: the store cannot be read.
    """
    if not study.untuned:
        return []
    parts = [run_table(part, stored, study.facts) for part, stored in study.stored_in_parts(study.untuned)]
    untuned = pd.concat(parts, ignore_index=True)
    place = ["dataset", *level_columns(tuned), "seed"]
    pairs = tuned.merge(untuned[[*place, "outcome", "status", "key"]], on=place, suffixes=("", "_untuned"))
    return [_worth(name, pairs[pairs["dataset"] == name]) for name in study.suite.datasets]


def _worth(dataset: str, pairs: pd.DataFrame) -> Worth:
    metric = METRICS[OUTCOME_METRICS[pairs["task"].iloc[0]]]
    pairs = pairs.assign(gain=metric.sign * (pairs["outcome"] - pairs["outcome_untuned"]))
    # A mean over fewer cells would be of another set of cells in each seed.
    by_seed = pairs.groupby("seed", sort=False)["gain"].agg(lambda gains: gains.mean(skipna=False))
    return Worth(dataset, metric, tuple(_cells(pairs)), estimate(by_seed))


def _cells(pairs: pd.DataFrame) -> Iterator[CellWorth]:
    columns = level_columns(pairs)
    for _, cell in pairs.groupby(columns, sort=False):
        both = cell[cell["gain"].notna()]
        yield CellWorth(
            levels={factor_of(column): cell[column].iloc[0] for column in columns},
            n_planned=len(cell),
            n_diverged=int((both[["status", "status_untuned"]] == "diverged").to_numpy().sum()),
            tuned=float(both["outcome"].mean()),
            untuned=float(both["outcome_untuned"].mean()),
            gain=estimate(cell["gain"]),
            is_changed=bool((cell["key"] != cell["key_untuned"]).any()),
        )
