"""What else was measured on the test examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.analysis.summaries import CellSummary
from benchmarks.metrics import FURTHER_METRICS, METRICS, Metric
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Facts, Heading, Paragraph, Table
from benchmarks.report.formatting import Style, style_of, titled
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section
from benchmarks.report.sections.cells import SUMMARY_FILE
from benchmarks.report.tables import baseline_tag, level_columns, number, shortened


@dataclass(frozen=True)
class _Further:
    """A metric that runs of a dataset have beside the outcome."""

    name: str
    metric: Metric
    style: Style


def build(report: Report) -> Iterable[Block]:
    """What each metric is, and a table of them for each dataset."""
    found = [(dataset, _further(dataset)) for dataset in report.datasets]
    metrics = dict.fromkeys(each.metric for _, further in found for each in further)
    if not metrics:
        yield Paragraph("No run has any yet.")
        return
    yield Paragraph(
        f"Of the test examples, {report.evaluated}: means over the runs that are done, with 95\N{NO-BREAK SPACE}% t "
        "intervals. A run that diverged has none of these and is left out. They describe; the differences above are "
        "made of the outcome alone."
    )
    yield Facts(tuple((each.title, f"{each.explanation}; {each.better} is better") for each in metrics))
    for dataset, further in found:
        if further:
            if report.has_several_datasets:
                yield Heading(dataset.name)
            yield _table(dataset, further)


def _further(dataset: ReportedDataset) -> list[_Further]:
    values = {name: dataset.runs[name].dropna() for name in FURTHER_METRICS[dataset.facts.task]}
    return [
        _Further(name, METRICS[name], style_of(METRICS[name].unit, known))
        for name, known in values.items()
        if len(known)
    ]


def _table(dataset: ReportedDataset, further: Iterable[_Further]) -> Block:
    report = dataset.report

    def column(each: _Further) -> Column[CellSummary]:
        head = titled(each.metric.title, each.style.unit_of_values)
        return number(head, lambda cell: each.style.estimate(cell.further[each.name]))

    columns = [
        *level_columns(
            report.factors, lambda cell: cell.levels, lambda cell: baseline_tag(report.is_baseline(cell.levels))
        ),
        *map(column, further),
        number("Done", lambda cell: f"{cell.n_done} of {cell.n_planned}"),
    ]
    table = Table("Table of further metrics", columns, dataset.summaries, marks=report.baseline_mark)
    return shortened(table, limits.MOST_CELL_ROWS, "cells", SUMMARY_FILE)


SECTION = Section("further", "Further metrics", build)
