"""What two factors do together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from scipy import stats

from benchmarks.analysis.effects import Interaction, cell_means, effects_obstacle, interactions
from benchmarks.labels import counted, whole
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Paragraph, Plot, Plots, Table
from benchmarks.report.formatting import p_text
from benchmarks.report.plots.factors import heat_map, interaction_plot
from benchmarks.report.report import ReportedDataset
from benchmarks.report.section import Section, by_dataset
from benchmarks.report.tables import number, valued
from benchmarks.suite.claims import LEAST_SEEDS

_Adjusted = tuple[Interaction, float]
"""An interaction with its p adjusted for false discoveries."""


_WHAT = (
    "How much more a change of one factor does at one level of another factor than at a second level, per seed. "
    "Exploratory: p is of the t test against no interaction, q the same adjusted for false discoveries over all "
    "interactions of the dataset."
)


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    obstacle = _obstacle(dataset)
    found = [] if obstacle else _interactions(dataset)
    if obstacle:
        yield Paragraph(f"No interactions are given: {obstacle}.")
    else:
        yield _table(dataset, found)
    yield from _plots(dataset, found)


def _obstacle(dataset: ReportedDataset) -> str | None:
    runs, factors, design = dataset.runs, dataset.report.factors, dataset.report.study.estimable
    if len(factors) < 2:
        return "there is one factor"
    if not design.interactions:
        return f"the design does not allow it. {design.note.rstrip('.')}"
    pairs_of_levels = {factor: math.comb(len(levels), 2) for factor, levels in factors.items()}
    n_interactions = sum(first * second for first, second in itertools.combinations(pairs_of_levels.values(), 2))
    if n_interactions * len(runs) > limits.MOST_WORK:
        return f"there are {whole(n_interactions)} of them, over {counted(len(runs), 'run')}: too many for a report"
    return effects_obstacle(runs, factors, LEAST_SEEDS)


def _interactions(dataset: ReportedDataset) -> list[_Adjusted]:
    found = interactions(dataset.runs, dataset.report.factors)
    p = [1.0 if math.isnan(each.p) else each.p for each in found]
    together = zip(found, map(float, stats.false_discovery_control(p)), strict=True)
    return sorted(together, key=lambda each: math.inf if math.isnan(each[0].p) else each[0].p)


def _table(dataset: ReportedDataset, found: Sequence[_Adjusted]) -> Block:
    style, most = dataset.style, limits.MOST_EFFECT_ROWS
    columns: list[Column[_Adjusted]] = [
        Column("Change", lambda row: f"{row[0].factor}: {row[0].level} for {row[0].than}"),
        Column("Where, against where", lambda row: f"{row[0].at_factor}: {row[0].at_level} against {row[0].at_than}"),
        valued("Mean", lambda row: row[0].estimate.mean, style.difference),
        number("95 % interval", lambda row: style.differences.interval(row[0].estimate)),
        number("p", lambda row: p_text(row[0].p)),
        number("q", lambda row: p_text(row[0].p if math.isnan(row[0].p) else row[1])),
        number("Pairs", lambda row: row[0].estimate.n),
    ]
    told = f"The {most} with the smallest p of {whole(len(found))}." if len(found) > most else ""
    return Table("Table of interactions", columns, found[:most], caption=told)


def _plots(dataset: ReportedDataset, found: Iterable[_Adjusted]) -> Iterator[Block]:
    """An interaction plot and a heat map for the pairs of factors that interact most, and what is left out."""
    factors = dataset.report.factors
    pairs = list(itertools.combinations(factors, 2))
    if not pairs:
        return
    if len(dataset.runs) > limits.MOST_PLOTTED_RUNS:
        yield Plots((), caption="Combinations of two factors are not plotted: there are too many runs.")
        return
    order = list(dict.fromkeys(frozenset((each.factor, each.at_factor)) for each, _ in found))
    pairs.sort(key=lambda pair: order.index(frozenset(pair)) if frozenset(pair) in order else len(order))
    shown: list[Plot] = []
    for place, (first, second) in enumerate(pairs[: limits.MOST_FACTOR_PAIRS]):
        means = cell_means(dataset.runs, factors, first, second)
        name = f"pair-{dataset.number}-{place}"
        shown += interaction_plot(f"{name}-lines", means, dataset.style)
        shown += heat_map(f"{name}-heat", means, dataset.style)
    chosen = "those with the smallest p" if order else "the first of the suite"
    told = f"Plotted are {limits.MOST_FACTOR_PAIRS} of {len(pairs)} pairs of factors, {chosen}."
    yield Plots(tuple(shown), caption=told if len(pairs) > limits.MOST_FACTOR_PAIRS else "")


SECTION = Section("interactions", "Interactions", by_dataset(_of_dataset, _WHAT))
