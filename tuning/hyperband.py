"""How Hyperband spends its epochs: brackets of rungs, as Keras Tuner 1.4.8 lays them out; pure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """How many settings of a bracket are trained up to how many epochs."""

    size: int
    epochs: int


Bracket = tuple[Rung, ...]


def brackets_of(max_epochs: int, factor: int) -> list[Bracket]:
    """The brackets of one iteration, the one with the shortest trainings first.

    Li et al. 2018, "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 18, with the sizes
    of Keras Tuner, which differ from the paper's by rounding.

    Args:
        max_epochs: what a setting that survives a bracket is trained for.
        factor: one in how many survives a rung; those are trained that many times longer.
    """
    most = 0
    epochs: float = max_epochs
    while epochs >= 1:
        epochs /= factor
        most += 1
    return [_bracket(number, max_epochs, factor) for number in reversed(range(most))]


def _bracket(number: int, max_epochs: int, factor: int) -> Bracket:
    share = math.ceil(1 + math.log(max_epochs, factor)) / (number + 1)
    return tuple(
        Rung(math.ceil(share * factor ** (number - rung)), math.ceil(max_epochs / factor ** (number - rung)))
        for rung in range(number + 1)
    )


def cost(bracket: Bracket) -> int:
    """The epochs that a bracket takes where every training goes on from where its setting stopped."""
    before = (0, *(rung.epochs for rung in bracket))
    return sum(rung.size * (rung.epochs - done) for rung, done in zip(bracket, before, strict=False))


def plan_brackets(max_epochs: int, factor: int, epochs: int, points: int | None) -> list[Bracket]:
    """The brackets that are paid by a number of epochs, in turn, up to the first that no longer is.

    No setting is begun twice, and there are so many `points` of them; None: infinitely many.
    """
    plan: list[Bracket] = []
    left = math.inf if points is None else points
    for bracket in itertools.cycle(brackets_of(max_epochs, factor)):
        epochs -= cost(bracket)
        left -= bracket[0].size
        if epochs < 0 or left < 0:
            break
        plan.append(bracket)
    return plan
