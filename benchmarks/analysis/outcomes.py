"""Outcomes of one dataset, by seed and cell: what claims pair."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence

import pandas as pd

from benchmarks.analysis.contrasts import oriented
from benchmarks.analysis.judgements import SeedPair
from benchmarks.analysis.tables import identical_cells, level_column
from benchmarks.metrics import METRICS
from benchmarks.plan.comparisons import Comparison
from benchmarks.runs import Levels


class Outcomes:
    """What one dataset holds for pairing: outcomes by seed and cell."""

    def __init__(self, runs: pd.DataFrame, factors: Sequence[str]):
        self.runs = runs
        self.task = runs["task"].iloc[0]
        self._tables: dict[str, pd.DataFrame] = {}
        first = runs.drop_duplicates("cell")
        levels = zip(*(first[level_column(factor)] for factor in factors), strict=True)
        self._cells = dict(zip(levels, first["cell"], strict=True))
        self._factors = factors
        self._diverged = runs.assign(diverged=runs["status"] == "diverged").pivot(
            index="seed", columns="cell", values="diverged"
        )

    def pairs(self, metric: str, compared: Comparison) -> tuple[SeedPair, ...] | None:
        """A difference for each planned seed, of means over cells; NaN where any run of it has no value.

        None where a cell is not there, or none is compared.
        """
        better, than = ([self._cell(levels) for levels in cells] for cells in (compared.better, compared.than))
        if not better or None in (*better, *than):
            return None
        outcomes = self._table(metric)
        first, second = (outcomes[cells].mean(axis="columns", skipna=False) for cells in (better, than))
        diverged = self._diverged.loc[outcomes.index, [*better, *than]].any(axis="columns")
        sign = METRICS[metric].sign
        columns = (first - second, diverged, sign * first, sign * second)
        return tuple(
            SeedPair(*row) for row in zip(outcomes.index.tolist(), *(each.tolist() for each in columns), strict=True)
        )

    def are_identical(self, compared: Comparison) -> bool:
        """Whether each cell gave every metric as its partner did, up to rounding, with every planned seed."""
        ours, theirs = (
            [self._alike.get(self._cell(levels)) for levels in cells] for cells in (compared.better, compared.than)
        )
        return bool(ours) and None not in ours and ours == theirs

    @functools.cached_property
    def _alike(self) -> dict[Hashable, int]:
        """Cell -> number of the group that gave identical results; only cells that have others beside them."""
        groups = identical_cells(self.runs)
        return {cell: number for number, group in enumerate(groups) for cell in group}

    def _cell(self, levels: Levels) -> int | None:
        return self._cells.get(tuple(levels[factor] for factor in self._factors))

    def _table(self, metric: str) -> pd.DataFrame:
        if metric not in self._tables:
            turned = oriented(self.runs, metric)
            self._tables[metric] = turned.pivot(index="seed", columns="cell", values="outcome").sort_index()
        return self._tables[metric]
