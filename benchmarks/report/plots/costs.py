"""What a result costs: how soon runs reach a target, and which cells give the most for their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.analysis.effects import ParetoPoint
from benchmarks.analysis.time_to_target import LEAST_RUNS, TimeToTarget
from benchmarks.labels import counted
from benchmarks.metrics import METRICS
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences, short, titled
from benchmarks.report.plots.common import (
    KEY_WIDTH,
    LETTERS,
    LINE,
    WIDTH,
    Stroke,
    cost_axis,
    number_axis,
    number_text,
    padded,
    paged,
    paged_plots,
    paint_key,
    paint_marks,
    with_strokes,
)
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, draw

COSTS: Mapping[str, tuple[str, str, str]] = {
    "seconds": ("seconds of training", "seconds of training", "seconds"),
    "parameters": ("trainable parameters", "parameters", "parameters"),
    "macs": ("multiply-accumulates an example", "multiply-accumulates an example", "MACs"),
}
"""Column of the run table -> the title of the cost that it has, what its axis says, and its name in a question."""


def time_to_target(
    name: str, found: Sequence[TimeToTarget], metric: str, target: float, style: Style
) -> tuple[Plot, ...]:
    """The share of each cell's runs that have reached a target, over time; runs that never do stay below."""
    cells = [each for each in found if each.survival.n >= LEAST_RUNS]
    if not cells:
        return ()
    most = limits.MOST_CURVES * limits.MOST_CURVE_PAGES
    shown = cells
    if len(cells) > most:
        shown = sorted(cells, key=lambda each: each.survival.restricted_mean)[:most]
    pages = paged(shown, limits.MOST_CURVES)
    horizon = shown[0].survival.horizon
    end = max(horizon, *(each.survival.watched for each in shown))
    left_out = sum(each.n_left_out for each in found)
    few = len(found) - len(cells)
    percent = " %" if style.unit == "share" else ""
    note = sentences(
        "A line rises by a run whenever one of its runs reaches the target, and ends level where the training was to "
        "end: runs that diverged or stopped are counted as not there yet until then.",
        f"Below each cell: its runs that came there, and the mean time, {number_text(horizon)} epochs standing for all "
        "later times.",
        horizon < end and "That is as long as the shortest training.",
        len(shown) < len(cells) and f"The {len(shown)} soonest of {len(cells)} cells, by that mean.",
        few and f"{counted(few, 'cell')} with fewer than {LEAST_RUNS} runs left out.",
        left_out
        and f"{counted(left_out, 'run')} that failed or {'is' if left_out == 1 else 'are'} missing not counted.",
    )
    title = f"How soon do runs reach a {METRICS[metric].title} of {style.value(target)}{percent}?"
    return paged_plots(name, title, note, pages, lambda name, page: _survival_page(name, title, page, end))


def pareto_front(name: str, found: Sequence[ParetoPoint], cost: str, metric: str, style: Style) -> tuple[Plot, ...]:
    """Every cell by one of `COSTS` and what it gives; those that no other beats in both are joined and named."""
    if not found:
        return ()
    front = sorted((point for point in found if point.is_on_front), key=lambda point: (point.cost, point.outcome))
    named = front[: limits.MOST_NAMED]
    rows = [f"{number}: {', '.join(point.levels.values())}" for number, point in enumerate(named, 1)]
    below = 0.46 + LINE * len(rows) + 0.08
    height = 2.0 + below
    _, label, question = COSTS[cost]

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.15, below / height, 0.82, 1 - (below + 0.06) / height))
        cost_axis(axes, [point.cost for point in found], counts=cost != "seconds")
        axes.set_ylim(padded([style.factor * point.outcome for point in found], 0.1))
        behind = [point for point in found if not point.is_on_front]
        size = 4.5 if len(found) <= 100 else 2.8
        axes.plot(
            [point.cost for point in behind],
            [style.factor * point.outcome for point in behind],
            "o",
            color=MUTED,
            markerfacecolor=PAPER,
            markersize=size,
            markeredgewidth=0.8,
        )
        costs, outcomes = [point.cost for point in front], [style.factor * point.outcome for point in front]
        axes.step(costs, outcomes, where="post", color=FIRST, linewidth=1.2)
        axes.plot(costs, outcomes, "o", color=FIRST, markeredgecolor=INK, markeredgewidth=0.8, markersize=5.5, zorder=3)
        for number, point in enumerate(named, 1):
            place = (point.cost, style.factor * point.outcome)
            up = 6 if METRICS[metric].better == "higher" else -11
            axes.annotate(str(number), place, (-6, up), textcoords="offset points", ha="center", weight="bold")
        axes.set_xlabel(label, labelpad=2)
        number_axis(axes, "y")
        for number, row in enumerate(rows):
            top = (LINE * (len(rows) - number) - 0.02) / height
            figure.text(0.02, top, short(row, LETTERS), va="center")

    points = METRICS[metric]
    note = sentences(
        titled(points.title, style.unit_of_values) + f", mean over the seeds; {points.better} is better.",
        "Filled and joined: no other cell is as good for less, or better for as much. Hollow: the others.",
        "One seed more or less can change which cells these are.",
        len(named) < len(front) and f"The cheapest {len(named)} of the {len(front)} are named.",
    )
    title = f"Which cells give the most for their {question}?"
    return (Plot(title, draw(name, title, WIDTH, height, paint), note),)


def _survival_page(name: str, title: str, cells: Sequence[TimeToTarget], end: float) -> Markup:
    below = 0.44 + 2 * LINE * len(cells) + 0.08
    height = 1.7 + below

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.13, below / height, 0.84, 1 - (below + 0.06) / height))
        axes.set(xlim=(0, end * 1.02), ylim=(-4, 104))
        for number, (cell, stroke) in enumerate(with_strokes(cells)):
            _paint_curve(axes, cell, stroke, end)
            top = LINE * (2 * (len(cells) - number) - 0.5) / height
            paint_key(figure, stroke, ", ".join(cell.levels.values()), top)
            figure.text(KEY_WIDTH, top - 0.9 * LINE / height, _told(cell), va="center", color=MUTED)
        axes.set_xlabel("epochs", labelpad=2)
        number_axis(axes, "x")
        axes.set_yticks([0, 25, 50, 75, 100])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))

    return draw(name, title, WIDTH, height, paint)


def _paint_curve(axes: Axes, cell: TimeToTarget, stroke: Stroke, end: float) -> None:
    found = cell.survival
    inside = [
        (time, 100 * (1 - share)) for time, share in zip(found.times, found.not_reached, strict=True) if share < 1
    ]
    # A run that never comes there was watched until its end: the last step stays. Those that are there stay there.
    ends_open = found.n_reached < found.n
    until = found.watched if ends_open else end
    times, shares = [0.0, *(time for time, _ in inside), until], [0.0, *(share for _, share in inside)]
    axes.step(times, [*shares, shares[-1]], where="post", color=stroke.colour, linestyle=stroke.dashes, linewidth=1.5)
    paint_marks(axes, times[1:-1], shares[1:], stroke, markersize=4, clip_on=False)
    if ends_open:
        axes.plot([found.watched], shares[-1:], "|", color=stroke.colour, markersize=9, markeredgewidth=1.6)


def _told(cell: TimeToTarget) -> str:
    found = cell.survival
    mean = number_text(float(f"{found.restricted_mean:.3g}"))
    return f"{found.n_reached} of {counted(found.n, 'run')}, mean {mean} epochs"
