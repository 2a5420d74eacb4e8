"""How far the differences of a report hang on the test examples that there are, whatever the number of seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.analysis.contrasts import Contrast
from benchmarks.analysis.example_noise import PairNoise, pair_noise, right_answers
from benchmarks.analysis.tables import level_column
from benchmarks.report import limits
from benchmarks.store import DatasetFacts, Store


@dataclass(frozen=True)
class DifferenceNoise:
    """One difference from the baseline."""

    contrast: Contrast
    pairs: tuple[PairNoise, ...]
    """The level's run first, then the baseline's with the same seed."""

    @property
    def only_level(self) -> float:
        """Share of the examples that the level's run alone has right, on average over the pairs."""
        return statistics.fmean(each.only_first for each in self.pairs)

    @property
    def only_baseline(self) -> float:
        """The same of the baseline's run."""
        return statistics.fmean(each.only_second for each in self.pairs)

    @property
    def error(self) -> float:
        """Standard error of a pair's difference over test sets of this size, on average over the pairs."""
        return statistics.fmean(each.error for each in self.pairs)


@dataclass(frozen=True)
class ExampleNoise:
    """Those differences of one dataset whose runs have kept outputs."""

    found: tuple[DifferenceNoise, ...]
    n_examples: int
    """Of the test split."""
    n_differences: int
    """Of the dataset; `found` may hold fewer."""
    obstacle: str | None
    """Why there are none, as a clause."""


def example_noise(
    name: str,
    facts: DatasetFacts,
    runs: pd.DataFrame,
    contrasts: Iterable[Contrast],
    baseline: Mapping[str, str],
    store: Store,
) -> ExampleNoise:
    """Hold which examples the runs of a level have right against those of the baseline, seed by seed.

    Args:
        name: of the dataset, as in the suite.
        facts: of the same.
        runs: its rows of what `run_table` gave.
        contrasts: its simple contrasts.
        baseline: factor -> label of its baseline level.
        store: has the predictions and the labels.

    Raises:
        StoreError: it cannot be read.
    """
    known = [each for each in contrasts if each.estimate.n]

    def without(obstacle: str) -> ExampleNoise:
        return ExampleNoise((), facts.num_test, len(known), obstacle)

    if facts.task == "regression":
        return without("a regression has no accuracy")
    labels = store.labels(name.partition(":")[0], facts.version)
    if labels is None:
        return without("the labels of the test examples were not kept")
    done = runs[runs["status"] == "done"]

    def right(levels: Mapping[str, str], seeds: Sequence[int]) -> dict[int, np.ndarray]:
        cell = done[(done[[level_column(each) for each in levels]] == list(levels.values())).all(axis="columns")]
        own = cell[cell["seed"].isin(seeds)]
        return {
            seed: right_answers(facts.task, made, labels)
            for seed, key in zip(own["seed"], own["key"], strict=True)
            for made in store.predictions([key]).values()
        }

    at_baseline = right(baseline, sorted(done["seed"].unique())[: limits.MOST_NOISE_PAIRS])
    found = []
    for contrast in known[: limits.MOST_NOISE_DIFFERENCES]:
        at_level = right({**baseline, contrast.factor: contrast.level}, list(at_baseline))
        pairs = tuple(pair_noise(own, at_baseline[seed]) for seed, own in at_level.items())
        found += [DifferenceNoise(contrast, pairs)] if pairs else []
    if not found:
        return without("of no pair of runs the outputs for the test examples were kept")
    return ExampleNoise(tuple(found), facts.num_test, len(known), None)
