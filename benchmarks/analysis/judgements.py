"""What judging claims gives: plain records, which a report prints and `as_plain` makes JSON of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.analysis.contrasts import Contrast, Pair
from benchmarks.analysis.verdicts import Evidence, Verdict
from benchmarks.suite.claims import AcrossDatasets, ClaimKind


@dataclass(frozen=True)
class Check:
    """Evidence beside a judgement; its p is not adjusted."""

    name: str
    evidence: Evidence
    verdict: Verdict | None
    """None for an exploratory claim."""


@dataclass(frozen=True)
class SeedPair(Pair):
    """One seed's difference with both its sides, as they are measured: each a mean over the cells of its side."""

    better: float
    """NaN where a run of it has no value."""
    than: float


@dataclass(frozen=True)
class Judgement:
    """What is said of a claim, on one dataset or on all together."""

    dataset: str | None
    """None where the claim is about several."""
    metric: str
    evidence: Evidence
    """For a claim about all datasets, that of the one with the worst p."""
    pairs: tuple[SeedPair, ...]
    """Each planned seed's difference, holes among them; empty where the claim is about several datasets."""
    p: float
    """What is adjusted; NaN where there is no test, which counts as 1."""
    adjusted_p: float
    verdict: Verdict | None
    """None for an exploratory claim."""
    datasets: tuple[Check, ...]
    """Each dataset alone, where the claim is about several."""
    without_diverged: Check | None
    """Without the pairs of which a run diverged; None where none did."""
    simple_effects: tuple[Check, ...]
    """At each level of each factor that is averaged over."""

    @property
    def word(self) -> str:
        """The first word of the verdict, or "exploratory"."""
        return self.verdict.word if self.verdict else "exploratory"

    @property
    def title(self) -> str:
        """The title of the verdict, or "exploratory"."""
        return self.verdict.title if self.verdict else "exploratory"


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with what is said of it."""

    statement: str
    kind: ClaimKind
    across: AcrossDatasets
    factor: str
    better: str
    than: str
    where: Mapping[str, str]
    averaged_over: tuple[str, ...]
    """Factors that are averaged over within each seed; others that `where` does not name are at their baseline."""
    changing_with: tuple[str, ...]
    """Factors whose levels change along with the claim's own, where the design pairs them."""
    margin: float
    is_registered: bool
    has_simple_effects: bool
    """False where the design cannot tell the simple effects of what is averaged over."""
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True)
class JudgedClaims:
    """All claims of a suite."""

    alpha: float
    looks: int
    look: int
    alpha_per_look: float
    family: int
    """The number of p-values that Holm's correction is over."""
    claims: tuple[JudgedClaim, ...]

    @property
    def judgements(self) -> list[tuple[JudgedClaim, Judgement]]:
        """Each claim with each of its judgements."""
        return [(claim, each) for claim in self.claims for each in claim.judgements]


@dataclass(frozen=True)
class Explored:
    """A difference that nobody claimed, with its p; there is no verdict on it."""

    contrast: Contrast
    p: float
    """Of the paired t test against zero; NaN where there is no interval."""
    adjusted_p: float
    """Benjamini and Hochberg's, over all that was explored together; what has no p counts as 1."""
