"""What the runs of each cell are worth as an ensemble."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from benchmarks.analysis.ensembles import (
    AMBIGUITY_METRICS,
    LEAST_DIFFERENT,
    LEAST_MEMBERS,
    SIZED_METRICS,
    Ensemble,
    Score,
    ensemble,
    metric_of,
)
from benchmarks.analysis.tables import nearest_cells
from benchmarks.labels import counted, whole
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Paragraph, Plot, Plots, Table, Tag
from benchmarks.report.formatting import Style, percent, sentences, style_of, titled
from benchmarks.report.plots.sizes import size_plot
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section, by_dataset, file_part
from benchmarks.report.tables import attributes, baseline_tag, level_columns, number
from benchmarks.results import keeps_predictions

ENSEMBLES_FILE = "ensembles.csv"

_SEED_OF_SUBSETS = 0

_NOTE = (
    "What the runs of a cell give together: the mean of their probabilities, or of their predictions for a regression, "
    "from the outputs that are stored, so no run is trained for it. A gain is how much better the ensemble is than its "
    "members are on average; positive is better. Its 95 % t interval is paired over the test examples: it is about "
    "these very members on other test examples, and not about other seeds. All of it is exploratory."
)

_WHY = (
    "Members that err on different examples make an ensemble better. The gain in squared error and in the Brier score "
    "is the ambiguity: the mean squared distance of the members from their mean (Krogh and Vedelsby 1995). So it is "
    "never negative, nor is that in NLL; accuracy and ECE can become worse. Disagreement is the share of test examples "
    "on which two members name different classes, on average over all pairs."
)


@dataclass(frozen=True)
class _Cell:
    """The ensemble of one cell."""

    levels: Mapping[str, str]
    is_baseline: bool
    found: Ensemble
    n_planned: int
    n_diverged: int
    n_not_kept: int
    """Runs that are done, without outputs that can be averaged."""
    n_beyond: int
    """Runs that are done and for which there is no room."""

    @property
    def title(self) -> str:
        return ", ".join(self.levels.values())

    @property
    def tags(self) -> Iterator[Tag]:
        """How many of the runs are members, what became of the others, and how often two members disagree."""
        reasons = {"diverged": self.n_diverged, "without outputs": self.n_not_kept, "for want of room": self.n_beyond}
        left_out = ", ".join(f"{number} {reason}" for reason, number in reasons.items() if number)
        told = f"{self.found.n_members} of {counted(self.n_planned, 'run')}"
        yield from baseline_tag(self.is_baseline)
        lacks = bool(self.n_diverged or self.n_not_kept)
        yield Tag(f"{told}; left out: {left_out}" if left_out else told, warns=lacks)
        if not math.isnan(self.found.disagreement):
            yield Tag(f"disagreement {percent(self.found.disagreement)} %")


@dataclass(frozen=True)
class _Found:
    """Those cells of one dataset that have an ensemble."""

    dataset: ReportedDataset
    cells: tuple[_Cell, ...]
    n_cells: int
    """Cells of the dataset with two runs that are done; `cells` may hold fewer."""
    obstacle: str | None
    """Why there are none, as a clause."""

    @cached_property
    def styles(self) -> dict[str, Style]:
        """How each metric is written."""
        names = self.cells[0].found.scores if self.cells else ()
        values = {name: [each.found.scores[name].ensemble for each in self.cells] for name in names}
        return {name: style_of(metric_of(name).unit, found) for name, found in values.items()}

    @property
    def lines(self) -> list[_Line]:
        """Each metric of each ensemble."""
        return [_Line(self, cell, name, score) for cell in self.cells for name, score in cell.found.scores.items()]


@dataclass(frozen=True)
class _Line:
    """One metric of one ensemble."""

    found: _Found
    cell: _Cell
    name: str
    score: Score

    @property
    def style(self) -> Style:
        return self.found.styles[self.name]

    @property
    def title(self) -> str:
        return titled(metric_of(self.name).title, self.style.unit_of_values)


def build(report: Report) -> Iterable[Block]:
    """The ensembles of each dataset, metric by metric, and what further members bring; files have them all."""
    found = {dataset.name: ensembles(dataset) for dataset in report.datasets}
    yield from by_dataset(lambda dataset: _of_dataset(found[dataset.name]), _NOTE, _WHY)(report)
    lines = [line for each in found.values() for line in each.lines]
    if lines:
        yield Table("Ensembles", _file_columns(report), lines, files=(ENSEMBLES_FILE,), is_on_pages=False)


_NUMBERS: list[Column[_Line]] = [
    number("Mean member", lambda line: line.style.value(line.score.member)),
    number("Ensemble", lambda line: line.style.value(line.score.ensemble)),
    number("Gain", lambda line: line.style.difference(line.score.gain)),
    number("95 % interval", lambda line: line.style.differences.span(line.score.ci_low, line.score.ci_high)),
]


def _of_dataset(found: _Found) -> Iterator[Block]:
    if found.obstacle:
        yield Paragraph(f"No ensemble is given: {found.obstacle}.")
        return
    yield Paragraph(_best(found))
    yield Table(
        "Table of ensembles",
        [Column[_Line]("Metric", lambda line: line.title), *_NUMBERS],
        found.lines,
        caption=_told(found),
        group=lambda line: (line.cell.title, *line.cell.tags),
        group_head="Cell",
    )
    yield Plots(tuple(_plots(f"ensembles-{found.dataset.number}", found)))
    yield _paper_table(found)


def _plots(name: str, found: _Found) -> Iterator[Plot]:
    """The metrics by the number of members."""
    for metric in SIZED_METRICS[found.dataset.facts.task]:
        cells = {each.title: each.found.by_size[metric] for each in found.cells}
        has_all = all(each.found.has_all_subsets for each in found.cells)
        yield from size_plot(f"{name}-{metric}", cells, metric_of(metric), found.styles[metric], has_all)


def _paper_table(found: _Found) -> Block:
    columns = [
        *level_columns(found.dataset.report.factors, lambda line: line.cell.levels),
        number("members", lambda line: line.cell.found.n_members),
        Column[_Line]("metric", lambda line: line.title),
        *(replace(column, head=str(column.head).lower()) for column in _NUMBERS),
    ]
    note = (
        f"Gain: positive is better; its interval is paired over {_n_examples(found)}, for these very members. "
        "Exploratory."
    )
    file = f"ensembles-{file_part(found.dataset.name)}.tex"
    return Table("Ensembles", columns, found.lines, files=(file,), is_on_pages=False, note=note)


def _file_columns(report: Report) -> list[Column[_Line]]:
    """A row for each metric of each ensemble; `by_size` has that of each size, as `size:value` with blanks between."""

    def ambiguity(line: _Line) -> float:
        return line.cell.found.ambiguity if line.name in AMBIGUITY_METRICS else math.nan

    def by_size(line: _Line) -> str:
        return " ".join(f"{size}:{value:.10g}" for size, value in line.cell.found.by_size.get(line.name, ()))

    return [
        Column("dataset", lambda line: line.found.dataset.name),
        *level_columns(report.factors, lambda line: line.cell.levels),
        number("n_planned", lambda line: line.cell.n_planned),
        number("n_members", lambda line: line.cell.found.n_members),
        number("n_diverged", lambda line: line.cell.n_diverged),
        number("n_test", lambda line: line.cell.found.n_examples),
        Column("metric", lambda line: line.name),
        number("mean_member", lambda line: line.score.member),
        *attributes(lambda line: line.score, "ensemble", "gain"),
        number("gain_ci_low", lambda line: line.score.ci_low),
        number("gain_ci_high", lambda line: line.score.ci_high),
        number("ambiguity", ambiguity),
        number("disagreement", lambda line: line.cell.found.disagreement),
        Column("by_size", by_size),
    ]


def _best(found: _Found) -> str:
    """Whether the best cell is still the best as an ensemble, in a sentence; empty where there is one cell."""
    if len(found.cells) < 2:
        return ""
    name, metric = found.dataset.outcome, found.dataset.metric
    first = max(found.cells, key=lambda each: metric.sign * each.found.scores[name].member)
    second = max(found.cells, key=lambda each: metric.sign * each.found.scores[name].ensemble)
    style, title = found.styles[name], titled(metric.title, found.styles[name].unit_of_values)
    own, best = first.found.scores[name], second.found.scores[name]
    if own.ensemble == best.ensemble:
        return (
            f"{title}: the cell with the best mean member, “{first.title}” ({style.value(own.member)}), has the "
            f"best ensemble too ({style.value(own.ensemble)})."
        )
    return (
        f"{title}: the best mean member is that of “{first.title}” ({style.value(own.member)}), the best ensemble "
        f"that of “{second.title}” ({style.value(best.ensemble)}, against {style.value(own.ensemble)})."
    )


def _n_examples(found: _Found) -> str:
    return counted(found.cells[0].found.n_examples, "test example")


def _told(found: _Found) -> str:
    """What the table is about."""
    is_regression = found.dataset.facts.task == "regression"
    n_too_few = found.dataset.n_cells - found.n_cells
    return sentences(
        f"Over {_n_examples(found)}, from stored outputs in {'single' if is_regression else 'half'} precision.",
        f"No interval stands where fewer than {LEAST_DIFFERENT} of them tell the ensemble from its members"
        f"{'' if is_regression else ', nor for the ECE, which is no mean over examples'}.",
        "The t interval knows no bounds: it can reach below zero where a gain cannot.",
        len(found.cells) < found.n_cells
        and f"{len(found.cells)} of {whole(found.n_cells)} cells with two runs that are done: the baseline, and those "
        "that differ from it in the fewest factors, as far as their outputs were kept.",
        n_too_few and f"Cells without an ensemble, since fewer than two runs are done: {whole(n_too_few)}.",
    )


def ensembles(dataset: ReportedDataset) -> _Found:
    """Compare the ensemble of each cell's runs with the runs themselves."""
    facts, done = dataset.facts, dataset.done
    counts = done["cell"].value_counts()
    done = done[done["cell"].isin(counts.index[counts >= LEAST_MEMBERS])]
    n_cells = done["cell"].nunique()
    size = facts.num_test * (facts.num_classes if facts.task == "classification" else 1)
    obstacle = _obstacle(dataset, size, n_cells)
    cells = () if obstacle else tuple(_cells(dataset, done, size))
    if not obstacle and not cells:
        obstacle = "no cell has two runs whose outputs for the test examples were kept"
    return _Found(dataset, cells, n_cells, obstacle)


def _obstacle(dataset: ReportedDataset, size: int, n_cells: int) -> str | None:
    if not n_cells:
        return "no cell has two runs that are done"
    if not keeps_predictions(dataset.facts.task, size):
        return "the outputs for the test examples are too large to be kept in the store"
    return "the labels of the test examples were not kept" if dataset.labels is None else None


def _cells(dataset: ReportedDataset, done: pd.DataFrame, size: int) -> Iterator[_Cell]:
    """Those cells that have an ensemble, of so many as there is room for."""
    report, labels = dataset.report, dataset.labels
    assert labels is not None  # else there is an obstacle
    n_members = max(LEAST_MEMBERS, min(limits.MOST_MEMBERS, limits.MOST_OUTPUTS_OF_A_CELL // size))
    n_outputs = size * min(n_members, len(report.seeds))
    most = max(2, min(limits.MOST_ENSEMBLES, limits.MOST_OUTPUTS // n_outputs))
    for cell, levels in nearest_cells(done, report.factors, most):
        own = dataset.runs[dataset.runs["cell"] == cell]
        keys = done.loc[done["cell"] == cell, "key"].tolist()
        outputs = report.study.store.predictions(keys[:n_members])
        usable = [outputs[key] for key in keys if key in outputs and np.isfinite(outputs[key]).all()]
        if len(usable) >= LEAST_MEMBERS:
            yield _Cell(
                levels,
                report.is_baseline(levels),
                ensemble(dataset.facts.task, usable, labels, np.random.default_rng(_SEED_OF_SUBSETS)),
                n_planned=len(own),
                n_diverged=int((own["status"] == "diverged").sum()),
                n_not_kept=min(len(keys), n_members) - len(usable),
                n_beyond=max(0, len(keys) - n_members),
            )


SECTION = Section("ensembles", "Ensembles", build, files=(ENSEMBLES_FILE, "ensembles-{dataset}.tex"))
