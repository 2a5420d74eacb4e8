"""Comparisons: the cells that each claim of a suite compares, and what its design can estimate; pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.labels import level_label
from benchmarks.metrics import METRICS
from benchmarks.plan.combinations import combinations_of, has_every_combination, levels_told, order_of
from benchmarks.plan.fractions import num_base_factors, words_of
from benchmarks.runs import Levels
from benchmarks.suite.claims import Claim
from benchmarks.suite.suite import Suite
from zoo.settings import Problem, SettingError


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
        else _LIMITS[design].format(order=", ".join(order_of(suite)))
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


def _estimable_of_fraction(suite: Suite) -> Estimable:
    words, names = words_of(suite), list(suite.factors)
    pairs: dict[int, list[str]] = {}
    for (first, word), (second, other) in itertools.combinations(zip(names, words, strict=True), 2):
        pairs.setdefault(word ^ other, []).append(f"{first} x {second}")
    aliases = tuple(" = ".join(equal) for equal in pairs.values() if len(equal) > 1)
    size = f"A fraction of {2 ** num_base_factors(words)} of {2 ** len(words)} combinations: "
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
    return comparison_among(suite, claim, combinations_of(suite), has_every_combination(suite))


def comparison_among(suite: Suite, claim: Claim, combinations: list[Levels], is_complete: bool) -> Comparison:
    """The same among the suite's combinations, where these and whether its factors have no others are known.

    Raises:
        SettingError: they have no such cells.
    """
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
    return Problem("", "the design has no such cell", levels_told(wanted), allowed, levels_told(closest))


def _refuse_where(suite: Suite, where: Levels) -> None:
    if not where:
        return
    title = levels_told(where)
    if suite.chosen_design.name == "paired":
        message = "where factors are paired, the level of one names the whole cell"
        raise SettingError([Problem("where", message, title, "no other factor")])
    if len(where) > 1 or not _estimable_of_fraction(suite).interactions:
        message = "effects at single levels of other factors are mixed with other effects in this fraction"
        allowed = "one factor, with resolution 5" if len(where) > 1 else "no factor, or resolution = 5"
        raise SettingError([Problem("where", message, title, allowed)])
