"""Which runs failed or diverged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.analysis.tables import level_column
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Paragraph, Table
from benchmarks.report.formatting import short
from benchmarks.report.report import Report
from benchmarks.report.section import Section
from benchmarks.report.sections.cells import RUNS_FILE
from benchmarks.report.tables import number, shortened
from benchmarks.results import FAILURES


def build(report: Report) -> Iterable[Block]:
    """The runs with what they said."""
    runs = report.runs[report.runs["status"].isin([*FAILURES, "diverged"])].to_dict("records")
    if not runs:
        yield Paragraph("None.")
        return
    dataset: list[Column[Any]] = [Column("Dataset", lambda run: run["dataset"])] if report.has_several_datasets else []
    columns: list[Column[Any]] = [
        Column("Status", lambda run: run["status"]),
        *dataset,
        Column("Cell", lambda run: ", ".join(run[level_column(factor)] for factor in report.factors)),
        number("Seed", lambda run: str(run["seed"])),
        Column("Message", lambda run: short(run["message"], 400), wraps="sentences"),
    ]
    yield shortened(Table("Table of failures", columns, runs), limits.MOST_FAILURE_ROWS, "", RUNS_FILE)


SECTION = Section("failures", "Failures", build)
