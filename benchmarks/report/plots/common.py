"""What the plots of a report share: a plot as it is handed on, marks that tell lines apart, axes and labels."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from benchmarks.analysis.estimates import Estimate
from benchmarks.labels import THIN_SPACE
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import sentences, short
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, SECOND, draw

Item = TypeVar("Item")

WIDTH = 3.6
"""Inches of a plot that a phone shows whole."""

CHARACTER = 0.066
"""Inches of a character of a label, on average."""

DIGIT = 0.07
"""Inches of a digit, which all are equally wide."""

LINE = 0.165
"""Inches of a line of text."""

LETTERS = round((WIDTH - 0.1) / CHARACTER)
"""Characters of a line of text across a plot."""

KEY_WIDTH = 0.13
"""Share of a plot's width that the piece of a line takes which its label explains."""

ROUND = [1, 2, 5, 10]
"""Steps of an axis."""

_LOGARITHMIC_FROM = 10
_DIFFERENCE_LETTERS = 34


@dataclass(frozen=True)
class Stroke:
    """What tells a line from others, in colour, in grey, and by those who see no colours."""

    colour: str
    dashes: str
    marker: str
    is_filled: bool

    @property
    def face(self) -> str:
        """The colour inside its marker."""
        return self.colour if self.is_filled else PAPER


STROKES = (
    Stroke(FIRST, "-", "o", True),
    Stroke(SECOND, "--", "s", True),
    Stroke(INK, ":", "^", True),
    Stroke(FIRST, "-.", "D", False),
    Stroke(SECOND, ":", "v", False),
    Stroke(MUTED, "-", "P", True),
)


def paged(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    """The items in pages of about equal length, none longer than `most`."""
    number = -(-len(items) // most)
    ends = [round(page * len(items) / number) for page in range(number + 1)] if number else [0]
    return [items[start:end] for start, end in itertools.pairwise(ends)]


def paged_plots(
    name: str, title: str, note: str, pages: Sequence[Item], drawn: Callable[[str, Item], Markup]
) -> tuple[Plot, ...]:
    """A plot for each page, which says which of several it is.

    `drawn` gives the figure from its name and what is on its page.
    """
    several = len(pages) > 1
    return tuple(
        Plot(title, drawn(f"{name}-{number}", page), sentences(note, several and f"Page {number + 1} of {len(pages)}."))
        for number, page in enumerate(pages)
    )


def wrapped(text: str, length: int, most_lines: int) -> list[str]:
    """Text in lines of at most `length` characters, the last cut short where there are more than `most_lines`."""
    lines = textwrap.wrap(" ".join(text.split()), length) or [""]
    return [*lines[: most_lines - 1], short(" ".join(lines[most_lines - 1 :]), length)] if lines[most_lines:] else lines


def spread(places: Sequence[float], least: float) -> list[float]:
    """Places moved as little as needed so that they are at least so far apart, in their order."""
    order = np.argsort(np.asarray(places), kind="stable")
    # Groups that touch are set around their common centre, and merge with the neighbours that they then touch.
    groups: list[tuple[float, int]] = []
    for index in order:
        centre, count = float(places[index]), 1
        while groups and centre - least * (count - 1) / 2 < groups[-1][0] + least * (groups[-1][1] + 1) / 2:
            before, others = groups.pop()
            centre = (centre * count + before * others) / (count + others)
            count += others
        groups.append((centre, count))
    moved = [centre + least * (step - (count - 1) / 2) for centre, count in groups for step in range(count)]
    return [place for _, place in sorted(zip(order, moved, strict=True))]


def number_text(value: float, sign: str = "") -> str:
    """A number of an axis, with a true minus."""
    return f"{value:{sign},.10g}".replace("-", "−").replace(",", THIN_SPACE) if value else "0"


def ends_of(found: Estimate) -> tuple[float, ...]:
    """What an axis has to hold of an estimate."""
    return found.values if found.state == "raw values" else (found.ci_low, found.ci_high, found.mean)


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """A range that holds all finite values, with some room."""
    known = [value for value in values if np.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = share * (high - low) or abs(high) * share or 1.0
    return low - room, high + room


def number_axis(axes: Axes, which: str, most: int = 6, sign: str = "") -> None:
    """Round numbers on an axis, few enough to stand side by side."""
    room = axes.get_position().width * axes.get_figure().get_figwidth() / CHARACTER / 1.35  # type: ignore[union-attr]
    _number_axis(axes, which, range(most, 0, -1), sign, room, apart=2)


def difference_axis(axes: Axes, label: str) -> None:
    """Round numbers with their signs on a horizontal axis of differences, below it what they are of."""
    axes.set_xlabel(label, labelpad=3)
    _number_axis(axes, "x", range(6, 2, -1), "+", _DIFFERENCE_LETTERS, apart=0)


def _number_axis(axes: Axes, which: str, numbers: Iterable[int], sign: str, room: float, apart: int) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    span = axes.get_xlim() if which == "x" else axes.get_ylim()
    locators = [MaxNLocator(number, steps=ROUND) for number in numbers]
    fitting = (each for each in locators if which == "y" or _length(each, span, sign, apart) <= room)
    axis.set_major_locator(next(fitting, locators[-1]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value, sign)))


def row_labels(axes: Axes, labels: Sequence[str]) -> None:
    """A label for each row of a plot, the first at the top."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    bare(axes)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=INK)


def logarithmic_heights(axes: Axes, span: tuple[float, float]) -> None:
    """A vertical axis of powers of ten, and of what is between them where there are few."""
    axes.set(yscale="log", ylim=span)
    _powers_of_ten(axes.yaxis, span[1] / span[0])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))


def _powers_of_ten(axis: Axis, ratio: float) -> None:
    axis.set_major_locator(LogLocator(subs=(1, 3) if ratio < 1e3 else (1,), numticks=5))
    axis.set_minor_locator(NullLocator())


def cost_axis(axes: Axes, values: Sequence[float], *, counts: bool) -> None:
    """A horizontal axis of costs, logarithmic where they span a factor of ten; counts are shortened to such as 1.2M."""
    low, high = min(values), max(values)
    if low > 0 and high / low > _LOGARITHMIC_FROM:
        axes.set(xscale="log", xlim=(low / (high / low) ** 0.06, high * (high / low) ** 0.06))
        _powers_of_ten(axes.xaxis, high / low)
    else:
        axes.set_xlim(padded(values))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    engineering = EngFormatter(sep="")
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: engineering.format_eng(value) if counts else number_text(value))
    )


def bare(axes: Axes) -> None:
    """Take away the grid and the line of a vertical axis that has no numbers."""
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def with_strokes(items: Sequence[Item]) -> list[tuple[Item, Stroke]]:
    """A stroke for each of some lines."""
    return list(zip(items, itertools.cycle(STROKES), strict=False))


def paint_marks(axes: Axes, places: Sequence[float], heights: Sequence[float], stroke: Stroke, **style: Any) -> None:
    """The markers of a line, without the line."""
    axes.plot(places, heights, stroke.marker, color=stroke.colour, **{"markerfacecolor": stroke.face, **style})


def paint_marked(
    axes: Axes, points: Sequence[tuple[float, float]], stroke: Stroke, factor: float, linewidth: float
) -> None:
    """A line with a small marker at each point, whose height is multiplied by a factor."""
    axes.plot(
        [place for place, _ in points],
        [factor * height for _, height in points],
        stroke.dashes,
        marker=stroke.marker,
        markersize=3.6,
        color=stroke.colour,
        markerfacecolor=stroke.colour if stroke.is_filled else "none",
        linewidth=linewidth,
    )


def draw_keyed(
    name: str,
    title: str,
    paint: Callable[[Axes], None],
    keys: Sequence[tuple[str, Stroke]] = (),
    *,
    height: float = 1.7,
    across: tuple[float, float] = (0.17, 0.8),
) -> Markup:
    """A plot with a key below for each of its lines, which are given by label and stroke.

    The height, in inches, is that of the plot alone; `across` is where its axes begin, and how wide they are, as shares
    of its width.
    """
    below = 0.46 + LINE * len(keys) + 0.04
    whole = height + below

    def paint_all(figure: Figure) -> None:
        paint(figure.add_axes((across[0], below / whole, across[1], 1 - (below + 0.06) / whole)))
        for number, (label, stroke) in enumerate(keys):
            paint_key(figure, stroke, label, LINE * (len(keys) - number - 0.4) / whole)

    return draw(name, title, WIDTH, whole, paint_all)


def paint_key(figure: Figure, stroke: Stroke, label: str, place: float) -> None:
    """A piece of a line with its label, cut short, beside it; its place is a share of the figure's height."""
    axes = figure.add_axes((0.02, place - 0.01, KEY_WIDTH - 0.04, 0.02), ylim=(-1, 1))
    axes.set_axis_off()
    axes.plot([0, 1], [0, 0], stroke.dashes, color=stroke.colour, linewidth=1.5, clip_on=False)
    paint_marks(axes, [0.5], [0], stroke, markersize=4.5, clip_on=False)
    figure.text(KEY_WIDTH, place, short(label, round((0.98 - KEY_WIDTH) * WIDTH / CHARACTER)), va="center")


def _length(locator: MaxNLocator, span: tuple[float, float], sign: str, apart: int) -> int:
    """Characters that the labels of an axis would take, each as wide as the longest, and so many between them."""
    ticks = [value for value in locator.tick_values(*span) if span[0] <= value <= span[1]]
    return len(ticks) * (apart + max((len(number_text(value, sign)) for value in ticks), default=0))
