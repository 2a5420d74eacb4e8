"""Search loop over all groups of a suite at once: a trial is some runs of the store, trained where they are not stored.

Nothing that a search needs is kept while it is under way. It is asked again from its beginning, and what is stored is
told to it at once, so that one that was killed goes on with the trials that it would have had. How far it has come is
noted for `ablate status`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.files import states_folder
from benchmarks.plan.groups import Group
from benchmarks.plan.stacks import training_key
from benchmarks.results import FINAL
from benchmarks.runs import Run
from benchmarks.store import Store, StoredRun
from benchmarks.suite.search import NARROWING
from benchmarks.training.checkpoints import States
from tuning import Search, Space, Trial, TuningError
from zoo.settings import SettingError

Train = Callable[[Sequence[Run]], None]
"""Trains runs and stores each; is handed those that are not stored yet."""


@dataclass(frozen=True)
class TrialRecord:
    """What became of one trial."""

    round: int
    number: int
    """In its round."""
    values: Mapping[str, Any]
    budget: int | None
    """Of hyperband: the epochs after which it was scored."""
    resumes: int | None
    """Of hyperband: the number of the trial that it continues."""
    keys: Sequence[str]
    """Of its runs; none where its values did not go together."""
    score: float | None
    """None where a run failed or diverged: that is worse than any number."""


def best_of(records: Iterable[TrialRecord], direction: str) -> TrialRecord | None:
    """The best of some trials, the first of equals; None where none has a score.

    A score after few epochs says little beside one after many, so of hyperband only those of the longest trainings are
    compared.
    """
    scored = [record for record in records if record.score is not None]
    longest = max((record.budget or 0 for record in scored), default=0)
    return min(
        (record for record in scored if (record.budget or 0) == longest),
        key=lambda record: _loss(record, direction),
        default=None,
    )


def search_groups(groups: Iterable[Group], store: Store, train: Train) -> None:
    """Search groups, all at once, and note in the store what each has tried and chosen.

    Runs that the store has are not trained, whatever became of them.
    """
    under_way = [_Progress(group, store.folder) for group in groups]
    while under_way:
        waiting = [(progress, trial, runs) for progress in under_way for trial, runs in progress.waiting()]
        for progress in under_way:
            progress.note(store, [runs for owner, _, runs in waiting if owner is progress])
        stored = trained((run for _, _, of_trial in waiting for run in of_trial), store, train)
        for progress, trial, of_trial in waiting:
            progress.tell(trial, of_trial, stored)
        for progress in under_way:
            if progress.has_ended:
                progress.record(store)
        under_way = [progress for progress in under_way if not progress.has_ended]


def trained(runs: Iterable[Run], store: Store, train: Train) -> Mapping[str, StoredRun]:
    """What the store has of these runs once those are trained that it did not have, by key."""
    by_key = {run.key: run for run in runs}
    statuses = store.statuses(by_key)
    missing = [run for key, run in by_key.items() if statuses.get(key) not in FINAL]
    if missing:
        train(missing)
    return store.runs(by_key)


class _Progress:
    """The search of one group on its way: round after round, each with a `Search` of its own."""

    def __init__(self, group: Group, runs_dir: Path):
        self.group = group
        self.records: list[TrialRecord] = []
        self._states = _StatesInUse(States(states_folder(runs_dir)))
        self._configs = group.configs
        self._spaces: list[Space] = []
        self._search: Search | None = None
        self._begin_round()

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to try."""
        return self._search is None

    def waiting(self) -> list[tuple[Trial, list[Run]]]:
        """All that can be tried before another score is known; none where the search has ended.

        A trial whose values do not go together is told at once: it has failed.
        """
        while self._search:
            while self._search.ask(self.group.table.trials):
                pass
            self._states.release(self._search)
            found = []
            for trial in self._search.waiting:
                try:
                    found.append((trial, self.group.runs_at(trial.values, trial.budget)))
                except SettingError:
                    self._note(trial, (), None)
            if found:
                return found
            if not self._search.ask():
                self._begin_round()
        return []

    def tell(self, trial: Trial, runs: Sequence[Run], stored: Mapping[str, StoredRun]) -> None:
        """Take in what became of the runs of a trial."""
        found = [stored.get(run.key) for run in runs]
        self._states.add(trial, runs)
        self._note(trial, [run.key for run in runs], score_of(found, self.group.table.objective))

    def record(self, store: Store) -> None:
        """Note all that was tried, and what was chosen."""
        best = best_of(self.records, self.group.table.direction)
        trials = [asdict(record) for record in self.records]
        store.record_search(self.group.key, trials, best.values if best else {})

    def note(self, store: Store, waiting: Iterable[Sequence[Run]]) -> None:
        """Note how far the search has come and the runs of each trial that is trained now, for `ablate status`."""
        keys = [[run.key for run in runs] for runs in waiting]
        store.note_search(self.group.key, {"ended": len(self.records), "under_way": keys})

    def _note(self, trial: Trial, keys: Sequence[str], score: float | None) -> None:
        assert self._search is not None  # nothing is told to a search that has ended
        self._search.tell(trial, score)
        number = len(self._spaces) - 1
        self.records.append(
            TrialRecord(
                round=number,
                number=trial.number,
                values=trial.values,
                budget=trial.budget,
                resumes=trial.resumes,
                keys=list(keys),
                score=score,
            )
        )

    def _begin_round(self) -> None:
        """Go over to the next round, if there is one."""
        if self._search:
            self._states.release(None)
        if len(self._spaces) == len(self._configs):
            self._search = None
            return
        config = self._configs[len(self._spaces)]
        space = self._next_space()
        try:
            self._search = Search(space, config)
        except TuningError:  # the narrowed space has too few points for a bracket of hyperband
            space = self._spaces[-1]
            self._search = Search(space, config)
        self._spaces.append(space)
        self._states.begin(self._search)

    def _next_space(self) -> Space:
        """The space of the next round: the first, or the one before narrowed around the best so far."""
        if not self._spaces:
            assert self.group.space is not None  # else there is no round
            return self.group.space
        space = self._spaces[-1]
        best = best_of(self.records, self.group.table.direction)
        return space.narrowed(best.values, NARROWING) if best and space.has(best.values) else space


class _StatesInUse:
    """The states from which hyperband may still continue; all others are removed as soon as that is known."""

    def __init__(self, states: States):
        self._states = states
        self._runs: dict[int, Sequence[Run]] = {}
        self._rungs: list[range] = []

    def begin(self, search: Search) -> None:
        """Follow another search."""
        self._runs, self._rungs = {}, search.rungs

    def add(self, trial: Trial, runs: Sequence[Run]) -> None:
        """A trial has ended, and may have left states; those that it went on from are not needed again."""
        if trial.budget is not None:
            self._runs[trial.number] = runs
            self._runs.pop(trial.resumes if trial.resumes is not None else -1, None)

    def release(self, search: Search | None) -> None:
        """Remove the states of what is not continued by anything that was asked for, once its rung is over."""
        told = {outcome.trial.number for outcome in search.history} if search else set()
        waiting = {trial.resumes for trial in search.waiting} if search else set()
        for number in list(self._runs):
            rung = next(each for each in self._rungs if number in each)
            is_over = search is None or all(each in told for each in rung)
            if is_over and number not in waiting:
                for run in self._runs.pop(number):
                    self._states.of(training_key(run)).remove()


def score_of(found: Iterable[StoredRun | None], objective: str) -> float | None:
    """The mean of the objective over the runs of a trial, or None where one has none."""
    values = [each.metrics.get(objective, math.nan) if each and each.status == "done" else math.nan for each in found]
    mean = math.fsum(values) / len(values)
    return mean if math.isfinite(mean) else None


def _loss(record: TrialRecord, direction: str) -> float:
    assert record.score is not None
    return -record.score if direction == "max" else record.score
