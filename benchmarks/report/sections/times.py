"""When runs reach what the baseline has at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.analysis.tables import level_column
from benchmarks.analysis.time_to_target import LEAST_RUNS, TimeToTarget, times_to_target
from benchmarks.labels import NOTHING, whole
from benchmarks.metrics import CURVE_METRICS, METRICS
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Paragraph, Plots, Table
from benchmarks.report.formatting import style_of
from benchmarks.report.plots.costs import time_to_target
from benchmarks.report.report import ReportedDataset
from benchmarks.report.section import Section, by_dataset
from benchmarks.report.tables import level_columns, number


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    name = CURVE_METRICS[dataset.facts.task][0]
    known = dataset.epochs[dataset.epochs[name].notna()] if len(dataset.epochs) else dataset.epochs
    obstacle, target = _target(dataset, known, name)
    if obstacle:
        yield Paragraph(f"No times are given: {obstacle}.")
        return
    metric, style = METRICS[name], style_of(METRICS[name].unit, [target])
    yield Paragraph(
        f"Epochs until a run first has the {metric.title} that the baseline has after its last epoch on average, "
        f"{style.value(target)}{' %' if style.unit == 'share' else ''}. The target is taken from the results, so this "
        "describes and proves nothing. A run that never comes there counts as watched to the end of its plan. Means go "
        "up to the end of the shortest plan."
    )
    found = _times(dataset, known, name, target)
    yield _table(dataset, found)
    yield Plots(time_to_target(f"times-{dataset.number}", found, name, target, style))


def _target(dataset: ReportedDataset, known: pd.DataFrame, name: str) -> tuple[str, float]:
    """Why there are no times, as a clause, or what the baseline has at the end."""
    if known.empty:
        return f"no run has a {METRICS[name].title} by epoch", math.nan
    done = known[_is_baseline(dataset, known) & (known["status"] == "done")]
    if done.empty:
        return "no run of the baseline is done", math.nan
    n_seeds = dataset.runs["seed"].nunique()
    if n_seeds < LEAST_RUNS:
        return f"they need {LEAST_RUNS} seeds and the suite has {n_seeds}", math.nan
    return "", float(done.groupby("seed")[name].last().mean())


def _is_baseline(dataset: ReportedDataset, table: pd.DataFrame) -> pd.Series:
    factors = dataset.report.factors
    columns = [level_column(factor) for factor in factors]
    return (table[columns] == [factors.baseline[factor] for factor in factors]).all(axis="columns")


def _times(dataset: ReportedDataset, known: pd.DataFrame, name: str, target: float) -> list[TimeToTarget]:
    """Of the first cells, and of the baseline."""
    runs = dataset.runs
    kept = set(runs["cell"].drop_duplicates()[: limits.MOST_COMPARED_CELLS])
    kept |= set(known.loc[_is_baseline(dataset, known), "cell"])
    return times_to_target(known[known["cell"].isin(kept)], runs[runs["cell"].isin(kept)], name, target)


def _table(dataset: ReportedDataset, found: Sequence[TimeToTarget]) -> Block:
    shown = found[: limits.MOST_EFFECT_ROWS]
    return Table(
        "Table of times to the target",
        [
            *level_columns(dataset.report.factors, lambda each: each.levels),
            number("Reached", lambda each: f"{each.survival.n_reached} of {each.survival.n}"),
            number(f"Mean epochs, up to {found[0].survival.horizon:g}", _mean),
        ],
        shown,
        caption=f"The first {len(shown)} of {whole(dataset.n_cells)} cells." if len(shown) < dataset.n_cells else "",
        marks=dataset.report.baseline_mark,
    )


def _mean(found: TimeToTarget) -> str:
    """The mean up to the horizon, or single times where runs are few."""
    if not math.isnan(found.survival.restricted_mean):
        return f"{found.survival.restricted_mean:.3g}"
    return f"raw: {', '.join(f'{time:.3g}' for time in found.reached)}" if found.reached else NOTHING


SECTION = Section("times", "Time to target", by_dataset(_of_dataset))
