"""How many runs an ensemble needs: a metric over the number of members."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.metrics import Metric
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences, titled
from benchmarks.report.plots.common import (
    LINE,
    STROKES,
    WIDTH,
    cycled_strokes,
    number_axis,
    padded,
    paint_key,
)
from benchmarks.report.svg import draw


def size_plot(
    name: str, cells: Mapping[str, Sequence[tuple[int, float]]], metric: Metric, style: Style, has_all_subsets: bool
) -> tuple[Plot, ...]:
    """A line a cell: what ensembles of each size give.

    Args:
        name: tells this figure from the others of the page.
        cells: title of the cell -> number of members, and the mean over ensembles of so many.
        metric: what they give.
        style: how it is written.
        has_all_subsets: whether each mean is over all ensembles of its size.
    """
    shown = dict(itertools.islice(cells.items(), len(STROKES)))
    below = 0.46 + LINE * len(shown) + 0.04
    height = 1.8 + below

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.17, below / height, 0.8, 1 - (below + 0.06) / height))
        axes.set_ylim(padded([style.factor * value for line in shown.values() for _, value in line]))
        axes.set_xlim(0.7, max(line[-1][0] for line in shown.values()) + 0.3)
        for number, (stroke, (label, line)) in enumerate(zip(cycled_strokes(len(shown)), shown.items(), strict=True)):
            axes.plot(
                [size for size, _ in line],
                [style.factor * value for _, value in line],
                stroke.dashes,
                marker=stroke.marker,
                markersize=3.6,
                color=stroke.colour,
                markerfacecolor=stroke.colour if stroke.is_filled else "none",
                linewidth=1.5,
            )
            paint_key(figure, stroke, label, LINE * (len(shown) - number - 0.4) / height)
        axes.set_xlabel("members", labelpad=2)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10], integer=True))
        number_axis(axes, "y")

    title = f"What do further members bring in {metric.title}?"
    note = sentences(
        f"{titled(metric.title, style.unit_of_values)}; {metric.better} is better.",
        "One member: the mean of the runs. Each further number: the mean over the ensembles of so many of them"
        f"{'' if has_all_subsets else ', or over some drawn by chance where they are many'}.",
        f"The first {len(shown)} of {len(cells)} cells of the table." if len(cells) > len(shown) else "",
    )
    return (Plot(title, draw(name, title, WIDTH, height, paint), note),)
