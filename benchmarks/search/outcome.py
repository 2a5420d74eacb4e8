"""What searches came to, for a report: budgets, trials, what was chosen, and how far to trust its score."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.design import Cell, Levels, Run, expand_cells
from benchmarks.plan import registered_runs
from benchmarks.search.config import OBJECTIVES, SearchTable
from benchmarks.search.groups import Group, groups_of
from benchmarks.search.loop import TrialRecord, best_of
from benchmarks.store import Registration, Store, StoredRun, StoredSearch
from benchmarks.suite import Suite
from benchmarks.training.metrics import Metric


@dataclass(frozen=True)
class TrialOutcome:
    """One trial."""

    record: TrialRecord
    """Its round, number, values, budget and score."""
    statuses: tuple[str, ...]
    """Of its runs; none where its values did not go together."""
    epochs: int
    """Epochs that were trained for it; those of a trial that it continues are that trial's."""
    is_comparable: bool
    """Whether its score is of the longest trainings of its search: of hyperband, others are not."""


@dataclass(frozen=True)
class Budget:
    """What was spent."""

    trials: int
    runs: int
    """Runs of the trials; those that were stored already count too."""
    epochs: int


@dataclass(frozen=True)
class GroupOutcome:
    """What the search of one group of cells came to."""

    title: str
    dataset: str | None
    """Of its cells, where datasets are tuned apart."""
    where: Levels
    """Factor -> the level that its cells share."""
    cells: tuple[Cell, ...]
    """As they are before they are tuned."""
    has_ended: bool
    trials: tuple[TrialOutcome, ...]
    budget: Budget
    best_so_far: tuple[float | None, ...]
    """After each trial, the best score among those that are comparable; None while there is none."""
    best: TrialOutcome | None
    """The trial that was chosen."""
    rerun_scores: tuple[float, ...]
    """The objective of each reported run that is done, in the order of the plan: new seeds, the chosen settings."""

    @property
    def chosen(self) -> Mapping[str, object]:
        """Setting -> the value that was chosen; nothing where no trial had a score."""
        return self.best.record.values if self.best else {}

    @property
    def search_score(self) -> float | None:
        """The score for which the settings were chosen."""
        return self.best.record.score if self.best else None

    @property
    def rerun_score(self) -> float | None:
        """The mean objective of the reported runs."""
        return math.fsum(self.rerun_scores) / len(self.rerun_scores) if self.rerun_scores else None


@dataclass(frozen=True)
class Sensitivity:
    """How much the outcome of a level hangs on the tuned settings: its cells' scores over all comparable trials."""

    dataset: str
    factor: str
    level: str
    n_scores: int
    n_without: int
    """Trials of its cells with a run that failed or diverged."""
    best: float | None
    median: float | None
    worst: float | None

    @property
    def loss_of_the_median(self) -> float | None:
        """How much worse than the best the median is, 0 or more: what an arbitrary choice costs."""
        return None if self.best is None or self.median is None else abs(self.best - self.median)


@dataclass(frozen=True)
class SearchOutcome:
    """What the searches of a suite came to."""

    table: SearchTable
    """How it was searched; its `space` has the axes."""
    metric: Metric
    """The objective."""
    groups: tuple[GroupOutcome, ...]
    sensitivities: tuple[Sensitivity, ...]

    @property
    def has_equal_budgets(self) -> bool:
        """Whether every group that has ended got as many trials as the others."""
        return len({each.budget.trials for each in self.groups if each.has_ended}) <= 1

    def optimism(self, group: GroupOutcome) -> float | None:
        """How much better a group's score looked in the search than it is with new seeds; negative where it is not."""
        if group.search_score is None or group.rerun_score is None:
            return None
        difference = group.search_score - group.rerun_score
        return difference if self.metric.better == "higher" else -difference


def search_outcome(suite: Suite, registration: Registration, store: Store) -> SearchOutcome | None:
    """What the searches of a suite came to, from what is stored; None where it searches nothing.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
    """
    if suite.search is None:
        return None
    groups = groups_of(suite, expand_cells(suite), registration.versions)
    searches = store.searches(group.key for group in groups)
    reported = registered_runs(registration)
    keys = {key for search in searches.values() for trial in search.trials for key in trial["keys"]}
    stored = store.runs(keys | {run.key for run in reported})
    return outcome_of(suite.search, groups, searches, reported, stored)


def outcome_of(
    table: SearchTable,
    groups: Sequence[Group],
    searches: Mapping[str, StoredSearch],
    reported: Iterable[Run],
    stored: Mapping[str, StoredRun],
) -> SearchOutcome:
    """The same from what was read.

    Args:
        table: how the suite searches.
        groups: its groups.
        searches: key of a group -> its search, for those that have ended.
        reported: the runs of the suite.
        stored: the runs of the trials and the suite, by key.
    """
    by_cell: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    for run in reported:
        found = stored.get(run.key)
        if found and found.status == "done" and table.objective in found.metrics:
            by_cell.setdefault(_place(run.cell), []).append(found.metrics[table.objective])
    outcomes = tuple(_group_outcome(table, group, searches.get(group.key), by_cell, stored) for group in groups)
    metric = OBJECTIVES[table.objective]
    return SearchOutcome(table, metric, outcomes, tuple(_sensitivities(table, metric, outcomes, stored)))


def _group_outcome(
    table: SearchTable,
    group: Group,
    search: StoredSearch | None,
    reruns: Mapping[tuple[str, tuple[str, ...]], list[float]],
    stored: Mapping[str, StoredRun],
) -> GroupOutcome:
    records = [TrialRecord(**trial) for trial in search.trials] if search else []
    best = best_of(records, table.direction)
    longest = max((record.budget or 0 for record in records if record.score is not None), default=0)
    trials = tuple(_trial_outcome(record, records, longest, stored) for record in records)
    return GroupOutcome(
        title=group.title,
        dataset=group.dataset,
        where=group.where,
        cells=group.cells,
        has_ended=search is not None,
        trials=trials,
        budget=Budget(len(trials), sum(len(each.statuses) for each in trials), sum(each.epochs for each in trials)),
        best_so_far=tuple(_best_so_far(trials, table.direction)),
        best=next((each for each in trials if each.record is best), None),
        rerun_scores=tuple(score for cell in group.cells for score in reruns.get(_place(cell), ())),
    )


def _trial_outcome(
    record: TrialRecord, records: Sequence[TrialRecord], longest: int, stored: Mapping[str, StoredRun]
) -> TrialOutcome:
    before = [each for each in records if (each.round, each.number) == (record.round, record.resumes)]
    continued = before[0].keys if before else ()
    epochs = sum(_epochs(stored.get(key)) for key in record.keys) - sum(_epochs(stored.get(key)) for key in continued)
    statuses = tuple(stored[key].status if key in stored else "missing" for key in record.keys)
    return TrialOutcome(record, statuses, max(0, epochs), (record.budget or 0) == longest)


def _epochs(run: StoredRun | None) -> int:
    return len(run.history.get("train_loss", ())) if run else 0


def _best_so_far(trials: Iterable[TrialOutcome], direction: str) -> Iterator[float | None]:
    better = max if direction == "max" else min
    best: float | None = None
    for trial in trials:
        score = trial.record.score
        if score is not None and trial.is_comparable:
            best = score if best is None else better(best, score)
        yield best


def _sensitivities(
    table: SearchTable, metric: Metric, groups: Iterable[GroupOutcome], stored: Mapping[str, StoredRun]
) -> Iterator[Sensitivity]:
    scores: dict[tuple[str, str, str], list[float | None]] = {}
    for group in groups:
        for trial in group.trials:
            # A trial whose values did not go together has no runs, and counts as failed in every cell of its group.
            size, keys = len(table.seeds), trial.record.keys
            for number, cell in enumerate(group.cells) if trial.is_comparable else ():
                score = _mean(table.objective, [stored.get(key) for key in keys[number * size : (number + 1) * size]])
                for factor, level in cell.levels.items():
                    scores.setdefault((cell.dataset, factor, level), []).append(score)
    for (dataset, factor, level), found in scores.items():
        known = sorted((each for each in found if each is not None), reverse=metric.better == "higher")
        yield Sensitivity(
            dataset,
            factor,
            level,
            n_scores=len(known),
            n_without=len(found) - len(known),
            best=known[0] if known else None,
            median=statistics.median(known) if known else None,
            worst=known[-1] if known else None,
        )


def _mean(objective: str, runs: Sequence[StoredRun | None]) -> float | None:
    values = [run.metrics.get(objective) for run in runs if run and run.status == "done"]
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(runs) else None


def _place(cell: Cell) -> tuple[str, tuple[str, ...]]:
    return cell.dataset, tuple(cell.levels.values())
