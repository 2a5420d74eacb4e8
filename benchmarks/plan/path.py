"""Path from the baseline whose changes are found one by one: what is tried at each step, as runs; pure."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.plan.combinations import Change, is_left_out
from benchmarks.runs import Cell, Levels, Run
from benchmarks.settings.run import canonical_json
from benchmarks.suite.search import OBJECTIVES
from benchmarks.suite.search_checks import overlap_problems
from benchmarks.suite.suite import Suite
from zoo.settings import SettingError

REVISION = 1
"""Raised when the same suite comes to have its path found in another way."""

CHANGES = "changes"
"""Under this name the store has the changes that were taken, among what a search chose."""


@dataclass(frozen=True)
class FoundPath:
    """The path that a suite wants found: from the baseline, at each step, to the best cell that is one change away."""

    suite: Suite
    versions: Mapping[str, str]
    """Dataset as in the suite -> version."""

    @property
    def objective(self) -> str:
        """The metric that is to be the best."""
        assert self.suite.chosen_design.objective is not None  # else no path is to be found
        return self.suite.chosen_design.objective

    @property
    def is_more_better(self) -> bool:
        """Whether the best objective is the largest."""
        return OBJECTIVES[self.objective].better == "higher"

    @property
    def seeds(self) -> list[int]:
        """Those on which it is found."""
        return self.suite.chosen_design.search_seeds

    @functools.cached_property
    def key(self) -> str:
        """A hash of all that decides what is tried, how it is scored and what is taken."""
        identity = {
            "revision": REVISION,
            "objective": self.objective,
            "exclude": self.suite.exclude,
            "changes": [[levels, self.suite.changes_at(levels)] for levels in self._first_levels],
            "runs": [run.key for run in self.first_runs()],
        }
        return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:32]

    def steps_from(self, levels: Levels) -> list[tuple[Change, Levels]]:
        """Every change that is left with these levels, and where it leads; those of the suite's `exclude` left out."""
        baseline = self.suite.baseline_levels
        changes = [
            (factor.name, label)
            for factor in self.suite.factor_list
            for label in factor.levels
            if label != baseline[factor.name] and levels[factor.name] == baseline[factor.name]
        ]
        steps = [((name, label), {**levels, name: label}) for name, label in changes]
        return [(change, after) for change, after in steps if not is_left_out(self.suite, after)]

    def runs_at(self, levels: Levels) -> list[Run]:
        """The runs that tell how good these levels are: on every dataset, with every seed of the search.

        Raises:
            SettingError: the levels do not go together.
        """
        settings = self.suite.settings_at(levels)
        cells = [Cell(dataset, levels, settings) for dataset in self.suite.datasets]
        return [Run(cell, seed, self.versions[cell.dataset]) for cell in cells for seed in self.seeds]

    def first_runs(self) -> list[Run]:
        """Those that are needed whatever is found: of the baseline, and of each change alone."""
        return [run for levels in self._first_levels for run in self.runs_at(levels)]

    @property
    def _first_levels(self) -> list[Levels]:
        baseline = self.suite.baseline_levels
        return [baseline, *(levels for _, levels in self.steps_from(baseline))]

    @property
    def most_trials(self) -> int:
        """How many combinations are tried at most: the factors with the fewest levels may change first."""
        others = sorted(len(factor.levels) - 1 for factor in self.suite.factor_list)
        return 1 + sum(sum(others[taken:]) for taken in range(len(others)))

    @property
    def most_runs(self) -> int:
        """How many runs it takes at most to find it."""
        return self.most_trials * len(self.suite.datasets) * len(self.seeds)


def path_to_find(suite: Suite, versions: Mapping[str, str]) -> FoundPath | None:
    """The path that a suite wants found, if it does."""
    return FoundPath(suite, versions) if suite.chosen_design.objective else None


def check_path(path: FoundPath | None, seeds: Iterable[int]) -> None:
    """Refuse to report seeds on which a path is found.

    Raises:
        SettingError: some are both.
    """
    if path and (problems := list(overlap_problems(path.seeds, seeds, "design.search_seeds"))):
        raise SettingError(problems)


def changes_taken(chosen: Mapping[str, Any] | None) -> list[Change]:
    """The changes along a path, from what the store has of it; none where it was not found yet."""
    return [(name, label) for name, label in chosen[CHANGES]] if chosen else []
