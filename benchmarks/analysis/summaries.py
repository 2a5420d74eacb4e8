"""What the runs of each cell say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.analysis.estimates import Estimate, estimate
from benchmarks.analysis.tables import MISSING, factor_of, level_columns, refuse_repeated_runs
from benchmarks.data.tasks import Task
from benchmarks.training.metrics import FURTHER_METRICS


@dataclass(frozen=True)
class CellSummary:
    """A cell: how many of its runs there are, and their outcome."""

    dataset: str
    task: Task
    levels: Mapping[str, str]
    """Factor -> label of its level."""
    n_planned: int
    n_done: int
    n_diverged: int
    n_failed: int
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


def cell_summaries(runs: pd.DataFrame) -> list[CellSummary]:
    """Summarize each cell of a run table, in the table's order.

    Raises:
        ValueError: a cell has a seed twice.
    """
    refuse_repeated_runs(runs)
    return [_summary(cell) for _, cell in runs.groupby("cell", sort=False)]


def _summary(cell: pd.DataFrame) -> CellSummary:
    first = cell.iloc[0]
    counts = cell["status"].value_counts()
    done = cell[cell["status"] == "done"]
    leaves_out = bool(cell.loc[cell["status"] == "diverged", "outcome"].notna().any())
    parameters = cell["parameters"].dropna()
    return CellSummary(
        dataset=first["dataset"],
        task=first["task"],
        levels={factor_of(column): first[column] for column in level_columns(cell)},
        n_planned=len(cell),
        n_done=int(counts.get("done", 0)),
        n_diverged=int(counts.get("diverged", 0)),
        n_failed=int(counts.get("failed", 0)),
        n_missing=int(counts.get(MISSING, 0)),
        outcome=estimate(cell["outcome"]),
        without_diverged=estimate(done["outcome"]) if leaves_out else None,
        further={name: estimate(done[name]) for name in FURTHER_METRICS[first["task"]]},
        parameters=int(parameters.iloc[0]) if len(parameters) else None,
    )
