"""Groups of cells that are tuned together, their trials as runs, and the runs of a suite once it is tuned; pure."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.labels import level_label
from benchmarks.plan.expansion import expand_runs
from benchmarks.runs import Cell, Levels, Run
from benchmarks.settings.run import RunSettings, canonical_json, run_key, settings_from
from benchmarks.suite.checks import is_among
from benchmarks.suite.search import DATASET, SearchTable, Tuned
from benchmarks.suite.suite import Suite
from tuning import Search, SearchConfig, Space
from tuning.parameters import Choices, Parameter, plain
from tuning.search import REVISION as TUNING_REVISION
from zoo.settings import Problem, SettingError, as_written, dotted

if TYPE_CHECKING:
    from benchmarks.store import StoredSearch

REVISION = 1
"""Raised when the same suite comes to be searched in another way."""

MOST_CORNERS = 1_000
"""Of the combinations of the ends of all ranges and all choices, so many at most are tried before a search."""

POINTS_SAMPLED = 8
"""Points of a space that stand for all its trials where their time is estimated."""

Found = Mapping[str, Mapping[str, Any]]
"""Key of a search that has ended -> what it chose; nothing where no trial had a score."""


@dataclass(frozen=True)
class Group:
    """Cells that are tuned together."""

    dataset: str | None
    """Of its cells, where datasets are tuned apart."""
    where: Levels
    """Factor -> the level that its cells share, for the factors whose levels are tuned apart."""
    cells: tuple[Cell, ...]
    """As they are before they are tuned."""
    changes: tuple[Mapping[str, Any], ...]
    """What base and levels say of the settings of each cell."""
    versions: tuple[str, ...]
    """Of the dataset of each cell."""
    table: SearchTable
    space: Space | None
    """None where no setting of the suite's space has an effect here."""

    @property
    def title(self) -> str:
        """What tells it from other groups, in a few words."""
        names = [*([self.dataset] if self.dataset is not None else []), *self.where.values()]
        return ", ".join(names) or "the whole suite"

    @functools.cached_property
    def key(self) -> str:
        """A hash of all that decides what is tried and how it is scored."""
        identity = {
            "search": self.table.model_dump(mode="json", exclude={"per", "space", "untuned"}),
            "space": self.space.written() if self.space else None,
            "revisions": [REVISION, TUNING_REVISION],
            "runs": [
                run_key(cell.settings, _name(cell), version, seed)
                for cell, version in zip(self.cells, self.versions, strict=True)
                for seed in self.table.seeds
            ],
        }
        return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:32]

    @property
    def max_epochs(self) -> int:
        """Epochs of a whole training, the same in all cells where hyperband searches."""
        return self.cells[0].settings.train.epochs

    @property
    def configs(self) -> list[SearchConfig]:
        """How each round is searched; none where there is nothing to search."""
        return self.table.searches(self.space, self.max_epochs) if self.space else []

    @property
    def most_trials(self) -> int:
        """How many trials there are over all rounds if nothing fails, and narrowed ranges have points enough."""
        return sum(search.most_trials for search in self._searches)

    @property
    def whole_trainings(self) -> float:
        """How many whole trainings of each cell with each seed the trials take as long as, likewise."""
        return sum(
            search.most_trials if search.epochs is None else search.epochs / self.max_epochs
            for search in self._searches
        )

    @functools.cached_property
    def _searches(self) -> list[Search]:
        return [Search(self.space, config) for config in self.configs] if self.space else []

    def sampled_runs(self) -> Iterator[Run]:
        """A run of each cell at some points of the space, the same each time: what trials will be like."""
        if self.space is None:
            return
        generator = np.random.default_rng(0)
        for _ in range(POINTS_SAMPLED):
            try:
                runs = self.runs_at(self.space.sample(generator))
            except SettingError:  # its values do not go together, which is a trial that takes no time
                continue
            yield from (run for run in runs if run.seed == self.table.seeds[0])

    def runs_at(self, values: Mapping[str, Any], budget: int | None = None) -> list[Run]:
        """The runs of a trial: every cell with these values and every seed of the search.

        Args:
            values: a point of the space.
            budget: the epochs after which they end; by default all.

        Raises:
            SettingError: the values do not go together in some cell.
        """
        stop = {"train.stop_after": budget} if budget is not None and budget < self.max_epochs else {}
        return [
            Run(replace(cell, settings=settings_from({**changes, **values, **stop})), seed, version)
            for cell, changes, version in zip(self.cells, self.changes, self.versions, strict=True)
            for seed in self.table.seeds
        ]

    def corner_runs(self) -> Iterator[Run]:
        """The runs of all corners, so that it can be seen whether they fit the data."""
        for point in self.corners():
            yield from self.runs_at(point)

    def corners(self) -> Iterator[Mapping[str, Any]]:
        """Points of the space with each choice, and each end of a range, in many combinations."""
        if self.space is None:
            return
        ends = [list(_ends(parameter)) for parameter in self.space.parameters.values()]
        alone = ([each[index % len(each)] for each in ends] for index in range(max(map(len, ends))))
        combined = itertools.islice(itertools.product(*ends), MOST_CORNERS)
        for values in itertools.chain(alone, combined):
            point: dict[str, Any] = {}
            for (path, parameter), value in zip(self.space.parameters.items(), values, strict=True):
                if all(name in point and point[name] in plain(wanted) for name, wanted in parameter.when):
                    point[path] = plain(value)
            yield point


@dataclass(frozen=True)
class WaitingRun(Run):
    """A run whose settings a search is still to find: no store has it."""

    search: str = ""
    """Key of the search."""

    @functools.cached_property
    def key(self) -> str:
        """Unlike the key of any run that can be trained."""
        own = super().key
        return hashlib.sha256(f"waiting for the search {self.search}: {own}".encode()).hexdigest()[:32]


def groups_of(suite: Suite, cells: Sequence[Cell], versions: Mapping[str, str]) -> list[Group]:
    """The groups of cells, which `expand_cells` gave, that a suite tunes together; none where it searches nothing.

    Raises:
        SettingError: a setting refuses a value of the space, or the search does not fit the cells of a group.
    """
    table = suite.search
    if table is None:
        return []
    members: dict[tuple[str | None, tuple[str, ...]], list[Cell]] = {}
    apart = table.names_apart(suite.factors)
    names = [name for name in suite.factors if name in apart]
    are_datasets_apart = table.per == "cell" or (DATASET in apart and DATASET not in suite.factors)
    for cell in cells:
        labels = tuple(cell.levels[name] for name in names)
        members.setdefault((cell.dataset if are_datasets_apart else None, labels), []).append(cell)
    return [
        _group(suite, dataset, dict(zip(names, labels, strict=True)), group, versions)
        for (dataset, labels), group in members.items()
    ]


def tuned_runs(
    suite: Suite,
    cells: Sequence[Cell],
    groups: Iterable[Group],
    seeds: Iterable[int],
    versions: Mapping[str, str],
    found: Found,
) -> list[Run]:
    """Every cell with every seed, with the settings that a search has found; runs wait where it has not ended.

    The cells, and those of the groups, are as they are before they are tuned.

    Raises:
        SettingError: tuned settings do not go together, or belong to no cell.
    """
    seeds, waiting = list(seeds), {}
    settings = dict(zip(map(place_of, cells), _settings_by_suite(suite, cells), strict=True))
    for group in groups:
        chosen = found.get(group.key)
        for cell, changes in zip(group.cells, group.changes, strict=True):
            if chosen is None:
                waiting[place_of(cell)] = group.key
            else:
                settings[place_of(cell)] = settings_from({**changes, **chosen})
    runs: list[Run] = []
    for cell in cells:
        place, version = place_of(cell), versions[cell.dataset]
        tuned = cell if settings[place] is cell.settings else replace(cell, settings=settings[place])
        if place in waiting:
            runs += [WaitingRun(tuned, seed, version, waiting[place]) for seed in seeds]
        else:
            runs += [Run(tuned, seed, version) for seed in seeds]
    return runs


def untuned_runs(suite: Suite, cells: Sequence[Cell], seeds: Iterable[int], versions: Mapping[str, str]) -> list[Run]:
    """Every cell with every seed, with what the suite says without its search; none where it does not ask for that."""
    return expand_runs(cells, seeds, versions) if suite.search and suite.search.untuned else []


def tuned_tables(suite: Suite, groups: Iterable[Group], searches: Mapping[str, StoredSearch]) -> list[Tuned]:
    """What searches have found as a suite has it, for the groups for which they found something."""
    levels = {name: {level_label(level): level for level in written} for name, written in suite.factors.items()}
    return [
        Tuned(
            dataset=group.dataset,
            where={name: levels[name][label] for name, label in group.where.items()},
            settings=dict(searches[group.key].chosen),
            trials=len(searches[group.key].trials),
            search=group.key,
        )
        for group in groups
        if group.key in searches and searches[group.key].chosen
    ]


def _group(suite: Suite, dataset: str | None, where: Levels, cells: list[Cell], versions: Mapping[str, str]) -> Group:
    table, *others = (suite.search_at(cell.levels) for cell in cells)
    if any(each != table for each in others):
        message = "cells that are tuned together are searched in different ways"
        raise SettingError([Problem("search.per", message, "cells of different levels", 'per = "cell"')])
    changes = [suite.changes_at(cell.levels) for cell in cells]
    met = {path: _is_met(path, conditions, cells, changes) for path, conditions in table.outer_conditions().items()}
    return Group(
        dataset=dataset,
        where=where,
        cells=tuple(cells),
        changes=tuple(changes),
        versions=tuple(versions[cell.dataset] for cell in cells),
        table=table,
        space=table.space_where(met),
    )


def _is_met(path: str, conditions: Mapping[str, list[Any]], cells: list[Cell], changes: list[dict[str, Any]]) -> bool:
    """Whether the settings of these cells are as a parameter of the space needs them.

    Raises:
        SettingError: in some they are and in others not.
    """
    if not conditions:
        return True
    values = [{**cell.settings.flat(), **change} for cell, change in zip(cells, changes, strict=True)]
    met = {all(is_among(each.get(name), allowed) for name, allowed in conditions.items()) for each in values}
    if len(met) > 1:
        names = ", ".join(conditions)
        message = "cells that are tuned together differ in a setting on which this depends"
        where = dotted(("search", "space", path, "when"))
        raise SettingError([Problem(where, message, names, "a search for each")])
    return met.pop()


def _settings_by_suite(suite: Suite, cells: Sequence[Cell]) -> list[RunSettings]:
    """The settings of cells with what the suite's `tuned` says of them.

    Raises:
        SettingError: an entry belongs to no cell, two say something of one setting, or a setting refuses its value.
    """
    changes: list[dict[str, Any]] = [{} for _ in cells]
    for index, tuned in enumerate(suite.tuned):
        where = {name: level_label(level) for name, level in tuned.where.items()}
        place = dotted(("tuned", index))
        mine = [
            number
            for number, cell in enumerate(cells)
            if tuned.dataset in (None, cell.dataset) and where.items() <= cell.levels.items()
        ]
        if not mine:
            raise SettingError([Problem(place, "no cell has these levels", as_written(where), "levels of a cell")])
        for number in mine:
            twice = sorted(changes[number].keys() & tuned.settings.keys())
            if twice:
                message = "set by an entry before it, for the same cell"
                raise SettingError([Problem(dotted(("tuned", index, "settings", twice[0])), message)])
            changes[number] |= tuned.settings
    return [_tuned_settings(suite, cell, change) for cell, change in zip(cells, changes, strict=True)]


def _tuned_settings(suite: Suite, cell: Cell, tuned: Mapping[str, Any]) -> RunSettings:
    if not tuned:
        return cell.settings
    try:
        return settings_from({**suite.changes_at(cell.levels), **tuned})
    except SettingError as error:
        raise error.below(f"tuned, for the cell ({cell.title})") from None


def _ends(parameter: Parameter) -> Iterable[Any]:
    """The values at which a setting is most likely to refuse: all choices, or the ends and the alternative."""
    if isinstance(parameter, Choices):
        return parameter.values
    alternative = () if parameter.alternative is None else (parameter.alternative,)
    return (parameter.low, parameter.high, *alternative)


def place_of(cell: Cell) -> tuple[str, tuple[str, ...]]:
    """What tells a cell from the others of its suite, whatever its settings are."""
    return cell.dataset, tuple(cell.levels.values())


def _name(cell: Cell) -> str:
    return cell.dataset.partition(":")[0]
