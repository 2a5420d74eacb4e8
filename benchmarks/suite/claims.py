"""Claims: what a suite states before its runs, and how the statements are to be judged."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SkipValidation, model_validator

from benchmarks.metrics import METRICS
from benchmarks.settings.run import canonical_json
from zoo.settings import OneOf, Problem, Settings, as_written, found_problems, setting

ClaimKind = Literal["superiority", "equivalence", "non_inferiority"]

CLAIM_KINDS: Mapping[ClaimKind, str] = {
    "superiority": "`better` beats `than` by more than the margin",
    "equivalence": "`better` and `than` differ by less than the margin, whichever is ahead",
    "non_inferiority": "`better` falls behind `than` by less than the margin",
}
"""What each kind of claim states."""

AcrossDatasets = Literal["each", "all", "average", "generalises"]

ACROSS_DATASETS: Mapping[AcrossDatasets, str] = {
    "each": "a verdict for each dataset",
    "all": "one verdict: it holds on every one of the datasets",
    "average": "one verdict: it holds on the average of the datasets named",
    "generalises": "one verdict: it holds on the average of datasets such as these; six or more are needed",
}
"""What a claim states about several datasets."""

LEAST_DATASETS: Mapping[AcrossDatasets, int] = {"each": 1, "all": 1, "average": 2, "generalises": 6}
"""Datasets that a suite needs for each of them."""

LEAST_SEEDS = 6
"""Fewest paired differences for a verdict: with five, the sign-flip test cannot reject at 0.05. A look with fewer would
spend its share of alpha on nothing."""

Level = SkipValidation[bool | int | float | str | list[Any]]
"""A level as it is written. Whether it is one of a factor is for the suite to say, which has the factors."""

Assignment = dict[str, Level]
"""Factor, or setting -> level, or value."""


class Claim(Settings):
    """A statement about two levels of a factor, with all that is needed to judge it."""

    statement: str = setting(..., "The claim in words, as the report prints it above the verdict.", min_length=1)
    factor: str = setting(..., "The factor whose levels are compared.")
    better: Level = setting(..., "The level of which something is claimed.")
    than: Level = setting(..., "The level that it is compared with.")
    where: Assignment = setting(
        {},
        "Other factor -> its level. A factor that is not named is averaged over where the design has every "
        "combination or a fraction made for it, and is at its baseline elsewhere.",
    )
    metric: Annotated[str, OneOf("metric", METRICS)] | None = setting(
        None, "What is compared; where it is not given, test accuracy, or the test RMSE of a regression."
    )
    margin: float = setting(
        ...,
        "The least difference that matters, in the metric's own unit: 0.002 is 0.2 % of accuracy.",
        ge=0,
        allow_inf_nan=False,
    )
    kind: ClaimKind = setting("superiority", "Better by more than the margin, as good within it, or no worse by more.")
    datasets: AcrossDatasets = setting("each", "What is claimed where the suite has several datasets.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = []
        if not self.statement.strip():
            problems.append(Problem("statement", "an empty claim", as_written(self.statement), "a sentence"))
        if self.margin == 0 and self.kind != "superiority":
            message = f"no two levels are ever shown to be within 0 of each other: {self.kind} needs a margin"
            problems.append(Problem("margin", message, as_written(self.margin), "more than 0"))
        if problems:
            raise found_problems(problems)
        return self


class Analysis(Settings):
    """How the claims of a suite are judged, all of them alike."""

    alpha: float = setting(0.05, "Share of true null hypotheses that may be rejected, over all claims.", gt=0, le=0.5)
    looks: list[Annotated[int, Field(ge=LEAST_SEEDS)]] = setting(
        [],
        "Where seeds are added after a look at the results: every number of seeds at which there is a look, such as "
        "[6, 10, 14]. Alpha is divided evenly among them.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.looks != sorted(set(self.looks)):
            allowed = "growing numbers of seeds, such as [6, 10, 14]"
            raise found_problems([Problem("looks", "seeds are added from look to look", str(self.looks), allowed)])
        return self

    @property
    def alpha_per_look(self) -> float:
        """What remains of alpha for the verdicts of one look."""
        return self.alpha / max(1, len(self.looks))


def least_seeds(alpha: float) -> int:
    """Fewest differences of which the sign-flip test can reject at `alpha`, its least p being 2^(1 - n)."""
    return next(n for n in itertools.count(LEAST_SEEDS) if 2.0 ** (1 - n) < alpha)


def claim_hash(claim: Claim) -> str:
    """What tells a claim from others: its words, what it compares, and how it is to be judged.

    A setting of claims that is added later, at a default that keeps what was before, leaves it as it was.
    """
    return hashlib.sha256(canonical_json(claim.differing_from_default()).encode()).hexdigest()
