"""From a suite to its cells and runs; pure, and fast for large matrices."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.settings import RunSettings, run_key
from benchmarks.suite import Suite, level_label
from zoo.settings import Problem, SettingError

MOST_RUNS = 1_000_000
"""More runs than this are taken for a slip."""

Levels = Mapping[str, str]
"""Factor -> label of its level, for every factor."""


@dataclass(frozen=True)
class Cell:
    """One dataset with one combination of levels."""

    dataset: str
    levels: Levels
    settings: RunSettings

    @property
    def title(self) -> str:
        """The levels in a few words."""
        return ", ".join(self.levels.values())


@dataclass(frozen=True)
class Run:
    """One cell with one seed: the unit that is trained, stored, resumed and counted."""

    cell: Cell
    seed: int
    dataset_version: str

    @functools.cached_property
    def key(self) -> str:
        """The content key under which the run is stored."""
        return run_key(self.cell.settings, self.dataset, self.dataset_version, self.seed)

    @property
    def dataset(self) -> str:
        """TFDS name of the dataset, without a pinned version."""
        return self.cell.dataset.partition(":")[0]


def expand_cells(suite: Suite) -> list[Cell]:
    """All cells of a suite, dataset by dataset, in the design's order.

    Raises:
        SettingError: the levels of a cell do not go together, two cells are the same, or the baseline is left out.
    """
    _refuse_too_many(suite)
    combinations = _combinations(suite)
    settings = [_settings_of(suite, levels) for levels in combinations]
    _refuse_equal_cells(combinations, settings)
    return [
        Cell(dataset, levels, cell_settings)
        for dataset in suite.datasets
        for levels, cell_settings in zip(combinations, settings, strict=True)
    ]


def expand_runs(cells: Iterable[Cell], seeds: Iterable[int], dataset_versions: Mapping[str, str]) -> list[Run]:
    """Every cell with every seed, cell by cell.

    Args:
        cells: what `expand_cells` gave.
        seeds: the suite's seeds.
        dataset_versions: name as in the suite -> the version of the data that is used.
    """
    seeds = list(seeds)
    return [Run(cell, seed, dataset_versions[cell.dataset]) for cell in cells for seed in seeds]


def _factorial(suite: Suite) -> list[Levels]:
    factors = suite.factor_list
    combinations = itertools.product(*(factor.levels for factor in factors))
    return [dict(zip((factor.name for factor in factors), labels, strict=True)) for labels in combinations]


def _one_factor(suite: Suite) -> list[Levels]:
    baseline = suite.baseline_levels
    others = [
        {**baseline, factor.name: label}
        for factor in suite.factor_list
        for label in factor.levels
        if label != baseline[factor.name]
    ]
    return [baseline, *others]


_EXPANSIONS: dict[str, Callable[[Suite], list[Levels]]] = {"factorial": _factorial, "one_factor": _one_factor}


def _combinations(suite: Suite) -> list[Levels]:
    excluded = [{name: level_label(level) for name, level in pattern.items()} for pattern in suite.exclude]
    kept = [
        levels
        for levels in _EXPANSIONS[suite.design](suite)
        if not any(pattern.items() <= levels.items() for pattern in excluded)
    ]
    included = [
        {**suite.baseline_levels, **{name: level_label(level) for name, level in cell.items()}}
        for cell in suite.include
    ]
    if not kept + included:
        raise SettingError([Problem("exclude", "no cell is left", f"{len(excluded)} patterns")])
    if suite.baseline_levels not in kept + included:
        title = _title(suite.baseline_levels)
        allowed = "a baseline that is kept; `baseline` names it"
        raise SettingError([Problem("exclude", "the baseline itself is left out", title, allowed)])
    return kept + included


def _refuse_too_many(suite: Suite) -> None:
    numbers = [len(factor.levels) for factor in suite.factor_list]
    cells = math.prod(numbers) if suite.design == "factorial" else 1 + sum(number - 1 for number in numbers)
    runs = cells * len(suite.datasets) * len(suite.seed_list)
    if runs > MOST_RUNS:
        raise SettingError([Problem("factors", "too many runs", f"{runs:,}", f"at most {MOST_RUNS:,}")])


def _settings_of(suite: Suite, levels: Levels) -> RunSettings:
    try:
        return suite.settings_at(levels)
    except SettingError as error:
        raise error.below(f"cell ({_title(levels)})") from None


def _title(levels: Levels) -> str:
    return ", ".join(f"{name} = {label}" for name, label in levels.items())


def _refuse_equal_cells(combinations: list[Levels], settings: list[RunSettings]) -> None:
    seen: dict[RunSettings, Levels] = {}
    for levels, cell_settings in zip(combinations, settings, strict=True):
        if cell_settings in seen:
            message = "a duplicate cell: two cells have equal settings, so their runs would be the same"
            given = f"({_title(seen[cell_settings])}) and ({_title(levels)})"
            raise SettingError([Problem("", message, given, "cells that differ in a setting")])
        seen[cell_settings] = levels
