"""The CSV files of a report: a row per cell, and a row per run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.analysis.estimates import NO_ESTIMATE, Estimate
from benchmarks.analysis.summaries import CellSummary
from benchmarks.analysis.tables import level_column
from benchmarks.report.formatting import spreadsheet_text
from benchmarks.training.metrics import FURTHER_METRICS, METRICS, OUTCOME_METRICS

_COUNTS = ("n_planned", "n_done", "n_failed", "n_diverged", "n_missing")


def summary_csv(summaries: Sequence[CellSummary], factors: Iterable[str]) -> str:
    """A row per cell, without times: an interrupted suite ends with the same file as one that was not.

    `values` holds the outcome of every run that has one, by seed, with blanks between, and `metric` says what it is.
    The further metrics of the tasks of all cells follow, over the runs that are done.
    """
    named = {name for each in summaries for name in FURTHER_METRICS[each.task]}
    further = [name for name in METRICS if name in named]
    rows = [
        {
            "dataset": each.dataset,
            **_levels(each.levels),
            **{name: getattr(each, name) for name in _COUNTS},
            **_numbers(each.outcome),
            "mean_without_diverged": each.without_diverged.mean if each.without_diverged else each.outcome.mean,
            "values": " ".join(_digits(value) for value in each.outcome.values),
            "parameters": each.parameters,
            "metric": OUTCOME_METRICS[each.task],
            **{
                f"{name}_{number}": value
                for name in further
                for number, value in _numbers(each.further.get(name, NO_ESTIMATE)).items()
            },
        }
        for each in summaries
    ]
    return csv_text(rows, factors)


def runs_csv(runs: pd.DataFrame, factors: Sequence[str]) -> str:
    """A row per planned run, with the metrics of the tasks of all of them."""
    tasks = set(runs["task"])
    metrics = [name for name, metric in METRICS.items() if tasks & set(metric.tasks)]
    levels = [level_column(factor) for factor in factors]
    facts = ("parameters", "macs", "seconds", "attempts", "finished_at", "key", "message")
    names = ["dataset", *levels, "seed", "status", *metrics, *facts]
    return csv_text(runs[names].to_dict("records"), factors)


def _numbers(found: Estimate) -> dict[str, float]:
    return {"mean": found.mean, "sd": found.sd, "ci_low": found.ci_low, "ci_high": found.ci_high}


def _levels(levels: Mapping[str, str]) -> dict[str, str]:
    return {level_column(factor): level for factor, level in levels.items()}


def csv_text(rows: Sequence[Mapping[Any, Any]], factors: Iterable[str]) -> str:
    """Rows of equal columns as text; a level column is headed with its factor, unless another column has that name."""
    names = list(rows[0])
    plain = {level_column(factor): factor for factor in factors if factor not in names}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([spreadsheet_text(plain.get(name, name)) for name in names])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return _digits(value) if isinstance(value, float) else spreadsheet_text(value)


def _digits(value: float) -> str:
    """Ten significant digits: more than a metric in single precision has, fewer than where machines differ."""
    return "" if math.isnan(value) else f"{value:.10g}"
