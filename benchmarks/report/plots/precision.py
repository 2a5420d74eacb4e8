"""Whether further seeds would tell more: how wide an interval was with fewer seeds, and would be with more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.analysis.estimates import CONFIDENCE, Widths, precision_ahead, precision_so_far
from benchmarks.metrics import METRICS
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences
from benchmarks.report.plots.common import (
    LINE,
    STROKES,
    WIDTH,
    Stroke,
    number_axis,
    paint_key,
)
from benchmarks.report.svg import FIRST, MUTED, draw


@dataclass(frozen=True)
class _Line:
    """Half the interval of one difference, by the number of seeds."""

    so_far: Widths
    ahead: Widths


def precision_plot(
    name: str, differences: Mapping[str, Sequence[float]], metric: str, style: Style
) -> tuple[Plot, ...]:
    """Half the interval of differences over the number of seeds, with what further seeds would give.

    Args:
        name: tells this figure from the others of the page.
        differences: what is compared -> one difference a seed, in their order.
        metric: what they are of.
        style: how differences are written.
    """
    lines = {label: _Line(precision_so_far(values), precision_ahead(values)) for label, values in differences.items()}
    lines = {label: line for label, line in lines.items() if line.ahead}
    if not lines:
        return ()
    together = len(lines) > limits.MOST_PRECISION_LINES
    keys = 0 if together else len(lines)
    below = 0.46 + LINE * keys + 0.04
    height = 1.8 + below

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.15, below / height, 0.82, 1 - (below + 0.06) / height))
        widths = [width for line in lines.values() for _, width in (*line.so_far, *line.ahead)]
        axes.set_ylim(0, 1.05 * style.factor * max(widths))
        axes.set_xlim(2.5, max(line.ahead[-1][0] for line in lines.values()) + 0.5)
        if together:
            _paint_range(axes, [line.so_far for line in lines.values()], style.factor, is_ahead=False)
            _paint_range(axes, [line.ahead for line in lines.values()], style.factor, is_ahead=True)
        else:
            for number, (label, line) in enumerate(lines.items()):
                _paint_line(axes, line, STROKES[number], style.factor)
                paint_key(figure, STROKES[number], label, LINE * (keys - number - 0.4) / height)
        axes.set_xlabel("seeds", labelpad=2)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10], integer=True))
        number_axis(axes, "y")

    title = "Would further seeds tell more?"
    unit = f", {style.unit_of_differences}" if style.unit_of_differences else ""
    note = sentences(
        f"Half the {100 * CONFIDENCE:.4g} % t interval of a difference in {METRICS[metric].title}{unit}, by the number "
        "of seeds.",
        f"Of {len(lines)} differences together: their median, and the range of all of them shaded." if together else "",
        "Marks: the seeds so far, in their order. Without marks, and thinner: what further seeds would give if the "
        "spread stays as it is.",
        "To add seeds until the result pleases is no test: further seeds need looks that were declared.",
    )
    return (Plot(title, draw(name, title, WIDTH, height, paint), note),)


def _paint_line(axes: Axes, line: _Line, stroke: Stroke, factor: int) -> None:
    face = stroke.colour if stroke.is_filled else "none"
    axes.plot(
        [n for n, _ in line.so_far],
        [factor * width for _, width in line.so_far],
        stroke.dashes,
        marker=stroke.marker,
        markersize=3.6,
        color=stroke.colour,
        markerfacecolor=face,
        linewidth=1.6,
    )
    numbers, widths = [n for n, _ in line.ahead], [factor * width for _, width in line.ahead]
    axes.plot(numbers, widths, stroke.dashes, color=stroke.colour, linewidth=0.8)


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
