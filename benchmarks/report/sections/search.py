"""What a search spent and chose, how far to trust it, and what tuning was worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pandas as pd

from benchmarks.analysis.searches import (
    GroupOutcome,
    RunFacts,
    SearchOutcome,
    Sensitivity,
    TrialOutcome,
    search_outcome,
)
from benchmarks.analysis.tuning_gain import CellWorth, Worth, worth_of_tuning
from benchmarks.labels import NOTHING, counted, level_label
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Code, Column, Heading, Number, Paragraph, Plot, Plots, Table, Tag, joined
from benchmarks.report.formatting import Style, style_of, titled
from benchmarks.report.plots.search import best_so_far, gap_plot, sensitivity_plot, worth_plot
from benchmarks.report.plots.search_space import parallel_coordinates, slices
from benchmarks.report.report import Report
from benchmarks.report.search_prose import budgets_told, gaps_told, how_searched, worth_told
from benchmarks.report.section import Section
from benchmarks.report.tables import (
    attributes,
    estimate_columns,
    file_columns,
    left_out,
    level_columns,
    number,
    shortened,
    valued,
)

Item = TypeVar("Item")

CHOSEN_FILE, TRIALS_FILE, UNTUNED_FILE = "search_chosen.csv", "search_trials.csv", "search_untuned.csv"
SEARCH_TEX = "search.tex"


@dataclass(frozen=True)
class _Search:
    """What was found, with how it is written."""

    outcome: SearchOutcome
    style: Style
    """Of scores."""

    @property
    def levels(self) -> list[str]:
        """The factors by which groups are told apart."""
        return list(self.outcome.groups[0].where)

    @property
    def title(self) -> str:
        return titled(self.outcome.metric.title, self.style.unit_of_values)

    @property
    def ended(self) -> list[GroupOutcome]:
        return [group for group in self.outcome.groups if group.has_ended]

    @property
    def settings(self) -> list[str]:
        """Every setting that was chosen in some group, in the order of the suite's space."""
        return self._in_order(path for group in self.outcome.groups for path in group.chosen)

    @property
    def tried(self) -> list[str]:
        """Every setting that was tried somewhere."""
        groups = self.outcome.groups
        return self._in_order(path for group in groups for trial in group.trials for path in trial.record.values)

    def _in_order(self, paths: Iterable[str]) -> list[str]:
        found = dict.fromkeys(paths)
        return sorted(found, key=[*self.outcome.table.space, *found].index)

    def score(self, group: GroupOutcome) -> Number:
        """The score for which a group's settings were chosen."""
        return Number(group.search_score, self.style.value(group.search_score))

    def rerun(self, group: GroupOutcome) -> Number:
        """The mean score of the settings on the reported seeds."""
        scores = list(group.reruns_by_seed.values())
        mean = math.fsum(scores) / len(scores) if scores else math.nan
        return Number(mean, self.style.value(mean))

    def plots(self, name: str, draw: Callable[..., tuple[Plot, ...]], *more: Any) -> tuple[Plot, ...]:
        """Plots of each dataset, whose scores are far apart; of many datasets, plots of all together."""
        datasets = list(dict.fromkeys(group.dataset for group in self.outcome.groups))
        if not 1 < len(datasets) <= limits.MOST_SEARCH_DATASETS:
            return draw(name, self.outcome, self.style, *more)
        plots: list[Plot] = []
        for place, dataset in enumerate(datasets):
            groups = tuple(group for group in self.outcome.groups if group.dataset == dataset)
            own = draw(f"{name}-{place}", replace(self.outcome, groups=groups), self.style, *more)
            plots += [replace(plot, title=f"{dataset}: {plot.title}") for plot in own]
        return tuple(plots)


def build(report: Report) -> Iterable[Block]:
    """What tuning was worth, was spent and chosen, and how far the scores go; files have all groups and trials."""
    table = report.study.suite.search
    if table is None:
        return
    outcome = search_outcome(report.study, _facts(report.runs, table.objective))
    assert outcome is not None  # as the suite has a search
    scores = [trial.record.score for group in outcome.groups for trial in group.comparable]
    style = style_of(outcome.metric.unit, (score for score in scores if score is not None))
    search = _Search(outcome, style)
    yield Paragraph((f"{how_searched(outcome)} Every trial is in ", Code(TRIALS_FILE), "."))
    yield from _worths(report)
    yield from _spent(search)
    if search.ended:
        yield from _chosen(search)
        yield from _trusted(search)
        yield from _sensitivities(search, report.has_several_datasets)
    yield from _files(search)


def _worths(report: Report) -> Iterator[Block]:
    worths = worth_of_tuning(report.study, report.runs)
    if not worths:
        return
    yield Heading("Was tuning worth it?")
    yield Paragraph(
        "Every cell was also trained with what the suite says without the search, on the same seeds. A gain is tuned "
        "minus untuned in the same seed, turned so that positive means better. Exploratory; no interval is corrected "
        "for their number. A diverged run counts at the level without learning."
    )
    for place, worth in enumerate(worths):
        style = style_of(worth.metric.unit, report.runs.loc[report.runs["dataset"] == worth.dataset, "outcome"])
        if report.has_several_datasets:
            yield Heading(worth.dataset, 4)
        yield Paragraph(worth_told(worth, style))
        yield _worth_table(report, worth, style)
        yield Plots(worth_plot(f"search-worth-{place}", worth, style, "Was tuning worth it?"))
    yield from _worth_file(report, worths)


def _worth_table(report: Report, worth: Worth, style: Style) -> Block:
    columns: list[Column[CellWorth]] = [
        *level_columns(
            report.factors, lambda cell: cell.levels, lambda cell: () if cell.is_changed else (Tag("nothing changed"),)
        ),
        valued("Untuned", lambda cell: cell.untuned, style.value),
        valued("Tuned", lambda cell: cell.tuned, style.value),
        *estimate_columns("Gain", lambda cell: cell.gain, style.differences),
        number("Pairs", lambda cell: f"{cell.gain.n} of {cell.n_planned}"),
        number("Diverged", lambda cell: cell.n_diverged),
    ]
    table = Table(
        "Table of what tuning was worth",
        columns,
        worth.cells,
        caption=f"{titled(worth.metric.title, '')}; gains {style.unit_of_differences}.",
        marks=report.baseline_mark,
    )
    return shortened(table, limits.MOST_GROUP_ROWS, "cells", UNTUNED_FILE)


def _worth_file(report: Report, worths: Iterable[Worth]) -> Iterator[Block]:
    rows = [(worth, cell) for worth in worths for cell in worth.cells]
    columns: list[Column[tuple[Worth, CellWorth]]] = [
        Column("dataset", lambda row: row[0].dataset),
        *level_columns(report.factors, lambda row: row[1].levels),
        Column("metric", lambda row: row[0].metric.title),
        number("tuned_mean", lambda row: row[1].tuned),
        number("untuned_mean", lambda row: row[1].untuned),
        number("n_pairs", lambda row: row[1].gain.n),
        *attributes(lambda row: row[1], "n_planned", "n_diverged"),
        *file_columns("gain_", lambda row: row[1].gain),
    ]
    if rows:
        yield Table("What tuning was worth", columns, rows, files=(UNTUNED_FILE,), is_on_pages=False)


def _spent(search: _Search) -> Iterator[Block]:
    columns: list[Column[GroupOutcome]] = [
        Column("Group", lambda group: group.title),
        Column("Strategy", lambda group: group.strategy),
        number("Trials", lambda group: group.budget.trials),
        number("Without a score", lambda group: group.n_without_score),
        number("Runs", lambda group: group.budget.runs),
        number("Epochs", lambda group: group.budget.epochs),
        valued("Seconds", lambda group: group.budget.seconds, "{:.3g}".format),
    ]
    yield Heading("What was spent")
    yield Paragraph(
        f"{budgets_told(search.outcome)} Runs of trials that were stored already are counted as well. Seconds are of "
        "the machines that trained them, one run after another."
    )
    if search.ended:
        yield _of_groups("Table of budgets", columns, search.ended)
        by_epochs = search.plots("search-epochs", best_so_far, "epochs")
        yield Plots(search.plots("search-trials", best_so_far, "trials") + by_epochs)


def _of_groups(title: str, columns: Sequence[Column[GroupOutcome]], groups: Sequence[GroupOutcome]) -> Block:
    return shortened(Table(title, columns, groups), limits.MOST_GROUP_ROWS, "groups", CHOSEN_FILE)


def _chosen(search: _Search) -> Iterator[Block]:
    shown = search.settings[: limits.MOST_SETTING_COLUMNS]

    def score(group: GroupOutcome) -> str:
        return search.score(group).text + ("" if group.best else " (no trial has one: nothing was changed)")

    columns = [
        Column[GroupOutcome]("Group", lambda group: group.title),
        *map(_setting_column, shown),
        number(search.title, score),
    ]
    scored = ", and what it scored" if shown else ""
    yield Heading("What was chosen")
    yield Paragraph(
        joined(
            f"The trial with the best {search.outcome.metric.title} of each group{scored}.",
            left_out(search.settings, limits.MOST_SETTING_COLUMNS, "settings", CHOSEN_FILE),
        )
    )
    yield _of_groups("Table of the settings chosen", columns, search.ended)
    yield Plots(search.plots("search-slice", slices))
    yield Plots(search.plots("search-parallel", parallel_coordinates))


def _setting_column(path: str) -> Column[GroupOutcome]:
    """What was chosen of one setting, with four digits."""

    def cell(group: GroupOutcome) -> str:
        value = group.chosen.get(path)
        return NOTHING if value is None else f"{value:.4g}" if isinstance(value, float) else level_label(value)

    return Column(path, cell)


def _trusted(search: _Search) -> Iterator[Block]:
    style, outcome = search.style, search.outcome
    n_left_out = sum(group.n_seeds - len(group.reruns_by_seed) for group in outcome.groups if group.best)
    columns: list[Column[GroupOutcome]] = [
        Column("Group", lambda group: group.title),
        number("In the search", search.score),
        number("On the reported seeds", search.rerun),
        *estimate_columns("Flattered by", outcome.gap, style.differences),
        number("Seeds", lambda group: f"{outcome.gap(group).n} of {group.n_seeds}"),
    ]
    yield Heading("How far to trust the score")
    yield Paragraph(
        f"What is chosen for the best of many scores looks better than it is. The same {outcome.metric.title} of the "
        f"same settings, on the seeds of this report, tells how much. {gaps_told(outcome)}"
    )
    told = joined(
        left_out(search.ended, limits.MOST_GROUP_ROWS, "groups", CHOSEN_FILE),
        "Intervals are over the reported seeds alone: the score in the search is one number, and how it would vary is "
        "not known.",
        n_left_out
        and f"{counted(n_left_out, 'seed')} of groups left out, with which a run of a cell has no such score.",
    )
    rows = search.ended[: limits.MOST_GROUP_ROWS]
    yield Table("Table of scores in the search and on the reported seeds", columns, rows, caption=told)
    yield Plots(gap_plot("search-gap", outcome, style))


def _sensitivities(search: _Search, has_several_datasets: bool) -> Iterator[Block]:
    style, found = search.style, search.outcome.sensitivities
    columns: list[Column[Sensitivity]] = [
        Column("Factor", lambda level: level.factor),
        Column("Level", lambda level: level.level),
        number("Best", lambda level: style.value(level.best)),
        number("Middle", lambda level: style.value(level.median)),
        number("Worst", lambda level: style.value(level.worst)),
        number("Best to middle", lambda level: style.value(level.loss_of_the_median)),
        number("Scores", lambda level: level.n_scores),
        number("Without", lambda level: level.n_without),
    ]
    yield Heading("How much each level needs its settings")
    yield Paragraph(
        "Over all trials whose scores can be compared, cell by cell. The middle trial tells what an arbitrary choice "
        "of these settings costs."
    )
    for place, dataset in enumerate(dict.fromkeys(each.dataset for each in found)):
        levels = [each for each in found if each.dataset == dataset]
        if has_several_datasets:
            yield Heading(dataset, 4)
        yield shortened(Table("Table of sensitivities", columns, levels), limits.MOST_GROUP_ROWS, "levels")
        yield Plots(sensitivity_plot(f"search-levels-{place}", levels, search.outcome.metric, style))


def _facts(runs: pd.DataFrame, objective: str) -> dict[str, RunFacts]:
    """What the run table tells of the reported runs; what was spent on them is no budget of the search."""
    stored = runs[runs["status"] != "missing"]
    is_done = stored["status"] == "done"
    scores = stored[objective].where(is_done)
    return {
        key: RunFacts(status, None if math.isnan(score) else float(score))
        for key, status, score in zip(stored["key"], stored["status"], scores, strict=True)
    }


_Trial = tuple[GroupOutcome, TrialOutcome, float | None]
"""A trial of a group, and the best score until then."""


def _files(search: _Search) -> Iterator[Block]:
    groups, metric = search.outcome.groups, search.outcome.metric
    columns: list[Column[GroupOutcome]] = [
        Column("group", lambda group: group.title),
        number("trials", lambda group: group.budget.trials),
        number("epochs", lambda group: group.budget.epochs),
        *map(_setting_column, search.settings),
        number("in the search", search.score),
        number("reported seeds", search.rerun),
    ]
    note = f"Chosen by the score: {search.title}; {metric.better} is better."
    yield Table("Settings chosen", columns, groups, files=(SEARCH_TEX,), is_on_pages=False, note=note)
    yield Table("Groups", _group_columns(search), groups, files=(CHOSEN_FILE,), is_on_pages=False)
    trials: list[_Trial] = [
        (group, trial, best) for group in groups for trial, best in zip(group.trials, group.best_so_far, strict=True)
    ]
    if trials:
        yield Table("Trials", _trial_columns(search), trials, files=(TRIALS_FILE,), is_on_pages=False)


def _group_columns(search: _Search) -> list[Column[GroupOutcome]]:
    outcome = search.outcome
    return [
        Column("group", lambda group: group.title),
        Column("dataset", lambda group: group.dataset or ""),
        *level_columns(search.levels, lambda group: group.where),
        Column("strategy", lambda group: group.strategy),
        *attributes(lambda group: group.budget, "trials", "runs", "epochs", "seconds"),
        number("without_score", lambda group: group.n_without_score),
        *(_value_column(path, lambda group: group.chosen) for path in search.tried),
        Column("objective", lambda _: outcome.table.objective),
        number("search_score", search.score),
        number("reported_score", search.rerun),
        number("n_seeds", lambda group: len(group.reruns_by_seed)),
        *file_columns("gap_", outcome.gap),
    ]


def _trial_columns(search: _Search) -> list[Column[_Trial]]:
    return [
        Column("group", lambda row: row[0].title),
        Column("dataset", lambda row: row[0].dataset or ""),
        *level_columns(search.levels, lambda row: row[0].where),
        *attributes(lambda row: row[1].record, "round", "number"),
        *(_value_column(path, lambda row: row[1].record.values) for path in search.tried),
        *attributes(lambda row: row[1].record, "budget", "resumes"),
        number("score", lambda row: row[1].record.score),
        Column("is_comparable", lambda row: row[1].is_comparable),
        Column("is_chosen", lambda row: row[1] is row[0].best),
        number("best_so_far", lambda row: row[2]),
        Column("statuses", lambda row: " ".join(row[1].statuses)),
        *attributes(lambda row: row[1], "epochs", "seconds"),
        Column("keys", lambda row: " ".join(row[1].record.keys)),
    ]


def _value_column(path: str, values: Callable[[Item], Mapping[str, Any]]) -> Column[Item]:
    return Column(path, lambda item: level_label(values(item)[path]) if path in values(item) else "")


SECTION = Section("search", "Search", build, files=(CHOSEN_FILE, TRIALS_FILE, UNTUNED_FILE, SEARCH_TEX))
