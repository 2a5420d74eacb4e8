"""Which cells do best over many datasets."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from benchmarks.analysis.contrasts import oriented
from benchmarks.analysis.ranks import LEAST_DATASETS_FOR_RANKS, Ranks, rank_over_datasets
from benchmarks.analysis.tables import level_column
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Paragraph, Plots, Table
from benchmarks.report.formatting import decimal, p_text, sentences
from benchmarks.report.plots.bars import rank_plot
from benchmarks.report.report import Report
from benchmarks.report.section import Section
from benchmarks.report.tables import valued
from benchmarks.runs import Factors


def build(report: Report) -> Iterable[Block]:
    """The mean rank of each cell, and which of them are told apart."""
    ranks = ranks_of(report.runs, report.factors)
    if ranks.obstacle:
        yield Paragraph(f"No ranks are given: {ranks.obstacle}.")
        return
    friedman = f"Friedman’s test that all are alike: p {p_text(ranks.friedman_p)}."
    yield Paragraph(
        sentences(
            f"Mean rank over {ranks.n_datasets} datasets, 1 for the best. Exploratory.",
            not math.isnan(ranks.friedman_p) and friedman,
            ranks.note,
        )
    )
    columns: list[Column[tuple[str, float]]] = [
        Column("Cell", lambda each: each[0]),
        valued("Mean rank", lambda each: each[1], decimal),
    ]
    yield Table("Table of ranks", columns, list(ranks.mean_ranks.items()))
    yield Plots(rank_plot("ranks", ranks))


def ranks_of(runs: pd.DataFrame, factors: Factors) -> Ranks:
    """Rank the cells over the datasets; where they are many, the baseline and those that differ in one factor."""
    cells = runs.drop_duplicates("cell")
    levels = cells[[level_column(factor) for factor in factors]]
    titles = pd.Series([", ".join(each) for each in levels.to_numpy()], index=cells["cell"])
    if titles.nunique() > limits.MOST_RANKED_CELLS:
        is_near = (levels != [factors.baseline[factor] for factor in factors]).sum(axis="columns") <= 1
        titles = titles[is_near.to_numpy()]
    n_datasets = runs["dataset"].nunique()
    if titles.nunique() > limits.MOST_RANKED_CELLS and n_datasets >= LEAST_DATASETS_FOR_RANKS:
        most = limits.MOST_RANKED_CELLS
        obstacle = f"they are given for {most} cells at most, and {titles.nunique()} differ in one factor"
        return Ranks(obstacle, n_datasets, {}, math.nan, (), "")
    named = runs[runs["cell"].isin(titles.index)]
    named = named.assign(title=named["cell"].map(titles))
    means = {
        dataset: oriented(own).groupby("title", sort=False)["outcome"].agg(lambda each: each.mean(skipna=False))
        for dataset, own in named.groupby("dataset", sort=False)
    }
    return rank_over_datasets(pd.DataFrame(means).T)


SECTION = Section("ranks", "Ranks over datasets", build, "Ranks")
