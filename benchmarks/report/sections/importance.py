"""How much each factor matters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from benchmarks.analysis.effects import LEAST_SEEDS_FOR_IMPORTANCE, Importance, effects_obstacle, importance
from benchmarks.labels import counted, whole
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Paragraph, Plots, Table
from benchmarks.report.formatting import decimal, p_text
from benchmarks.report.plots.bars import importance_bars
from benchmarks.report.report import ReportedDataset
from benchmarks.report.section import Section, by_dataset
from benchmarks.report.tables import number, valued

_WHAT = (
    "How much of the variance between runs a factor explains, or two together beyond what each does alone. Exploratory."
)


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    obstacle = _obstacle(dataset)
    found = [] if obstacle else importance(dataset.runs, dataset.report.factors)
    if not found:
        yield Paragraph(f"No importance is given: {obstacle or 'all outcomes are equal'}.")
        return
    yield Plots(importance_bars(f"importance-{dataset.number}", found), instead=(_table(found),))


def _obstacle(dataset: ReportedDataset) -> str | None:
    runs, factors = dataset.runs, dataset.report.factors
    if len(factors) < 2:
        return "there is one factor"
    degrees = [len(levels) - 1 for levels in factors.values()]
    terms = sum(degrees) + sum(first * second for first, second in itertools.combinations(degrees, 2))
    obstacle = effects_obstacle(runs, factors, LEAST_SEEDS_FOR_IMPORTANCE)
    if not obstacle and terms * len(runs) > limits.MOST_WORK:
        return f"an analysis of variance of {counted(len(runs), 'run')} with {whole(terms)} terms is too large"
    return obstacle


def _table(found: Sequence[Importance]) -> Block:
    most = limits.MOST_EFFECT_ROWS
    columns: list[Column[Importance]] = [
        Column("Factor", lambda each: " × ".join(each.term)),
        valued("Omega squared", lambda each: each.omega_squared, decimal),
        valued("F", lambda each: each.f, decimal),
        number("p", lambda each: p_text(each.p)),
    ]
    told = f"The {most} largest of {len(found)}." if len(found) > most else ""
    return Table("Table of importance", columns, found[:most], caption=told)


SECTION = Section("importance", "Importance", by_dataset(_of_dataset, _WHAT))
