"""How far the probabilities of a suite's models can be believed, from what runs gave for the test examples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.analysis.reliability import Reliability, reliability
from benchmarks.analysis.tables import nearest_cells
from benchmarks.labels import whole
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Number, Paragraph, Plots, Table
from benchmarks.report.formatting import percent
from benchmarks.report.plots.reliability import ece_told, reliability_diagram
from benchmarks.report.report import ReportedDataset
from benchmarks.report.section import Section, by_dataset, outputs_obstacle
from benchmarks.report.tables import baseline_tag, number


@dataclass(frozen=True)
class _Cell:
    title: str
    """Its levels."""
    is_baseline: bool
    found: Reliability


_WHAT = (
    "How far probabilities can be believed is told by the NLL and the Brier score above, and then by the ECE (15 bins "
    "of equal width over all test examples), which shows more than there is on small test sets: 3 % for a perfect "
    "model on 200 examples. Only what is plotted is claimed: where a model is surer than it is right."
)


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    cells = list(_cells(dataset))
    if not cells:
        yield Paragraph(f"No diagram is given: {outputs_obstacle(dataset, 'probabilities', 'run')}.")
        return
    yield Plots(
        tuple(
            plot
            for place, each in enumerate(cells)
            for plot in reliability_diagram(f"reliability-{dataset.number}-{place}", each.found, each.title)
        ),
        instead=(_table(cells),),
    )
    n_cells = dataset.done["cell"].nunique()
    told = f"{len(cells)} of {whole(n_cells)} cells: the baseline, and those that differ from it in the fewest factors."
    yield Paragraph(told if len(cells) < n_cells else "", "caption")


def _cells(dataset: ReportedDataset) -> Iterator[_Cell]:
    """Those cells whose runs have kept outputs."""
    report, done, labels = dataset.report, dataset.done, dataset.labels
    if dataset.facts.task == "regression" or labels is None:
        return
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


SECTION = Section("reliability", "Reliability", by_dataset(_of_dataset, _WHAT))
