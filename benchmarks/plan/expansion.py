"""Expansion: from a suite to its cells and runs; pure, and fast for large matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from benchmarks.plan.combinations import (
    Change,
    combinations_of,
    levels_along,
    levels_told,
    number_of_combinations,
    refuse_too_many,
)
from benchmarks.plan.comparisons import comparison_among
from benchmarks.runs import Cell, Levels, Run
from benchmarks.settings.run import RunSettings
from benchmarks.suite.suite import Suite
from zoo.settings import Problem, SettingError, dotted


def expand_cells(suite: Suite) -> list[Cell]:
    """All cells of a suite that do not follow from results, dataset by dataset, in the design's order.

    Raises:
        SettingError: the levels of a cell do not go together, two cells are the same, the baseline is left out, or a
            claim is about cells that are not there.
    """
    refuse_too_many(suite, 1)
    combinations = combinations_of(suite)
    _refuse_claims_without_cells(suite, combinations)
    cells = _cells_with(suite, combinations)
    _refuse_equal_cells(cells)
    return [Cell(dataset, cell.levels, cell.settings) for dataset in suite.datasets for cell in cells]


def with_cells_along(suite: Suite, cells: Sequence[Cell], changes: Iterable[Change]) -> list[Cell]:
    """The cells that `expand_cells` gave, on each dataset followed by those others to which the changes of a path lead.

    Raises:
        SettingError: the levels of a cell do not go together, or it is the same as another.
    """
    first = [cell for cell in cells if cell.dataset == suite.datasets[0]]
    known = [cell.levels for cell in first]
    along = _cells_with(suite, (levels for levels in levels_along(suite, changes) if levels not in known))
    _refuse_equal_cells([*first, *along])
    return [
        cell
        for dataset in suite.datasets
        for cell in (
            *(cell for cell in cells if cell.dataset == dataset),
            *(Cell(dataset, cell.levels, cell.settings) for cell in along),
        )
    ]


def expand_runs(cells: Iterable[Cell], seeds: Iterable[int], dataset_versions: Mapping[str, str]) -> list[Run]:
    """Every cell with every seed, cell by cell."""
    seeds = list(seeds)
    return [Run(cell, seed, dataset_versions[cell.dataset]) for cell in cells for seed in seeds]


def _refuse_claims_without_cells(suite: Suite, combinations: list[Levels]) -> None:
    is_complete = len(combinations) == number_of_combinations(suite)
    problems: list[Problem] = []
    for index, claim in enumerate(suite.claims):
        try:
            comparison_among(suite, claim, combinations, is_complete)
        except SettingError as error:
            problems += error.below(dotted(("claims", index))).problems
    if problems:
        raise SettingError(problems)


def _cells_with(suite: Suite, combinations: Iterable[Levels]) -> list[Cell]:
    """The cells with these levels, on the first dataset."""
    cells = []
    for levels in combinations:
        try:
            cells.append(Cell(suite.datasets[0], levels, suite.settings_at(levels)))
        except SettingError as error:
            raise error.below(f"cell ({levels_told(levels)})") from None
    return cells


def _refuse_equal_cells(cells: Iterable[Cell]) -> None:
    seen: dict[RunSettings, Levels] = {}
    for cell in cells:
        settings = replace(cell.settings, train=cell.settings.train.without_own_coefficients())
        if settings in seen:
            message = "a duplicate cell: two cells have equal settings, so their runs would be the same"
            given = f"({levels_told(seen[settings])}) and ({levels_told(cell.levels)})"
            raise SettingError([Problem("", message, given, "cells that differ in a setting")])
        seen[settings] = cell.levels
