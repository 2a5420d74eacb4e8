"""Combinations of levels that the design of a suite has; pure, and fast for large matrices."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator

from benchmarks.labels import level_label
from benchmarks.plan.fractions import num_base_factors, words_of
from benchmarks.runs import Levels
from benchmarks.suite.suite import Suite
from zoo.settings import Problem, SettingError

MOST_RUNS = 1_000_000
"""More runs than this are taken for a slip."""


Change = tuple[str, str]
"""A factor, and the label of the level that it is changed to."""


def combinations_of(suite: Suite) -> list[Levels]:
    """All combinations of a suite, the same on each dataset, in the design's order.

    Raises:
        SettingError: none is left, the baseline is not among them, or a pattern leaves none of them out.
    """
    excluded, included = _excluded(suite), _included(suite)
    found = _EXPANSIONS[suite.chosen_design.name](suite)
    if suite.chosen_design.name != "sample":  # which draws none that is left out
        _refuse_idle_patterns(excluded, found)
    kept = [levels for levels in found if not any(pattern.items() <= levels.items() for pattern in excluded)]
    if not kept + included:
        raise SettingError([Problem("exclude", "no cell is left", f"{len(excluded)} patterns")])
    if suite.baseline_levels not in kept + included:
        raise SettingError([_baseline_is_missing(suite)])
    return kept + included


def _refuse_idle_patterns(excluded: list[Levels], combinations: list[Levels]) -> None:
    problems = [
        Problem(f"exclude[{index}]", "no effect: the design has no such cell", levels_told(pattern), "levels of a cell")
        for index, pattern in enumerate(excluded)
        if not any(pattern.items() <= levels.items() for levels in combinations)
    ]
    if problems:
        raise SettingError(problems)


def has_every_combination(suite: Suite) -> bool:
    """Whether the cells of a suite, on each dataset, are all the combinations of its factors' levels."""
    if suite.chosen_design.name == "factorial" and not suite.exclude:
        return True
    total = number_of_combinations(suite)
    return total <= MOST_RUNS and len(combinations_of(suite)) == total


def refuse_too_many(suite: Suite, num_seeds: int) -> None:
    """Refuse a suite that comes to too many runs with so many seeds, before it is expanded.

    Raises:
        SettingError: it does.
    """
    design = suite.chosen_design
    if design.name == "factorial":
        cells = number_of_combinations(suite)
    elif design.name == "fractional":
        cells = 2 ** num_base_factors(words_of(suite))
    else:
        cells = design.cells or len(_EXPANSIONS[design.name](suite))
    runs = cells * len(suite.datasets) * num_seeds
    if runs > MOST_RUNS:
        raise SettingError([Problem("factors", "too many runs", f"{runs:,}", f"at most {MOST_RUNS:,}")])


def declared_changes(suite: Suite) -> list[Change]:
    """The changes along the path of a suite that declares their order, or has them in that of its factors."""
    target = _other_of_two(suite)
    return [(name, target[name]) for name in order_of(suite)]


def levels_along(suite: Suite, changes: Iterable[Change]) -> list[Levels]:
    """The baseline, and the combination after each of these changes."""
    steps: list[Levels] = [suite.baseline_levels]
    for name, label in changes:
        steps.append({**steps[-1], name: label})
    return steps


def is_left_out(suite: Suite, levels: Levels) -> bool:
    """Whether a suite excludes the cells with these levels."""
    return any(pattern.items() <= levels.items() for pattern in _excluded(suite))


def order_of(suite: Suite) -> list[str]:
    """The factors in the order in which a path changes them, where that is declared."""
    return suite.chosen_design.order or list(suite.factors)


def levels_told(levels: Levels) -> str:
    """A combination as text for errors: `factor = level, ...`."""
    return ", ".join(f"{name} = {label}" for name, label in levels.items())


def number_of_combinations(suite: Suite) -> int:
    """How many combinations the factors of a suite have, whatever its design."""
    return math.prod(len(factor.levels) for factor in suite.factor_list)


def _factorial(suite: Suite) -> list[Levels]:
    combinations = itertools.product(*(factor.levels for factor in suite.factor_list))
    return [dict(zip(suite.factors, labels, strict=True)) for labels in combinations]


def _one_change(suite: Suite) -> list[Levels]:
    baseline = suite.baseline_levels
    others = [
        {**baseline, factor.name: label}
        for factor in suite.factor_list
        for label in factor.levels
        if label != baseline[factor.name]
    ]
    return [baseline, *others]


def _paired(suite: Suite) -> list[Levels]:
    together = zip(*(factor.levels for factor in suite.factor_list), strict=True)
    return [dict(zip(suite.factors, labels, strict=True)) for labels in together]


def _path(suite: Suite) -> list[Levels]:
    """The path first, each cell one change further; then the changes alone that are no step of it.

    Of a path that is found, only the changes alone are known.
    """
    steps = levels_along(suite, () if suite.chosen_design.objective else declared_changes(suite))
    return steps + [each for each in _one_change(suite) if each not in steps]


def _sample(suite: Suite) -> list[Levels]:
    """The baseline and cells drawn without replacement, left-out and added ones passed over.

    A longer sample of the same seed begins with the shorter one. Nothing is as large as the number of combinations.
    """
    design, baseline = suite.chosen_design, suite.baseline_levels
    assert design.cells is not None  # as `Design` sees to
    unwanted = [*_excluded(suite), *_included(suite), baseline]
    drawn = (_combination(suite, index) for index in _shuffled(number_of_combinations(suite), design.seed))
    wanted = (each for each in drawn if not any(pattern.items() <= each.items() for pattern in unwanted))
    found = list(itertools.islice(wanted, design.cells - 1))
    if len(found) < design.cells - 1:
        message = "so many cells are not to be found beside those that are left out or added"
        raise SettingError([Problem("design.cells", message, str(design.cells), f"at most {len(found) + 1}")])
    return [baseline, *found]


def _shuffled(number: int, seed: int) -> Iterator[int]:
    """The numbers below `number`, `MOST_RUNS` at most, in random order: the shuffle of Fisher and Yates, lazily."""
    draw = random.Random(seed)
    moved: dict[int, int] = {}
    for place in range(min(number, MOST_RUNS)):
        other = draw.randrange(place, number)
        yield moved.get(other, other)
        moved[other] = moved.get(place, place)


def _combination(suite: Suite, index: int) -> Levels:
    """The combination that stands at an index of the factorial design."""
    levels: dict[str, str] = {}
    for factor in reversed(suite.factor_list):
        index, place = divmod(index, len(factor.levels))
        levels[factor.name] = list(factor.levels)[place]
    return dict(reversed(levels.items()))


def _fractional(suite: Suite) -> list[Levels]:
    """The fraction that holds the baseline; a factor is at its other level where its word has an odd overlap."""
    words = words_of(suite)
    baseline, target = suite.baseline_levels, _other_of_two(suite)
    rows = sorted(tuple((row & word).bit_count() % 2 for word in words) for row in range(2 ** num_base_factors(words)))
    return [
        {name: (target if bit else baseline)[name] for name, bit in zip(suite.factors, row, strict=True)}
        for row in rows
    ]


def _other_of_two(suite: Suite) -> Levels:
    baseline = suite.baseline_levels
    return {
        factor.name: next(label for label in factor.levels if label != baseline[factor.name])
        for factor in suite.factor_list
    }


_EXPANSIONS: dict[str, Callable[[Suite], list[Levels]]] = {
    "factorial": _factorial,
    "one_factor": _one_change,
    "leave_one_out": _one_change,
    "add_one_in": _one_change,
    "paired": _paired,
    "fractional": _fractional,
    "sample": _sample,
    "path": _path,
}


def _baseline_is_missing(suite: Suite) -> Problem:
    title = levels_told(suite.baseline_levels)
    if suite.chosen_design.name == "paired" and suite.baseline_levels not in _paired(suite):
        message = "no cell has these levels together: factors are paired, and those that are not named are at the first"
        return Problem("baseline", message, title, "levels at the same place of every factor")
    return Problem("exclude", "the baseline itself is left out", title, "a baseline that is kept; `baseline` names it")


def _excluded(suite: Suite) -> list[Levels]:
    return [{name: level_label(level) for name, level in pattern.items()} for pattern in suite.exclude]


def _included(suite: Suite) -> list[Levels]:
    baseline = suite.baseline_levels
    return [{**baseline, **{name: level_label(level) for name, level in cell.items()}} for cell in suite.include]
