"""A guard against skewed differences: what the t test would say if it allowed for their skewness.

A t test of few skewed values errs towards the side without the tail: the tail has not been drawn yet, so that mean and
spread both look too small. Hall's transformation (1992, J. R. Statist. Soc. B 54) takes the first term of this error
out of t and grows with t all the same. The skewness that it takes is the sample's, which is too small where samples
are: of exponential values, whose skewness is 2, six show 1.1 and twenty 1.7 in the mean. It is therefore enlarged.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import stats

from benchmarks.analysis.estimates import is_degenerate

ENLARGED = 1.25
"""The least factor, in steps of a quarter, with which at most 5 % of verdicts on exponential differences are wrong."""

MOST_SAMPLED = 40
"""For more values than this, the skewness of normal samples is taken to be normal itself."""

_SAMPLES, _QUANTILES = 8000, 20


def skewness(sample: np.ndarray) -> float:
    """The skewness of a sample of three values or more, corrected for its size (G1)."""
    return float(stats.skew(sample, bias=False))


def skew_p(sample: np.ndarray) -> float:
    """The p of a mean of zero for the t test that allows for skewness: two-sided, 1 where it points the other way.

    Values that are all equal have no skewness: 0, or 1 where they are all zero.

    Args:
        sample: three values or more.
    """
    n = len(sample)
    if is_degenerate(sample):
        return float(is_degenerate(np.append(sample, 0.0)))
    t = float(sample.mean()) / (float(sample.std(ddof=1)) / math.sqrt(n))
    towards = math.copysign(1.0, t)
    return min(1.0, float(2 * stats.t.sf(transformed(abs(t), towards * skewness(sample), n), n - 1)))


def transformed(t: np.ndarray | float, skew: np.ndarray | float, n: int) -> np.ndarray | float:
    """Hall's transformation of a t of n values with this skewness."""
    tail, per_value = ENLARGED * skew, t / math.sqrt(n)
    cubic = per_value + tail * per_value**2 / 3 + tail**2 * per_value**3 / 27 + tail / (6 * n)
    return math.sqrt(n) * cubic


def power_against_skewness(size: float, n: int, critical: float, takes_all: bool) -> float:
    """How often the t of n normal values is above a critical value both as it is and transformed.

    Up to `MOST_SAMPLED` values it is counted over samples, the same ones at each call.

    Args:
        size: their mean in standard deviations, not below 0.
        n: how many.
        critical: what t has to pass.
        takes_all: whether all values have to lie above zero besides.
    """
    if n > MOST_SAMPLED:
        needed = np.maximum(critical, _needed(critical, _skews_of_many(n), n))
        return float(np.mean(stats.nct.sf(needed, n - 1, size * math.sqrt(n))))
    means, deviations, skews, least = _normal_samples(n)
    t = (means + size) / deviations * math.sqrt(n)
    passed = (t > critical) & (transformed(t, skews, n) > critical)
    return float(np.mean(passed & (least + size > 0) if takes_all else passed))


def _needed(critical: float, skews: np.ndarray, n: int) -> np.ndarray:
    """The t whose transformation is the critical value."""
    tails = ENLARGED * skews
    return np.asarray(3 / tails * (np.cbrt(1 + tails * (critical / math.sqrt(n) - tails / (6 * n))) - 1) * math.sqrt(n))


def _skews_of_many(n: int) -> np.ndarray:
    """Quantiles of the skewness of n normal values."""
    deviation = math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return np.asarray(deviation * stats.norm.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES))


@functools.lru_cache(maxsize=MOST_SAMPLED)
def _normal_samples(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means, standard deviations, skewnesses and least values; a smaller sample is the beginning of a larger one."""
    values = np.random.default_rng(0).normal(size=(MOST_SAMPLED, _SAMPLES))[:n]
    return values.mean(axis=0), values.std(axis=0, ddof=1), stats.skew(values, axis=0, bias=False), values.min(axis=0)
