"""Whether the seeds agree: two levels of a factor side by side, with a line for each seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.analysis.contrasts import Factors, oriented
from benchmarks.analysis.estimates import Estimate, estimate
from benchmarks.analysis.tables import level_column
from benchmarks.report.formatting import Style, counted, short, titled
from benchmarks.report.plots.common import Plot, number_axis, padded, sentences
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, SECOND, draw
from benchmarks.training.metrics import METRICS, OUTCOME_METRICS

MOST_SEEDS = 50
"""Seeds that have a line."""

_WIDTH, _HEIGHT = 3.0, 2.3


@dataclass(frozen=True)
class SeedPair:
    """The values of two levels with one seed, as they are measured; NaN where a run has none."""

    seed: int
    level: float
    than: float
    diverged: bool
    """Whether a run of it diverged."""


@dataclass(frozen=True)
class SeedPairs:
    """Two levels of a factor on one dataset, seed by seed."""

    dataset: str
    metric: str
    factor: str
    level: str
    than: str
    averaged_over: tuple[str, ...]
    """Factors over which both values are averaged within a seed."""
    pairs: tuple[SeedPair, ...]


def seed_pairs(
    runs: pd.DataFrame,
    factors: Factors,
    factor: str,
    level: str,
    than: str,
    fixed: Mapping[str, str],
    metric: str | None = None,
) -> SeedPairs | None:
    """What two levels came to with each seed, averaged over the factors that are not fixed.

    Args:
        runs: rows of one dataset of what `run_table` gave.
        factors: every factor of the suite.
        factor: the factor of the two levels.
        level: what is compared.
        than: what it is compared with.
        fixed: other factor -> the level it is held at.
        metric: None is the outcome of the task.

    Returns:
        None where the design lacks a cell that this takes.
    """
    name = metric or OUTCOME_METRICS[runs["task"].iloc[0]]
    held = (runs[[level_column(each) for each in fixed]] == list(fixed.values())).all(axis="columns")
    free = [each for each in factors if each != factor and each not in fixed]
    n_cells = math.prod(len(factors[each]) for each in free)
    measured = oriented(runs, metric)
    sign = 1 if METRICS[name].better == "higher" else -1
    sides = [measured[held & (runs[level_column(factor)] == each)] for each in (level, than)]
    if any(side["cell"].nunique() != n_cells for side in sides):
        return None
    values = pd.DataFrame(
        {
            column: sign * side.pivot(index="seed", columns="cell", values="outcome").mean(axis="columns", skipna=False)
            for column, side in zip(("level", "than"), sides, strict=True)
        }
    ).sort_index()
    diverged = {int(seed) for side in sides for seed in side.loc[side["status"] == "diverged", "seed"]}
    pairs = tuple(
        SeedPair(int(seed), float(ours), float(theirs), int(seed) in diverged)
        for seed, ours, theirs in zip(values.index, values["level"], values["than"], strict=True)
    )
    return SeedPairs(str(runs["dataset"].iloc[0]), name, factor, level, than, tuple(free), pairs)


def seed_lines(name: str, found: SeedPairs, style: Style) -> tuple[Plot, ...]:
    """A line from one level to the other for each seed, and the means beside them.

    Args:
        name: tells this figure from the others of the page.
        found: what `seed_pairs` gave.
        style: how values of the metric are written.
    """
    whole = [pair for pair in found.pairs if math.isfinite(pair.level) and math.isfinite(pair.than)]
    if not whole:
        return ()
    metric = METRICS[found.metric]
    shown = whole[:MOST_SEEDS]
    sides = [estimate(pair.than for pair in whole), estimate(pair.level for pair in whole)]

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.17, 0.12, 0.66, 0.85))
        for pair in shown:
            _line(figure, pair, metric.better, style.factor)
        for place, side in ((-0.09, sides[0]), (1.09, sides[1])):
            if math.isfinite(side.mean):
                axes.plot([place - 0.05, place + 0.05], [style.factor * side.mean] * 2, color=INK, linewidth=2.2)
        axes.set_xlim(-0.2, 1.2)
        axes.set_ylim(padded([style.factor * value for pair in shown for value in (pair.than, pair.level)]))
        axes.set_xticks([0, 1], [short(label, 18) for label in (found.than, found.level)])
        axes.tick_params(axis="x", labelcolor=INK)
        axes.grid(axis="x", visible=False)
        number_axis(axes, "y")

    holes = len(found.pairs) - len(whole)
    note = sentences(
        titled(metric.title, style.unit_of_values) + f"; {metric.better} is better.",
        f"{_won(whole, metric.better)} Solid: {found.level} is better; dashed: it is worse; dotted: no difference.",
        _means(sides, style, found),
        f"Averaged over {', '.join(found.averaged_over)} within each seed." if found.averaged_over else "",
        "Crosses: a run diverged." if any(pair.diverged for pair in shown) else "",
        f"{counted(holes, 'seed')} left out: a run has no value." if holes else "",
        f"The first {len(shown)} of {len(whole)} seeds are drawn." if len(shown) < len(whole) else "",
    )
    title = f"Do the seeds agree on {found.level} against {found.than}?"
    return (Plot(title, draw(name, title, _WIDTH, _HEIGHT, paint), note),)


def _line(figure: Figure, pair: SeedPair, better: str, factor: int) -> None:
    gain = (pair.level - pair.than) * (1 if better == "higher" else -1)
    colour, dashes = (FIRST, "-") if gain > 0 else (SECOND, "--") if gain < 0 else (MUTED, ":")
    ends = [factor * pair.than, factor * pair.level]
    (axes,) = figure.axes
    axes.plot([0, 1], ends, dashes, color=colour, linewidth=1.1)
    if pair.diverged:
        axes.plot([0, 1], ends, "x", color=colour, markersize=5, markeredgewidth=1.4)
    else:
        axes.plot([0, 1], ends, "o", color=colour, markerfacecolor=colour if gain > 0 else PAPER, markersize=3.6)


def _won(pairs: Sequence[SeedPair], better: str) -> str:
    sign = 1 if better == "higher" else -1
    gains = [sign * (pair.level - pair.than) for pair in pairs]
    ties = sum(gain == 0 for gain in gains)
    tied = f", and neither in {ties}" if ties else ""
    return f"The right one is better in {sum(gain > 0 for gain in gains)} of {counted(len(gains), 'seed')}{tied}."


def _means(sides: Sequence[Estimate], style: Style, found: SeedPairs) -> str:
    if any(math.isnan(side.mean) for side in sides):
        return "There are too few seeds for means."
    values = [style.value(side.mean) for side in sides]
    return f"Bars: means, {values[0]} with {found.than} and {values[1]} with {found.level}."
