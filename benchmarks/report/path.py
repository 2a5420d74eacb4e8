"""What a report says of a path: how its changes came into their order, and what each gives there and alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.analysis.contrasts import Factors
from benchmarks.analysis.estimates import Estimate
from benchmarks.analysis.paths import Step, steps_along
from benchmarks.labels import counted
from benchmarks.metrics import METRICS, OUTCOME_METRICS, Metric
from benchmarks.plan.combinations import Change, declared_changes
from benchmarks.plan.path import FoundPath, changes_taken
from benchmarks.plan.study import Study
from benchmarks.report.formatting import Style, gain_title, style_of, titled
from benchmarks.report.latex import tex_table
from benchmarks.report.plots.common import Plot, sentences
from benchmarks.report.plots.search import rows_plot
from benchmarks.report.spreadsheets import csv_text, numbers_of
from benchmarks.store import StoredSearch
from benchmarks.suite.suite import Suite


@dataclass(frozen=True)
class Tried:
    """A change that was tried at a step of a path."""

    step: int
    """From 1; 0 for the baseline."""
    change: str
    score: float
    """NaN where a run failed or diverged, or the change does not go together with those before."""
    is_taken: bool


@dataclass(frozen=True)
class PathOfDataset:
    """What the changes give on one dataset."""

    name: str
    metric: Metric
    style: Style
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class PathContent:
    """What a report says of a path."""

    how: str
    """How the order came about, and what follows from that, in sentences."""
    objective: Metric | None
    """By which it was found; None where it was declared."""
    style: Style
    """How scores are written."""
    tried: tuple[Tried, ...]
    datasets: tuple[PathOfDataset, ...]

    @property
    def title(self) -> str:
        """Of the score."""
        return titled(self.objective.title, self.style.unit_of_values) if self.objective else ""


def path_content(study: Study, runs: pd.DataFrame) -> PathContent | None:
    """What a report says of a path; None where the suite has none.

    Args:
        study: which.
        runs: what `run_table` gave.
    """
    suite = study.suite
    if suite.chosen_design.name != "path":
        return None
    path = study.path_to_find
    search = study.searches.get(path.key) if path else None
    changes = changes_taken(search.chosen if search else None) if path else declared_changes(suite)
    tried = tuple(_tried(search, changes)) if search else ()
    return PathContent(
        how=_how_found(path, search, changes) if path else _how_declared(suite),
        objective=METRICS[path.objective] if path else None,
        style=style_of(METRICS[path.objective].unit if path else "share", (each.score for each in tried)),
        tried=tried,
        datasets=tuple(_datasets(runs, study.factors, study.baseline, changes)),
    )


def path_figures(content: PathContent) -> dict[str, tuple[Plot, ...]]:
    """Dataset -> a row for each change at its place and, below, alone."""
    return {each.name: _plot(f"path-{number}", each) for number, each in enumerate(content.datasets)}


PATH_FILES = ("path.csv", "path_tried.csv", "path.tex")
"""All that `path_files` can name."""


def path_files(content: PathContent | None) -> dict[str, str]:
    """File -> text, of what a path leaves beside the page."""
    if content is None:
        return {}
    files = {"path.tex": tex_table(list(_tex_rows(content)), "lllrrr", _READING, "")}
    steps = [row for dataset in content.datasets for row in _step_rows(dataset)]
    if steps:
        files["path.csv"] = csv_text(steps)
    if content.tried:
        rows = [
            {"step": each.step, "change": each.change, "score": each.score, "is_taken": each.is_taken}
            for each in content.tried
        ]
        files["path_tried.csv"] = csv_text(rows)
    return files


_READING = (
    "A gain is of a cell over the one before it on the path, paired over the seeds and turned so that positive means "
    "better. Exploratory; no interval is corrected for their number."
)


def _how_declared(suite: Suite) -> str:
    where = "declared in the suite" if suite.chosen_design.order else "that of the suite’s factors"
    return f"The order of the changes was {where}, and does not follow from any result. {_READING}"


def _how_found(path: FoundPath, search: StoredSearch | None, changes: Sequence[Change]) -> str:
    seeds = f"seed{'s' if len(path.seeds) > 1 else ''} {', '.join(map(str, path.seeds))}"
    metric = METRICS[path.objective]
    how = (
        f"The order of the changes was not declared but found: at each step every change that was left was tried, and "
        f"the one with the best {metric.title} was taken if that was better than before. What counts is the mean over "
        f"the datasets and {seeds}, none of which is reported; the test examples played no part."
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


def _tried(search: StoredSearch, changes: Sequence[Change]) -> Iterator[Tried]:
    for record in search.trials:
        step = record["round"] + 1 if record["values"] else 0
        change = next(iter(record["values"].items()), None)
        score = math.nan if record["score"] is None else record["score"]
        is_taken = change is not None and step <= len(changes) and change == changes[step - 1]
        yield Tried(step, change_told(change) if change else "the baseline", score, is_taken)


def change_told(change: Change) -> str:
    """Such as: model.activation = relu."""
    return " = ".join(change)


def _datasets(
    runs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str], changes: Sequence[Change]
) -> Iterator[PathOfDataset]:
    for name, own in runs.groupby("dataset", sort=False, observed=True):
        metric = METRICS[OUTCOME_METRICS[own["task"].iloc[0]]]
        steps = tuple(steps_along(own, factors, baseline, changes))
        yield PathOfDataset(str(name), metric, style_of(metric.unit, own["outcome"]), steps)


def _plot(name: str, dataset: PathOfDataset) -> tuple[Plot, ...]:
    rows = []
    for number, step in enumerate(dataset.steps, start=1):
        factor, level = step.change
        rows.append((f"{number}. {factor.rpartition('.')[2]} = {level}", step.gain))
        # Alone and first is the same.
        rows += [("alone", step.alone)] if number > 1 else []
    note = sentences(
        "Numbered: what each change gave after those above it. Below it: what the same change gives alone, at the "
        "baseline. Bars: 95 % t intervals over the reported seeds.",
        "How far the two lie apart tells how much the order may matter.",
    )
    label = gain_title(dataset.metric, dataset.style)
    return rows_plot(name, "What does each change give, at its place and alone?", rows, label, dataset.style, note)


def _step_rows(dataset: PathOfDataset) -> Iterator[dict[str, Any]]:
    for number, step in enumerate(dataset.steps, start=1):
        yield {
            "dataset": dataset.name,
            "step": number,
            "factor": step.change[0],
            "level": step.change[1],
            "metric": dataset.metric.title,
            **numbers_of(step.gain, "gain_"),
            **numbers_of(step.since_baseline, "since_baseline_"),
            **numbers_of(step.alone, "alone_"),
            "n_pairs": step.gain.n,
            "n_planned": step.n_planned,
            "n_diverged": step.n_diverged,
        }


def _tex_rows(content: PathContent) -> Iterable[dict[str, str]]:
    for dataset in content.datasets:
        for number, step in enumerate(dataset.steps, start=1):
            yield {
                "dataset": dataset.name,
                "step": str(number),
                "change": change_told(step.change),
                "gain": gain_told(step.gain, dataset.style),
                "since the baseline": gain_told(step.since_baseline, dataset.style),
                "alone": gain_told(step.alone, dataset.style),
            }


def gain_told(found: Estimate, style: Style) -> str:
    """A mean difference with its interval, or what there is in its place."""
    if found.state == "interval":
        return f"{style.difference(found.mean)} ({style.difference_interval(found)})"
    if found.state == "degenerate":
        return f"{style.difference(found.mean)} (all equal)"
    return f"raw: {style.differences(found.values)}" if found.n else style.differences(())
