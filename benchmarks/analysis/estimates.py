"""What a small sample of values says: its mean, its spread and a t interval, and nothing below the least n.

And how wide that interval was with fewer values, and would be with more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

CONFIDENCE = 0.95

LEAST_N = 3
"""Fewest values for a mean with an interval; below it, values are shown as they are."""

_FURTHER = 3
"""Times the values there are that is looked ahead."""

# Differences of accuracies are rounded in the last place, so "all equal" cannot mean equal bits.
_RESOLUTION = 1e-12

Widths = list[tuple[int, float]]
"""Number of values, and half of the interval with so many."""

State = Literal["interval", "raw values", "degenerate", "no values"]


@dataclass(frozen=True)
class Estimate:
    """A sample and what can be said of it; numbers that cannot be given are NaN."""

    state: State
    """Degenerate: there are enough values, and all are equal, so an interval would have no width."""
    values: tuple[float, ...]
    mean: float = math.nan
    sd: float = math.nan
    """Standard deviation of the sample, with n - 1."""
    ci_low: float = math.nan
    ci_high: float = math.nan

    @property
    def n(self) -> int:
        """Number of values."""
        return len(self.values)


NO_ESTIMATE = Estimate("no values", ())


def estimate(values: Iterable[float], least_n: int = LEAST_N, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a mean with its t interval.

    Args:
        values: one a seed; those that are not finite are holes and are left out.
        least_n: fewest values for a mean; never below 2.
        confidence: how often such an interval covers the mean.
    """
    kept = tuple(float(value) for value in values if math.isfinite(value))
    if not kept:
        return NO_ESTIMATE
    if len(kept) < max(least_n, 2):
        return Estimate("raw values", kept)
    sample = np.array(kept)
    mean, sd = float(sample.mean()), float(sample.std(ddof=1))
    if is_degenerate(sample):
        return Estimate("degenerate", kept, mean, sd=0.0)
    interval = stats.ttest_1samp(sample, 0).confidence_interval(confidence)
    return Estimate("interval", kept, mean, sd, float(interval.low), float(interval.high))


def p_against_zero(found: Estimate) -> float:
    """Of the t test against a mean of zero; NaN where there is no interval."""
    return float(stats.ttest_1samp(found.values, 0).pvalue) if found.state == "interval" else math.nan


def half_widths(sd: ArrayLike, n: ArrayLike) -> np.ndarray:
    """Half the t interval of a mean of n values with this standard deviation, for each n."""
    size = np.asarray(n)
    return np.asarray(stats.t.isf((1 - CONFIDENCE) / 2, size - 1) * np.asarray(sd) / np.sqrt(size))


def is_degenerate(sample: np.ndarray) -> bool:
    """Whether all values are equal, up to rounding."""
    return bool(np.ptp(sample) <= _RESOLUTION * max(1.0, float(np.abs(sample).max())))


def signs(sample: np.ndarray) -> np.ndarray:
    """1, 0 or -1 for each value, 0 where it is zero up to rounding."""
    return np.where(np.abs(sample) <= _RESOLUTION, 0.0, np.sign(sample))


def standardized_mean(found: Estimate) -> float:
    """Mean over standard deviation with Hedges's correction for small n: d_z where the values are paired differences.

    NaN where the estimate has no interval.
    """
    if found.state != "interval":
        return math.nan
    freedom = found.n - 1
    log_correction = special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2) - math.log(freedom / 2) / 2
    return found.mean / found.sd * math.exp(log_correction)


def precision_so_far(values: Sequence[float]) -> Widths:
    """Half the interval after each number of seeds, from the least that gives one."""
    known = np.array([value for value in values if math.isfinite(value)])
    sizes = np.arange(1, len(known) + 1)
    # Sums around a common centre, so that they keep the digits that tell the values apart.
    centred = known - known.mean() if len(known) else known
    squares = np.cumsum(centred**2) - np.cumsum(centred) ** 2 / sizes
    spreads = np.sqrt(np.maximum(squares, 0) / np.maximum(sizes - 1, 1))
    first = next((n for n in range(LEAST_N, len(known) + 1) if not is_degenerate(known[:n])), len(known) + 1)
    shown = slice(first - 1, None)
    return list(zip(sizes[shown].tolist(), half_widths(spreads[shown], sizes[shown]).tolist(), strict=True))


def precision_ahead(values: Sequence[float]) -> Widths:
    """Half the interval with further seeds, from those there are to three times as many, if the spread stays."""
    found = estimate(values)
    if found.state != "interval":
        return []
    sizes = range(found.n, _FURTHER * found.n + 1)
    return list(zip(sizes, half_widths(found.sd, sizes).tolist(), strict=True))
