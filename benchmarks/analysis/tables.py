"""From planned runs and what the store holds of them to tidy tables, one row a run or one row an epoch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.metrics import CURVE_METRICS, METRICS, OUTCOME_METRICS
from benchmarks.results import FAILURES
from benchmarks.runs import Factors, Run
from benchmarks.store import DatasetFacts, StoredRun

MISSING = "missing"
"""The status of a planned run that the store does not hold."""

ROUNDING = 1e-5
"""By what share results of one training differ at most that two programs computed in single precision."""

_FOLLOWED = tuple(dict.fromkeys(name for names in CURVE_METRICS.values() for name in names))

_LEVEL = "level:"


def level_column(factor: str) -> str:
    """Name of the column that holds the levels of a factor; no other column can have it."""
    return _LEVEL + factor


def level_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that hold levels."""
    return [column for column in table.columns if column.startswith(_LEVEL)]


def factor_of(column: str) -> str:
    """The factor whose levels a column holds."""
    return column.removeprefix(_LEVEL)


def run_table(
    planned: Sequence[Run], stored: Mapping[str, StoredRun], facts: Mapping[str, DatasetFacts]
) -> pd.DataFrame:
    """One row per planned run, in the order of the plan.

    Columns: `dataset` (as in the suite), `task`, `cell` (its number in the plan), a level column per factor, `seed`,
    `status` (that of the store, or "missing"), `planned_epochs` (NaN where the suite gives steps or images), `outcome`,
    every metric, `parameters`, `macs`, `seconds`, `message`, `key`, `machine`, `finished_at` and `attempts`. The
    outcome is what statistics use: the value of the task's metric; the level without learning where the run diverged,
    if the dataset has one; NaN where it failed or is missing.

    Args:
        planned: what `expand_runs` gave.
        stored: key -> run, for those of the planned runs that are stored.
        facts: name of the dataset as in the suite -> its facts.

    Raises:
        ValueError: a cell has a seed twice.
    """
    rows: list[dict[str, Any]] = []
    numbers: dict[tuple[Any, ...], int] = {}
    for run in planned:
        key, train = run.key, run.cell.settings.train
        values = _stored_values(stored.get(key))
        rows.append(
            {"dataset": run.cell.dataset, "task": facts[run.cell.dataset].task, "cell": _cell_number(run, numbers)}
            | {level_column(factor): level for factor, level in run.cell.levels.items()}
            | {"seed": run.seed, "key": key, "outcome": _outcome(values, facts[run.cell.dataset])}
            | {"planned_epochs": float(train.stop_after or train.epochs or math.nan)}
            | values
        )
    table = pd.DataFrame(rows)
    refuse_repeated_runs(table)
    return table


def refuse_repeated_runs(table: pd.DataFrame) -> None:
    """Raise ValueError where a table has more than one row for a dataset, cell and seed."""
    identity = ["dataset", *level_columns(table), "seed"]
    repeated = table[table.duplicated(identity)]
    if len(repeated):
        row = repeated.iloc[0]
        raise ValueError("two rows for one run: " + ", ".join(f"{name} = {row[name]}" for name in identity))


def identical_cells(runs: pd.DataFrame) -> list[list[Any]]:
    """The cells of a dataset whose runs gave every metric alike with every planned seed.

    Two programs that compute the same can differ in the last bit: alike is what differs by no more than `ROUNDING`.

    Args:
        runs: what `run_table` gave.

    Returns:
        Numbers of cells, those together that are alike.
    """
    groups: list[list[Any]] = []
    for _, own in runs.groupby("dataset", sort=False):
        ordered = own.sort_values(["cell", "seed"])
        shape = (ordered["cell"].nunique(), -1)
        is_done = (ordered["status"] == "done").to_numpy().reshape(shape).all(axis=1)
        values = ordered[list(METRICS)].to_numpy(float).reshape(shape)
        numbers = list(dict.fromkeys(ordered["cell"]))
        groups += [[numbers[row] for row in rows] for rows in _alike(values, np.flatnonzero(is_done))]
    return groups


def _alike(values: np.ndarray, rows: np.ndarray) -> list[list[int]]:
    """Those of these rows together that are equal up to rounding, where they are two or more."""
    sums = np.nansum(np.abs(values), axis=1)
    groups: list[list[int]] = []
    begin = 0
    for row in rows[np.argsort(sums[rows], kind="stable")].tolist():
        while begin < len(groups) and sums[groups[begin][0]] < (1 - ROUNDING) * sums[row]:
            begin += 1  # too small for all that follow
        found = next((each for each in groups[begin:] if _are_equal(values[each[0]], values[row])), None)
        if found is None:
            groups.append([row])
        else:
            found.append(row)
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _are_equal(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.allclose(first, second, rtol=ROUNDING, atol=ROUNDING**2, equal_nan=True))


def epoch_table(planned: Iterable[Run], stored: Mapping[str, StoredRun]) -> pd.DataFrame:
    """One row per epoch of every run that is done or diverged.

    Columns: `dataset`, `cell`, a level column per factor, `seed`, `status`, `epoch` (from 1) and the metrics that
    are followed for any task; NaN where a run has no such metric.
    """
    rows: list[dict[str, Any]] = []
    curves: dict[str, list[float | None]] = {name: [] for name in _FOLLOWED}
    lengths: list[int] = []
    numbers: dict[tuple[Any, ...], int] = {}
    for run in planned:
        number = _cell_number(run, numbers)
        found = stored.get(run.key)
        if found is None or found.status in FAILURES:
            continue
        rows.append({"dataset": run.cell.dataset, "cell": number, "seed": run.seed, "status": found.status})
        rows[-1] |= {level_column(factor): level for factor, level in run.cell.levels.items()}
        length = max(len(found.history.get(name, ())) for name in _FOLLOWED)
        lengths.append(length)
        for name, values in curves.items():
            own = found.history.get(name, [])
            values += [*own, *[None] * (length - len(own))]
    table = pd.DataFrame(rows or {"dataset": []}).loc[np.repeat(np.arange(len(rows)), lengths)]
    table["epoch"] = [epoch for length in lengths for epoch in range(1, length + 1)]
    for name, values in curves.items():
        column = np.array(values, dtype=float)
        table[name] = np.where(np.isfinite(column), column, math.nan)
    return table.reset_index(drop=True)


def _cell_number(run: Run, numbers: dict[tuple[Any, ...], int]) -> int:
    """The number of a cell in the order in which a plan names them; `numbers` has those that were named before."""
    return numbers.setdefault((run.cell.dataset, *run.cell.levels.items()), len(numbers))


def _stored_values(run: StoredRun | None) -> dict[str, Any]:
    metrics = run.metrics if run else {}
    return {
        "status": run.status if run else MISSING,
        **{name: _number(metrics.get(name)) for name in METRICS},
        "parameters": _number(run.parameters if run else None),
        "macs": _number(run.macs if run else None),
        "seconds": _number(run.seconds if run else None),
        "message": (run.message if run else None) or "",
        "machine": run.machine if run else "",
        "finished_at": run.finished_at if run else "",
        "attempts": run.attempts if run else 0,
    }


def _number(value: float | None) -> float:
    """A value as a float; NaN where there is none or it is not finite."""
    return float(value) if value is not None and math.isfinite(value) else math.nan


def _outcome(values: Mapping[str, Any], facts: DatasetFacts) -> float:
    if values["status"] == "diverged":
        return _number(facts.level_without_learning)
    return float(values[OUTCOME_METRICS[facts.task]]) if values["status"] == "done" else math.nan


def nearest_cells(runs: pd.DataFrame, factors: Factors, most: int) -> list[tuple[Hashable, dict[str, str]]]:
    """So many cells with their levels: the baseline, and then those that differ from it in the fewest factors."""
    cells = runs.drop_duplicates("cell")
    levels = cells[[level_column(factor) for factor in factors]].astype(str).set_axis(list(factors), axis="columns")
    distance = (levels != pd.Series(dict(factors.baseline))).sum(axis="columns")
    order = distance.sort_values(kind="stable").index[:most]
    return [(cells.at[row, "cell"], dict(levels.loc[row])) for row in order]
