"""What each change along a path gives after the changes before it, paired over seeds, and what it gives alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.analysis.contrasts import Pair, level_pairs, oriented
from benchmarks.analysis.estimates import Estimate, estimate
from benchmarks.plan.combinations import Change
from benchmarks.runs import Factors, Levels


@dataclass(frozen=True)
class Step:
    """One change along a path, on one dataset; positive where it made the outcome better."""

    change: Change
    levels: Levels
    """After it."""
    gain: Estimate
    """Over the cell before it on the path."""
    since_baseline: Estimate
    """Of this change and all before it together."""
    alone: Estimate
    """Over the baseline, where nothing else is changed."""
    n_planned: int
    """Pairs that the suite plans."""
    n_diverged: int
    """Pairs of the gain of which a run diverged: it counts at the level without learning."""


def steps_along(runs: pd.DataFrame, factors: Factors, changes: Sequence[Change]) -> list[Step]:
    """What each change of a path gives.

    Args:
        runs: rows of one dataset of what `run_table` gave.
        factors: every factor of the suite.
        changes: in their order, of each factor one at most.
    """
    turned, present, steps = oriented(runs), dict(factors.baseline), list[Step]()
    total: dict[int, float] | None = dict.fromkeys(map(int, runs["seed"].unique()), 0.0)
    for change in changes:
        pairs = _pairs(turned, factors, present, change)
        alone = _pairs(turned, factors, factors.baseline, change)
        total = None if pairs is None or total is None else {p.seed: total[p.seed] + p.difference for p in pairs}
        present[change[0]] = change[1]
        steps.append(
            Step(
                change,
                dict(present),
                gain=estimate(pair.difference for pair in pairs or ()),
                since_baseline=estimate((total or {}).values()),
                alone=estimate(pair.difference for pair in alone or ()),
                n_planned=len(pairs or ()),
                n_diverged=sum(pair.diverged and math.isfinite(pair.difference) for pair in pairs or ()),
            )
        )
    return steps


def _pairs(turned: pd.DataFrame, factors: Factors, present: Levels, change: Change) -> tuple[Pair, ...] | None:
    """Seed by seed, the difference that a change makes at these levels; None where the design lacks a cell."""
    factor, level = change
    others = {name: label for name, label in present.items() if name != factor}
    return level_pairs(turned, factors, factor, level, factors.baseline[factor], others)
