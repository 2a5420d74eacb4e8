"""What more of the same brings: further seeds for an interval, and further members for an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from benchmarks.analysis.estimates import CONFIDENCE, Widths, precision_ahead, precision_so_far
from benchmarks.metrics import METRICS, Metric
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences, titled
from benchmarks.report.plots.common import ROUND, STROKES, draw_keyed, number_axis, padded, paint_marked, with_strokes
from benchmarks.report.svg import FIRST, MUTED


@dataclass(frozen=True)
class _Line:
    """Half the interval of one difference, by the number of seeds."""

    so_far: Widths
    ahead: Widths


def precision_plot(
    name: str, differences: Mapping[str, Sequence[float]], metric: str, style: Style
) -> tuple[Plot, ...]:
    """Half the interval over the number of seeds, with what further seeds would give.

    `differences` has, for each thing that is compared, one difference a seed, in their order.
    """
    lines = {label: _Line(precision_so_far(values), precision_ahead(values)) for label, values in differences.items()}
    lines = {label: line for label, line in lines.items() if line.ahead}
    if not lines:
        return ()
    together = len(lines) > limits.MOST_PRECISION_LINES
    keys = [] if together else with_strokes(list(lines))

    def paint(axes: Axes) -> None:
        widths = [width for line in lines.values() for _, width in (*line.so_far, *line.ahead)]
        axes.set_ylim(0, 1.05 * style.factor * max(widths))
        axes.set_xlim(2.5, max(line.ahead[-1][0] for line in lines.values()) + 0.5)
        if together:
            _paint_range(axes, [line.so_far for line in lines.values()], style.factor, is_ahead=False)
            _paint_range(axes, [line.ahead for line in lines.values()], style.factor, is_ahead=True)
        else:
            for label, stroke in keys:
                line = lines[label]
                paint_marked(axes, line.so_far, stroke, style.factor, linewidth=1.6)
                ahead = [style.factor * width for _, width in line.ahead]
                axes.plot([n for n, _ in line.ahead], ahead, stroke.dashes, color=stroke.colour, linewidth=0.8)
        axes.set_xlabel("seeds", labelpad=2)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND, integer=True))
        number_axis(axes, "y")

    title = "Would further seeds tell more?"
    unit = f", {style.unit_of_differences}" if style.unit_of_differences else ""
    note = sentences(
        f"Half the {100 * CONFIDENCE:.4g} % t interval of a difference in {METRICS[metric].title}{unit}, by the number "
        "of seeds.",
        together and f"Of {len(lines)} differences together: their median, and the range of all of them shaded.",
        "Marks: the seeds so far, in their order. Without marks, and thinner: what further seeds would give if the "
        "spread stays as it is.",
        "To add seeds until the result pleases is no test: further seeds need looks that were declared.",
    )
    return (Plot(title, draw_keyed(name, title, paint, keys, height=1.8, across=(0.15, 0.82)), note),)


def _paint_range(axes: Axes, lines: Sequence[Widths], factor: int, *, is_ahead: bool) -> None:
    by_number: dict[int, list[float]] = {}
    for line in lines:
        for n, width in line:
            by_number.setdefault(n, []).append(factor * width)
    places = sorted(by_number)
    if not places:
        return
    lowest, highest = ([pick(by_number[n]) for n in places] for pick in (min, max))
    axes.fill_between(places, lowest, highest, color=MUTED if is_ahead else FIRST, alpha=0.18, linewidth=0)
    middle = [float(np.median(by_number[n])) for n in places]
    if is_ahead:
        axes.plot(places, middle, color=FIRST, linewidth=0.8)
    else:
        axes.plot(places, middle, "o-", color=FIRST, linewidth=1.6, markersize=3.6)


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
