"""From a suite to its cells and runs; pure, and fast for large matrices."""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.claims import Claim
from benchmarks.columns import level_label
from benchmarks.settings import RunSettings, run_key
from benchmarks.suite import Suite
from benchmarks.training.metrics import METRICS
from zoo.settings import Problem, SettingError, dotted

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


Change = tuple[str, str]
"""A factor, and the label of the level that it is changed to."""


def expand_cells(suite: Suite, changes: Sequence[Change] = ()) -> list[Cell]:
    """All cells of a suite, dataset by dataset, in the design's order.

    Args:
        suite: which.
        changes: of a path that is found: those that were taken, in their order. The cells that they lead to come after
            those that are known before.

    Raises:
        SettingError: the levels of a cell do not go together, two cells are the same, the baseline is left out, or a
            claim is about cells that are not there.
    """
    refuse_too_many(suite, 1)
    combinations = _combinations(suite)
    _refuse_claims_without_cells(suite, combinations)
    combinations += [levels for levels in levels_along(suite, changes) if levels not in combinations]
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


@dataclass(frozen=True)
class Estimable:
    """What a design can tell, whatever the results are."""

    main_effects: bool
    """Whether levels of a factor can be compared after averaging over the cells that have them."""
    interactions: bool
    """Whether it can be told how the effect of one factor depends on the level of another."""
    aliases: tuple[str, ...]
    """Effects that cannot be told apart, as equations; of interactions of two factors only."""
    note: str
    """The same in sentences."""


def estimable(suite: Suite) -> Estimable:
    """What the design of a suite can estimate and what not."""
    design = suite.chosen_design.name
    if len(suite.factors) == 1:
        return Estimable(True, False, (), "One factor: its levels are compared directly.")
    if has_every_combination(suite):
        note = "Every combination is run: main effects and interactions can be estimated."
        return Estimable(True, True, (), note)
    if design == "fractional":
        return _estimable_of_fraction(suite)
    added = (
        " The cells added by `include` can be compared with those that differ in one factor." if suite.include else ""
    )
    objective = suite.chosen_design.objective
    limits = (
        _LIMITS_OF_FOUND_PATH.format(objective=METRICS[objective].title)
        if objective
        else _LIMITS[design].format(order=", ".join(_order(suite)))
    )
    return Estimable(False, False, (), f"This design cannot estimate interactions: {limits}{added}")


_LIMITS: dict[str, str] = {
    "factorial": "combinations are left out, so the levels of a factor stand beside different levels of the others. "
    "Each is compared with the baseline, the other factors at their baseline levels.",
    "one_factor": "each level is tried beside the baseline levels of the other factors only, and its effect may be "
    "another beside other levels.",
    "leave_one_out": "each part is taken out of the full recipe alone. What it contributes there is what the others "
    "cannot make up for; parts that can replace each other both seem useless.",
    "add_one_in": "each part is put into the bare recipe alone. What it gives there need not add up: parts may need "
    "each other, or do the same.",
    "paired": "the factors change together, so no effect is any one factor's. Whole cells are compared.",
    "sample": "combinations are drawn at random, so the levels of a factor stand beside different levels of the "
    "others. Regression over the cells can rank the factors; differences need cells that differ in one factor only.",
    "path": "the effect of a change along the path is its effect after the changes before it. The order was declared "
    "and not searched for ({order}); another one can give other effects. Each change alone shows "
    "how much the order matters.",
}


_LIMITS_OF_FOUND_PATH = (
    "the effect of a change along the path is its effect after the changes before it. The order was not declared: at "
    "each step the change was taken that gave the best {objective}, on seeds that are not reported. So what is said "
    "along the path is exploratory, and other seeds could have found another path. Each change alone shows how much "
    "the order matters."
)


def has_every_combination(suite: Suite) -> bool:
    """Whether the cells of a suite, on each dataset, are all the combinations of its factors' levels."""
    if suite.chosen_design.name == "factorial" and not suite.exclude:
        return True
    total = _number_of_combinations(suite)
    return total <= MOST_RUNS and len(_combinations(suite)) == total


@dataclass(frozen=True)
class Comparison:
    """The combinations of levels that a claim compares, on each dataset."""

    better: tuple[Levels, ...]
    """Those with the level of which something is claimed; where there are several, their mean counts."""
    than: tuple[Levels, ...]


def comparison(suite: Suite, claim: Claim) -> Comparison:
    """Find the combinations that a claim of a suite compares.

    With every combination in the design, and in a fraction made for it, a factor that the claim does not name is
    averaged over. Where factors are paired, the level of one names the cell. Elsewhere a factor that is not named is
    at its baseline.

    Raises:
        SettingError: the design has no such cells; paths are those inside the claim.
    """
    return _comparison(suite, claim, _combinations(suite), has_every_combination(suite))


def _comparison(suite: Suite, claim: Claim, combinations: list[Levels], is_complete: bool) -> Comparison:
    design = suite.chosen_design.name
    where = {name: level_label(level) for name, level in claim.where.items()}
    levels = (level_label(claim.better), level_label(claim.than))
    if is_complete:
        candidates, others = combinations, where
    elif design in ("fractional", "paired"):
        _refuse_where(suite, where)
        # Added cells are no part of the balance of a fraction, and share levels with the cells of a pairing.
        candidates, others = combinations[: len(combinations) - len(suite.include)], where
    else:
        candidates, others = combinations, {**suite.baseline_levels, **where}
    wanted = [{**others, claim.factor: level} for level in levels]
    better, than = (tuple(_having(candidates, each)) for each in wanted)
    missing = [each for each, found in zip(wanted, (better, than), strict=True) if not found]
    if missing:
        raise SettingError([_no_such_cell(each, claim.factor, candidates) for each in missing])
    return Comparison(better, than)


def _having(combinations: Iterable[Levels], levels: Levels) -> list[Levels]:
    return [each for each in combinations if levels.items() <= each.items()]


def _no_such_cell(wanted: Levels, factor: str, combinations: list[Levels]) -> Problem:
    closest = max(combinations, key=lambda each: (each[factor] == wanted[factor], len(each.items() & wanted.items())))
    allowed = "cells of the design; `where` names the levels of other factors, and `include` adds cells"
    return Problem("", "the design has no such cell", _title(wanted), allowed, _title(closest))


def _refuse_where(suite: Suite, where: Levels) -> None:
    if not where:
        return
    title = _title(where)
    if suite.chosen_design.name == "paired":
        message = "where factors are paired, the level of one names the whole cell"
        raise SettingError([Problem("where", message, title, "no other factor")])
    if len(where) > 1 or not _estimable_of_fraction(suite).interactions:
        message = "effects at single levels of other factors are mixed with other effects in this fraction"
        allowed = "one factor, with resolution 5" if len(where) > 1 else "no factor, or resolution = 5"
        raise SettingError([Problem("where", message, title, allowed)])


def _factorial(suite: Suite) -> list[Levels]:
    factors = suite.factor_list
    combinations = itertools.product(*(factor.levels for factor in factors))
    return [dict(zip((factor.name for factor in factors), labels, strict=True)) for labels in combinations]


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
    factors = suite.factor_list
    together = zip(*(factor.levels for factor in factors), strict=True)
    return [dict(zip((factor.name for factor in factors), labels, strict=True)) for labels in together]


def declared_changes(suite: Suite) -> list[Change]:
    """The changes along the path of a suite that declares their order, or has them in that of its factors."""
    target = _other_of_two(suite)
    return [(name, target[name]) for name in _order(suite)]


def levels_along(suite: Suite, changes: Iterable[Change]) -> list[Levels]:
    """The baseline, and the combination after each of these changes."""
    steps: list[Levels] = [suite.baseline_levels]
    for name, label in changes:
        steps.append({**steps[-1], name: label})
    return steps


def is_left_out(suite: Suite, levels: Levels) -> bool:
    """Whether a suite excludes the cells with these levels."""
    return any(pattern.items() <= levels.items() for pattern in _excluded(suite))


def _path(suite: Suite) -> list[Levels]:
    """The path first, each cell one change further; then the changes alone that are no step of it.

    Of a path that is found, only the changes alone are known.
    """
    steps = levels_along(suite, () if suite.chosen_design.objective else declared_changes(suite))
    return steps + [each for each in _one_change(suite) if each not in steps]


def _order(suite: Suite) -> list[str]:
    return suite.chosen_design.order or list(suite.factors)


def _sample(suite: Suite) -> list[Levels]:
    """The baseline and cells drawn without replacement, left-out and added ones passed over.

    A longer sample of the same seed begins with the shorter one. Nothing is as large as the number of combinations.
    """
    design, baseline = suite.chosen_design, suite.baseline_levels
    assert design.cells is not None  # as `Design` sees to
    unwanted = [*_excluded(suite), *_included(suite), baseline]
    drawn = (_combination(suite, index) for index in _shuffled(_number_of_combinations(suite), design.seed))
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
    words = _words_of(suite)
    baseline, target = suite.baseline_levels, _other_of_two(suite)
    rows = sorted(tuple((row & word).bit_count() % 2 for word in words) for row in range(2 ** _base_factors(words)))
    return [
        {name: (target if bit else baseline)[name] for name, bit in zip(suite.factors, row, strict=True)}
        for row in rows
    ]


def _words_of(suite: Suite) -> tuple[int, ...]:
    return fraction(len(suite.factors), suite.chosen_design.resolution)


def _base_factors(words: Iterable[int]) -> int:
    return max(words).bit_length()


@functools.lru_cache
def fraction(num_factors: int, resolution: int) -> tuple[int, ...]:
    """The smallest fraction of a two-level factorial that is found with this resolution, a word for each factor.

    A word is the set of base factors, as bits, whose product the factor is (Box and Hunter 1961): with base factors A,
    B and C, the word 7 is D = ABC. The resolution is the least number of words whose product is the identity. Words
    are taken one by one such that no `resolution - 1` multiply to it: first those that make the fewest products of
    `resolution` factors the identity, and, where these do not suffice, simply the first that go. For resolution 4 no
    fraction is smaller; for resolution 5 none is known to be smaller up to 17 factors.
    """
    for base_factors in itertools.count(resolution - 1):
        for prefers_few in (True, False):
            words = _words(base_factors, num_factors, resolution, prefers_few=prefers_few)
            if len(words) == num_factors:
                return words
    raise AssertionError("with as many base factors as factors there is always one")


def _words(base_factors: int, num_factors: int, resolution: int, *, prefers_few: bool) -> tuple[int, ...]:
    """As many words as there are, up to one for each factor; those of the base factors first."""
    words: list[int] = []
    # products[size]: word -> how many sets of so many factors multiply to it.
    products = [Counter({0: 1}), *(Counter[int]() for _ in range(resolution - 1))]
    candidates = [1 << place for place in range(min(base_factors, num_factors))]
    while candidates and len(words) < num_factors:
        word = min(candidates, key=lambda each: products[-1][each]) if prefers_few else candidates[0]
        words.append(word)
        for size in reversed(range(1, resolution)):
            for product, number in products[size - 1].items():
                products[size][product ^ word] += number
        if len(words) < base_factors:
            candidates = candidates[1:]
        else:
            candidates = [each for each in range(1, 2**base_factors) if not any(each in made for made in products[:-1])]
    return tuple(words)


def _estimable_of_fraction(suite: Suite) -> Estimable:
    words, names = _words_of(suite), list(suite.factors)
    pairs: dict[int, list[str]] = {}
    for (first, word), (second, other) in itertools.combinations(zip(names, words, strict=True), 2):
        pairs.setdefault(word ^ other, []).append(f"{first} x {second}")
    aliases = tuple(" = ".join(equal) for equal in pairs.values() if len(equal) > 1)
    size = f"A fraction of {2 ** _base_factors(words)} of {2 ** len(words)} combinations: "
    if aliases:
        note = (
            "main effects are clear of interactions of two factors. This design cannot tell those interactions apart "
            f"from each other: {'; '.join(aliases)}."
        )
    else:
        note = (
            "main effects, and interactions of two factors, are clear of each other. They are mixed with interactions "
            "of three and more factors, which this design cannot estimate."
        )
    return Estimable(True, not aliases, aliases, size + note)


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


def _combinations(suite: Suite) -> list[Levels]:
    excluded, included = _excluded(suite), _included(suite)
    kept = [
        levels
        for levels in _EXPANSIONS[suite.chosen_design.name](suite)
        if not any(pattern.items() <= levels.items() for pattern in excluded)
    ]
    if not kept + included:
        raise SettingError([Problem("exclude", "no cell is left", f"{len(excluded)} patterns")])
    if suite.baseline_levels not in kept + included:
        raise SettingError([_baseline_is_missing(suite)])
    return kept + included


def _baseline_is_missing(suite: Suite) -> Problem:
    title = _title(suite.baseline_levels)
    if suite.chosen_design.name == "paired" and suite.baseline_levels not in _paired(suite):
        message = "no cell has these levels together: factors are paired, and those that are not named are at the first"
        return Problem("baseline", message, title, "levels at the same place of every factor")
    return Problem("exclude", "the baseline itself is left out", title, "a baseline that is kept; `baseline` names it")


def _excluded(suite: Suite) -> list[Levels]:
    return [{name: level_label(level) for name, level in pattern.items()} for pattern in suite.exclude]


def _included(suite: Suite) -> list[Levels]:
    baseline = suite.baseline_levels
    return [{**baseline, **{name: level_label(level) for name, level in cell.items()}} for cell in suite.include]


def _number_of_combinations(suite: Suite) -> int:
    return math.prod(len(factor.levels) for factor in suite.factor_list)


def refuse_too_many(suite: Suite, num_seeds: int) -> None:
    """Refuse a suite that comes to too many runs with so many seeds, before it is expanded.

    Raises:
        SettingError: it does.
    """
    design = suite.chosen_design
    if design.name == "factorial":
        cells = _number_of_combinations(suite)
    elif design.name == "fractional":
        cells = 2 ** _base_factors(_words_of(suite))
    else:
        cells = design.cells or len(_EXPANSIONS[design.name](suite))
    runs = cells * len(suite.datasets) * num_seeds
    if runs > MOST_RUNS:
        raise SettingError([Problem("factors", "too many runs", f"{runs:,}", f"at most {MOST_RUNS:,}")])


def _refuse_claims_without_cells(suite: Suite, combinations: list[Levels]) -> None:
    is_complete = len(combinations) == _number_of_combinations(suite)
    problems: list[Problem] = []
    for index, claim in enumerate(suite.claims):
        try:
            _comparison(suite, claim, combinations, is_complete)
        except SettingError as error:
            problems += error.below(dotted(("claims", index))).problems
    if problems:
        raise SettingError(problems)


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
