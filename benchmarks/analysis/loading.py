"""The results of a runs folder as tables of pandas, for notebooks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.analysis.reading import read_tables
from benchmarks.analysis.tables import factor_of, level_columns
from benchmarks.errors import UserError
from benchmarks.labels import column_of
from benchmarks.metrics import CURVE_METRICS, METRICS
from benchmarks.plan.study import NOT_UNDERSTOOD, Study
from benchmarks.store import Registration, Store, place_of
from zoo.settings import SettingError, unknown


def load_results(
    path: str | os.PathLike[str] = "runs", suite: str | None = None, *, epochs: bool = False
) -> pd.DataFrame:
    """Read the results of a runs folder as a tidy table: one row per run that a report is about, or one per epoch.

    Columns of runs: `suite`, `dataset`, a column per factor with the label of the level, `seed`, `status` ("done",
    "diverged", "failed", or "missing" for a run that was planned and is not stored), `outcome`, every metric of the
    tasks of these runs, `parameters`, `macs`, `seconds`, `message` and `key`. The outcome is what reports compare: the
    test accuracy or RMSE, and for a diverged run the level of who learnt nothing. A mean over a metric leaves diverged
    runs out without a word; one over the outcome does not.

    Columns of epochs: `suite`, `dataset`, the factors, `seed`, `status`, `epoch` (from 1), and what is followed while
    a network trains; of runs that are done or diverged.

    Where a suite trains its cells without what its search finds too, those runs are left out, so that no mean is over
    both sorts; `search_untuned.csv` beside the report compares them.

    A factor with the name of another column is called `level:` and its name. Where there are several suites, a factor
    that a suite does not have is missing in its rows, and a run that two suites share is in the table once for each.

        results = benchmarks.load_results("runs", "quickstart")
        results.groupby("model.activation")["outcome"].agg(["mean", "std", "count"])

    Args:
        path: a runs folder, or the URL of a store on a Postgres server.
        suite: the name of a suite that was run into it. If it is not given, all of them, but with a warning for each
            that this version of the program no longer understands.
        epochs: whether to give epochs in place of runs.

    Raises:
        UserError: the folder has no usable store, or not that suite.
        SettingError: this version of the program no longer understands the suite, or any suite.
    """
    store, tables = Store.open(*place_of(path, Path("runs"))), []
    try:
        chosen = _chosen(store, suite)
        for each in chosen:
            try:
                tables.append(_table(store, each, epochs=epochs))
            except SettingError:
                if each is chosen[-1] and not tables:
                    raise
                warnings.warn(f"{each.name} is left out: {NOT_UNDERSTOOD}", stacklevel=2)
    finally:
        store.close()
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def _chosen(store: Store, suite: str | None) -> Sequence[Registration]:
    registrations = store.registrations()
    names = [each.name for each in registrations]
    if not names:
        raise UserError(f"{store.place}: no suite was run here yet; `ablate run SUITE` runs one")
    if suite is None:
        return registrations
    if suite not in names:
        raise UserError(str(unknown("suite", f"suite was run into {store.place}", suite, names)))
    return [each for each in registrations if each.name == suite]


def _table(store: Store, registration: Registration, *, epochs: bool) -> pd.DataFrame:
    runs, followed = read_tables(Study.registered(registration, store))
    tasks = set(runs["task"])
    if epochs:
        metrics = list(dict.fromkeys(name for task in CURVE_METRICS if task in tasks for name in CURVE_METRICS[task]))
        return _named(followed, registration.name, ["seed", "status", "epoch", *metrics])
    metrics = [name for name, metric in METRICS.items() if tasks & set(metric.tasks)]
    facts = ["parameters", "macs", "seconds", "message", "key"]
    return _named(runs, registration.name, ["seed", "status", "outcome", *metrics, *facts])


def _named(table: pd.DataFrame, suite: str, columns: Sequence[str]) -> pd.DataFrame:
    """The columns of interest in their order, those of levels with the names of their factors."""
    levels = level_columns(table)
    if table.empty:
        return pd.DataFrame(columns=["suite", "dataset", *columns])
    taken = {"suite", "dataset", *columns}
    called = {column: column_of(factor_of(column), taken) for column in levels}
    found = table[["dataset", *levels, *columns]].rename(columns=called)
    found.insert(0, "suite", suite)
    return found
