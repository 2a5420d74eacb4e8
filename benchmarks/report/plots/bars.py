"""Rows in order: the factors by how much they explain, and the candidates by their rank over many datasets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.effects import Importance
from benchmarks.analysis.ranks import Ranks, not_told_apart
from benchmarks.analysis.verdicts import ALPHA
from benchmarks.labels import counted
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import decimal, sentences, short
from benchmarks.report.plots.common import CHARACTER, WIDTH, number_axis, row_labels
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, draw

_LABEL = 22
"""Characters of the name of a candidate."""


def importance_bars(name: str, found: Sequence[Importance]) -> tuple[Plot, ...]:
    """The share of the variance between runs that each factor and each two factors explain, as omega squared."""
    if not found:
        return ()
    shown = found[: limits.MOST_TERMS]
    # The plot leaves the right third to the numbers.
    height = 0.24 * len(shown) + 0.5
    labels = _term_labels(shown)
    label = (CHARACTER * max(map(len, labels)) + 0.1) / WIDTH

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((label, 0.42 / height, 0.98 - label - 0.33, 1 - 0.45 / height))
        shares = [each.omega_squared for each in shown]
        axes.set_xlim(min(0.0, *shares) - 0.01, max(0.05, *shares) * 1.03)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for place, each in enumerate(shown):
            face = FIRST if len(each.term) == 1 else PAPER
            axes.barh(place, each.omega_squared, 0.55, facecolor=face, edgecolor=FIRST, linewidth=1.2, zorder=2)
            text = f"{decimal(each.omega_squared)}, {_p_text(each.p)}"
            axes.text(1.04, place, text, transform=axes.get_yaxis_transform(), va="center", color=INK)
        row_labels(axes, labels)
        axes.set_xlabel("omega squared")
        number_axis(axes, "x", most=4)

    left_out = len(found) - len(shown)
    note = sentences(
        "Omega squared: about the share of the variance between runs that a factor explains; chance puts it a little "
        "below zero where there is nothing.",
        any(len(e.term) > 1 for e in shown) and "Filled: factors; hollow: what two of them do together.",
        "p of the F test, not corrected for the number of bars.",
        left_out
        and f"{counted(left_out, 'further term')}, each with {decimal(found[len(shown)].omega_squared)} or less, "
        f"{'is' if left_out == 1 else 'are'} left out.",
    )
    title = "Which factor matters most?"
    return (Plot(title, draw(name, title, WIDTH, height, paint), note),)


def _term_labels(found: Sequence[Importance]) -> list[str]:
    """The factors of each term, without the sections of their paths where they are told apart without."""
    factors = {factor for each in found for factor in each.term}
    names = {factor: factor.rpartition(".")[2] for factor in factors}
    if len(set(names.values())) < len(names):
        names = {factor: factor for factor in factors}
    lengths = {1: 22, 2: 11}
    return [" × ".join(short(names[factor], lengths[len(each.term)]) for factor in each.term) for each in found]


def _p_text(p: float) -> str:
    return "p –" if math.isnan(p) else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


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
