"""Which cells give the most for what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from benchmarks.analysis.contrasts import oriented
from benchmarks.analysis.effects import ParetoPoint, pareto_points
from benchmarks.labels import whole
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Heading, Paragraph, Plot, Plots, Table
from benchmarks.report.formatting import sentences, titled
from benchmarks.report.plots.costs import COSTS, pareto_front
from benchmarks.report.report import ReportedDataset
from benchmarks.report.section import Section, by_dataset
from benchmarks.report.tables import level_columns, valued

_WHAT = (
    "A cell is on the front if no other one is as good for less, or better for as much. Seconds are of the machines "
    "below and hang on what else they did. Multiply-accumulates are those of the dense and convolutional layers for "
    "one example in one pass forward."
)


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    plots: list[Plot] = []
    for cost, (title, *_) in COSTS.items():
        points = points_over(dataset.runs, cost)
        if not points:
            yield Paragraph(f"No front over {title}: no cell is complete.")
            continue
        yield Heading(title.capitalize(), 4)
        yield _table(dataset, cost, points)
        plots += _plots(dataset, cost, points)
    yield Plots(tuple(plots))


def _table(dataset: ReportedDataset, cost: str, points: Sequence[ParetoPoint]) -> Block:
    report, style, front = dataset.report, dataset.style, front_of(points)

    def told(value: float) -> str:
        return f"{value:.3g}" if cost == "seconds" else whole(round(value))

    return Table(
        "Table of the front",
        [
            *level_columns(report.factors, lambda point: point.levels),
            valued(COSTS[cost][0].capitalize(), lambda point: point.cost, told),
            valued(titled(dataset.metric.title, ""), lambda point: point.outcome, style.value),
        ],
        front[: limits.MOST_EFFECT_ROWS],
        caption=f"On the front: {len(front)} of {whole(dataset.n_cells)} cells.",
        marks=report.baseline_mark,
    )


def _plots(dataset: ReportedDataset, cost: str, points: Sequence[ParetoPoint]) -> Iterator[Plot]:
    told = f"Drawn are {len(points)} of {whole(dataset.n_cells)} cells; the others are incomplete or behind the front."
    name = f"pareto-{dataset.number}-{cost}"
    for plot in pareto_front(name, points, cost, dataset.outcome, dataset.style):
        yield replace(plot, note=sentences(plot.note, told)) if len(points) < dataset.n_cells else plot


def front_of(points: Iterable[ParetoPoint]) -> list[ParetoPoint]:
    """The cells that no other one beats, the cheapest first."""
    return sorted((each for each in points if each.is_on_front), key=lambda each: each.cost)


def points_over(runs: pd.DataFrame, cost: str) -> list[ParetoPoint]:
    """The cells of a dataset by one cost; where they are many, the first, and all that are on the front."""
    is_small = runs["cell"].nunique() <= limits.MOST_COMPARED_CELLS
    return pareto_points(runs if is_small else runs[runs["cell"].isin(_cells_near_front(runs, cost))], cost)


def _cells_near_front(runs: pd.DataFrame, cost: str) -> set[int]:
    """The cells on the front, and the first others: what lies behind one of the first lies behind the front."""
    by_cell = oriented(runs).groupby("cell", sort=False)
    complete = by_cell[["outcome", cost]].count().eq(by_cell.size(), axis="index").all(axis="columns")
    means = by_cell[["outcome", cost]].mean()[complete].sort_values([cost, "outcome"], ascending=[True, False])
    best_before = means["outcome"].cummax().shift(fill_value=-math.inf)
    # Of equals, which stand side by side, all are on it.
    on_front = (means["outcome"] > best_before).groupby([means[cost], means["outcome"]]).transform("any")
    return {*means.index[on_front], *runs["cell"].drop_duplicates()[: limits.MOST_COMPARED_CELLS]}


SECTION = Section("pareto", "Outcome against cost", by_dataset(_of_dataset, _WHAT), "Costs")
