"""Which candidate ranks first over many datasets: mean ranks, and which of them the tests do not tell apart."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.ranks import Ranks, not_told_apart
from benchmarks.analysis.verdicts import ALPHA
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import decimal, sentences, short
from benchmarks.report.plots.common import CHARACTER, WIDTH, number_axis, row_labels
from benchmarks.report.svg import FIRST, INK, MUTED, draw

_LABEL = 22


def rank_plot(name: str, found: Ranks, alpha: float = ALPHA) -> tuple[Plot, ...]:
    """Each candidate's mean rank, the best first, with a bar beside those that are not told apart."""
    if found.obstacle:
        return ()
    candidates = list(found.mean_ranks)
    shown = candidates[: limits.MOST_RANK_ROWS]
    groups = not_told_apart(found, shown, alpha)
    height = 0.24 * len(shown) + 0.5
    label = CHARACTER * min(_LABEL, max(map(len, shown))) + 0.12
    right = 0.42 + 0.1 * len(groups)

    def paint(figure: Figure) -> None:
        wide = (WIDTH - label - right) / WIDTH
        axes = figure.add_axes((label / WIDTH, 0.42 / height, wide, 1 - 0.45 / height))
        places = [found.mean_ranks[candidate] for candidate in shown]
        axes.set_xlim(0.8, max(places) + 0.3)
        for row, place in enumerate(places):
            axes.plot([0.8, place], [row, row], color=FIRST, linewidth=1)
            axes.plot([place], [row], "o", color=FIRST, markersize=5)
            axes.text(1.03, row, decimal(place), transform=axes.get_yaxis_transform(), va="center")
        _paint_groups(axes, groups, wide * WIDTH)
        row_labels(axes, [short(candidate, _LABEL) for candidate in shown])
        axes.set_xlabel("mean rank; 1 is best", color=MUTED)
        number_axis(axes, "x", most=5)

    tested = "Wilcoxon's tests with Holm's correction"
    friedman = f"Friedman's test: p = {found.friedman_p:.3g}." if found.friedman_p == found.friedman_p else ""
    note = sentences(
        f"Over {found.n_datasets} datasets. {friedman}".strip(),
        f"An upright bar joins candidates that {tested} do not tell apart."
        if found.pairs
        else "No pair is told apart: Friedman's test does not find that the candidates differ at all.",
        found.note and f"{found.note[:1].upper()}{found.note[1:]}.",
        len(shown) < len(candidates) and f"The first {len(shown)} of {len(candidates)} candidates are shown.",
    )
    title = "Which candidate ranks first over the datasets?"
    return (Plot(title, draw(name, title, WIDTH, height, paint), note),)


def _paint_groups(axes: Axes, groups: Sequence[tuple[int, int]], inches: float) -> None:
    beside = axes.get_yaxis_transform()
    for number, (first, last) in enumerate(groups):
        place = 1 + (0.46 + 0.1 * number) / inches
        axes.plot([place] * 2, [first - 0.25, last + 0.25], color=INK, linewidth=2.5, transform=beside, clip_on=False)
