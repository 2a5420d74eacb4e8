"""What a report says of a search: what was spent and chosen, how far to trust it, and what tuning was worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from benchmarks.analysis.estimates import Estimate
from benchmarks.analysis.searches import GroupOutcome, RunFacts, SearchOutcome, Sensitivity, told_outcome
from benchmarks.analysis.tuning_gain import Worth, worth_of_tuning
from benchmarks.labels import NOTHING, counted, level_label, whole, with_levels
from benchmarks.plan.study import Study
from benchmarks.report import limits
from benchmarks.report.formatting import Style, style_of, titled
from benchmarks.report.latex import tex_table
from benchmarks.report.plots.common import Plot
from benchmarks.report.plots.coordinates import parallel_coordinates
from benchmarks.report.plots.search import best_so_far, gap_plot, sensitivity_plot, worth_plot
from benchmarks.report.plots.search_space import slices
from benchmarks.report.spreadsheets import csv_text, numbers_of
from benchmarks.suite.search import NARROWING

_WAYS = {"grid": "a grid", "random": "a random search", "bayesian": "a Bayesian search", "hyperband": "Hyperband"}


@dataclass(frozen=True)
class WorthContent:
    """What tuning was worth on one dataset, with how it is written."""

    worth: Worth
    style: Style

    @property
    def title(self) -> str:
        """Of the outcome."""
        return titled(self.worth.metric.title, "")

    @property
    def told(self) -> str:
        """What the intervals say, in sentences, and nothing beyond them."""
        worth, found = self.worth, self.worth.overall
        if not any(cell.gain.n for cell in worth.cells):
            return "No pair of a tuned and an untuned run is there yet."
        n_equal = sum(cell.gain.state == "degenerate" for cell in worth.cells)
        n_few = sum(cell.gain.state in ("raw values", "no values") for cell in worth.cells)
        parts = [
            f"Of {counted(len(worth.cells), 'cell')}, the 95 % interval of the gain lies above zero in "
            f"{worth.n_above}, holds zero in {worth.n_around}, and lies below zero in {worth.n_below}."
        ]
        parts += [f"In {n_equal} all differences are equal."] if n_equal else []
        parts += [f"In {n_few} there are too few pairs for an interval."] if n_few else []
        if len(worth.cells) > 1 and found.state == "interval":
            unit = f" {self.style.unit_of_differences}" if self.style.unit_of_differences else ""
            parts.append(
                f"Averaged over all cells, the gain is {self.style.difference(found.mean)} "
                f"({self.style.difference_interval(found)}){unit}, over {counted(found.n, 'seed')}."
            )
        return " ".join(parts)


@dataclass(frozen=True)
class SearchContent:
    """What a report says of a search."""

    outcome: SearchOutcome
    style: Style
    """How scores are written."""
    worths: tuple[WorthContent, ...]
    """What tuning was worth, for each dataset; nothing where the suite does not ask for it."""

    @property
    def title(self) -> str:
        """Of the objective."""
        return titled(self.outcome.metric.title, self.style.unit_of_values)

    @property
    def groups(self) -> tuple[GroupOutcome, ...]:
        """All groups."""
        return self.outcome.groups

    @property
    def settings(self) -> list[str]:
        """Every setting that was chosen in some group, in the order of the suite's space."""
        found = dict.fromkeys(path for group in self.groups for path in group.chosen)
        return sorted(found, key=[*self.outcome.table.space, *found].index)

    @property
    def datasets(self) -> list[str]:
        """Those of the sensitivities."""
        return list(dict.fromkeys(each.dataset for each in self.outcome.sensitivities))

    def levels_of(self, dataset: str) -> list[Sensitivity]:
        """The sensitivities of one dataset."""
        return [each for each in self.outcome.sensitivities if each.dataset == dataset]

    @property
    def how(self) -> str:
        """How it was searched, in sentences."""
        table, ended = self.outcome.table, [group for group in self.groups if group.has_ended]
        ways = " or ".join(_WAYS[strategy] for strategy in dict.fromkeys(group.strategy for group in self.groups))
        seeds = f"seed{'s' if len(table.seeds) > 1 else ''} {', '.join(map(str, table.seeds))}"
        told = [
            f"Before the runs of this report were trained, {counted(len(self.groups), 'group')} of cells "
            f"{'was' if len(self.groups) == 1 else 'were'} tuned by {ways} for the best "
            f"{self.outcome.metric.title}, with {seeds}: none that is reported. The test examples played no part."
        ]
        if (rounds := max((group.n_rounds for group in ended), default=1)) > 1:
            up_to = "" if all(group.n_rounds == rounds for group in ended) else "at most "
            told.append(
                f"A search went from coarse to fine in {up_to}{rounds} rounds: after each, every range became "
                f"{NARROWING} times narrower around the best trial so far."
            )
        if len(ended) < len(self.groups):
            told.append(f"{len(self.groups) - len(ended)} of {len(self.groups)} searches have not ended.")
        return " ".join(told)

    @property
    def budgets(self) -> str:
        """Whether all groups got the same, in a sentence."""
        ended = [group.budget for group in self.groups if group.has_ended]
        if not ended:
            return "No search has ended yet."
        trials, epochs = ({getattr(each, name) for each in ended} for name in ("trials", "epochs"))
        if len(ended) == 1:
            told = f"The group got {counted(ended[0].trials, 'trial')}."
        elif len(trials) == 1:
            told = f"Every group got {counted(ended[0].trials, 'trial')}"
            told += (
                f" and {counted(ended[0].epochs, 'epoch')}." if len(epochs) == 1 else ", and epochs as the table says."
            )
        else:
            told = f"The budgets are not equal: from {min(trials)} to {counted(max(trials), 'trial')}."
        return told

    @property
    def gaps(self) -> str:
        """How the choices fared with new seeds, in sentences."""
        found = [self.outcome.gap(group) for group in self.groups]
        known = [gap for gap in found if gap.state == "interval"]
        if not known:
            return "There are not enough runs with the settings that were chosen for an interval."
        above, below = sum(gap.ci_low > 0 for gap in known), sum(gap.ci_high < 0 for gap in known)
        return (
            f"Of {counted(len(known), 'group')} with an interval, the score in the search is better than the interval "
            f"of the score on the reported seeds in {above}, within it in {len(known) - above - below}, and worse in "
            f"{below}."
        )

    @property
    def n_seeds_left_out(self) -> int:
        """Seeds of groups that have a cell without a score."""
        return sum(group.n_seeds - len(group.reruns_by_seed) for group in self.groups if group.best)

    def chosen(self, group: GroupOutcome, path: str) -> str:
        """What was chosen of one setting, with four digits."""
        value = group.chosen.get(path)
        return NOTHING if value is None else f"{value:.4g}" if isinstance(value, float) else level_label(value)

    def score(self, group: GroupOutcome) -> str:
        """The score for which a group's settings were chosen."""
        return self.style.value(group.search_score)

    def rerun(self, group: GroupOutcome) -> str:
        """The mean score of the settings on the reported seeds."""
        scores = list(group.reruns_by_seed.values())
        return self.style.value(math.fsum(scores) / len(scores)) if scores else NOTHING

    def gap(self, group: GroupOutcome) -> Estimate:
        """How much the search flatters a group's choice."""
        return self.outcome.gap(group)


@dataclass(frozen=True)
class SearchFigures:
    """The figures of a search."""

    progress: tuple[Plot, ...]
    slices: tuple[Plot, ...]
    coordinates: tuple[Plot, ...]
    gaps: tuple[Plot, ...]
    sensitivities: Mapping[str, tuple[Plot, ...]]
    """By dataset."""
    worths: Mapping[str, tuple[Plot, ...]]
    """By dataset."""


def search_content(study: Study, runs: pd.DataFrame) -> SearchContent | None:
    """What a report says of a search; None where the suite has none.

    Args:
        study: which; its store holds the trials, and the untuned runs.
        runs: the rows of its reported runs of the run table.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
    """
    if study.suite.search is None:
        return None
    outcome = told_outcome(study, _facts(runs, study.suite.search.objective))
    assert outcome is not None  # as the suite has a search
    scores = [trial.record.score for group in outcome.groups for trial in group.comparable]
    worths = [
        WorthContent(each, style_of(each.metric.unit, runs.loc[runs["dataset"] == each.dataset, "outcome"]))
        for each in worth_of_tuning(study, runs)
    ]
    style = style_of(outcome.metric.unit, (score for score in scores if score is not None))
    return SearchContent(outcome, style, tuple(worths))


def search_figures(content: SearchContent) -> SearchFigures:
    """The figures of the section."""
    found, style = content.outcome, content.style
    return SearchFigures(
        progress=_by_dataset("search-trials", found, lambda name, own: best_so_far(name, own, style, "trials"))
        + _by_dataset("search-epochs", found, lambda name, own: best_so_far(name, own, style, "epochs")),
        slices=_by_dataset("search-slice", found, lambda name, own: slices(name, own, style)),
        coordinates=_by_dataset("search-parallel", found, lambda name, own: parallel_coordinates(name, own, style)),
        gaps=gap_plot("search-gap", found, style),
        sensitivities={
            dataset: sensitivity_plot(f"search-levels-{number}", content.levels_of(dataset), found.metric, style)
            for number, dataset in enumerate(content.datasets)
        },
        worths={
            each.worth.dataset: worth_plot(f"search-worth-{number}", each.worth, each.style, "Was tuning worth it?")
            for number, each in enumerate(content.worths)
        },
    )


def _by_dataset(
    name: str, found: SearchOutcome, draw: Callable[[str, SearchOutcome], tuple[Plot, ...]]
) -> tuple[Plot, ...]:
    """Plots of each dataset, whose scores are far apart; of many datasets, plots of all together."""
    datasets = list(dict.fromkeys(group.dataset for group in found.groups))
    if not 1 < len(datasets) <= limits.MOST_SEARCH_DATASETS:
        return draw(name, found)
    plots: list[Plot] = []
    for number, dataset in enumerate(datasets):
        own = replace(found, groups=tuple(group for group in found.groups if group.dataset == dataset))
        plots += [replace(plot, title=f"{dataset}: {plot.title}") for plot in draw(f"{name}-{number}", own)]
    return tuple(plots)


def search_files(content: SearchContent | None) -> dict[str, str]:
    """File -> text, of what a search leaves beside the page: tables for spreadsheets and for LaTeX."""
    if content is None:
        return {}
    files = {
        "search_chosen.csv": csv_text([_chosen_row(content, group) for group in content.groups]),
        "search.tex": _search_tex(content),
    }
    trials = [row for group in content.groups for row in _trial_rows(content, group)]
    if trials:
        files["search_trials.csv"] = csv_text(trials)
    worths = [row for each in content.worths for row in _worth_rows(each.worth)]
    if worths:
        files["search_untuned.csv"] = csv_text(worths)
    return files


SEARCH_FILES = ("search_chosen.csv", "search_trials.csv", "search_untuned.csv", "search.tex")
"""All that `search_files` can name."""


def _facts(runs: pd.DataFrame, objective: str) -> dict[str, RunFacts]:
    """What the run table tells of the reported runs; what was spent on them is no budget of the search."""
    stored = runs[runs["status"] != "missing"]
    is_done = stored["status"] == "done"
    scores = stored[objective].where(is_done)
    return {
        key: RunFacts(status, None if math.isnan(score) else float(score))
        for key, status, score in zip(stored["key"], stored["status"], scores, strict=True)
    }


def _trial_rows(content: SearchContent, group: GroupOutcome) -> Iterable[dict[str, Any]]:
    for trial, best in zip(group.trials, group.best_so_far, strict=True):
        record = trial.record
        row = {
            "group": group.title,
            "dataset": group.dataset or "",
            "round": record.round,
            "number": record.number,
            **{path: _text(record.values, path) for path in _paths(content)},
            "budget": record.budget if record.budget is not None else "",
            "resumes": record.resumes if record.resumes is not None else "",
            "score": _known(record.score),
            "is_comparable": trial.is_comparable,
            "is_chosen": trial is group.best,
            "best_so_far": _known(best),
            "statuses": " ".join(trial.statuses),
            "epochs": trial.epochs,
            "seconds": trial.seconds,
            "keys": " ".join(record.keys),
        }
        yield with_levels(row, group.where)


def _chosen_row(content: SearchContent, group: GroupOutcome) -> dict[str, Any]:
    gap, scores = content.gap(group), list(group.reruns_by_seed.values())
    row = {
        "group": group.title,
        "dataset": group.dataset or "",
        "strategy": group.strategy,
        "trials": group.budget.trials,
        "runs": group.budget.runs,
        "epochs": group.budget.epochs,
        "seconds": group.budget.seconds,
        "without_score": group.n_without_score,
        **{path: _text(group.chosen, path) for path in _paths(content)},
        "objective": content.outcome.table.objective,
        "search_score": _known(group.search_score),
        "reported_score": math.fsum(scores) / len(scores) if scores else math.nan,
        "n_seeds": len(scores),
        **numbers_of(gap, "gap_"),
    }
    return with_levels(row, group.where)


def _worth_rows(worth: Worth) -> Iterable[dict[str, Any]]:
    for cell in worth.cells:
        row = {
            "dataset": worth.dataset,
            "metric": worth.metric.title,
            "tuned_mean": cell.tuned,
            "untuned_mean": cell.untuned,
            "n_pairs": cell.gain.n,
            "n_planned": cell.n_planned,
            "n_diverged": cell.n_diverged,
            **numbers_of(cell.gain, "gain_"),
        }
        yield with_levels(row, cell.levels)


def _search_tex(content: SearchContent) -> str:
    rows = [
        {
            "group": group.title,
            "trials": whole(group.budget.trials),
            "epochs": whole(group.budget.epochs),
            **{path: content.chosen(group, path) for path in content.settings},
            "in the search": content.score(group),
            "reported seeds": content.rerun(group),
        }
        for group in content.groups
    ]
    note = f"Chosen by the score: {content.title}; {content.outcome.metric.better} is better."
    return tex_table(rows, "lrr" + "l" * len(content.settings) + "rr", note, "")


def _paths(content: SearchContent) -> list[str]:
    """Every setting that was tried somewhere."""
    found = dict.fromkeys(path for group in content.groups for trial in group.trials for path in trial.record.values)
    return sorted(found, key=[*content.outcome.table.space, *found].index)


def _text(values: Mapping[str, Any], path: str) -> Any:
    return level_label(values[path]) if path in values else ""


def _known(score: float | None) -> float:
    return math.nan if score is None else score
