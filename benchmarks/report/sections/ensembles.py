"""What the runs of each cell are worth as an ensemble."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

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
from benchmarks.labels import NOTHING, counted, whole
from benchmarks.metrics import OUTCOME_METRICS
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Number, Paragraph, Plot, Plots, Table, Tag, Text
from benchmarks.report.formatting import Style, percent, style_of, titled
from benchmarks.report.plots.ensembles import size_plot
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section, by_dataset, file_part
from benchmarks.report.tables import baseline_tag, level_columns, number
from benchmarks.results import keeps_predictions
from benchmarks.tasks import Task

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
    """One cell."""

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
        """Its levels."""
        return ", ".join(self.levels.values())

    @property
    def members(self) -> str:
        """How many of the runs are members, and what became of the others."""
        told = f"{self.found.n_members} of {counted(self.n_planned, 'run')}"
        reasons = {"diverged": self.n_diverged, "without outputs": self.n_not_kept, "for want of room": self.n_beyond}
        left_out = [f"{number} {reason}" for reason, number in reasons.items() if number]
        return f"{told}; left out: {', '.join(left_out)}" if left_out else told

    @property
    def disagreement(self) -> str:
        """On how many test examples two members name different classes."""
        share = self.found.disagreement
        return NOTHING if math.isnan(share) else f"{percent(share)} %"


@dataclass(frozen=True)
class _Found:
    """Those cells of one dataset that have an ensemble."""

    dataset: ReportedDataset
    cells: tuple[_Cell, ...]
    n_cells: int
    """Cells of the dataset with two runs that are done; `cells` may hold fewer."""
    n_too_few: int
    """Its other cells."""
    styles: Mapping[str, Style]
    """How each metric is written."""
    obstacle: str | None
    """Why there are none, as a clause."""

    @property
    def task(self) -> Task:
        """Of the dataset."""
        return self.dataset.facts.task

    @property
    def n_examples(self) -> int:
        """Of the test split."""
        return self.cells[0].found.n_examples if self.cells else 0


@dataclass(frozen=True)
class _Line:
    """One metric of one ensemble."""

    found: _Found
    cell: _Cell
    name: str
    score: Score

    @property
    def style(self) -> Style:
        """How the metric is written."""
        return self.found.styles[self.name]

    @property
    def title(self) -> str:
        """Of the metric."""
        return titled(metric_of(self.name).title, self.style.unit_of_values)

    @property
    def interval(self) -> str:
        """Of the gain."""
        return self.style.differences.span(self.score.ci_low, self.score.ci_high)


def build(report: Report) -> Iterable[Block]:
    """The ensembles of each dataset, metric by metric, and what further members bring; files have them all."""
    yield Paragraph(_NOTE)
    yield Paragraph(_WHY)
    found = {dataset.name: ensembles(dataset) for dataset in report.datasets}
    yield from by_dataset(report, lambda dataset: _of_dataset(found[dataset.name]))
    lines = [line for each in found.values() for line in _lines(each)]
    if lines:
        yield Table("Ensembles", _file_columns(report), lines, files=(ENSEMBLES_FILE,), is_on_pages=False)


def _lines(found: _Found) -> list[_Line]:
    return [_Line(found, cell, name, score) for cell in found.cells for name, score in cell.found.scores.items()]


_NUMBERS: list[Column[_Line]] = [
    number("Mean member", lambda line: Number(line.score.member, line.style.value(line.score.member))),
    number("Ensemble", lambda line: Number(line.score.ensemble, line.style.value(line.score.ensemble))),
    number("Gain", lambda line: Number(line.score.gain, line.style.difference(line.score.gain))),
    number("95 % interval", lambda line: line.interval),
]


def _of_dataset(found: _Found) -> Iterator[Block]:
    if found.obstacle:
        yield Paragraph(f"No ensemble is given: {found.obstacle}.")
        return
    yield Paragraph(_best(found))
    yield Table(
        "Table of ensembles",
        [Column[_Line]("Metric", lambda line: line.title), *_NUMBERS],
        _lines(found),
        caption=_told(found),
        group=lambda line: _title(found, line.cell),
        group_head="Cell",
    )
    yield Plots(tuple(_plots(f"ensembles-{found.dataset.number}", found)))
    yield _paper_table(found)


def _title(found: _Found, cell: _Cell) -> Text:
    lacks = bool(cell.n_diverged or cell.n_not_kept)
    disagreement = () if found.task == "regression" else (Tag(f"disagreement {cell.disagreement}"),)
    return (cell.title, *baseline_tag(cell.is_baseline), Tag(cell.members, warns=lacks), *disagreement)


def _plots(name: str, found: _Found) -> Iterator[Plot]:
    """The metrics by the number of members."""
    for metric in SIZED_METRICS[found.task]:
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
        f"Gain: positive is better; its interval is paired over {counted(found.n_examples, 'test example')}, for these "
        "very members. Exploratory."
    )
    file = f"ensembles-{file_part(found.dataset.name)}.tex"
    return Table("Ensembles", columns, _lines(found), files=(file,), is_on_pages=False, note=note)


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
        number("ensemble", lambda line: line.score.ensemble),
        number("gain", lambda line: line.score.gain),
        number("gain_ci_low", lambda line: line.score.ci_low),
        number("gain_ci_high", lambda line: line.score.ci_high),
        number("ambiguity", ambiguity),
        number("disagreement", lambda line: line.cell.found.disagreement),
        Column("by_size", by_size),
    ]


def _best(found: _Found) -> str:
    """Whether the best cell is still the best as an ensemble, in a sentence; empty where there is one cell."""
    name = OUTCOME_METRICS[found.task]
    if len(found.cells) < 2:
        return ""
    sign = metric_of(name).sign
    first = max(found.cells, key=lambda each: sign * each.found.scores[name].member)
    second = max(found.cells, key=lambda each: sign * each.found.scores[name].ensemble)
    style, title = found.styles[name], titled(metric_of(name).title, found.styles[name].unit_of_values)
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


def _told(found: _Found) -> str:
    """What the table is about, in sentences."""
    parts = [
        f"Over {counted(found.n_examples, 'test example')}, from stored outputs in "
        f"{'single' if found.task == 'regression' else 'half'} precision.",
        f"No interval stands where fewer than {LEAST_DIFFERENT} of them tell the ensemble from its members"
        f"{'' if found.task == 'regression' else ', nor for the ECE, which is no mean over examples'}.",
        "The t interval knows no bounds: it can reach below zero where a gain cannot.",
    ]
    if len(found.cells) < found.n_cells:
        parts.append(
            f"{len(found.cells)} of {whole(found.n_cells)} cells with two runs that are done: the baseline, and "
            "those that differ from it in the fewest factors, as far as their outputs were kept."
        )
    if found.n_too_few:
        parts.append(f"Cells without an ensemble, since fewer than two runs are done: {whole(found.n_too_few)}.")
    return " ".join(parts)


def ensembles(dataset: ReportedDataset) -> _Found:
    """Compare the ensemble of each cell's runs with the runs themselves."""
    report, facts, runs = dataset.report, dataset.facts, dataset.runs
    done = runs[runs["status"] == "done"]
    counts = done["cell"].value_counts()
    done = done[done["cell"].isin(counts.index[counts >= LEAST_MEMBERS])]
    n_cells = done["cell"].nunique()
    n_too_few = runs["cell"].nunique() - n_cells
    size = facts.num_test * (facts.num_classes if facts.task == "classification" else 1)
    obstacle = _obstacle(facts.task, size, n_cells)
    labels = None if obstacle else report.study.store.labels(dataset.name.partition(":")[0], facts.version)
    if labels is None:
        obstacle = obstacle or "the labels of the test examples were not kept"
        return _Found(dataset, (), n_cells, n_too_few, {}, obstacle)
    n_members = max(LEAST_MEMBERS, min(limits.MOST_MEMBERS, limits.MOST_OUTPUTS_OF_A_CELL // size))
    n_outputs = size * min(n_members, len(report.seeds))
    most = max(2, min(limits.MOST_ENSEMBLES, limits.MOST_OUTPUTS // n_outputs))
    made = (
        _cell(dataset, cell, levels, labels, n_members) for cell, levels in nearest_cells(done, report.factors, most)
    )
    cells = tuple(each for each in made if each)
    obstacle = None if cells else "no cell has two runs whose outputs for the test examples were kept"
    return _Found(dataset, cells, n_cells, n_too_few, _styles(cells), obstacle)


def _obstacle(task: Task, size: int, n_cells: int) -> str | None:
    if not n_cells:
        return "no cell has two runs that are done"
    if not keeps_predictions(task, size):
        return "the outputs for the test examples are too large to be kept in the store"
    return None


def _cell(
    dataset: ReportedDataset, cell: Hashable, levels: Mapping[str, str], labels: np.ndarray, most_members: int
) -> _Cell | None:
    own = dataset.runs[dataset.runs["cell"] == cell]
    done = own.loc[own["status"] == "done", "key"].tolist()
    read = done[:most_members]
    outputs = dataset.report.study.store.predictions(read)
    usable = [outputs[key] for key in read if key in outputs and np.isfinite(outputs[key]).all()]
    if len(usable) < LEAST_MEMBERS:
        return None
    return _Cell(
        levels,
        dataset.report.is_baseline(levels),
        ensemble(dataset.facts.task, usable, labels, np.random.default_rng(_SEED_OF_SUBSETS)),
        n_planned=len(own),
        n_diverged=int((own["status"] == "diverged").sum()),
        n_not_kept=len(read) - len(usable),
        n_beyond=len(done) - len(read),
    )


def _styles(cells: Sequence[_Cell]) -> dict[str, Style]:
    names = cells[0].found.scores if cells else ()
    return {
        name: style_of(metric_of(name).unit, [each.found.scores[name].ensemble for each in cells]) for name in names
    }


SECTION = Section("ensembles", "Ensembles", build, files=(ENSEMBLES_FILE, "ensembles-{dataset}.tex"))
