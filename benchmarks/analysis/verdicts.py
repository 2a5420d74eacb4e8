"""What paired differences say about a claim: the evidence, and the verdict on it.

A verdict has two parts, because Holm's correction lies between them: `evidence_of` gives the evidence with its p, and
`verdict_of` takes the p that is adjusted for all the claims of a suite. Differences are oriented: higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

from benchmarks.analysis.estimates import State, estimate, signs, standardized_mean
from benchmarks.analysis.power import POWER, SeedsNeeded, seeds_needed
from benchmarks.analysis.skewness import skew_p
from benchmarks.suite.claims import ClaimKind, least_seeds

ALPHA = 0.05

Word = Literal["supported", "refuted", "inconclusive"]
Unit = Literal["seeds", "datasets"]

DRAWN_FLIPS = 9999
"""Sign flips that are drawn at random at least, where there are more than are made."""

FLIPS_BELOW = 50
"""How many of the flips drawn lie below alpha at least: with fewer, their share would be left to chance."""

FLIPS_AT_ONCE = 10_000

REFUTATIONS: Mapping[Word, str] = {
    "refuted": "reversed",
    "supported": "equivalent",
    "inconclusive": "no relevant gain",
}
"""Verdict on non-inferiority by the same margin -> what a refutation of superiority is besides."""


IDENTICAL = "both gave identical results"
"""Detail of a verdict on runs that gave every metric alike with every seed."""


@dataclass(frozen=True)
class Obstacle:
    """What forbids a verdict, whatever the numbers are."""

    kind: str
    detail: str = ""


EQUAL_DIFFERENCES = Obstacle("degenerate", "every seed gives the same difference")


@dataclass(frozen=True)
class Tested:
    """A mean held against the margin of a claim."""

    boundary: float = math.nan
    """What is tested against: the margin, minus the margin for non-inferiority, the nearer of both for equivalence."""
    t: float = math.nan
    p: float = math.nan
    """Two-sided; for equivalence, with the mean within the margins, that of two one-sided tests."""
    p_support: float = math.nan
    """One-sided, for the claim."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What can be said of a claim before its p is adjusted; numbers that cannot be given are NaN."""

    kind: ClaimKind
    margin: float
    alpha: float
    """For one look; the interval has the confidence 1 - alpha."""
    unit: Unit
    """What n counts."""
    n_planned: int
    n: int
    differences: tuple[float, ...] = ()
    """Those that count, in the order of the seeds; empty where datasets are combined."""
    state: State
    are_identical: bool = False
    """Whether both sides gave identical results with every seed, which no test is needed to tell."""
    obstacle: Obstacle | None
    """What comes first of all that forbids a verdict; None where nothing does."""
    mean: float
    sd: float
    ci_low: float
    ci_high: float
    df: float
    tested: Tested = Tested()
    signflip_p: float = math.nan
    """Of the sign-flip test against the same boundary, two-sided; for equivalence within the margins the larger p."""
    is_signflip_exact: bool
    skew_p: float = math.nan
    """Of the t test that allows for skewness, against the same boundary; as `signflip_p` otherwise."""
    if_refuted: str = ""
    """The kind that a refutation of superiority has; nothing where its own p does not refute it."""
    effect_size: float = math.nan
    """Hedges-corrected d_z."""
    wins: float = math.nan
    """P(A beats B): share of the differences above zero, ties counted half."""
    wins_low: float = math.nan
    """Exact binomial interval; NaN where there are ties."""
    wins_high: float = math.nan
    seeds_needed: SeedsNeeded
    prediction_low: float = math.nan
    """Where the mean of a further dataset would lie; only where a claim generalises to new datasets."""
    prediction_high: float = math.nan


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim."""

    word: Word
    kind: str
    detail: str = ""

    @property
    def title(self) -> str:
        """Such as: refuted: equivalent."""
        return f"{self.word}: {self.kind}"

    @property
    def text(self) -> str:
        """The same with its detail."""
        return f"{self.title} ({self.detail})" if self.detail else self.title


def evidence_of(
    differences: Iterable[float],
    margin: float,
    kind: ClaimKind = "superiority",
    alpha: float = ALPHA,
    *,
    family: int = 1,
    are_identical: bool = False,
) -> Evidence:
    """The evidence of one paired contrast.

    Args:
        differences: one for each planned seed, oriented so that higher is better; NaN where a run has no outcome.
        margin: the least difference that matters, in the unit of the differences.
        kind: what is claimed.
        alpha: for one look.
        family: number of registered claims, over which the seeds needed are planned and the kind of a refutation is
            corrected.
        are_identical: whether both sides gave every metric alike with every seed, and not that of the claim alone.
    """
    planned = [float(difference) for difference in differences]
    found = estimate(planned, confidence=1 - alpha)
    sample = np.array(found.values)
    wins, wins_low, wins_high = _wins(sample, 1 - alpha)
    evidence = Evidence(
        kind=kind,
        margin=margin,
        alpha=alpha,
        unit="seeds",
        n_planned=len(planned),
        n=found.n,
        differences=found.values,
        state=found.state,
        obstacle=_obstacle(found.state, found.n, len(planned), least_seeds(alpha)),
        mean=found.mean,
        sd=found.sd,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        df=found.n - 1,
        is_signflip_exact=is_exact(found.n, alpha),
        effect_size=standardized_mean(found),
        wins=wins,
        wins_low=wins_low,
        wins_high=wins_high,
        seeds_needed=planned_seeds(found.mean, sd=found.sd, margin=margin, kind=kind, alpha=alpha, family=family),
    )
    if are_identical and evidence.obstacle in (None, EQUAL_DIFFERENCES):
        p_support = 1.0 if kind == "superiority" else 0.0
        tested = Tested(boundary=_boundaries(0.0, margin, kind)[0], p=0.0, p_support=p_support)
        return replace(evidence, obstacle=None, are_identical=True, tested=tested)
    if found.state != "interval":
        return evidence
    return with_tests(evidence, found.sd / math.sqrt(found.n), sample, family)


def with_tests(evidence: Evidence, error: float, sample: np.ndarray, family: int) -> Evidence:
    """The same evidence with all tests of its mean.

    What a refuted superiority is besides, the non-inferiority by its margin tells: refuted, the other level is better
    by more than the margin; supported, they differ by less. This is corrected for all claims as at the first of Holm's
    steps, since at which step a refutation stands says nothing of what it is besides.

    Args:
        evidence: whose mean has an interval.
        error: the standard error of its mean.
        sample: the values that it is the mean of, which the guards look at.
        family: number of registered claims.
    """
    against = (evidence.margin, evidence.kind)
    shifted = [sample - each for each in _boundaries(float(sample.mean()), *against)]
    found = replace(
        evidence,
        tested=tested_against(evidence.mean, error, evidence.df, *against),
        signflip_p=max(sign_flip_p(each, alpha=evidence.alpha) for each in shifted),
        skew_p=max(skew_p(each) for each in shifted),
    )
    if evidence.kind != "superiority" or evidence.mean > evidence.margin or not found.tested.p < evidence.alpha:
        return found
    if evidence.margin == 0:
        return replace(found, if_refuted="reversed")  # the same test
    behind = with_tests(replace(evidence, kind="non_inferiority"), error, sample, family)
    word = verdict_of(behind, min(1.0, family * behind.tested.p)).word
    return replace(found, if_refuted=REFUTATIONS[word])


def verdict_of(evidence: Evidence, adjusted_p: float) -> Verdict:
    """The verdict on one claim.

    Args:
        evidence: what `evidence_of` gave.
        adjusted_p: its p, adjusted over all registered claims; never below the p of the evidence.
    """
    if evidence.obstacle:
        return Verdict("inconclusive", evidence.obstacle.kind, evidence.obstacle.detail)
    if evidence.are_identical:
        return _OF_IDENTICAL[evidence.kind]
    if not adjusted_p < evidence.alpha:
        return _open(evidence)
    verdict = _decided(evidence)
    if verdict.word != "inconclusive" and not evidence.signflip_p < evidence.alpha:
        return Verdict("inconclusive", "tests disagree", f"sign-flip p = {evidence.signflip_p:.3f}")
    guarding_p = _guarding_p(evidence, adjusted_p)
    if verdict.word != "inconclusive" and not guarding_p < evidence.alpha:
        return Verdict("inconclusive", "skewed differences", f"p = {guarding_p:.3f} with skewness allowed for")
    return verdict


_OF_IDENTICAL: Mapping[ClaimKind, Verdict] = {
    "superiority": Verdict("refuted", "equivalent", IDENTICAL),
    "equivalence": Verdict("supported", "equivalent", IDENTICAL),
    "non_inferiority": Verdict("supported", "non-inferior", IDENTICAL),
}


def raised_by(p: float, adjusted_p: float) -> float:
    """By how much the correction for many claims has raised a p."""
    return adjusted_p / p if p > 0 else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """The p-values of a family, adjusted together; NaN, where there was no test, counts as not significant."""
    return multipletests(np.nan_to_num(values, nan=1.0), method="holm")[1].tolist() if values else []


def _guarding_p(evidence: Evidence, adjusted_p: float) -> float:
    """The p that allows for skewness, corrected for many claims as the p of the t test was."""
    times = raised_by(evidence.tested.p, adjusted_p)
    if evidence.kind == "equivalence" and abs(evidence.mean) < evidence.margin:
        # The p that was corrected is one-sided; that the interval lies within the margins, nothing corrects.
        return max(evidence.skew_p, min(1.0, times * evidence.skew_p / 2))
    return min(1.0, times * evidence.skew_p)


def tested_against(mean: float, error: float, df: float, margin: float, kind: ClaimKind) -> Tested:
    """Hold a mean with its standard error against the margin of a claim, by the t distribution."""
    boundary = _boundaries(mean, margin, kind)[0]
    t = (mean - boundary) / error
    two_sided = float(2 * stats.t.sf(abs(t), df))
    if kind != "equivalence":
        return Tested(boundary, t, two_sided, float(stats.t.sf(t, df)))
    # The nearer margin has the larger p of the two one-sided tests.
    towards_inside = float(stats.t.sf(-t if boundary > 0 else t, df))
    return Tested(boundary, t, towards_inside if abs(mean) < margin else two_sided, towards_inside)


def sign_flip_p(sample: np.ndarray, seed: int = 0, alpha: float = ALPHA) -> float:
    """Two-sided p of the mean of a sample under random signs: all flips where these are few, else some drawn of them.

    Args:
        sample: the values.
        seed: of the flips that are drawn.
        alpha: what the p is held against: the smaller, the more flips are drawn.
    """
    found = stats.permutation_test(
        (sample,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_most_flips(alpha),
        batch=FLIPS_AT_ONCE,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def is_exact(n: int, alpha: float = ALPHA) -> bool:
    """Whether the sign-flip test of n values makes all flips."""
    return 2.0**n <= _most_flips(alpha)


def _most_flips(alpha: float) -> int:
    return max(DRAWN_FLIPS, math.ceil(FLIPS_BELOW / alpha))


def _boundaries(mean: float, margin: float, kind: ClaimKind) -> tuple[float, ...]:
    """All that a mean has to be clear of, the nearest first: of a mean within the margins of an equivalence, both."""
    nearest = {"superiority": margin, "non_inferiority": -margin, "equivalence": math.copysign(margin, mean)}[kind]
    return (nearest, -nearest) if kind == "equivalence" and abs(mean) < margin else (nearest,)


def planned_seeds(
    mean: float, sd: float, margin: float, kind: ClaimKind, alpha: float, family: int, unit: Unit = "seeds"
) -> SeedsNeeded:
    """The seeds that would decide a claim, and for what, if mean and spread stay as they are.

    The claim is planned at alpha / family, the first and strictest step of Holm's correction.
    """
    distance = {"superiority": mean - margin, "non_inferiority": mean + margin, "equivalence": margin - abs(mean)}[kind]
    # Equivalence is tested on two sides, either of which may fail.
    power = 1 - (1 - POWER) / 2 if kind == "equivalence" and distance > 0 else POWER
    needed = seeds_needed(distance, sd, alpha / family, guard_alpha=alpha, power=power, unit=unit)
    if needed.number is not None and distance < 0:
        return SeedsNeeded(needed.number, f"{needed.text} to refute it; none to support it, if the mean stays")
    return needed


def _obstacle(state: State, n: int, n_planned: int, least: int) -> Obstacle | None:
    if n < n_planned or not n:
        return Obstacle("missing pair", f"{n_planned - n} of {n_planned} pairs")
    if n < least:
        return Obstacle("too few seeds", f"{n}<{least}")
    return EQUAL_DIFFERENCES if state == "degenerate" else None


def _decided(evidence: Evidence) -> Verdict:
    """The verdict of a claim whose p is small enough."""
    low, high, margin = evidence.ci_low, evidence.ci_high, evidence.margin
    if evidence.kind == "equivalence":
        if -margin < low and high < margin:
            return Verdict("supported", "equivalent")
        if low > margin or high < -margin:
            return Verdict("refuted", "superior" if low > margin else "inferior")
        return Verdict("inconclusive", "size unresolved")
    is_above = evidence.mean > evidence.tested.boundary
    if evidence.kind == "non_inferiority":
        return Verdict("supported", "non-inferior") if is_above else Verdict("refuted", "inferior")
    return Verdict("supported", "superior") if is_above else Verdict("refuted", evidence.if_refuted)


def _open(evidence: Evidence) -> Verdict:
    """The verdict on a claim whose p is not small enough."""
    if evidence.tested.p < evidence.alpha:
        alone = verdict_of(evidence, evidence.tested.p)
        return alone if alone.word == "inconclusive" else Verdict("inconclusive", "not after Holm")
    if evidence.kind == "equivalence" or evidence.ci_low > 0 or evidence.ci_high < 0:
        return Verdict("inconclusive", "size unresolved")
    return Verdict("inconclusive", "direction unresolved")


def _wins(sample: np.ndarray, confidence: float) -> tuple[float, float, float]:
    if len(sample) < least_seeds(1 - confidence):
        return math.nan, math.nan, math.nan
    found = signs(sample)
    wins, ties = int((found > 0).sum()), int((found == 0).sum())
    share = (wins + ties / 2) / len(sample)
    if ties:
        return share, math.nan, math.nan
    interval = stats.binomtest(wins, len(sample)).proportion_ci(confidence, method="exact")
    return share, float(interval.low), float(interval.high)
