"""Interaction plots and heat maps: the mean of every combination of the levels of two factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.analysis.effects import CellMeans
from benchmarks.analysis.estimates import Estimate
from benchmarks.metrics import METRICS
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences, short, titled
from benchmarks.report.plots.common import (
    CHARACTER,
    LINE,
    WIDTH,
    Stroke,
    bare,
    number_axis,
    padded,
    paged,
    paged_plots,
    paint_marks,
    spread,
    with_strokes,
)
from benchmarks.report.svg import FIRST, INK, PAPER, RULE, draw

_LABEL = 18
_DARKEST = 0.6


def interaction_plot(name: str, found: CellMeans, style: Style) -> tuple[Plot, ...]:
    """A line for each level of the second factor, over the levels of the first: parallel lines mean no interaction."""
    ends = [end for each in found.means.values() for end in (each.ci_low, each.ci_high, each.mean, *_raw(each))]
    if not any(map(math.isfinite, ends)):
        return ()
    span = padded([style.factor * end for end in ends])
    pages = [
        (places, lines)
        for places in paged(found.first_levels, limits.MOST_INTERACTION_PLACES)
        for lines in paged(found.second_levels, limits.MOST_INTERACTION_LINES)
    ]
    note = sentences(
        titled(METRICS[found.metric].title, style.unit_of_values) + f"; {METRICS[found.metric].better} is better.",
        "Lines that do not run side by side speak for an interaction.",
        any(each.state == "interval" for each in found.means.values()) and "Bars: 95 % t intervals of the means.",
        any(map(_raw, found.means.values())) and "Marks without a line: single seeds, too few for a mean.",
        _about(found),
    )
    title = f"Does the effect of {found.first} depend on {found.second}?"
    return paged_plots(name, title, note, pages, lambda name, page: _interaction_page(name, found, style, span, *page))


def heat_map(name: str, found: CellMeans, style: Style) -> tuple[Plot, ...]:
    """The mean of each combination as a number on a tint that is the stronger, the better it is."""
    known = [each.mean for each in found.means.values() if math.isfinite(each.mean)]
    if not known:
        return ()
    ends = sorted((min(known), max(known)), key=lambda mean: METRICS[found.metric].sign * mean)
    pages = [
        (rows, columns)
        for rows in paged(found.first_levels, limits.MOST_MAP_ROWS)
        for columns in paged(found.second_levels, limits.MOST_MAP_COLUMNS)
    ]
    note = sentences(
        titled(METRICS[found.metric].title, style.unit_of_values)
        + f", mean over the seeds; {METRICS[found.metric].better} is better. "
        "The stronger the tint, the better; the best is framed.",
        _about(found),
        len(found.means) < len(found.first_levels) * len(found.second_levels) and "A dash: not in the design.",
        any(each.state == "raw values" for each in found.means.values())
        and "n and a number: so few values have no mean.",
    )
    title = f"Which combination of {found.first} and {found.second} does best?"
    return paged_plots(name, title, note, pages, lambda name, page: _heat_page(name, found, style, ends, *page))


def _raw(found: Estimate) -> tuple[float, ...]:
    return found.values if found.state == "raw values" else ()


def _about(found: CellMeans) -> str:
    held = ", ".join(f"{factor} = {level}" for factor, level in found.held.items())
    short_of = sum(each.n < found.n_planned for each in found.means.values())
    return sentences(
        found.averaged_over and f"Averaged over {', '.join(found.averaged_over)} within each seed.",
        held and f"The others are at their baseline: {held}.",
        short_of and f"A star: fewer than the {found.n_planned} seeds planned; what is missing is left out.",
    )


def _interaction_page(
    name: str, found: CellMeans, style: Style, span: tuple[float, float], places: Sequence[str], lines: Sequence[str]
) -> Markup:
    steep = max(map(len, places)) * len(places) > 34
    below = 0.22 + (0.64 * CHARACTER * min(_LABEL, max(map(len, places))) if steep else 0.06)
    height = 1.9 + below
    stars = {line: any(_is_short(found, (place, line)) for place in places) for line in lines}
    labels = {line: short(line, _LABEL - 1) + ("*" if stars[line] else "") for line in lines}
    right = (CHARACTER * max(map(len, labels.values())) + 0.28) / WIDTH

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.13, below / height, 0.86 - right, 1 - (below + 0.06) / height))
        axes.set(xlim=(-0.35, len(places) - 0.65), ylim=span)
        last = []
        for number, (line, stroke) in enumerate(with_strokes(lines)):
            shift = 0.05 * (number - (len(lines) - 1) / 2)
            points = [(x + shift, found.means.get((place, line))) for x, place in enumerate(places)]
            _interaction_line(axes, points, stroke, style.factor)
            known = [style.factor * each.mean for _, each in points if each and math.isfinite(each.mean)]
            last.append(known[-1] if known else sum(span) / 2)
        least = (span[1] - span[0]) * LINE / (axes.get_position().height * height)
        for place, (line, stroke) in zip(spread(last, least), with_strokes(lines), strict=True):
            _label_beside(axes, place, labels[line], stroke)
        axes.set_xticks(range(len(places)), [short(place, _LABEL) for place in places])
        if steep:
            for text in axes.get_xticklabels():
                text.set(rotation=40, ha="right", rotation_mode="anchor")
        axes.tick_params(axis="x", labelcolor=INK)
        axes.grid(axis="x", visible=False)
        number_axis(axes, "y")

    return draw(name, f"Means of {found.first}, a line for each of {found.second}", WIDTH, height, paint)


def _label_beside(axes: Axes, place: float, label: str, stroke: Stroke) -> None:
    """A piece of a line, and what the line is of, to the right of a plot."""
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform()}
    axes.plot([1.02, 1.1], [place, place], stroke.dashes, color=stroke.colour, linewidth=1.4, clip_on=False, **beside)
    paint_marks(axes, [1.06], [place], stroke, clip_on=False, **beside)
    axes.text(1.13, place, label, va="center", **beside)


def _interaction_line(axes: Axes, points: Sequence[tuple[float, Estimate | None]], stroke: Stroke, factor: int) -> None:
    known = [(x, each) for x, each in points if each and math.isfinite(each.mean)]
    heights = [factor * each.mean for _, each in known]
    axes.plot([x for x, _ in known], heights, stroke.dashes, color=stroke.colour, linewidth=1.4)
    for x, each in known:
        if each.state == "interval":
            axes.plot([x, x], [factor * each.ci_low, factor * each.ci_high], color=stroke.colour, linewidth=0.9)
        paint_marks(axes, [x], [factor * each.mean], stroke, markersize=4.5)
    for x, single in [(x, [factor * value for value in _raw(each)]) for x, each in points if each and _raw(each)]:
        paint_marks(axes, [x] * len(single), single, stroke, markersize=4, markerfacecolor=PAPER)


def _heat_page(
    name: str, found: CellMeans, style: Style, ends: Sequence[float], rows: Sequence[str], columns: Sequence[str]
) -> Markup:
    label = CHARACTER * min(_LABEL, max(map(len, rows))) + 0.1
    head = 0.62 * CHARACTER * 1.35 * min(_LABEL, max(map(len, columns))) + 0.14
    overhang = 0.5
    wide = (WIDTH - label - overhang) / len(columns)
    wide, tall = min(wide, 0.9), 0.28
    height = head + tall * len(rows) + 0.06

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((label / WIDTH, 0.06 / height, wide * len(columns) / WIDTH, tall * len(rows) / height))
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        for y, row in enumerate(rows):
            axes.text(-0.06 / wide, y + 0.5, short(row, _LABEL), va="center", ha="right")
            for x, column in enumerate(columns):
                _heat_cell(axes, x, y, found, (row, column), style, ends)
        for x, column in enumerate(columns):
            axes.text(x + 0.5, -0.15, short(column, _LABEL), rotation=40, rotation_mode="anchor", ha="left")
        axes.spines["bottom"].set_visible(False)
        bare(axes)
        axes.set_xticks([])

    return draw(name, f"Means of each combination of {found.first} and {found.second}", WIDTH, height, paint)


def _heat_cell(
    axes: Axes, x: int, y: int, found: CellMeans, levels: tuple[str, str], style: Style, ends: Sequence[float]
) -> None:
    each = found.means.get(levels)
    worst, best = ends
    text, ground, is_best = "–", 0.0, False
    if each is not None and math.isfinite(each.mean):
        ground = _DARKEST * ((each.mean - worst) / (best - worst) if best != worst else 0.5)
        text = style.value(each.mean)
        is_best = each.mean == best
    elif each is not None:
        text = f"n {each.n}"
    inside = 0.02
    corner, side = (x + inside, y + inside), 1 - 2 * inside
    axes.add_patch(Rectangle(corner, side, side, facecolor=FIRST, alpha=ground, linewidth=0))
    edge, line = (INK, 1.6) if is_best else (RULE, 0.5)
    axes.add_patch(Rectangle(corner, side, side, facecolor="none", edgecolor=edge, linewidth=line))
    star = "*" if each is not None and _is_short(found, levels) else ""
    axes.text(x + 0.5, y + 0.52, text + star, ha="center", va="center", fontsize=8)


def _is_short(found: CellMeans, levels: tuple[str, str]) -> bool:
    each = found.means.get(levels)
    return each is not None and each.n < found.n_planned
