"""The figures of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from benchmarks.analysis.contrasts import Contrast
from benchmarks.analysis.curves import Line, Panel
from benchmarks.analysis.estimates import NO_ESTIMATE, Estimate
from benchmarks.labels import THIN_SPACE
from benchmarks.metrics import Metric
from benchmarks.report.formatting import Style, short
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, RULE, SECOND, draw

_FOREST_WIDTH = 5.8
_FOREST_TEXT, _AXIS_TEXT = 26, 34
_CHARACTER = 0.07
_ROW = 0.25
_PANEL_WIDTH, _PANEL_HEIGHT = 3.0, 1.9
_DOTS_WIDTH = 3.6
_LABEL_LENGTH = 24
_ROUND = [1, 2, 5, 10]


def forest_plot(name: str, contrasts: Mapping[str, Sequence[Contrast]], metric: Metric, style: Style) -> Markup:
    """Each level's mean difference from the baseline with its interval, factor by factor.

    Args:
        name: tells this figure from the others of the page.
        contrasts: factor -> its contrasts on one dataset, a row each.
        metric: what is compared.
        style: how differences of it are written.
    """
    rows = [row for factor, of_factor in contrasts.items() for row in _forest_rows(factor, of_factor, style)]
    height = _ROW * len(rows) + 0.5
    # Long numbers need more room than the usual ones; the plot itself keeps its size.
    longest = max((len(row.text) for row in rows if row.found.state != "raw values"), default=0)
    width = _FOREST_WIDTH + max(0, longest - _FOREST_TEXT) * _CHARACTER
    share = _FOREST_WIDTH / width

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.27 * share, 0.45 / height, 0.40 * share, 1 - 0.5 / height))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(_limits([style.factor * end for row in rows for end in _ends(row.found)]))
        axes.axvline(0, color=MUTED, linewidth=1)
        beside = axes.get_yaxis_transform()
        for position, row in enumerate(rows):
            axes.text(row.indent, position, row.label, transform=beside, va="center", color=row.ink, weight=row.weight)
            axes.text(1.04, position, row.text, transform=beside, va="center", color=row.ink)
            _forest_mark(axes, position, row, style.factor)
        axes.set_yticks([])
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        _difference_axis(axes, metric, style)

    return draw(name, "Difference of each level from the baseline, with intervals", width, height, paint)


def paired_dots(name: str, contrasts: Sequence[Contrast], metric: Metric, style: Style) -> Markup:
    """The difference of each level of one factor from the baseline, one dot a seed, the mean as a bar.

    Within a row, seeds stand in their order from top to bottom. A cross marks a pair with a diverged run.
    """
    height = 0.36 * len(contrasts) + 0.5

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.34, 0.45 / height, 0.62, 1 - 0.5 / height))
        axes.axvline(0, color=MUTED, linewidth=1)
        for position, contrast in enumerate(contrasts):
            _dots_row(axes, position, contrast, style.factor)
        axes.set_ylim(len(contrasts) - 0.5, -0.5)
        axes.set_yticks(range(len(contrasts)), [short(each.level, 18) for each in contrasts])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(_limits([style.factor * pair.difference for each in contrasts for pair in each.pairs]))
        _difference_axis(axes, metric, style)

    return draw(name, "Difference from the baseline in each seed", _DOTS_WIDTH, height, paint)


def curve_limits(panels: Sequence[Panel]) -> tuple[float, float]:
    """The range of values that all panels of a metric share; runs that diverged do not stretch it where others are."""
    lines = [line for panel in panels for line in panel.seeds]
    steady = [line for line in lines if not line.diverged] or lines
    values = np.concatenate([line.values for line in steady])
    return float(values.min()), float(values.max())


def learning_curve(name: str, panel: Panel, baseline: Line | None, limits: tuple[float, float], style: Style) -> Markup:
    """One panel: a thin line a seed, their mean bold, and the baseline's mean dashed.

    Args:
        name: tells this figure from the others of the page.
        panel: what to draw.
        baseline: the mean line to compare with, if there is another.
        limits: of the values, from `curve_limits`.
        style: of the metric. The axis of shares is linear; any other is logarithmic where the values span a factor of
            ten.
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
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=_ROUND, integer=True, min_n_ticks=1))

    return draw(name, f"Learning curve of {panel.title}", _PANEL_WIDTH, _PANEL_HEIGHT, paint)


@dataclass(frozen=True)
class _ForestRow:
    """A line of a forest plot: a label, a mark and its numbers."""

    label: str
    found: Estimate = NO_ESTIMATE
    text: str = ""
    indent: float = -0.64
    weight: str = "normal"
    ink: str = INK
    colour: str = FIRST
    marker: str = "o"


def _forest_rows(factor: str, contrasts: Sequence[Contrast], style: Style) -> Iterable[_ForestRow]:
    yield _ForestRow(short(factor, 60), indent=-0.66, weight="bold")
    for contrast in contrasts:
        found, without = contrast.estimate, contrast.without_diverged
        if not contrast.in_design:
            yield _ForestRow(short(contrast.level, _LABEL_LENGTH), text="not in the design", ink=MUTED)
        elif contrast.kind == "main":
            label = "  averaged"
            yield _ForestRow(label, found, _forest_text(found, style), ink=MUTED, colour=SECOND, marker="D")
        else:
            part = f" ({found.n} of {contrast.n_planned})" if found.n < contrast.n_planned else ""
            yield _ForestRow(short(contrast.level, _LABEL_LENGTH - len(part)) + part, found, _forest_text(found, style))
        if without:
            label = "  without diverged"
            yield _ForestRow(label, without, _forest_text(without, style), ink=MUTED, colour=MUTED, marker="s")


def _forest_mark(axes: Axes, position: int, row: _ForestRow, factor: int) -> None:
    found = row.found
    if found.state == "interval":
        axes.plot([factor * found.ci_low, factor * found.ci_high], [position] * 2, color=row.colour, linewidth=1.8)
        axes.plot([factor * found.mean], [position], row.marker, color=row.colour, markersize=5.5)
    elif found.state == "degenerate":
        axes.plot([factor * found.mean], [position], "x", color=row.colour, markersize=6)
    else:
        values = [factor * value for value in found.values]
        axes.plot(values, [position] * found.n, row.marker, color=row.colour, markerfacecolor=PAPER, markersize=5)


def _forest_text(found: Estimate, style: Style) -> str:
    if found.state == "no values":
        return "no pair yet"
    if found.state == "raw values":
        return style.differences(found.values)
    if found.state == "degenerate":
        return f"{style.difference(found.mean)}  degenerate"
    return f"{style.difference(found.mean)}  ({style.difference_interval(found)})"


def _ends(found: Estimate) -> tuple[float, ...]:
    return found.values if found.state == "raw values" else (found.ci_low, found.ci_high, found.mean)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """A range that holds zero and all finite values, with some room."""
    known = [value for value in values if np.isfinite(value)]
    low, high = min(known, default=-1.0), max(known, default=1.0)
    low, high = min(low, 0.0), max(high, 0.0)
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room


def _dots_row(axes: Axes, position: int, contrast: Contrast, factor: int) -> None:
    count = len(contrast.pairs)
    places = position + (np.linspace(-0.28, 0.28, count) if count > 1 else np.zeros(count))
    differences = factor * np.array([pair.difference for pair in contrast.pairs])
    diverged = np.array([pair.diverged for pair in contrast.pairs], dtype=bool)
    axes.axhspan(position - 0.4, position + 0.4, color=RULE, alpha=0.25, linewidth=0)
    axes.plot(differences[~diverged], places[~diverged], "o", color=FIRST, markersize=3.6)
    axes.plot(differences[diverged], places[diverged], "x", color=SECOND, markersize=5, markeredgewidth=1.4)
    mean = factor * contrast.estimate.mean
    axes.plot([mean, mean], [position - 0.38, position + 0.38], color=INK, linewidth=1.4)


def _difference_axis(axes: Axes, metric: Metric, style: Style) -> None:
    turn = "gain in" if metric.better == "higher" else "reduction of"
    axes.set_xlabel(f"{turn} {metric.title}, {style.unit_of_differences}", labelpad=3)
    locators = [MaxNLocator(most, steps=_ROUND) for most in (6, 5, 4, 3)]
    fitting = [each for each in locators if _label_length(each, axes.get_xlim()) <= _AXIS_TEXT]
    axes.xaxis.set_major_locator((fitting or locators[-1:])[0])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, "+")))


def _label_length(locator: MaxNLocator, limits: tuple[float, float]) -> int:
    """Characters that the labels of an axis would take, each as wide as the longest."""
    ticks = [value for value in locator.tick_values(*limits) if limits[0] <= value <= limits[1]]
    return len(ticks) * max((len(_tick(value, "+")) for value in ticks), default=0)


def _tick(value: float, sign: str) -> str:
    return f"{value:{sign},g}".replace("-", "−").replace(",", THIN_SPACE) if value else "0"


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
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=_ROUND))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, "")))


def _make_room_for_labels(axes: Axes) -> None:
    """Move the left end of a learning curve to the right where the labels are longer than usual."""
    low, high = axes.get_ylim()
    longest = max((len(_tick(value, "")) for value in axes.get_yticks() if low <= value <= high), default=0)
    room = max(0, longest - 4) * _CHARACTER / _PANEL_WIDTH
    place = axes.get_position()
    axes.set_position((place.x0 + room, place.y0, place.width - room, place.height))
