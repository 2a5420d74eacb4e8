"""The format of a suite file: its keys, and what follows from them before anything is expanded."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, SkipValidation

from benchmarks.labels import level_label
from benchmarks.runs import LARGEST_SEED
from benchmarks.settings.data import OF_WHOLE_SUITE, Reading
from benchmarks.settings.run import SECTIONS, VARIANT, Changes, RunSettings, canonical_json, settings_from
from benchmarks.suite.claims import Analysis, Assignment, Claim, Level
from benchmarks.suite.design import Design
from benchmarks.suite.search import SEARCH_PREFIX, SearchTable, Tuned, replace_search
from zoo.settings import Settings, setting

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"

MOST_SEEDS = 100_000

LONGEST_NAME = 100
"""Letters of a factor's name and of a level's label: they head columns, and MLflow takes keys of 250."""

# Their values are checked by `problems_of`: pydantic's findings about unions are hard to read.
Seeds = SkipValidation[
    Annotated[int, Field(ge=1, le=MOST_SEEDS)]
    | Annotated[
        list[Annotated[int, Field(ge=0, le=LARGEST_SEED)]], Field(min_length=1, json_schema_extra={"uniqueItems": True})
    ]
]
Bundle = dict[str, Any]
"""Dotted setting -> value."""
Levels = SkipValidation[Annotated[list[Level], Field(min_length=2)] | Annotated[dict[str, Bundle], Field(min_length=2)]]
"""The levels of a factor: values of a setting, or bundles of settings by the label of the level."""
CellLevels = Annotated[Assignment, Field(json_schema_extra={"minProperties": 1})]


@dataclass(frozen=True)
class Factor:
    """What a suite varies: a setting, or a named bundle of settings."""

    name: str
    levels: Mapping[str, Changes]
    """Label of the level -> the settings it changes, in the suite's order."""

    @property
    def paths(self) -> list[str]:
        """The settings that some of its levels change, in the order in which they appear."""
        return list(dict.fromkeys(path for changes in self.levels.values() for path in changes))


class SuiteFormat(Settings):
    """A suite as its file says it, each key of the right type: base settings, factors, design, datasets and seeds."""

    name: str = setting(..., "Names the folder of the report.", pattern=NAME_PATTERN, max_length=64)
    question: str = setting("", "What the suite is meant to answer; heads the report.")
    datasets: list[str] = setting(..., "TFDS names; a version can be pinned as in `mnist:3.0.1`.", min_length=1)
    seeds: Seeds = setting(..., "Number of seeds, counted from 0, or a list of them.")
    design: SkipValidation[str | dict[str, Any]] = setting(
        "factorial", "Which combinations of levels are run: the name of a design, or a table with its name and options."
    )
    model: dict[str, Any] = setting({}, "Base settings of the model; `variant` names it, others replace its settings.")
    train: dict[str, Any] = setting({}, "Base settings of training.")
    data: dict[str, Any] = setting({}, "Base settings of data.")
    augment: dict[str, Any] = setting({}, "Base settings of augmentation, which acts on training examples alone.")
    factors: dict[str, Levels] = setting(
        ..., "Dotted setting -> list of levels, or a name -> bundles of settings by level name.", min_length=1
    )
    baseline: CellLevels = setting({}, "Factor -> the level that others are compared with; else its first level.")
    exclude: list[CellLevels] = setting([], "Cells to leave out: every cell that has all these levels.")
    include: list[CellLevels] = setting([], "Cells to add; a factor that is not named is at its baseline.")
    search: SearchTable | None = setting(None, "Settings that are tuned before the runs are trained, and how.")
    tuned: list[Tuned] = setting([], "Settings that a search has found for some cells; `ablate tune` writes them.")
    claims: list[Claim] = setting([], "What is stated before anything is trained, to be judged in the report.")
    analysis: Analysis = setting(Analysis(), "How claims are judged.")

    @property
    def seed_list(self) -> list[int]:
        """The seeds themselves."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @functools.cached_property
    def chosen_design(self) -> Design:
        """The design with its options, also where it is given by its name."""
        return Design(name=self.design) if isinstance(self.design, str) else Design(**self.design)

    @property
    def base(self) -> dict[str, Any]:
        """The base settings by dotted path."""
        return {f"{section}.{name}": value for section in SECTIONS for name, value in getattr(self, section).items()}

    @property
    def reading(self) -> Reading:
        """How the datasets are read; the same in all cells."""
        return Reading(**{name: value for name, value in self.data.items() if f"data.{name}" in OF_WHOLE_SUITE})

    @property
    def bases(self) -> list[dict[str, Any]]:
        """The base settings; where factors name models, once with each of these."""
        variants = [changes[VARIANT] for changes in self.level_changes if VARIANT in changes]
        return [self.base | {VARIANT: variant} for variant in variants] or [self.base]

    @functools.cached_property
    def factor_list(self) -> list[Factor]:
        """The factors, each level as the settings it changes."""
        return [Factor(name, _levels_of(name, levels)) for name, levels in self.factors.items()]

    @property
    def level_changes(self) -> list[Changes]:
        """The settings that each level of each factor changes."""
        return [changes for factor in self.factor_list for changes in factor.levels.values()]

    @property
    def varied(self) -> set[str]:
        """The settings that some level of some factor changes."""
        return {path for factor in self.factor_list for path in factor.paths}

    @property
    def baseline_levels(self) -> dict[str, str]:
        """Factor -> label of its baseline level, for every factor."""
        return {
            factor.name: level_label(self.baseline[factor.name])
            if factor.name in self.baseline
            else next(iter(factor.levels))
            for factor in self.factor_list
        }

    def settings_at(self, levels: Mapping[str, str]) -> RunSettings:
        """The settings of the cell that has these levels, before anything is tuned.

        Raises:
            SettingError: the levels do not go together.
        """
        settings = settings_from(self.changes_at(levels))
        search = self._search_changes(levels)
        # Cells that differ in nothing but in how they are tuned are different cells.
        return replace_search(settings, canonical_json(search)) if search else settings

    def search_at(self, levels: Mapping[str, str]) -> SearchTable:
        """How the cell that has these levels is tuned; the suite has a search.

        Raises:
            SettingError: what the levels say of the search does not go together.
        """
        assert self.search is not None  # as whoever calls has seen
        return self.search.changed(**self._search_changes(levels))

    def _search_changes(self, levels: Mapping[str, str]) -> dict[str, Any]:
        """What levels say of the search, by key."""
        written = ((self.factors[name], label) for name, label in levels.items())
        bundles = [levels[label] for levels, label in written if isinstance(levels, dict)]
        return {
            path.removeprefix(SEARCH_PREFIX): value
            for bundle in bundles
            for path, value in bundle.items()
            if path.startswith(SEARCH_PREFIX)
        }

    def changes_at(self, levels: Mapping[str, str]) -> dict[str, Any]:
        """What base and levels say of the settings of a cell, by dotted path."""
        changes = self.base
        for factor in self.factor_list:
            changes |= factor.levels[levels[factor.name]]
        return changes


def _levels_of(name: str, levels: Any) -> dict[str, Changes]:
    if isinstance(levels, dict):
        return {
            label: {path: value for path, value in bundle.items() if not path.startswith(SEARCH_PREFIX)}
            for label, bundle in levels.items()
        }
    return {level_label(level): {name: level} for level in levels}
