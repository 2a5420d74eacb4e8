"""What each combination of levels came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pandas as pd

from benchmarks.analysis.estimates import NO_ESTIMATE, Estimate
from benchmarks.analysis.summaries import CellSummary, sd_interval
from benchmarks.analysis.tables import level_column
from benchmarks.labels import counted
from benchmarks.metrics import FURTHER_METRICS, METRICS, OUTCOME_METRICS, Metric
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Cell, Code, Column, Mark, Paragraph, Table, Tag, joined
from benchmarks.report.formatting import Style, digits, titled
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section, by_dataset, file_part, of_datasets
from benchmarks.report.tables import (
    attributes,
    baseline_tag,
    estimate_columns,
    file_columns,
    left_out,
    level_columns,
    number,
    valued,
)

SUMMARY_FILE, RUNS_FILE = "summary.csv", "runs.csv"


def build(report: Report) -> Iterable[Block]:
    """What an outcome is, and a table for each dataset; files have all cells and all runs."""
    for note in of_datasets(report, _what):
        yield Paragraph(note)
    yield Paragraph(
        "A run that failed or is not there yet is a hole, and its cell is marked incomplete. The interval of the SD is "
        "by the chi-square distribution."
    )
    yield from by_dataset(_of_dataset)(report)
    summaries = [summary for dataset in report.datasets for summary in dataset.summaries]
    yield summary_table(summaries, report.factors)
    yield runs_table(report.runs, list(report.factors))


def _what(dataset: ReportedDataset) -> str:
    """What the outcomes are, what diverged runs count as, and what an interval may do."""
    is_class_task = dataset.facts.task != "regression"
    what = f"{titled(dataset.metric.title, '')} {dataset.report.evaluated}"
    if dataset.facts.level_without_learning is None:
        diverged = (
            "A run that diverged has no value here, since the error of always predicting the mean of the training "
            "targets is not known: it is left out, and its cell is marked incomplete."
        )
    else:
        level = "chance level of its dataset" if is_class_task else "error of always predicting the training mean"
        diverged = f"A run that diverged is an outcome: it counts at the {level}."
    bound = "pass 100" if is_class_task else "fall below 0"
    return (
        f"{what}, {dataset.style.unit_of_values}: {dataset.metric.better} is better. {diverged} "
        f"The t interval knows no bounds: where the spread is wide, it can {bound}."
    )


@dataclass(frozen=True)
class _Line:
    """A cell, or its second line."""

    cell: CellSummary
    found: Estimate
    is_second: bool


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    report, cells, style = dataset.report, dataset.summaries, dataset.style
    n_diverged = sum(each.n_diverged for each in cells)
    shows_values = len(report.seeds) <= limits.MOST_VALUES
    yield Table(
        "Table of cells",
        _columns(dataset, shows_values=shows_values),
        list(_lines(cells[: limits.MOST_CELL_ROWS])),
        caption=joined(
            left_out(cells, limits.MOST_CELL_ROWS, "cells", SUMMARY_FILE),
            f"{counted(n_diverged, 'run')} diverged.",
            n_diverged and _IN_BRACKETS,
            not shows_values and ("Every single value is in ", Code(SUMMARY_FILE), "."),
        ),
        marks=lambda line: tuple(_marks(line, report)),
    )
    yield cells_table(cells, dataset.metric, style, f"cells-{file_part(dataset.name)}.tex")


_IN_BRACKETS = "In brackets: the share of the runs of the cell that ended, with Wilson’s 95 % interval."


def _lines(cells: Iterable[CellSummary]) -> Iterator[_Line]:
    for cell in cells:
        yield _Line(cell, cell.outcome, False)
        if cell.without_diverged:
            yield _Line(cell, cell.without_diverged, True)


def _marks(line: _Line, report: Report) -> Iterator[Mark]:
    if report.is_baseline(line.cell.levels):
        yield "baseline"
    if line.is_second:
        yield "continuation"
    elif line.cell.without_diverged:
        yield "continued"


def _columns(dataset: ReportedDataset, *, shows_values: bool) -> list[Column[_Line]]:
    report, style = dataset.report, dataset.style

    def of_cell(told: Callable[[CellSummary], Cell]) -> Callable[[_Line], Cell]:
        return lambda line: "" if line.is_second else told(line.cell)

    def done(line: _Line) -> str:
        return f"{line.found.n} used" if line.is_second else f"{line.cell.n_done} of {line.cell.n_planned}"

    columns = [
        *level_columns(report.factors, _levels, lambda line: _tags(line, report)),
        *estimate_columns(
            "Mean",
            lambda line: line.found,
            style,
            further=[
                valued("SD", lambda line: line.found.sd, style.value),
                number("SD, 95 % interval", lambda line: style.span(*sd_interval(line.found))),
            ],
        ),
        number("Done", done),
        number("Diverged", of_cell(_divergence)),
        number("Failed", of_cell(lambda cell: cell.n_failed)),
        number("Missing", of_cell(lambda cell: cell.n_missing)),
        number("Parameters", of_cell(lambda cell: cell.parameters)),
    ]
    if shows_values:
        columns.append(Column("By seed", of_cell(lambda cell: style.values(cell.outcome.values)), wraps="sentences"))
    return columns


def _levels(line: _Line) -> Mapping[str, str]:
    if not line.is_second:
        return line.cell.levels
    first, *others = line.cell.levels
    return {first: "without diverged", **dict.fromkeys(others, "")}


def _tags(line: _Line, report: Report) -> Iterator[Tag]:
    if line.is_second:
        return
    cell = line.cell
    yield from baseline_tag(report.is_baseline(cell.levels))
    if not cell.is_complete:
        yield Tag(f"incomplete ({cell.outcome.n} of {cell.n_planned})", warns=True)
    if cell.outcome.state == "degenerate":
        yield Tag("degenerate: all values equal", warns=True)


def _divergence(cell: CellSummary) -> str:
    found = cell.divergence_rate
    if not found.n_diverged:
        return "0"
    rate, low, high = (f"{100 * each:.0f}" for each in (found.share, found.low, found.high))
    return f"{found.n_diverged} ({rate} %: {low} to {high} %)"


def cells_table(cells: Sequence[CellSummary], metric: Metric, style: Style, file: str) -> Table[CellSummary]:
    """The cells of one dataset for a paper: how many runs there are, mean, standard deviation and interval."""

    def mean(each: CellSummary) -> str:
        return style.raw(each.outcome) if each.outcome.state == "raw values" else style.value(each.outcome.mean)

    return Table(
        "Cells",
        [
            *level_columns(cells[0].levels if cells else (), lambda each: each.levels),
            number("planned", lambda each: each.n_planned),
            number("done", lambda each: each.n_done),
            number("diverged", lambda each: each.n_diverged),
            number("mean", mean),
            number("SD", lambda each: style.value(each.outcome.sd)),
            number("95 % interval", lambda each: style.interval(each.outcome)),
        ],
        cells,
        files=(file,),
        is_on_pages=False,
        note=f"{titled(metric.title, style.unit_of_values)}; {metric.better} is better.",
    )


def summary_table(summaries: Sequence[CellSummary], factors: Iterable[str]) -> Table[CellSummary]:
    """A row per cell, without times: an interrupted suite ends with the same file as one that was not.

    `values` holds the outcome of every run that has one, by seed, with blanks between, and `metric` says what it is.
    The further metrics of the tasks of all cells follow, over the runs that are done.
    """
    named = {name for each in summaries for name in FURTHER_METRICS[each.task]}

    def further(name: str) -> list[Column[CellSummary]]:
        return file_columns(f"{name}_", lambda each: each.further.get(name, NO_ESTIMATE))

    columns: list[Column[CellSummary]] = [
        Column("dataset", lambda each: each.dataset),
        *level_columns(factors, lambda each: each.levels),
        *attributes(lambda each: each, "n_planned", "n_done", "n_failed", "n_diverged", "n_missing"),
        *file_columns("", lambda each: each.outcome),
        number("mean_without_diverged", lambda each: (each.without_diverged or each.outcome).mean),
        Column("values", lambda each: " ".join(map(digits, each.outcome.values))),
        number("parameters", lambda each: each.parameters),
        Column("metric", lambda each: OUTCOME_METRICS[each.task]),
        *(column for name in METRICS if name in named for column in further(name)),
    ]
    return Table("All cells", columns, summaries, files=(SUMMARY_FILE,), is_on_pages=False)


def runs_table(runs: pd.DataFrame, factors: Iterable[str]) -> Table[Any]:
    """A row per planned run, with the metrics of the tasks of all of them."""
    tasks = set(runs["task"])
    metrics = [name for name, metric in METRICS.items() if tasks & set(metric.tasks)]
    facts = ("parameters", "macs", "seconds", "attempts", "finished_at", "key", "message")
    columns: list[Column[Any]] = [
        Column("dataset", itemgetter("dataset")),
        *(Column(factor, itemgetter(level_column(factor)), is_level=True) for factor in factors),
        *(Column(name, itemgetter(name)) for name in ("seed", "status", *metrics, *facts)),
    ]
    used = ["dataset", *map(level_column, factors), "seed", "status", *metrics, *facts]
    return Table("All runs", columns, runs[used].to_dict("records"), files=(RUNS_FILE,), is_on_pages=False)


SECTION = Section("cells", "Cells", build, files=(SUMMARY_FILE, RUNS_FILE, "cells-{dataset}.tex"))
