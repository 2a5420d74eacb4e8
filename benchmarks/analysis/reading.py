"""Reads what a report is made of from the store, a part at a time: a store can hold more than memory does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from benchmarks.analysis.claims import Trials
from benchmarks.analysis.tables import epoch_table, level_columns, refuse_repeated_runs, run_table
from benchmarks.labels import level_label
from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.groups import groups_of, tuned_runs
from benchmarks.plan.path import cells_found
from benchmarks.runs import Cell, Run
from benchmarks.store import Registration, Store
from benchmarks.suite.suite import Suite

RUNS_A_PART = 5_000
"""Runs that are read at once."""


def read_tables(suite: Suite, registration: Registration, store: Store) -> tuple[list[Run], pd.DataFrame, pd.DataFrame]:
    """The runs of a suite as planned, the run table, and the epoch table.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
    """
    cells = cells_found(suite, registration.versions, registration.found)
    planned = tuned_runs(suite, cells, registration.seeds, registration.versions, registration.found)
    n_seeds = len(registration.seeds)
    # Whole cells, which the tables number from 0 in each part.
    size = max(1, RUNS_A_PART // n_seeds) * n_seeds
    starts = range(0, len(planned), size)
    parts = [_part(planned[start : start + size], start // n_seeds, registration, store) for start in starts]
    runs = pd.concat([runs for runs, _ in parts], ignore_index=True)
    refuse_repeated_runs(runs)
    return planned, runs, _joined([epochs for _, epochs in parts])


def tuning_trials(suite: Suite, registration: Registration, store: Store) -> Trials:
    """How many trials the settings of each cell that was tuned were found in."""
    cells = expand_cells(suite)
    groups = groups_of(suite, cells, registration.versions)
    searches = store.searches([group.key for group in groups])
    trials: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
    for group in groups:
        number = len(searches[group.key].trials) if group.key in searches else 0
        trials.update({_place(cell): number for cell in group.cells})
    for tuned in suite.tuned:
        where = {name: level_label(level) for name, level in tuned.where.items()}
        for cell in cells:
            if tuned.dataset in (None, cell.dataset) and where.items() <= cell.levels.items():
                trials[_place(cell)] += tuned.trials
    return trials


def _place(cell: Cell) -> tuple[str, frozenset[tuple[str, str]]]:
    return cell.dataset, frozenset(cell.levels.items())


def _part(
    planned: Sequence[Run], first_cell: int, registration: Registration, store: Store
) -> tuple[pd.DataFrame, pd.DataFrame]:
    # Settings take most of the room of a stored run, and the tables have nothing of them.
    stored = {key: replace(run, settings={}) for key, run in store.runs([run.key for run in planned]).items()}
    runs, epochs = run_table(planned, stored, registration.datasets), epoch_table(planned, stored)
    if "cell" in epochs:
        epochs["cell"] += first_cell
    return runs.assign(cell=runs["cell"] + first_cell), epochs


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The parts that have rows, one below the other; an empty one where none has."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return parts[0]
    whole = pd.concat(filled, ignore_index=True)
    # A few names, each in very many rows: this way they take little room and are compared as numbers.
    return whole.astype(dict.fromkeys([*level_columns(whole), "dataset", "status"], "category"))
