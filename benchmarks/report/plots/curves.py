"""Learning curves: a panel for each cell or level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from benchmarks.analysis.curves import Line, Panel
from benchmarks.report.formatting import Style
from benchmarks.report.plots.common import DIGIT, ROUND, number_text
from benchmarks.report.svg import FIRST, MUTED, SECOND, draw

_WIDTH, _HEIGHT = 3.0, 1.9


def curve_limits(panels: Sequence[Panel]) -> tuple[float, float]:
    """The range of values that all panels of a metric share; runs that diverged do not stretch it where others are."""
    lines = [line for panel in panels for line in panel.seeds]
    steady = [line for line in lines if not line.diverged] or lines
    values = np.concatenate([line.values for line in steady])
    return float(values.min()), float(values.max())


def learning_curve(name: str, panel: Panel, baseline: Line | None, limits: tuple[float, float], style: Style) -> Markup:
    """One panel: a thin line a seed, their mean bold, and the baseline's mean dashed.

    `limits` are those of all panels, from `curve_limits`. The axis of shares is linear; any other is logarithmic where
    the values span a factor of ten.
    """
    scale = style.factor

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.13, 0.19, 0.84, 0.77))
        for line in panel.seeds:
            _seed_line(axes, line.epochs, scale * line.values, line.diverged)
        if baseline is not None:
            axes.plot(baseline.epochs, scale * baseline.values, "--", color=MUTED, linewidth=1.1)
        if panel.mean is not None:
            axes.plot(panel.mean.epochs, scale * panel.mean.values, color=FIRST, linewidth=2)
        _value_axis(axes, scale * limits[0], scale * limits[1], may_be_logarithmic=style.unit != "share")
        _make_room_for_labels(axes)
        axes.set_xlabel("epoch", labelpad=2)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND, integer=True, min_n_ticks=1))

    return draw(name, f"Learning curve of {panel.title}", _WIDTH, _HEIGHT, paint)


def _seed_line(axes: Axes, epochs: np.ndarray, values: np.ndarray, diverged: bool) -> None:
    if diverged:
        axes.plot(epochs, values, ":", color=SECOND, linewidth=1.2)
        axes.plot(epochs[-1:], values[-1:], "x", color=SECOND, markersize=6, markeredgewidth=1.6)
    else:
        axes.plot(epochs, values, color=FIRST, linewidth=0.8, alpha=0.4)


def _value_axis(axes: Axes, low: float, high: float, may_be_logarithmic: bool) -> None:
    if may_be_logarithmic and low > 0 and high / low > 10:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.2, high * 1.2)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=6))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        room = 0.05 * (high - low) or 0.5
        axes.set_ylim(low - room, high + room)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))


def _make_room_for_labels(axes: Axes) -> None:
    """Move the left end of a learning curve to the right where the labels are longer than usual."""
    low, high = axes.get_ylim()
    longest = max((len(number_text(value)) for value in axes.get_yticks() if low <= value <= high), default=0)
    room = max(0, longest - 4) * DIGIT / _WIDTH
    place = axes.get_position()
    axes.set_position((place.x0 + room, place.y0, place.width - room, place.height))
