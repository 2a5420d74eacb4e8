"""How wide the interval of a difference was with fewer seeds, and would be with more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.analysis.estimates import LEAST_N, estimate, half_widths, is_degenerate

Widths = list[tuple[int, float]]
"""Number of seeds, and half of the interval with so many."""

_FURTHER = 3
"""Times the seeds there are that is looked ahead."""


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
