"""How many seeds a verdict takes, and how often so many seeds reach one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats
from statsmodels.stats.power import TTestPower

from benchmarks.analysis.skewness import power_against_skewness
from benchmarks.suite.claims import least_seeds

MOST_SEEDS = 10_000
"""More seeds than this are not counted out."""

POWER = 0.8
"""How often the seeds that are asked for should reach a verdict, if things are as they look."""


@dataclass(frozen=True)
class SeedsNeeded:
    """How many seeds (or datasets, where these are what is counted) a verdict would take."""

    number: int | None
    """None where no number helps, none is known, or it is above `MOST_SEEDS`."""
    text: str


def seeds_needed(
    distance: float,
    sd: float,
    alpha: float,
    *,
    guard_alpha: float | None = None,
    power: float = POWER,
    unit: str = "seeds",
) -> SeedsNeeded:
    """The seeds with which a verdict comes with the power wanted, if mean and spread stay as they are.

    Args:
        distance: from the mean to the margin that it is tested against.
        sd: standard deviation of the differences.
        alpha: of the t test, two-sided, as divided among claims and looks.
        guard_alpha: of the sign-flip test, which is not divided among claims; `alpha` if it is not given.
        power: how often the verdict should come.
        unit: what is counted, in the plural.
    """
    guard_alpha = alpha if guard_alpha is None else guard_alpha
    least = least_seeds(guard_alpha)
    if not (math.isfinite(distance) and math.isfinite(sd)):
        return SeedsNeeded(None, f"not known: there are too few {unit} to tell the spread; at least {least}")
    if sd <= 0:
        return SeedsNeeded(None, f"not known: the differences do not vary over the {unit}")
    if distance == 0:
        return SeedsNeeded(None, f"never: the mean lies on the margin, and no number of {unit} tells them apart")
    size = abs(distance) / sd
    if promised_power(size, least, alpha, guard_alpha) >= power:
        return SeedsNeeded(least, f"{least} {unit}")
    if promised_power(size, MOST_SEEDS, alpha, guard_alpha) < power:
        return SeedsNeeded(None, f"more than {MOST_SEEDS:,} {unit}")
    number = least + 1
    if TTestPower().power(size, number, alpha / 2, alternative="larger") < power:
        # One side of the two-sided test: the other side's share is nothing here, and scipy gives NaN for it at times.
        number = math.ceil(TTestPower().solve_power(size, alpha=alpha / 2, power=power, alternative="larger"))
    while promised_power(size, number, alpha, guard_alpha) < power:
        number += 1
    return SeedsNeeded(number, f"{number:,} {unit}")


def promised_power(size: float, n: int, alpha: float, guard_alpha: float | None = None) -> float:
    """How often n normal differences give a verdict, towards where their mean is.

    It is the power of the t test with its guards: none where the sign-flip test cannot reject; where that test rejects
    only if all differences lie on one side, no more than the probability of this; and the share of samples that also
    pass once their skewness is allowed for.

    Args:
        size: distance of the mean from the margin in standard deviations.
        n: number of differences.
        alpha: of the t test, two-sided.
        guard_alpha: of the sign-flip test; `alpha` if it is not given.
    """
    guard_alpha = alpha if guard_alpha is None else guard_alpha
    if n < least_seeds(guard_alpha):
        return 0.0
    takes_all = 2.0 ** (2 - n) >= guard_alpha
    return power_against_skewness(abs(size), n, float(stats.t.isf(alpha / 2, n - 1)), takes_all)
