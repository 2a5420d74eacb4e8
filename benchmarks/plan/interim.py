"""Looks, the interim analyses: numbers of seeds at which claims are judged while seeds are added; pure.

All looks are known before the first, and alpha is divided evenly among them (Bonferroni), so that however many are
made, and whenever one stops, no more than alpha of true null hypotheses are rejected over all of them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from benchmarks.errors import UserError
from benchmarks.suite.claims import Analysis, least_seeds
from benchmarks.suite.suite import Suite


@dataclass(frozen=True)
class Looks:
    """The interim analyses of a suite: the growing numbers of seeds at which it is judged."""

    declared: tuple[int, ...]
    """Those that alpha is divided among."""
    made: tuple[int, ...]
    """Those of them that are made at most."""
    stand_in_suite: bool
    """Whether the suite declares them, and not the command line."""


def planned_looks(suite: Suite, most: int | None) -> Looks:
    """The looks at which a suite is judged until its claims are decided: its own, or, where it has none, new ones.

    New ones are at the suite's number of seeds, at twice as many, and so on, the last at `most`. One at which the
    sign-flip test cannot reject with its share of alpha is left out, so that nothing is spent on it.

    Args:
        suite: which.
        most: no look is made at more seeds.

    Raises:
        UserError: the suite has no claims, or so many seeds allow no look.
    """
    if not suite.claims:
        allowed = "a suite that says in [[claims]] what is to be decided; `docs/reference.md` has their keys"
        raise UserError(f"--until-resolved: the suite {suite.name} claims nothing\n  allowed: {allowed}")
    declared = suite.analysis.looks
    if declared:
        if most is not None and not declared[0] <= most <= declared[-1]:
            allowed = f"{declared[0]} to {declared[-1]}: the suite declares its looks, {', '.join(map(str, declared))}"
            raise UserError(f"--max-seeds: no look is declared for it\n  given:   {most}\n  allowed: {allowed}")
        return Looks(tuple(declared), tuple(look for look in declared if most is None or look <= most), True)
    if most is None:
        message = "--until-resolved: at most how many seeds? The suite declares no looks"
        raise UserError(f"{message}\n  allowed: --max-seeds N, or looks = [6, 12, 24] in [analysis]")
    found = _doubled(len(suite.seed_list), most)
    while found and found[0] < least_seeds(suite.analysis.alpha / len(found)):
        found = found[1:]
    if not found:
        least = max(len(suite.seed_list), least_seeds(suite.analysis.alpha))
        raise UserError(f"--max-seeds: too few for a verdict\n  given:   {most}\n  allowed: at least {least}")
    return Looks(tuple(found), tuple(found), False)


def seeds_at(suite: Suite, look: int) -> list[int]:
    """The seeds of a look: the suite's own, and after them the smallest others that no search has used."""
    own = suite.seed_list
    searched = suite.search.seeds if suite.search else suite.chosen_design.search_seeds
    taken = {*own, *searched}
    further = (seed for seed in itertools.count() if seed not in taken)
    return [*own, *itertools.islice(further, max(0, look - len(own)))][:look]


def analysis_with(suite: Suite, looks: list[int]) -> Analysis:
    """How the claims of a suite are judged, with the looks that were declared when it was run."""
    return suite.analysis.changed(looks=looks) if looks and not suite.analysis.looks else suite.analysis


def _doubled(first: int, last: int) -> list[int]:
    sizes = itertools.takewhile(lambda size: size < last, (first * 2**times for times in itertools.count()))
    return [*sizes, last] if first <= last else []
