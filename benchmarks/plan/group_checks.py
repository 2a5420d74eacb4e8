"""What of the groups of a search cannot be, before anything is trained; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.plan.groups import Group
from benchmarks.suite.search import as_problem
from benchmarks.suite.search_checks import overlap_problems
from tuning import TuningError
from zoo.settings import Problem, SettingError, as_written, dotted


def check_groups(groups: Iterable[Group], seeds: Iterable[int]) -> None:
    """Refuse a search that cannot be made beside these reported seeds, before anything is trained.

    Raises:
        SettingError: a setting refuses a value of the space, the strategy does not suit a group, seeds overlap, or no
            trial of any group can meet a condition.
    """
    groups = list(groups)
    if groups and (overlapping := list(overlap_problems(groups[0].table.seeds, seeds))):
        raise SettingError(overlapping)
    _check_conditions(groups)
    for group in groups:
        _check_epochs(group)
        try:
            _ = group.configs
        except TuningError as error:
            raise SettingError(as_problem(each).below("search") for each in error.problems) from None
        for point in group.corners():
            try:
                group.runs_at(point)
            except SettingError as error:
                raise SettingError(_seen_from_suite(problem, group, point) for problem in error.problems) from None


def _check_conditions(groups: Sequence[Group]) -> None:
    """Refuse a setting of the space that no group searches: it would be reported as searched."""
    searched = {path for group in groups if group.space for path in group.space.parameters}
    left = {path: group for group in groups for path in group.table.space if path not in searched}
    problems = []
    for path, group in left.items():
        conditions = group.table.conditions_of(path)
        given = ", ".join(f"{name} = {' or '.join(map(as_written, values))}" for name, values in conditions.items())
        there = {name: _values_in(groups, name) for name in conditions if name not in group.table.space}
        allowed = ", ".join(f"{name} = {' or '.join(values)}" for name, values in there.items())
        problems.append(
            Problem(
                dotted(("search", "space", path, "when")),
                "a condition that no trial can meet, so the setting is never searched",
                given,
                f"what cells have: {allowed}" if there else "a condition on a setting that is searched somewhere",
            )
        )
    if problems:
        raise SettingError(problems)


def _values_in(groups: Iterable[Group], name: str) -> list[str]:
    """What a setting is in the cells of groups, as it is written."""
    values = [
        {**cell.settings.flat(), **changes}.get(name)
        for group in groups
        for cell, changes in zip(group.cells, group.changes, strict=True)
    ]
    return list(dict.fromkeys(map(as_written, values)))


def _check_epochs(group: Group) -> None:
    if group.table.strategy != "hyperband":
        return
    epochs = {cell.settings.train.epochs for cell in group.cells}
    if len(epochs) > 1 or 0 in epochs:
        given = ", ".join(map(str, sorted(epochs)))
        message = "hyperband counts epochs, and the cells of a group need equally many"
        raise SettingError([Problem("search.strategy", message, f"train.epochs = {given}", "train.epochs for all")])


def _seen_from_suite(problem: Problem, group: Group, point: Mapping[str, Any]) -> Problem:
    path = problem.path if problem.path in point else ""
    where = dotted(("search", "space", path)) if path else f"search.space: {problem.path}"
    others = {name: value for name, value in point.items() if name != path}
    message = f"{problem.message} ({group.title}; beside {as_written(others)})" if others else problem.message
    return Problem(where, message, problem.given, problem.allowed, problem.nearest)
