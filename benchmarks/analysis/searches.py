"""What searches came to, for a report: budgets, trials, what was chosen, and how far to trust its score."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.analysis.estimates import NO_ESTIMATE, Estimate, estimate
from benchmarks.metrics import Metric
from benchmarks.plan.groups import Group
from benchmarks.plan.study import Study, stored_runs
from benchmarks.runs import Cell, Levels
from benchmarks.search.loop import TrialRecord, best_of
from benchmarks.store import Store, StoredSearch
from benchmarks.suite.search import OBJECTIVES, SearchTable
from tuning import Space


@dataclass(frozen=True)
class RunFacts:
    """What a search needs to know of a run."""

    status: str
    score: float | None
    """The objective; None where the run is not done, or has no such number."""
    epochs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class TrialOutcome:
    """One trial."""

    record: TrialRecord
    statuses: tuple[str, ...]
    """Of its runs; none where its values did not go together."""
    epochs: int
    """Epochs that were trained for it; those of a trial that it continues are that trial's."""
    seconds: float
    """Seconds of training, counted likewise."""
    is_comparable: bool
    """Whether its score is of the longest trainings of its search: of hyperband, others are not."""


@dataclass(frozen=True)
class Budget:
    """What was spent."""

    trials: int
    runs: int
    """Runs of the trials; those that were stored already count too."""
    epochs: int
    seconds: float
    """Of training, on the machines on which the runs were trained, one run after another."""


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
    strategy: str
    space: Space | None
    """Of its first round; None where nothing was to be searched."""
    has_ended: bool
    trials: tuple[TrialOutcome, ...]
    budget: Budget
    best_so_far: tuple[float | None, ...]
    """After each trial, the best score among those that are comparable; None while there is none."""
    best: TrialOutcome | None
    """The trial that was chosen."""
    reruns_by_seed: Mapping[int, float]
    """Reported seed -> the mean objective of its cells, for the seeds with which all of them are done."""
    n_seeds: int
    """How many seeds are reported."""

    @property
    def n_without_score(self) -> int:
        """Trials with a run that failed or diverged, or whose values did not go together."""
        return sum(each.record.score is None for each in self.trials)

    @property
    def n_rounds(self) -> int:
        """Rounds that were made, from coarse to fine."""
        return max((each.record.round + 1 for each in self.trials), default=0)

    @property
    def comparable(self) -> list[TrialOutcome]:
        """The trials with a score that can be compared with the best one's."""
        return [each for each in self.trials if each.is_comparable and each.record.score is not None]

    @property
    def chosen(self) -> Mapping[str, object]:
        """Setting -> the value that was chosen; nothing where no trial had a score."""
        return self.best.record.values if self.best else {}

    @property
    def search_score(self) -> float | None:
        """The score for which the settings were chosen."""
        return self.best.record.score if self.best else None


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
    better_quarter: float | None
    """The score that a quarter of the trials is better than."""
    median: float | None
    worse_quarter: float | None
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

    def gap(self, group: GroupOutcome) -> Estimate:
        """How much better a group's score looked in the search than it is with new seeds, over the reported seeds.

        Negative where it did not. The search's score is taken as it is: the interval is that of the new ones.
        """
        score = group.search_score
        if score is None:
            return NO_ESTIMATE
        return estimate(self.metric.sign * (score - each) for each in group.reruns_by_seed.values())


def search_outcome(study: Study, known: Mapping[str, RunFacts] | None = None) -> SearchOutcome | None:
    """What the searches of a study came to, from what is stored; None where it searches nothing.

    Args:
        study: which.
        known: key -> what a run is known to be, for those that need not be read.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
    """
    table = study.suite.search
    if table is None:
        return None
    keys = {key for search in study.searches.values() for trial in search.trials for key in trial["keys"]}
    keys |= {run.key for run in study.runs}
    known = known or {}
    facts = {**known, **_facts_of_runs(keys - known.keys(), study.store, table.objective)}
    scores = {key: run.score for key, run in facts.items()}
    reruns: dict[_Place, dict[int, float | None]] = {}
    for run in study.runs:
        reruns.setdefault(_place(run.cell), {})[run.seed] = scores.get(run.key)
    outcomes = tuple(
        _group_outcome(table, group, study.searches.get(group.key), reruns, facts) for group in study.groups
    )
    metric = OBJECTIVES[table.objective]
    return SearchOutcome(table, metric, outcomes, tuple(_sensitivities(table, metric, outcomes, scores)))


def _facts_of_runs(keys: Collection[str], store: Store, objective: str) -> dict[str, RunFacts]:
    """What a search needs to know of each of these runs that is stored."""
    facts = {}
    for key, run in stored_runs(store, sorted(keys)):
        score = run.metrics.get(objective, math.nan) if run.status == "done" else math.nan
        epochs = len(run.history.get("train_loss", ()))
        facts[key] = RunFacts(run.status, score if math.isfinite(score) else None, epochs, run.seconds)
    return facts


_Place = tuple[str, tuple[str, ...]]
"""Tells a cell from others."""


def _group_outcome(
    table: SearchTable,
    group: Group,
    search: StoredSearch | None,
    reruns: Mapping[_Place, Mapping[int, float | None]],
    facts: Mapping[str, RunFacts],
) -> GroupOutcome:
    records = [TrialRecord(**trial) for trial in search.trials] if search else []
    best = best_of(records, table.direction)
    longest = max((record.budget or 0 for record in records if record.score is not None), default=0)
    numbered: dict[tuple[int, int | None], TrialRecord] = {(each.round, each.number): each for each in records}
    trials = tuple(_trial_outcome(record, numbered, longest, facts) for record in records)
    scores = [reruns.get(_place(cell), {}) for cell in group.cells]
    means = {seed: _mean([of_cell.get(seed) for of_cell in scores]) for seed in scores[0]}
    return GroupOutcome(
        title=group.title,
        dataset=group.dataset,
        where=group.where,
        cells=group.cells,
        strategy=group.table.strategy,
        space=group.space,
        has_ended=search is not None,
        trials=trials,
        budget=Budget(
            len(trials),
            sum(len(each.statuses) for each in trials),
            sum(each.epochs for each in trials),
            math.fsum(each.seconds for each in trials),
        ),
        best_so_far=tuple(_best_so_far(trials, table.direction)),
        best=next((each for each in trials if each.record is best), None),
        reruns_by_seed={seed: mean for seed, mean in means.items() if mean is not None},
        n_seeds=len(scores[0]),
    )


def _trial_outcome(
    record: TrialRecord,
    numbered: Mapping[tuple[int, int | None], TrialRecord],
    longest: int,
    facts: Mapping[str, RunFacts],
) -> TrialOutcome:
    before = numbered.get((record.round, record.resumes))
    own, continued = ([facts[key] for key in each.keys if key in facts] if each else [] for each in (record, before))
    return TrialOutcome(
        record,
        statuses=tuple(facts[key].status if key in facts else "missing" for key in record.keys),
        epochs=max(0, sum(each.epochs for each in own) - sum(each.epochs for each in continued)),
        seconds=max(0.0, math.fsum(each.seconds for each in own) - math.fsum(each.seconds for each in continued)),
        is_comparable=(record.budget or 0) == longest,
    )


def _best_so_far(trials: Iterable[TrialOutcome], direction: str) -> Iterator[float | None]:
    better = max if direction == "max" else min
    best: float | None = None
    for trial in trials:
        score = trial.record.score
        if score is not None and trial.is_comparable:
            best = score if best is None else better(best, score)
        yield best


def _sensitivities(
    table: SearchTable, metric: Metric, groups: Iterable[GroupOutcome], scores: Mapping[str, float | None]
) -> Iterator[Sensitivity]:
    by_level: dict[tuple[str, str, str], list[float | None]] = {}
    for group in groups:
        for trial in group.trials:
            # A trial whose values did not go together has no runs, and counts as failed in every cell of its group.
            size, keys = len(table.seeds), trial.record.keys
            for number, cell in enumerate(group.cells) if trial.is_comparable else ():
                score = _mean([scores.get(key) for key in keys[number * size : (number + 1) * size]])
                for factor, level in cell.levels.items():
                    by_level.setdefault((cell.dataset, factor, level), []).append(score)
    for (dataset, factor, level), found in by_level.items():
        known = sorted(each for each in found if each is not None)
        quarters = statistics.quantiles(known, n=4, method="inclusive") if len(known) > 1 else known * 3
        rising: list[float | None] = [known[0], *quarters, known[-1]] if known else [None] * 5
        worst, worse, median, better, best = rising if metric.better == "higher" else rising[::-1]
        yield Sensitivity(
            dataset,
            factor,
            level,
            n_scores=len(known),
            n_without=len(found) - len(known),
            best=best,
            better_quarter=better,
            median=median,
            worse_quarter=worse,
            worst=worst,
        )


def _mean(scores: Sequence[float | None]) -> float | None:
    """The mean where all are known."""
    known = [score for score in scores if score is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(scores) else None


def _place(cell: Cell) -> _Place:
    return cell.dataset, tuple(cell.levels.values())
