"""How many runs an ensemble needs: a metric over the number of members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from benchmarks.metrics import Metric
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences, titled
from benchmarks.report.plots.common import ROUND, STROKES, draw_keyed, number_axis, padded, paint_marked


def size_plot(
    name: str, cells: Mapping[str, Sequence[tuple[int, float]]], metric: Metric, style: Style, has_all_subsets: bool
) -> tuple[Plot, ...]:
    """A line a cell: what ensembles of each size give.

    `cells` has, by the title of the cell, numbers of members with the mean over ensembles of so many: over all there
    are where `has_all_subsets`.
    """
    keys = list(zip(cells, STROKES, strict=False))
    lines = [cells[label] for label, _ in keys]

    def paint(axes: Axes) -> None:
        axes.set_ylim(padded([style.factor * value for line in lines for _, value in line]))
        axes.set_xlim(0.7, max(line[-1][0] for line in lines) + 0.3)
        for line, (_, stroke) in zip(lines, keys, strict=True):
            paint_marked(axes, line, stroke, style.factor, linewidth=1.5)
        axes.set_xlabel("members", labelpad=2)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND, integer=True))
        number_axis(axes, "y")

    title = f"What do further members bring in {metric.title}?"
    note = sentences(
        f"{titled(metric.title, style.unit_of_values)}; {metric.better} is better.",
        "One member: the mean of the runs. Each further number: the mean over the ensembles of so many of them"
        f"{'' if has_all_subsets else ', or over some drawn by chance where they are many'}.",
        len(cells) > len(lines) and f"The first {len(lines)} of {len(cells)} cells of the table.",
    )
    return (Plot(title, draw_keyed(name, title, paint, keys, height=1.8), note),)
