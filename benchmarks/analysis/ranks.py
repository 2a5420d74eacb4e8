"""Which of several candidates ranks first over many datasets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from benchmarks.analysis.verdicts import ALPHA, holm

LEAST_DATASETS_FOR_RANKS = 6


@dataclass(frozen=True)
class RankedPair:
    """Two candidates over the datasets."""

    first: str
    second: str
    median_difference: float
    """Of first minus second, over the datasets."""
    p: float
    """Of Wilcoxon's signed-rank test; 1 where the two are equal on every dataset."""
    adjusted_p: float
    """Holm's, over all pairs."""


@dataclass(frozen=True)
class Ranks:
    """Candidates ranked over datasets."""

    obstacle: str | None
    """Why there are no ranks, as a clause; None where there are."""
    n_datasets: int
    mean_ranks: dict[str, float]
    """Candidate -> its mean rank, 1 for the best; ties share theirs. The best comes first."""
    friedman_p: float
    """NaN for two candidates, where Wilcoxon's test says it all, and where all are equal everywhere."""
    pairs: tuple[RankedPair, ...]
    """Only where Friedman's test finds that the candidates differ at all."""
    note: str
    """What the tests could not have found at this number of datasets; empty where there is nothing to say."""


def rank_over_datasets(scores: pd.DataFrame) -> Ranks:
    """Rank candidates by Friedman's test, and, where it finds that they differ, by Wilcoxon's for each pair.

    Args:
        scores: a row for each dataset and a column for each candidate, oriented so that higher is better.
    """
    obstacle = _obstacle(scores)
    if obstacle:
        return Ranks(obstacle=obstacle, n_datasets=len(scores), mean_ranks={}, friedman_p=math.nan, pairs=(), note="")
    ranks = scores.rank(axis="columns", ascending=False).mean().sort_values(kind="stable")
    columns = [scores[name].to_numpy() for name in scores]
    is_tied = bool((scores.nunique(axis="columns") == 1).all())
    friedman_p = math.nan
    if len(columns) > 2 and not is_tied:
        friedman_p = float(stats.friedmanchisquare(*columns).pvalue)
    shows_pairs = friedman_p < ALPHA or (len(columns) == 2 and not is_tied)
    pairs = _pairs(scores) if shows_pairs else ()
    mean_ranks = {str(name): float(rank) for name, rank in ranks.items()}
    return Ranks(None, len(scores), mean_ranks, friedman_p, pairs, _note(len(scores), len(pairs)))


def not_told_apart(found: Ranks, candidates: Sequence[str], alpha: float = ALPHA) -> list[tuple[int, int]]:
    """First and last place of every longest run of neighbours of which no two differ, as places in `candidates`."""
    differing = {frozenset((pair.first, pair.second)) for pair in found.pairs if pair.adjusted_p < alpha}
    groups: list[tuple[int, int]] = []
    for first in range(len(candidates)):
        last = first
        while last + 1 < len(candidates) and not any(
            frozenset((candidates[each], candidates[last + 1])) in differing for each in range(first, last + 1)
        ):
            last += 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups


def _obstacle(scores: pd.DataFrame) -> str | None:
    if scores.shape[1] < 2:
        return "they need two candidates or more"
    if len(scores) < LEAST_DATASETS_FOR_RANKS:
        return f"they need {LEAST_DATASETS_FOR_RANKS} datasets and there are {len(scores)}"
    holes = int(scores.isna().to_numpy().sum())
    return f"{holes} of {scores.size} scores are missing" if holes else None


def _pairs(scores: pd.DataFrame) -> tuple[RankedPair, ...]:
    names = list(itertools.combinations(scores, 2))
    differences = [scores[first] - scores[second] for first, second in names]
    values = [float(stats.wilcoxon(each).pvalue) if each.any() else 1.0 for each in differences]
    return tuple(
        RankedPair(str(first), str(second), float(each.median()), p, adjusted_p)
        for (first, second), each, p, adjusted_p in zip(names, differences, values, holm(values), strict=True)
    )


def _note(n_datasets: int, n_pairs: int) -> str:
    least = 2.0 ** (1 - n_datasets) * n_pairs
    if least < ALPHA:
        return ""
    return f"with {n_datasets} datasets and {n_pairs} pairs, no pair can have an adjusted p below {min(1.0, least):.3f}"
