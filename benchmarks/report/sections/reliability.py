"""How far the probabilities of a suite's models can be believed, from what runs gave for the test examples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.analysis.reliability import Reliability, reliability
from benchmarks.analysis.tables import nearest_cells
from benchmarks.labels import whole
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Number, Paragraph, Plots, Table
from benchmarks.report.formatting import percent
from benchmarks.report.plots.reliability import ece_told, reliability_diagram
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section, by_dataset
from benchmarks.report.tables import baseline_tag, number


@dataclass(frozen=True)
class _Cell:
    title: str
    """Its levels."""
    is_baseline: bool
    found: Reliability


def build(report: Report) -> Iterable[Block]:
    """A diagram for each cell near the baseline, and the same as a table where there are no figures."""
    yield Paragraph(
        "How far probabilities can be believed is told by the NLL and the Brier score above, and then by the ECE (15 "
        "bins of equal width over all test examples), which shows more than there is on small test sets: 3 % for a "
        "perfect model on 200 examples. Only what is plotted is claimed: where a model is surer than it is right."
    )
    yield from by_dataset(report, _of_dataset)


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    name, facts, store = dataset.name.partition(":")[0], dataset.facts, dataset.report.study.store
    labels = None if facts.task == "regression" else store.labels(name, facts.version)
    cells = [] if labels is None else list(_cells(dataset, labels))
    if not cells:
        obstacle = (
            "a regression has no probabilities"
            if facts.task == "regression"
            else "the labels of the test examples were not kept"
            if labels is None
            else "of no run the outputs for the test examples were kept"
        )
        yield Paragraph(f"No diagram is given: {obstacle}.")
        return
    yield Plots(
        tuple(
            plot
            for place, each in enumerate(cells)
            for plot in reliability_diagram(f"reliability-{dataset.number}-{place}", each.found, each.title)
        ),
        instead=(_table(cells),),
    )
    n_cells = dataset.runs.loc[dataset.runs["status"] == "done", "cell"].nunique()
    told = f"{len(cells)} of {whole(n_cells)} cells: the baseline, and those that differ from it in the fewest factors."
    yield Paragraph(told if len(cells) < n_cells else "", "caption")


def _cells(dataset: ReportedDataset, labels: np.ndarray) -> Iterator[_Cell]:
    """Those cells whose runs have kept outputs."""
    report = dataset.report
    done = dataset.runs[dataset.runs["status"] == "done"]
    for cell, levels in nearest_cells(done, report.factors, limits.MOST_RELIABILITY_CELLS):
        keys = done.loc[done["cell"] == cell, "key"].tolist()[: limits.MOST_RELIABILITY_RUNS]
        # One run at a time: all outputs of a hundred runs can be a gigabyte.
        outputs = (made for key in keys for made in report.study.store.predictions([key]).values())
        if (first := next(outputs, None)) is not None:
            found = reliability(dataset.facts.task, itertools.chain([first], outputs), labels)
            yield _Cell(", ".join(levels.values()), report.is_baseline(levels), found)


def _table(cells: Iterable[_Cell]) -> Block:
    columns: list[Column[_Cell]] = [
        Column("Cell", lambda each: (each.title, *baseline_tag(each.is_baseline))),
        number("Runs", lambda each: each.found.n_runs),
        number("ECE", lambda each: Number(each.found.ece, ece_told(each.found))),
        number("ECE of true probabilities", lambda each: f"{percent(each.found.ece_by_chance)} %"),
    ]
    return Table("Table of calibration errors", columns, list(cells))


SECTION = Section("reliability", "Reliability", build)
