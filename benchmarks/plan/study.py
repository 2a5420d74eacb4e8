"""Study: a suite with its seeds and the versions of its data, expanded once, beside what a store has of it."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from benchmarks.plan.cautions import cautions
from benchmarks.plan.comparisons import Estimable, comparison, estimable
from benchmarks.plan.expansion import expand_cells, with_cells_along
from benchmarks.plan.groups import Group, groups_of, tuned_runs, untuned_runs
from benchmarks.plan.interim import analysis_with
from benchmarks.plan.path import FoundPath, changes_taken, path_to_find
from benchmarks.plan.sameness import Known
from benchmarks.results import FAILURES, FINAL, OUTCOMES, Status
from benchmarks.runs import Cell, Factors, Levels, Run
from benchmarks.store import DatasetFacts, Registration, Store, StoredRun, StoredSearch
from benchmarks.suite.checks import known_task
from benchmarks.suite.claims import Analysis
from benchmarks.suite.reading import parse_suite
from benchmarks.suite.suite import Suite

NOT_UNDERSTOOD = "this version of ablate no longer understands the suite"
"""What is said of a stored suite whose runs cannot be told any more."""


RUNS_A_PART = 5_000
"""Runs that are read at once."""


@dataclass(frozen=True)
class Expansion:
    """What follows from a suite and the versions of its data alone: each part is made once, when it is asked for.

    Its properties raise SettingError where the suite does not expand.
    """

    suite: Suite
    versions: Mapping[str, str]
    """Dataset as in the suite -> version."""

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """The cells that do not follow from results, as they are before anything is tuned."""
        return expand_cells(self.suite)

    @functools.cached_property
    def groups(self) -> list[Group]:
        """The cells that are tuned together; none where the suite searches nothing."""
        return groups_of(self.suite, self.cells, self.versions)

    @functools.cached_property
    def compared(self) -> dict[str, list[Levels]]:
        """Statement of a claim -> the combinations that it compares, on each dataset."""
        found = {claim.statement: comparison(self.suite, claim) for claim in self.suite.claims}
        return {statement: [*each.better, *each.than] for statement, each in found.items()}

    @functools.cached_property
    def path(self) -> FoundPath | None:
        """The path whose changes are to be found before the runs along it are known; None where there is none."""
        return path_to_find(self.suite, self.versions)


@dataclass(frozen=True)
class Study:
    """A suite that is to be run, or was: its cells, runs and searches, and what a store has of them.

    What is trained and what is reported are the runs of one study. Nothing is expanded or read before it is asked for,
    and then once; a study with other seeds, or beside what was found meanwhile, shares the expansion.
    """

    expansion: Expansion
    text: str
    """The suite file."""
    seeds: Sequence[int]
    looks: Sequence[int] = ()
    """Numbers of seeds at which there are looks, where they were declared on the command line and not in the suite."""
    searches: Mapping[str, StoredSearch] = field(default_factory=dict)
    """Key of a group, or of the path -> its search, for those that have ended."""
    opened: Store | None = field(default=None, compare=False, repr=False)
    """Holds the runs; None where nothing was ever run."""
    registration: Registration | None = None
    """The suite as it was last run; None where it never was, or is to be run otherwise."""

    @classmethod
    def registered(cls, registration: Registration, store: Store, like: Study | None = None) -> Study:
        """A suite as it was last run.

        Args:
            registration: its suite file, seeds and data.
            store: holds its runs.
            like: a study whose expansion it shares where it is of the same suite and data.

        Raises:
            SettingError: this version of the program no longer understands the suite.
            StoreError: the store cannot be read.
        """
        if like is None or (like.text, like.versions) != (registration.text, registration.versions):
            suite = parse_suite(registration.text, f"the stored suite {registration.name}")
            like = cls(Expansion(suite, registration.versions), registration.text, registration.seeds)
        known = like.changed(seeds=registration.seeds, looks=registration.looks, registration=registration)
        return known.renewed(store)

    def renewed(self, store: Store) -> Self:
        """The same study beside what is stored by now.

        Raises:
            SettingError: what a search has found is refused.
            StoreError: the store cannot be read.
        """
        path = self.path_to_find
        keys = [group.key for group in self.groups] + ([path.key] if path else [])
        return self.changed(opened=store, searches=store.searches(keys) if keys else {})

    def changed(self, **changes: Any) -> Self:
        """A study with other fields; it shares the runs where they are the same, since the keys of many take time."""
        changed = replace(self, **changes)
        is_like = changed.expansion is self.expansion and list(changed.seeds) == list(self.seeds)
        if is_like and changed.searches == self.searches:
            vars(changed).update({name: vars(self)[name] for name in _RUNS if name in vars(self)})
        return changed

    @property
    def suite(self) -> Suite:
        """What a person wrote."""
        return self.expansion.suite

    @property
    def store(self) -> Store:
        """Holds the runs of a study of which some may be stored."""
        assert self.opened is not None  # else nothing can have been run
        return self.opened

    @property
    def name(self) -> str:
        """Of the suite."""
        return self.suite.name

    @property
    def versions(self) -> Mapping[str, str]:
        """Dataset as in the suite -> version."""
        return self.expansion.versions

    @property
    def factors(self) -> Factors:
        """What is varied, and the levels that others are compared with."""
        levels = {factor.name: list(factor.levels) for factor in self.suite.factor_list}
        return Factors(levels, self.suite.baseline_levels)

    @property
    def groups(self) -> list[Group]:
        """The cells that are tuned together; none where the suite searches nothing."""
        return self.expansion.groups

    @property
    def path_to_find(self) -> FoundPath | None:
        """The path whose changes are to be found; None where there is none."""
        return self.expansion.path

    @property
    def facts(self) -> Mapping[str, DatasetFacts]:
        """Dataset as in the suite -> what is known of it; nothing before it was opened."""
        return self.registration.datasets if self.registration else {}

    @property
    def registered_at(self) -> str:
        """When the suite was last run; nothing where it never was."""
        return self.registration.registered_at if self.registration else ""

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """All cells as they are before they are tuned; those along a path once it was found."""
        known, path = self.expansion.cells, self.path_to_find
        search = self.searches.get(path.key) if path else None
        return with_cells_along(self.suite, known, changes_taken(search.chosen)) if search else known

    @functools.cached_property
    def runs(self) -> list[Run]:
        """The runs that are reported: every cell with every seed, with the settings that a search has found.

        A run whose settings are still to be found is a `WaitingRun`.
        """
        chosen = {key: search.chosen for key, search in self.searches.items()}
        return tuned_runs(
            self.suite, cells=self.cells, groups=self.groups, seeds=self.seeds, versions=self.versions, found=chosen
        )

    @functools.cached_property
    def untuned(self) -> list[Run]:
        """Every cell without what its search finds, where the suite asks for a comparison with that; else none."""
        return untuned_runs(self.suite, self.cells, self.seeds, self.versions)

    @functools.cached_property
    def all_runs(self) -> list[Run]:
        """All that is trained for the report: the reported runs, then the untuned ones that are not among them."""
        if not self.untuned:
            return self.runs  # the keys of many runs take their time
        reported = {run.key for run in self.runs}
        return [*self.runs, *(run for run in self.untuned if run.key not in reported)]

    @functools.cached_property
    def known_before(self) -> list[Run]:
        """The reported runs that are planned whatever path is found."""
        known = {tuple(cell.levels.items()) for cell in self.expansion.cells}
        return [run for run in self.runs if tuple(run.cell.levels.items()) in known]

    @functools.cached_property
    def estimable(self) -> Estimable:
        """What the design can tell, whatever the results are."""
        return estimable(self.suite)

    @functools.cached_property
    def cautions(self) -> tuple[str, ...]:
        """What its comparisons hang on that the suite does not say, in sentences."""
        tuned = [run.cell for run in self.runs[:: len(self.seeds)]]
        asked = self.suite.reading.task
        known = {name: Known(known_task(name, asked)) for name in self.suite.datasets}
        known |= {name: Known(facts.task, len(facts.input_shape) == 1) for name, facts in self.facts.items()}
        return cautions(self.suite, self.cells, tuned, known)

    @property
    def analysis(self) -> Analysis:
        """How claims are judged, with the looks that were declared."""
        return analysis_with(self.suite, list(self.looks))

    def stored_in_parts(
        self, runs: Sequence[Run], most: int = RUNS_A_PART
    ) -> Iterator[tuple[Sequence[Run], dict[str, StoredRun]]]:
        """Read runs of the store a part at a time, since a store can hold more than memory does.

        Args:
            runs: which; those that follow one another are read together.
            most: runs that are read at once.

        Yields:
            Some of the runs, and key -> what is stored of it for those of them that are.
        """
        for start in range(0, len(runs), most):
            part = runs[start : start + most]
            yield part, self.store.runs(run.key for run in part)

    @functools.cached_property
    def statuses(self) -> dict[str, Status]:
        """Key -> status, for the runs that are stored."""
        return self.store.statuses(run.key for run in self.all_runs) if self.opened else {}

    @property
    def counts(self) -> dict[str, int]:
        """Number of all runs by status; "missing" are those that are not stored."""
        # Keys take their time where there are many runs, and nobody asks for them where nothing is stored.
        return counted_by_status(self.statuses.get(run.key) if self.statuses else None for run in self.all_runs)

    @property
    def missing(self) -> list[Run]:
        """The runs that are to be trained: not stored, or not known before a search has ended."""
        if not self.statuses:
            return list(self.all_runs)  # as above
        return [run for run in self.all_runs if self.statuses.get(run.key) not in FINAL]

    @property
    def open_groups(self) -> list[Group]:
        """The groups that are to be searched."""
        return [group for group in self.groups if group.key not in self.searches]

    @property
    def open_path(self) -> FoundPath | None:
        """The path that is to be found; None where there is none or it was found."""
        path = self.path_to_find
        return path if path and path.key not in self.searches else None

    @property
    def is_open(self) -> bool:
        """Whether something is to be searched before all runs are known."""
        return bool(self.open_groups or self.open_path)


_RUNS = ("cells", "runs", "untuned", "all_runs", "known_before")
"""What of a study follows from its expansion, its seeds and what was found."""


def stored_runs(store: Store, keys: Sequence[str]) -> Iterator[tuple[str, StoredRun]]:
    """Each of these runs that a store has, with its key; they are read a part at a time, as memory may not hold all."""
    for start in range(0, len(keys), RUNS_A_PART):
        yield from store.runs(keys[start : start + RUNS_A_PART]).items()


def counted_by_status(statuses: Iterable[Status | None]) -> dict[str, int]:
    """Number of runs by status; "missing" are those that have none."""
    counted: Counter[str] = Counter(status or "missing" for status in statuses)
    return {status: counted[status] for status in (*OUTCOMES, *FAILURES, "missing")}
