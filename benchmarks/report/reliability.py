"""How far the probabilities of a suite's models can be believed, cell by cell, from what runs gave for the tests."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.analysis.contrasts import Factors
from benchmarks.analysis.reliability import Reliability, reliability
from benchmarks.analysis.tables import level_column
from benchmarks.report import limits
from benchmarks.store import DatasetFacts, Store


@dataclass(frozen=True)
class CellReliability:
    """One cell."""

    title: str
    """Its levels."""
    is_baseline: bool
    found: Reliability


@dataclass(frozen=True)
class Reliabilities:
    """Those cells of one dataset that have a diagram."""

    cells: tuple[CellReliability, ...]
    n_cells: int
    """Cells of the dataset that have runs which are done; `cells` may hold fewer."""
    obstacle: str | None
    """Why there are none, as a clause."""


def reliabilities(
    name: str, facts: DatasetFacts, runs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str], store: Store
) -> Reliabilities:
    """Compare how sure the models of each cell are with how often they are right.

    Args:
        name: of the dataset, as in the suite.
        facts: of the same.
        runs: its rows of what `run_table` gave.
        factors: every factor of the suite.
        baseline: factor -> label of its baseline level.
        store: has the predictions and the labels.

    Raises:
        StoreError: it cannot be read.
    """
    if facts.task == "regression":
        return Reliabilities((), 0, "a regression has no probabilities")
    labels = store.labels(name.partition(":")[0], facts.version)
    if labels is None:
        return Reliabilities((), 0, "the labels of the test examples were not kept")
    done = runs[runs["status"] == "done"]
    shown = []
    for cell, levels in nearest_cells(done, factors, baseline, limits.MOST_RELIABILITY_CELLS):
        keys = done.loc[done["cell"] == cell, "key"].tolist()[: limits.MOST_RELIABILITY_RUNS]
        # One run at a time: all outputs of a hundred runs can be a gigabyte.
        outputs = (made for key in keys for made in store.predictions([key]).values())
        if (first := next(outputs, None)) is not None:
            found = reliability(facts.task, itertools.chain([first], outputs), labels)
            shown.append(CellReliability(", ".join(levels.values()), levels == dict(baseline), found))
    obstacle = None if shown else "of no run the outputs for the test examples were kept"
    return Reliabilities(tuple(shown), done["cell"].nunique(), obstacle)


def nearest_cells(
    runs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str], most: int
) -> list[tuple[Hashable, dict[str, str]]]:
    """So many cells with their levels: the baseline, and then those that differ from it in the fewest factors."""
    cells = runs.drop_duplicates("cell")
    levels = cells[[level_column(factor) for factor in factors]].astype(str).set_axis(list(factors), axis="columns")
    distance = (levels != pd.Series(dict(baseline))).sum(axis="columns")
    order = distance.sort_values(kind="stable").index[:most]
    return [(cells.at[row, "cell"], dict(levels.loc[row])) for row in order]
