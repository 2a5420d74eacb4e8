"""Verdicts in sentences, each of which says what its verdict says and no more.

The sentences stand in two tables, so that what a report can say is read in one place. They speak of "the claim" where
the verdict does, of a side only where its test has shown it, and of nothing where it is inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.analysis.verdicts import IDENTICAL, Verdict
from benchmarks.suite.claims import AcrossDatasets, ClaimKind

DECIDED: Mapping[tuple[ClaimKind, str, str], str] = {
    ("superiority", "supported", "superior"): "{better} is better than {than}{by_more}{scope}",
    ("superiority", "refuted", "reversed"): "{than} is better than {better}{by_more}{scope}",
    ("superiority", "refuted", "equivalent"): (
        "{better} and {than} differ by less than {margin}{scope}, whichever is ahead"
    ),
    ("superiority", "refuted", "no relevant gain"): (
        "{better} is not better than {than}{by_more}{scope}; whether it is worse by more than that is open"
    ),
    ("equivalence", "supported", "equivalent"): (
        "{better} and {than} differ by less than {margin}{scope}, whichever is ahead"
    ),
    ("equivalence", "refuted", "superior"): "{better} is better than {than}{by_more}{scope}",
    ("equivalence", "refuted", "inferior"): "{better} is worse than {than} by more than {margin}{scope}",
    ("non_inferiority", "supported", "non-inferior"): (
        "{better} falls behind {than} by less than {margin}{scope}; whether it is better is not part of the claim"
    ),
    ("non_inferiority", "refuted", "inferior"): ("{better} falls behind {than} by more than {margin}{scope}"),
}
"""Kind of the claim, word and kind of the verdict -> what the runs say, as a clause."""

OPEN: Mapping[str, str] = {
    "too few seeds": "there are fewer seeds than a verdict takes",
    "too few datasets": "there are fewer datasets than a verdict takes",
    "missing pair": "runs without an outcome leave holes, and nothing is averaged over them",
    "degenerate": "the differences do not vary, so nothing is known of their spread",
    "not in the design": "the design lacks a cell that it compares",
    "no such metric": "a dataset does not have this metric",
    "unequal budget": "the levels were tuned with unequal budgets",
    "different units": "the values of the datasets are in different units",
    "tests disagree": "the t test decides it and the sign-flip test does not",
    "skewed differences": (
        "the differences have a long tail towards the margin, and a t test that allows for it does not decide"
    ),
    "size unresolved": "the interval reaches across the margin",
    "direction unresolved": "the interval reaches across the margin and across zero",
    "not after Holm": "alone it would be decided; not among all registered claims",
    "mixed": "a dataset speaks against the average",
    "simple effects differ": "the verdicts at single levels of other factors differ, so their mean has none",
}
"""Kind of an inconclusive verdict -> why, as a clause."""

NO_MATTER_OF_SEEDS = (
    "missing pair",
    "not in the design",
    "no such metric",
    "unequal budget",
    "different units",
    "simple effects differ",
    "mixed",
)
"""Kinds of inconclusive verdicts that further seeds do not decide."""

SCOPES: Mapping[AcrossDatasets, str] = {
    "each": "",
    "all": " on every one of the datasets",
    "average": " on the average of these datasets",
    "generalises": " on the average of datasets such as these",
}
"""What a verdict about several datasets is about."""

FAILS_SOMEWHERE = "it is refuted {detail}, so it does not hold on every dataset"
"""Of a claim about all datasets that is refuted; the datasets that refute it may each do so in a way of their own."""

EXPLORATORY = "Exploratory, since {why}: an interval and no verdict."

SKEWED = (
    "In simulation, with 6 to 20 seeds and a nominal 5 %, a verdict came in at most 5 % of samples where two arms do "
    "not differ, however skewed each is. Where the differences themselves are skewed and have a mean of zero, a single "
    "claim had one in about 5 % at most up to the skewness of an exponential distribution, and in 5 to 9 % of "
    "lognormal differences (skewness 6), which no test of so few values tells apart from an effect. Ten claims of such "
    "differences, or one on all of ten datasets, had a wrong verdict somewhere in up to four times as many."
)
"""From `tools.error_rates`."""


@dataclass(frozen=True)
class Names:
    """What the sentences are filled with."""

    better: str
    than: str
    margin: str
    """With its unit."""
    by_more: str
    """How much better, as the claim has it; empty where the margin is zero, which nobody needs to be told."""


def sentence(kind: ClaimKind, across: AcrossDatasets, verdict: Verdict, names: Names) -> str:
    """A verdict in one sentence."""
    if verdict.word == "inconclusive":
        detail = f" ({verdict.detail})" if verdict.detail else ""
        return f"The runs do not decide the claim: {OPEN[verdict.kind]}{detail}."
    if verdict.detail == IDENTICAL:
        clause = f"{names.better} and {names.than} gave identical results with every seed, so this changes nothing here"
    elif across == "all" and verdict.word == "refuted":
        clause = FAILS_SOMEWHERE.format(detail=verdict.detail)
    else:
        pattern = DECIDED[kind, verdict.word, verdict.kind]
        clause = pattern.format(**vars(names), scope=SCOPES[across])
    return f"The runs {'support' if verdict.word == 'supported' else 'speak against'} it: {clause}."
