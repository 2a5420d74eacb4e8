"""Reads what a report is made of from the store, a part at a time: a store can hold more than memory does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from benchmarks.analysis.claims import Trials
from benchmarks.analysis.tables import epoch_table, level_columns, refuse_repeated_runs, run_table
from benchmarks.labels import level_label
from benchmarks.plan.study import RUNS_A_PART, Study
from benchmarks.runs import Cell, Run
from benchmarks.store import StoredRun


def read_tables(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The run table and the epoch table of a study that was run.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
    """
    n_seeds = len(study.seeds)
    # Whole cells, which the tables number from 0 in each part.
    size = max(1, RUNS_A_PART // n_seeds) * n_seeds
    parts = [
        _part(study, planned, stored, number * size // n_seeds)
        for number, (planned, stored) in enumerate(study.stored_in_parts(study.runs, size))
    ]
    runs = pd.concat([runs for runs, _ in parts], ignore_index=True)
    refuse_repeated_runs(runs)
    return runs, _joined([epochs for _, epochs in parts])


def tuning_trials(study: Study) -> Trials:
    """How many trials the settings of each cell that was tuned were found in."""
    trials: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
    for group in study.groups:
        number = len(study.searches[group.key].trials) if group.key in study.searches else 0
        trials.update({_place(cell): number for cell in group.cells})
    for tuned in study.suite.tuned:
        where = {name: level_label(level) for name, level in tuned.where.items()}
        for cell in study.expansion.cells:
            if tuned.dataset in (None, cell.dataset) and where.items() <= cell.levels.items():
                trials[_place(cell)] += tuned.trials
    return trials


def _place(cell: Cell) -> tuple[str, frozenset[tuple[str, str]]]:
    return cell.dataset, frozenset(cell.levels.items())


def _part(
    study: Study, planned: Sequence[Run], found: Mapping[str, StoredRun], first_cell: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    # Settings take most of the room of a stored run, and the tables have nothing of them.
    stored = {key: replace(run, settings={}) for key, run in found.items()}
    runs, epochs = run_table(planned, stored, study.facts), epoch_table(planned, stored)
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
