"""What the runs of each cell are worth as an ensemble: a section of the report, a CSV file and tables in LaTeX."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.analysis.contrasts import Factors
from benchmarks.analysis.ensembles import (
    AMBIGUITY_METRICS,
    LEAST_DIFFERENT,
    LEAST_MEMBERS,
    SIZED_METRICS,
    Ensemble,
    ensemble,
    metric_of,
)
from benchmarks.labels import NOTHING, counted, whole, with_levels
from benchmarks.metrics import OUTCOME_METRICS
from benchmarks.report import limits
from benchmarks.report.formatting import Style, percent, style_of, titled
from benchmarks.report.latex import behind_levels, file_part, tex_table
from benchmarks.report.plots.common import Plot
from benchmarks.report.plots.ensembles import size_plot
from benchmarks.report.reliability import nearest_cells
from benchmarks.report.spreadsheets import csv_text
from benchmarks.results import keeps_predictions
from benchmarks.store import DatasetFacts, Store
from benchmarks.tasks import Task

ENSEMBLES_FILE = "ensembles.csv"

_SEED_OF_SUBSETS = 0

NOTE = (
    "What the runs of a cell give together: the mean of their probabilities, or of their predictions for a regression, "
    "from the outputs that are stored, so no run is trained for it. A gain is how much better the ensemble is than its "
    "members are on average; positive is better. Its 95 % t interval is paired over the test examples: it is about "
    "these very members on other test examples, and not about other seeds. All of it is exploratory."
)

WHY = (
    "Members that err on different examples make an ensemble better. The gain in squared error and in the Brier score "
    "is the ambiguity: the mean squared distance of the members from their mean (Krogh and Vedelsby 1995). So it is "
    "never negative, nor is that in NLL; accuracy and ECE can become worse. Disagreement is the share of test examples "
    "on which two members name different classes, on average over all pairs."
)


@dataclass(frozen=True)
class Row:
    """One metric of one ensemble, as it is written."""

    title: str
    member: str
    ensemble: str
    gain: str
    interval: str


@dataclass(frozen=True)
class CellEnsemble:
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
class Ensembles:
    """Those cells of one dataset that have an ensemble."""

    task: Task
    cells: tuple[CellEnsemble, ...]
    n_cells: int
    """Cells of the dataset with two runs that are done; `cells` may hold fewer."""
    n_too_few: int
    """Its other cells."""
    styles: Mapping[str, Style]
    """How each metric is written."""
    obstacle: str | None
    """Why there are none, as a clause."""

    @property
    def n_examples(self) -> int:
        """Of the test split."""
        return self.cells[0].found.n_examples if self.cells else 0

    @property
    def best(self) -> str:
        """Whether the best cell is still the best as an ensemble, in a sentence; empty where there is one cell."""
        name = OUTCOME_METRICS[self.task]
        if len(self.cells) < 2:
            return ""
        sign = 1 if metric_of(name).better == "higher" else -1
        first = max(self.cells, key=lambda each: sign * each.found.scores[name].member)
        second = max(self.cells, key=lambda each: sign * each.found.scores[name].ensemble)
        style, title = self.styles[name], titled(metric_of(name).title, self.styles[name].unit_of_values)
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

    @property
    def told(self) -> str:
        """What the table is about, in sentences."""
        parts = [
            f"Over {counted(self.n_examples, 'test example')}, from stored outputs in "
            f"{'single' if self.task == 'regression' else 'half'} precision.",
            f"No interval stands where fewer than {LEAST_DIFFERENT} of them tell the ensemble from its members"
            f"{'' if self.task == 'regression' else ', nor for the ECE, which is no mean over examples'}.",
            "The t interval knows no bounds: it can reach below zero where a gain cannot.",
        ]
        if len(self.cells) < self.n_cells:
            parts.append(
                f"{len(self.cells)} of {whole(self.n_cells)} cells with two runs that are done: the baseline, and "
                "those that differ from it in the fewest factors, as far as their outputs were kept."
            )
        if self.n_too_few:
            parts.append(f"Cells without an ensemble, since fewer than two runs are done: {whole(self.n_too_few)}.")
        return " ".join(parts)

    def rows(self, cell: CellEnsemble) -> list[Row]:
        """A row a metric."""
        return [
            Row(
                titled(metric_of(name).title, self.styles[name].unit_of_values),
                self.styles[name].value(score.member),
                self.styles[name].value(score.ensemble),
                self.styles[name].difference(score.gain),
                NOTHING
                if math.isnan(score.ci_low)
                else f"{self.styles[name].difference(score.ci_low)} to {self.styles[name].difference(score.ci_high)}",
            )
            for name, score in cell.found.scores.items()
        ]


def ensembles(
    name: str, facts: DatasetFacts, runs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str], store: Store
) -> Ensembles:
    """Compare the ensemble of each cell's runs with the runs themselves.

    Args:
        name: of the dataset, as in the suite.
        facts: of the same.
        runs: its rows of what `run_table` gave.
        factors: every factor of the suite.
        baseline: factor -> label of its baseline level.
        store: has the predictions and the labels.

    Raises:
        StoreError: it cannot be read.
    """
    done = runs[runs["status"] == "done"]
    counts = done["cell"].value_counts()
    done = done[done["cell"].isin(counts.index[counts >= LEAST_MEMBERS])]
    n_cells = done["cell"].nunique()
    n_too_few = runs["cell"].nunique() - n_cells
    size = facts.num_test * (facts.num_classes if facts.task == "classification" else 1)
    obstacle = _obstacle(facts.task, size, n_cells)
    labels = None if obstacle else store.labels(name.partition(":")[0], facts.version)
    if labels is None:
        obstacle = obstacle or "the labels of the test examples were not kept"
        return Ensembles(facts.task, (), n_cells, n_too_few, {}, obstacle)
    most_members = max(LEAST_MEMBERS, min(limits.MOST_MEMBERS, limits.MOST_OUTPUTS_OF_A_CELL // size))
    most_cells = max(
        2, min(limits.MOST_ENSEMBLES, limits.MOST_OUTPUTS // (size * min(most_members, runs["seed"].nunique())))
    )
    made = (
        _cell(cell, levels, levels == dict(baseline), facts.task, runs, labels, most_members, store)
        for cell, levels in nearest_cells(done, factors, baseline, most_cells)
    )
    cells = tuple(each for each in made if each)
    obstacle = None if cells else "no cell has two runs whose outputs for the test examples were kept"
    return Ensembles(facts.task, cells, n_cells, n_too_few, _styles(cells), obstacle)


def ensemble_plots(name: str, found: Ensembles) -> Iterable[Plot]:
    """The metrics by the number of members.

    Args:
        name: tells these figures from the others of the page.
        found: on one dataset.
    """
    if found.cells:
        for metric in SIZED_METRICS[found.task]:
            cells = {each.title: each.found.by_size[metric] for each in found.cells}
            has_all = all(each.found.has_all_subsets for each in found.cells)
            yield from size_plot(f"{name}-{metric}", cells, metric_of(metric), found.styles[metric], has_all)


def ensemble_files(found: Mapping[str, Ensembles]) -> dict[str, str]:
    """File -> text: all ensembles, and a table in LaTeX for each dataset that has some; nothing where there are none.

    Args:
        found: name of the dataset -> what `ensembles` gave.
    """
    known = {name: each for name, each in found.items() if each.cells}
    tables = {_tex_file(name): ensembles_tex(each) for name, each in known.items()}
    return {ENSEMBLES_FILE: ensembles_csv(known), **tables} if known else {}


def ensemble_file_names(datasets: Iterable[str]) -> list[str]:
    """The files that a report can have of ensembles."""
    return [ENSEMBLES_FILE, *map(_tex_file, datasets)]


def ensembles_csv(found: Mapping[str, Ensembles]) -> str:
    """A row for each metric of each ensemble.

    `by_size` holds the metric of the ensembles of each size, as `size:value` with blanks between.

    Args:
        found: name of the dataset -> what `ensembles` gave, for one dataset or more that has some.
    """
    rows = [
        with_levels(
            {
                "dataset": dataset,
                "n_planned": cell.n_planned,
                "n_members": cell.found.n_members,
                "n_diverged": cell.n_diverged,
                "n_test": cell.found.n_examples,
                "metric": name,
                "mean_member": score.member,
                "ensemble": score.ensemble,
                "gain": score.gain,
                "gain_ci_low": score.ci_low,
                "gain_ci_high": score.ci_high,
                "ambiguity": cell.found.ambiguity if name in AMBIGUITY_METRICS else math.nan,
                "disagreement": cell.found.disagreement,
                "by_size": " ".join(f"{size}:{value:.10g}" for size, value in cell.found.by_size.get(name, ())),
            },
            cell.levels,
        )
        for dataset, each in found.items()
        for cell in each.cells
        for name, score in cell.found.scores.items()
    ]
    return csv_text(rows)


def ensembles_tex(found: Ensembles, caption: str = "") -> str:
    """The ensembles of one dataset.

    Args:
        found: what `ensembles` gave.
        caption: of the table, as plain text; without one it is a bare `tabular`.
    """
    rows = [
        behind_levels(
            cell.levels,
            {
                "members": str(cell.found.n_members),
                "metric": row.title,
                "mean member": row.member,
                "ensemble": row.ensemble,
                "gain": row.gain,
                "95 % interval": row.interval,
            },
        )
        for cell in found.cells
        for row in found.rows(cell)
    ]
    levels = len(found.cells[0].levels) if found.cells else 0
    note = (
        f"Gain: positive is better; its interval is paired over {counted(found.n_examples, 'test example')}, for these "
        "very members. Exploratory."
    )
    return tex_table(rows, "l" * levels + "rlrrrr", note, caption)


def _tex_file(dataset: str) -> str:
    return f"ensembles-{file_part(dataset)}.tex"


def _obstacle(task: Task, size: int, n_cells: int) -> str | None:
    if not n_cells:
        return "no cell has two runs that are done"
    if not keeps_predictions(task, size):
        return "the outputs for the test examples are too large to be kept in the store"
    return None


def _cell(
    cell: Hashable,
    levels: Mapping[str, str],
    is_baseline: bool,
    task: Task,
    runs: pd.DataFrame,
    labels: np.ndarray,
    most_members: int,
    store: Store,
) -> CellEnsemble | None:
    own = runs[runs["cell"] == cell]
    done = own.loc[own["status"] == "done", "key"].tolist()
    read = done[:most_members]
    outputs = store.predictions(read)
    usable = [outputs[key] for key in read if key in outputs and np.isfinite(outputs[key]).all()]
    if len(usable) < LEAST_MEMBERS:
        return None
    found = ensemble(task, usable, labels, np.random.default_rng(_SEED_OF_SUBSETS))
    n_diverged = int((own["status"] == "diverged").sum())
    return CellEnsemble(
        levels, is_baseline, found, len(own), n_diverged, len(read) - len(usable), len(done) - len(read)
    )


def _styles(cells: Sequence[CellEnsemble]) -> dict[str, Style]:
    names = cells[0].found.scores if cells else ()
    return {
        name: style_of(metric_of(name).unit, [each.found.scores[name].ensemble for each in cells]) for name in names
    }
