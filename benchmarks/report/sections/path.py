"""What the changes along a path give, at their places and alone, and how they came into their order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.analysis.estimates import Estimate
from benchmarks.analysis.paths import Step, steps_along
from benchmarks.labels import counted
from benchmarks.metrics import METRICS
from benchmarks.plan.combinations import Change, declared_changes
from benchmarks.plan.path import FoundPath, changes_taken
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Code, Column, Heading, Number, Paragraph, Plot, Plots, Table, Tag
from benchmarks.report.formatting import gain_title, named_seeds, sentences, style_of, titled
from benchmarks.report.plots.search import rows_plot
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section, by_dataset
from benchmarks.report.tables import attributes, file_columns, number, shortened, valued
from benchmarks.store import StoredSearch

PATH_FILE, TRIED_FILE, PATH_TEX = "path.csv", "path_tried.csv", "path.tex"


@dataclass(frozen=True)
class _Line:
    """A step on one dataset."""

    dataset: ReportedDataset
    number: int
    """From 1."""
    step: Step


@dataclass(frozen=True)
class _Tried:
    """A change that was tried at a step."""

    step: int
    """From 1; 0 for the baseline."""
    change: str
    score: float
    """NaN where a run failed or diverged, or the change does not go together with those before."""
    is_taken: bool


def build(report: Report) -> Iterable[Block]:
    """How the order came about, what each change gives on each dataset, and what was tried; files have it too."""
    study, suite = report.study, report.study.suite
    if suite.chosen_design.name != "path":
        return
    path = study.path_to_find
    search = study.searches.get(path.key) if path else None
    changes = changes_taken(search.chosen if search else None) if path else declared_changes(suite)
    where = "declared in the suite" if suite.chosen_design.order else "that of the suite’s factors"
    declared = f"The order of the changes was {where}, and does not follow from any result. {_READING}"
    yield Paragraph(_how_found(path, search, changes) if path else declared)
    lines = {
        dataset.name: [
            _Line(dataset, place, step)
            for place, step in enumerate(steps_along(dataset.runs, dataset.report.factors, changes), start=1)
        ]
        for dataset in report.datasets
    }
    if changes:
        yield from by_dataset(lambda dataset: _of_dataset(dataset, lines[dataset.name]))(report)
    yield from _files([line for of_dataset in lines.values() for line in of_dataset])
    if path and search:
        yield from _what_was_tried(path, list(_tried(search, changes)))


def _gain(line: _Line, found: Estimate) -> Number:
    return Number(found.mean, line.dataset.style.differences.estimate(found))


_GAINS: list[Column[_Line]] = [
    number("Gain", lambda line: _gain(line, line.step.gain)),
    number("Since the baseline", lambda line: _gain(line, line.step.since_baseline)),
    number("Alone", lambda line: _gain(line, line.step.alone)),
]


def _of_dataset(dataset: ReportedDataset, lines: Sequence[_Line]) -> Iterator[Block]:
    def pairs(line: _Line) -> str:
        diverged = f", {line.step.n_diverged} diverged" if line.step.n_diverged else ""
        return f"{line.step.gain.n} of {line.step.n_planned}{diverged}"

    columns: list[Column[_Line]] = [
        number("Step", lambda line: line.number),
        Column("Change", lambda line: change_told(line.step.change)),
        *_GAINS,
        number("Pairs", pairs),
    ]
    told = (
        f"{titled(dataset.metric.title, '')}; differences {dataset.style.unit_of_differences}, with 95 % t intervals. "
        "Gain: over the step before. Alone: the same change at the baseline. ",
        Code(PATH_FILE),
        " has the numbers.",
    )
    yield Table("Table of the changes along the path", columns, lines, caption=told)
    yield Plots(_plot(f"path-{dataset.number}", dataset, lines))


def _files(lines: Sequence[_Line]) -> Iterator[Block]:
    """The same for a paper, and all numbers."""
    columns: list[Column[_Line]] = [
        Column("dataset", lambda line: line.dataset.name),
        Column("step", lambda line: str(line.number)),
        Column("change", lambda line: change_told(line.step.change)),
        *(replace(column, head=str(column.head).lower()) for column in _GAINS),
    ]
    yield Table("Path", columns, lines, files=(PATH_TEX,), is_on_pages=False, note=_READING)
    numbers: list[Column[_Line]] = [
        Column("dataset", lambda line: line.dataset.name),
        number("step", lambda line: line.number),
        Column("factor", lambda line: line.step.change[0]),
        Column("level", lambda line: line.step.change[1]),
        Column("metric", lambda line: line.dataset.metric.title),
        *file_columns("gain_", lambda line: line.step.gain),
        *file_columns("since_baseline_", lambda line: line.step.since_baseline),
        *file_columns("alone_", lambda line: line.step.alone),
        number("n_pairs", lambda line: line.step.gain.n),
        *attributes(lambda line: line.step, "n_planned", "n_diverged"),
    ]
    if lines:
        yield Table("Path", numbers, lines, files=(PATH_FILE,), is_on_pages=False)


def _what_was_tried(path: FoundPath, tried: Sequence[_Tried]) -> Iterator[Block]:
    metric = METRICS[path.objective]
    style = style_of(metric.unit, (each.score for each in tried))
    columns: list[Column[_Tried]] = [
        number("Step", lambda each: each.step or ""),
        valued("Score", lambda each: each.score, style.value),
        Column("Change", lambda each: (each.change, *((Tag("taken"),) if each.is_taken else ()))),
    ]
    told = (
        f"Score: {titled(metric.title, style.unit_of_values)}, on the seeds of the search. It decided, and is no "
        "result. A change without a score had a run that failed or diverged, or does not go together with the changes "
        "before it."
    )
    yield Heading("What was tried")
    title = "Table of the changes that were tried"
    table = Table(title, columns, tried, caption=told, marks=lambda each: () if each.step else ("baseline",))
    yield shortened(table, limits.MOST_CELL_ROWS, "", TRIED_FILE)
    numbers: list[Column[_Tried]] = attributes(lambda each: each, "step", "change", "score", "is_taken")
    yield Table("Changes that were tried", numbers, tried, files=(TRIED_FILE,), is_on_pages=False)


_READING = (
    "A gain is of a cell over the one before it on the path, paired over the seeds and turned so that positive means "
    "better. Exploratory; no interval is corrected for their number."
)


def _how_found(path: FoundPath, search: StoredSearch | None, changes: Sequence[Change]) -> str:
    metric = METRICS[path.objective]
    how = (
        f"The order of the changes was not declared but found: at each step every change that was left was tried, and "
        f"the one with the best {metric.title} was taken if that was better than before. What counts is the mean over "
        f"the datasets and {named_seeds(path.seeds)}, none of which is reported; the test examples played no part."
    )
    if search is None:
        return f"{how} The path has not been found yet: the same “ablate run” goes on with it."
    is_whole = len(changes) == len(path.suite.factors)
    ended = "every factor was changed" if is_whole else "no change that was left made it better"
    taken = f"After {counted(len(changes), 'change')} {ended}."
    return (
        f"{how} {taken} Since the order was chosen by looking, all that is said along it is exploratory: the changes "
        "taken first had the best score then, differences of scores may be chance, and other seeds could have found "
        f"another path. {_READING}"
    )


def _tried(search: StoredSearch, changes: Sequence[Change]) -> Iterator[_Tried]:
    for record in search.trials:
        step = record["round"] + 1 if record["values"] else 0
        change = next(iter(record["values"].items()), None)
        score = math.nan if record["score"] is None else record["score"]
        is_taken = change is not None and step <= len(changes) and change == changes[step - 1]
        yield _Tried(step, change_told(change) if change else "the baseline", score, is_taken)


def change_told(change: Change) -> str:
    """Such as: model.activation = relu."""
    return " = ".join(change)


def _plot(name: str, dataset: ReportedDataset, lines: Sequence[_Line]) -> tuple[Plot, ...]:
    rows = []
    for line in lines:
        factor, level = line.step.change
        rows.append((f"{line.number}. {factor.rpartition('.')[2]} = {level}", line.step.gain))
        # Alone and first is the same.
        rows += [("alone", line.step.alone)] if line.number > 1 else []
    note = sentences(
        "Numbered: what each change gave after those above it. Below it: what the same change gives alone, at the "
        "baseline. Bars: 95 % t intervals over the reported seeds.",
        "How far the two lie apart tells how much the order may matter.",
    )
    label = gain_title(dataset.metric, dataset.style)
    return rows_plot(name, "What does each change give, at its place and alone?", rows, label, dataset.style, note)


SECTION = Section("path", "Path", build, files=(PATH_FILE, TRIED_FILE, PATH_TEX))
