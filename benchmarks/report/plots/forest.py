"""Forest plots: each level's difference from the baseline with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.contrasts import Contrast
from benchmarks.analysis.estimates import NO_ESTIMATE, Estimate
from benchmarks.metrics import Metric
from benchmarks.report.formatting import Style, gain_title, short
from benchmarks.report.plots.common import DIGIT, bare, difference_axis, ends_of, padded
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, SECOND, draw

_WIDTH = 5.8
_LETTERS = 26
_ROW = 0.25
_LABEL_LENGTH = 24


def forest_plot(name: str, contrasts: Mapping[str, Sequence[Contrast]], metric: Metric, style: Style) -> Markup:
    """Each level's mean difference from the baseline with its interval, factor by factor."""
    rows = [row for factor, of_factor in contrasts.items() for row in _forest_rows(factor, of_factor, style)]
    height = _ROW * len(rows) + 0.5
    # Long numbers need more room than the usual ones; the plot itself keeps its size.
    longest = max((len(row.text) for row in rows if row.found.state != "raw values"), default=0)
    width = _WIDTH + max(0, longest - _LETTERS) * DIGIT
    share = _WIDTH / width

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.27 * share, 0.45 / height, 0.40 * share, 1 - 0.5 / height))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(padded([0.0, *(style.factor * end for row in rows for end in ends_of(row.found))], 0.08))
        axes.axvline(0, color=MUTED, linewidth=1)
        beside = axes.get_yaxis_transform()
        for position, row in enumerate(rows):
            axes.text(row.indent, position, row.label, transform=beside, va="center", color=row.ink, weight=row.weight)
            axes.text(1.04, position, row.text, transform=beside, va="center", color=row.ink)
            _forest_mark(axes, position, row, style.factor)
        bare(axes)
        difference_axis(axes, gain_title(metric, style))

    return draw(name, "Difference of each level from the baseline, with intervals", width, height, paint)


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
        return style.differences.values(found.values)
    if found.state == "degenerate":
        return f"{style.difference(found.mean)}  degenerate"
    return f"{style.difference(found.mean)}  ({style.differences.interval(found)})"
