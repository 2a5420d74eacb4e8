"""What a search came to: how soon it found what it chose, how far to trust its score, and what tuning was worth."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Literal

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.estimates import Estimate
from benchmarks.analysis.searches import GroupOutcome, SearchOutcome, Sensitivity
from benchmarks.analysis.tuning_gain import Worth
from benchmarks.metrics import Metric
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, gain_title, sentences, short, titled
from benchmarks.report.plots.common import (
    CHARACTER,
    LETTERS,
    WIDTH,
    Item,
    Stroke,
    cost_axis,
    draw_keyed,
    ends_of,
    logarithmic_heights,
    number_axis,
    padded,
    paged,
    paged_plots,
    paint_marks,
    row_labels,
    with_strokes,
)
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, RULE, SECOND, draw

Cost = Literal["trials", "epochs"]

_ROW = 0.24
_LABEL = 0.42
"""Share of a plot's width that the labels of its rows take."""

_LOGARITHMIC_FROM = 30

_Line = Sequence[tuple[float, float]]


def best_so_far(name: str, found: SearchOutcome, style: Style, cost: Cost) -> tuple[Plot, ...]:
    """The best score of each group by what was spent until then."""
    groups = [group for group in found.groups if any(score is not None for score in group.best_so_far)]
    if not groups:
        return ()
    together = len(groups) > limits.MOST_SEARCH_LINES
    lines = [_best_line(group, cost, together=together) for group in groups]
    keys = [] if together else with_strokes([group.title for group in groups])

    def paint(axes: Axes) -> None:
        values = [style.factor * score for line in lines for _, score in line]
        _score_axis(axes, values, may_be_logarithmic=style.unit != "share" and not together)
        axes.set_xlim(0, 1.02 * max(line[-1][0] for line in lines))
        if together:
            _paint_middle(axes, lines, style.factor)
        else:
            for line, (_, stroke) in zip(lines, keys, strict=True):
                _paint_steps(axes, line, stroke, style.factor)
        axes.set_xlabel("epochs of training" if cost == "epochs" else "trials", labelpad=2)
        number_axis(axes, "x")

    title = "How many epochs did it take?" if cost == "epochs" else "How soon were good settings found?"
    what = titled(found.metric.title, style.unit_of_values)
    note = sentences(
        f"How far the best trial so far is behind the group’s best in the end, {_of(found.metric, style)}: the "
        f"median of {len(groups)} groups, and the range of all of them shaded."
        if together
        else f"{what}: the best of the trials so far; {found.metric.better} is better.",
        "Trials by their number; what ran at the same time stands one after the other.",
        "A line begins with its first trial that has a score to compare.",
    )
    return (Plot(title, draw_keyed(name, title, paint, keys), note),)


def gap_plot(name: str, found: SearchOutcome, style: Style) -> tuple[Plot, ...]:
    """How much better the choice of each group looked in the search than it is on the reported seeds."""
    rows = [(group.title, found.gap(group)) for group in found.groups]
    rows = [(title, gap) for title, gap in rows if gap.n]
    note = sentences(
        f"Score in the search minus the score on the reported seeds, turned so that positive means flattered, "
        f"{_of(found.metric, style)}.",
        "Bars: 95 % t intervals over the reported seeds; the score in the search is one number and taken as it is.",
    )
    label = f"flattered by, {style.unit_of_differences}"
    return rows_plot(name, "Did the choice look better than it is?", rows, label, style, note)


def worth_plot(name: str, worth: Worth, style: Style, title: str) -> tuple[Plot, ...]:
    """The gain of each tuned cell of one dataset over the same cell untuned, with its interval, and over all cells."""
    rows = [(", ".join(cell.levels.values()), cell.gain) for cell in worth.cells if cell.gain.n]
    if len(worth.cells) > 1 and worth.overall.n:
        rows.insert(0, ("all cells, averaged", worth.overall))
    note = sentences(
        "To the right of zero, tuning was better. Bars: 95 % t intervals of differences paired over the seeds.",
        "Crosses: all differences equal, as where tuning changed nothing.",
    )
    return rows_plot(name, title, rows, gain_title(worth.metric, style), style, note)


def sensitivity_plot(name: str, levels: Sequence[Sensitivity], metric: Metric, style: Style) -> tuple[Plot, ...]:
    """How the scores of a level's trials are spread: how much each level of one dataset hangs on the tuned settings."""
    rows = [(f"{each.level} ({each.factor.rpartition('.')[2]})", each) for each in levels if each.best is not None]
    what = titled(metric.title, style.unit_of_values)
    note = sentences(
        f"{what}, over all trials whose scores can be compared; {metric.better} is better.",
        "Dot: the best trial. Thick: the middle half of the trials, with the median as a stroke. Thin: up to the "
        "worst.",
        "A long bar says that the level needs its settings, a short one that most settings do.",
    )

    def spread_axis(axes: Axes, shown: Iterable[Sensitivity]) -> None:
        values = [style.factor * end for each in shown for end in (each.best, each.worst) if end is not None]
        low, high = min(values), max(values)
        if style.unit != "share" and low > 0 and high / low > _LOGARITHMIC_FROM:
            cost_axis(axes, values, counts=False)
        else:
            axes.set_xlim(padded(values))
            number_axis(axes, "x", most=5)
        _wide_label(axes, what)

    title = "How much does each level hang on the tuned settings?"
    paint = functools.partial(_paint_spread, factor=style.factor)
    return _rows(name, title, note, rows, noun="levels", set_axis=spread_axis, paint_row=paint)


def _best_line(group: GroupOutcome, cost: Cost, *, together: bool) -> list[tuple[float, float]]:
    """What was spent until each trial, and the best score then; or how far that is behind the last."""
    spent = itertools.accumulate(each.epochs if cost == "epochs" else 1 for each in group.trials)
    known = [(s, score) for s, score in zip(spent, group.best_so_far, strict=True) if score is not None]
    return [(s, abs(score - known[-1][1]) if together else score) for s, score in known]


def _paint_steps(axes: Axes, line: _Line, stroke: Stroke, factor: int) -> None:
    spent, scores = [s for s, _ in line], [factor * score for _, score in line]
    axes.step(spent, scores, where="post", color=stroke.colour, linestyle=stroke.dashes, linewidth=1.5)
    turns = [index for index in range(len(line)) if index == 0 or scores[index] != scores[index - 1]]
    paint_marks(axes, [spent[turn] for turn in turns], [scores[turn] for turn in turns], stroke, markersize=4)


def _paint_middle(axes: Axes, lines: Sequence[_Line], factor: int) -> None:
    """The median of many lines, and the range of all, where all have begun."""
    places = sorted({s for line in lines for s, _ in line})
    places = [place for place in places if place >= max(line[0][0] for line in lines)]
    if len(places) > limits.MOST_SEARCH_STEPS:
        places = places[:: len(places) // limits.MOST_SEARCH_STEPS] + places[-1:]
    columns = [[factor * _at(line, place) for line in lines] for place in places]
    lowest, highest = list(map(min, columns)), list(map(max, columns))
    axes.fill_between(places, lowest, highest, step="post", color=FIRST, alpha=0.18)
    axes.step(places, [statistics.median(each) for each in columns], where="post", color=FIRST, linewidth=1.8)


def _at(line: _Line, place: float) -> float:
    """The value of a line of steps at a place that is not before its first."""
    return line[bisect.bisect_right(line, place, key=itemgetter(0)) - 1][1]


def _score_axis(axes: Axes, values: Sequence[float], *, may_be_logarithmic: bool) -> None:
    low, high = min(values), max(values)
    if may_be_logarithmic and low > 0 and high / low > _LOGARITHMIC_FROM:
        logarithmic_heights(axes, (low / 1.2, high * 1.2))
    else:
        axes.set_ylim(padded(values))
        number_axis(axes, "y", most=5)


def rows_plot(
    name: str, title: str, rows: Sequence[tuple[str, Estimate]], label: str, style: Style, note: str
) -> tuple[Plot, ...]:
    """A row for each estimate: its mean with its interval; raw values where there is none."""
    has_raw = any(found.state == "raw values" for _, found in rows)
    told = sentences(note, has_raw and "Small strokes: single seeds, where there is no interval.")

    def gain_axis(axes: Axes, shown: Iterable[Estimate]) -> None:
        axes.set_xlim(padded([0.0, *(style.factor * end for found in shown for end in ends_of(found))]))
        axes.axvline(0, color=MUTED, linewidth=1)
        number_axis(axes, "x", most=5, sign="+")
        _wide_label(axes, label)

    paint = functools.partial(_paint_estimate, factor=style.factor)
    return _rows(name, title, told, rows, noun="rows", set_axis=gain_axis, paint_row=paint)


def _rows(
    name: str,
    title: str,
    note: str,
    rows: Sequence[tuple[str, Item]],
    *,
    noun: str,
    set_axis: Callable[[Axes, Iterable[Item]], None],
    paint_row: Callable[[Axes, int, Item], None],
) -> tuple[Plot, ...]:
    """A row for each item beside its label, over pages whose axis is the same; so many as there is room for."""
    pages = paged(rows, limits.MOST_ESTIMATE_ROWS)[: limits.MOST_ESTIMATE_PAGES]
    shown = [item for page in pages for _, item in page]

    def drawn(name: str, page: Sequence[tuple[str, Item]]) -> Markup:
        height = _ROW * len(page) + 0.52

        def paint(figure: Figure) -> None:
            axes = figure.add_axes((_LABEL, 0.46 / height, 0.97 - _LABEL, 1 - 0.52 / height))
            row_labels(axes, [short(text, round((_LABEL - 0.03) * WIDTH / CHARACTER)) for text, _ in page])
            set_axis(axes, shown)
            for place, (_, item) in enumerate(page):
                paint_row(axes, place, item)

        return draw(name, title, WIDTH, height, paint)

    left_out = len(shown) < len(rows) and f"The first {len(shown)} of {len(rows)} {noun}."
    return paged_plots(name, title, sentences(note, left_out), pages, drawn)


def _paint_estimate(axes: Axes, place: int, found: Estimate, factor: int) -> None:
    if found.state == "raw values":
        axes.plot([factor * each for each in found.values], [place] * found.n, "|", color=INK, markersize=8)
        return
    if found.state == "degenerate":
        axes.plot([factor * found.mean], [place], "x", color=INK, markersize=5)
        return
    colour, marker = (FIRST, "o") if found.ci_low > 0 else (SECOND, "s") if found.ci_high < 0 else (INK, "o")
    holds_zero = found.ci_low <= 0 <= found.ci_high
    axes.plot([factor * found.ci_low, factor * found.ci_high], [place] * 2, color=colour, linewidth=1.6)
    face = PAPER if holds_zero else colour
    axes.plot([factor * found.mean], [place], marker, color=colour, markerfacecolor=face, markersize=5)


def _paint_spread(axes: Axes, place: int, found: Sensitivity, factor: int) -> None:
    ends = (found.best, found.better_quarter, found.median, found.worse_quarter, found.worst)
    best, better, median, worse, worst = (factor * end if end is not None else math.nan for end in ends)
    axes.plot([best, worst], [place] * 2, color=MUTED, linewidth=0.9)
    axes.plot([better, worse], [place] * 2, color=FIRST, linewidth=4.5, solid_capstyle="butt")
    axes.plot([median, median], [place - 0.3, place + 0.3], color=INK, linewidth=1.5)
    axes.plot([best], [place], "o", color=INK, markersize=4.5)
    axes.axhspan(place - 0.42, place + 0.42, color=RULE, alpha=0.25, linewidth=0)


def _wide_label(axes: Axes, label: str) -> None:
    """Write below an axis, also below the labels of its rows."""
    axes.set_xlabel(short(label.rstrip(", "), LETTERS), labelpad=2, x=1.0, ha="right")


def _of(metric: Metric, style: Style) -> str:
    return f"{metric.title} {style.unit_of_differences}".rstrip()
