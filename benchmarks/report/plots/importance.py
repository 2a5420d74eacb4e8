"""How much each factor matters: the share of the variance between runs that it explains."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.analysis.effects import Importance
from benchmarks.labels import counted
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import decimal, sentences, short
from benchmarks.report.plots.common import CHARACTER, WIDTH, number_axis, row_labels
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, draw


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
