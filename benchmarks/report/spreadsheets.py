"""The CSV files of a report: a row per cell, and a row per run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.analysis.estimates import NO_ESTIMATE, Estimate
from benchmarks.analysis.summaries import CellSummary
from benchmarks.analysis.tables import level_column
from benchmarks.labels import column_of, with_levels
from benchmarks.metrics import FURTHER_METRICS, METRICS, OUTCOME_METRICS
from benchmarks.report.formatting import spreadsheet_text

_COUNTS = ("n_planned", "n_done", "n_failed", "n_diverged", "n_missing")


def summary_csv(summaries: Sequence[CellSummary]) -> str:
    """A row per cell, without times: an interrupted suite ends with the same file as one that was not.

    `values` holds the outcome of every run that has one, by seed, with blanks between, and `metric` says what it is.
    The further metrics of the tasks of all cells follow, over the runs that are done.
    """
    named = {name for each in summaries for name in FURTHER_METRICS[each.task]}
    further = [name for name in METRICS if name in named]
    rows = [
        {
            "dataset": each.dataset,
            **{name: getattr(each, name) for name in _COUNTS},
            **numbers_of(each.outcome),
            "mean_without_diverged": each.without_diverged.mean if each.without_diverged else each.outcome.mean,
            "values": " ".join(_digits(value) for value in each.outcome.values),
            "parameters": each.parameters,
            "metric": OUTCOME_METRICS[each.task],
            **{
                title: value
                for name in further
                for title, value in numbers_of(each.further.get(name, NO_ESTIMATE), f"{name}_").items()
            },
        }
        for each in summaries
    ]
    return csv_text([with_levels(row, each.levels) for row, each in zip(rows, summaries, strict=True)])


def runs_csv(runs: pd.DataFrame, factors: Sequence[str]) -> str:
    """A row per planned run, with the metrics of the tasks of all of them."""
    tasks = set(runs["task"])
    metrics = [name for name, metric in METRICS.items() if tasks & set(metric.tasks)]
    facts = ("parameters", "macs", "seconds", "attempts", "finished_at", "key", "message")
    names = ["dataset", "seed", "status", *metrics, *facts]
    levels = {level_column(factor): column_of(factor, names) for factor in factors}
    return csv_text(runs[["dataset", *levels, *names[1:]]].rename(columns=levels).to_dict("records"))


def numbers_of(found: Estimate, prefix: str = "") -> dict[str, float]:
    """Mean, standard deviation and interval, by the heads of their columns."""
    numbers = {"mean": found.mean, "sd": found.sd, "ci_low": found.ci_low, "ci_high": found.ci_high}
    return {f"{prefix}{name}": value for name, value in numbers.items()}


def csv_text(rows: Sequence[Mapping[Any, Any]]) -> str:
    """Rows of equal columns as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([spreadsheet_text(name) for name in rows[0]])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return _digits(value) if isinstance(value, float) else spreadsheet_text(value)


def _digits(value: float) -> str:
    """Ten significant digits: more than a metric in single precision has, fewer than where machines differ."""
    return "" if math.isnan(value) else f"{value:.10g}"
