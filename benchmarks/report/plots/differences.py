"""Differences with all that is behind them: a row for each level, and a line or a dot for each seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.contrasts import Contrast
from benchmarks.analysis.estimates import NO_ESTIMATE, Estimate, estimate
from benchmarks.analysis.judgements import JudgedClaim, Judgement, SeedPair
from benchmarks.labels import counted
from benchmarks.metrics import METRICS, Metric
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, gain_title, sentences, short, titled
from benchmarks.report.plots.common import DIGIT, WIDTH, bare, difference_axis, ends_of, number_axis, padded, row_labels
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, RULE, SECOND, draw

_PANEL_WIDTH, _PANEL_HEIGHT = 3.0, 2.3
_FOREST_WIDTH = 5.8
_LETTERS = 26
_ROW = 0.25
_LABEL_LENGTH = 24


def forest_plot(name: str, contrasts: Mapping[str, Sequence[Contrast]], metric: Metric, style: Style) -> Markup:
    """Each level's mean difference from the baseline with its interval, factor by factor."""
    rows = [row for factor, of_factor in contrasts.items() for row in _forest_rows(factor, of_factor, style)]
    height = _ROW * len(rows) + 0.5
    # Long numbers need more room than the usual ones; the plot itself keeps its size.
    longest = max((len(row.text) for row in rows if row.found.state != "raw values"), default=0)
    width = _FOREST_WIDTH + max(0, longest - _LETTERS) * DIGIT
    share = _FOREST_WIDTH / width

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


def seed_lines(name: str, claim: JudgedClaim, judgement: Judgement, style: Style) -> tuple[Plot, ...]:
    """A line from one level of a claim to the other for each seed of a dataset, and the means beside them."""
    whole = [pair for pair in judgement.pairs if math.isfinite(pair.difference)]
    if not whole:
        return ()
    metric = METRICS[judgement.metric]
    shown = whole[: limits.MOST_SEEDS]
    sides = [estimate(pair.than for pair in whole), estimate(pair.better for pair in whole)]

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.17, 0.12, 0.66, 0.85))
        for pair in shown:
            _line(figure, pair, style.factor)
        for place, side in ((-0.09, sides[0]), (1.09, sides[1])):
            if math.isfinite(side.mean):
                axes.plot([place - 0.05, place + 0.05], [style.factor * side.mean] * 2, color=INK, linewidth=2.2)
        axes.set_xlim(-0.2, 1.2)
        axes.set_ylim(padded([style.factor * value for pair in shown for value in (pair.than, pair.better)]))
        axes.set_xticks([0, 1], [short(label, 18) for label in (claim.than, claim.better)])
        axes.tick_params(axis="x", labelcolor=INK)
        axes.grid(axis="x", visible=False)
        number_axis(axes, "y")

    holes = len(judgement.pairs) - len(whole)
    note = sentences(
        titled(metric.title, style.unit_of_values) + f"; {metric.better} is better.",
        f"{_won(whole)} Solid: {claim.better} is better; dashed: it is worse; dotted: no difference.",
        _means(sides, style, claim),
        claim.averaged_over and f"Averaged over {', '.join(claim.averaged_over)} within each seed.",
        claim.changing_with and f"Changing with it: {', '.join(claim.changing_with)}.",
        any(pair.diverged for pair in shown) and "Crosses: a run diverged.",
        holes and f"{counted(holes, 'seed')} left out: a run has no value.",
        len(shown) < len(whole) and f"The first {len(shown)} of {len(whole)} seeds are drawn.",
    )
    title = f"Do the seeds agree on {claim.better} against {claim.than}?"
    return (Plot(title, draw(name, title, _PANEL_WIDTH, _PANEL_HEIGHT, paint), note),)


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
        row_labels(axes, [short(each.level, 18) for each in contrasts])
        differences = [style.factor * pair.difference for each in contrasts for pair in each.pairs]
        axes.set_xlim(padded([0.0, *differences], 0.08))
        difference_axis(axes, gain_title(metric, style))

    return draw(name, "Difference from the baseline in each seed", WIDTH, height, paint)


def _line(figure: Figure, pair: SeedPair, factor: int) -> None:
    gain = pair.difference
    colour, dashes = (FIRST, "-") if gain > 0 else (SECOND, "--") if gain < 0 else (MUTED, ":")
    ends = [factor * pair.than, factor * pair.better]
    (axes,) = figure.axes
    axes.plot([0, 1], ends, dashes, color=colour, linewidth=1.1)
    if pair.diverged:
        axes.plot([0, 1], ends, "x", color=colour, markersize=5, markeredgewidth=1.4)
    else:
        axes.plot([0, 1], ends, "o", color=colour, markerfacecolor=colour if gain > 0 else PAPER, markersize=3.6)


def _won(pairs: Sequence[SeedPair]) -> str:
    gains = [pair.difference for pair in pairs]
    ties = sum(gain == 0 for gain in gains)
    tied = f", and neither in {ties}" if ties else ""
    return f"The right one is better in {sum(gain > 0 for gain in gains)} of {counted(len(gains), 'seed')}{tied}."


def _means(sides: Sequence[Estimate], style: Style, claim: JudgedClaim) -> str:
    if any(math.isnan(side.mean) for side in sides):
        return "There are too few seeds for means."
    values = [style.value(side.mean) for side in sides]
    return f"Bars: means, {values[0]} with {claim.than} and {values[1]} with {claim.better}."


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
