"""The claims of a suite as a report shows them: rows of a table, and `claims.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from benchmarks.analysis.claims import Trials, judge_claims
from benchmarks.analysis.judgements import Check, JudgedClaim, JudgedClaims, Judgement
from benchmarks.analysis.plain import as_plain
from benchmarks.analysis.verdicts import Evidence, Verdict
from benchmarks.labels import THIN_SPACE, counted
from benchmarks.metrics import METRICS, Metric, Unit
from benchmarks.plan.registration import Standing
from benchmarks.report.formatting import Style, p_text, style_of
from benchmarks.report.prose import EXPLORATORY, NO_MATTER_OF_SEEDS, Names, sentence
from benchmarks.suite.claims import ACROSS_DATASETS, CLAIM_KINDS, AcrossDatasets, least_seeds
from benchmarks.suite.suite import Suite

CLAIMS_FILE = "claims.json"

CLAIMS_FORMAT = 1
"""Of claims.json; raised when a reader of it would go wrong."""


@dataclass(frozen=True)
class Numbers:
    """Evidence as the cells of a table."""

    name: str
    n: str
    difference: str
    interval: str
    p: str
    adjusted_p: str
    verdict: str
    """Word and kind; empty where there is none."""
    seeds_needed: str
    """What would decide it, as its mean and spread are; empty where it is decided, or has no verdict."""


@dataclass(frozen=True)
class ClaimRow:
    """One judgement of a claim."""

    numbers: Numbers
    dataset: str | None
    word: str
    """The first word of the verdict, or "exploratory"."""
    sentence: str
    checks: tuple[Numbers, ...]
    """Single datasets, simple effects, and without diverged runs; their p is not adjusted."""
    check_note: str
    """What the checks are, in sentences."""


@dataclass(frozen=True)
class ClaimContent:
    """A claim with everything that is said of it."""

    statement: str
    contrast: str
    kind: str
    across: str
    margin: str
    metric: Metric
    is_registered: bool
    rows: tuple[ClaimRow, ...]


@dataclass(frozen=True)
class Look:
    """What was decided at one of several looks."""

    number: int
    """From 1."""
    n_seeds: int
    judged: JudgedClaims

    @property
    def verdicts(self) -> dict[tuple[str, str | None], Verdict]:
        """Statement, and dataset or None for all together -> verdict, for the claims that have one."""
        return {
            (claim.statement, each.dataset): each.verdict
            for claim in self.judged.claims
            for each in claim.judgements
            if each.verdict
        }

    @property
    def open(self) -> list[tuple[str, str | None]]:
        """Statement and dataset of what is inconclusive and would be decided by further seeds."""
        return [
            (claim.statement, each.dataset)
            for claim in self.judged.claims
            for each in claim.judgements
            if is_open(each.verdict) or _is_open_at_levels(each)
        ]


@dataclass(frozen=True)
class Claims:
    """The section of claims."""

    judged: JudgedClaims
    standing: Standing
    styles: Mapping[str, Style]
    """Metric -> how its differences are written."""
    claims: tuple[ClaimContent, ...]
    looks: tuple[Look, ...]
    """Those that were made, the present one last; empty where one look is, at all seeds."""

    @property
    def look_rows(self) -> list[tuple[str, list[str]]]:
        """Claim, with its dataset where there are several judgements -> what it was found to be at each look."""
        verdicts = [look.verdicts for look in self.looks]
        rows = []
        for claim in self.judged.claims:
            for each in claim.judgements:
                name = f"{claim.statement} ({each.dataset})" if len(claim.judgements) > 1 else claim.statement
                found = [of_look.get((claim.statement, each.dataset)) for of_look in verdicts]
                rows.append((name, [f"{each.word}: {each.kind}" if each else "exploratory" for each in found]))
        return rows

    @property
    def confidence(self) -> str:
        """Of the intervals, such as `95 %`."""
        return _per_cent(1 - self.judged.alpha_per_look)

    @property
    def alpha(self) -> str:
        """For all looks together, as a number."""
        return f"{self.judged.alpha:g}"

    @property
    def least_seeds(self) -> int:
        """Fewest for a verdict."""
        return least_seeds(self.judged.alpha_per_look)

    @property
    def alpha_per_look(self) -> str:
        """What one look has of it."""
        return f"{self.judged.alpha_per_look:.4g}"


def claims_content(suite: Suite, runs: pd.DataFrame, standing: Standing, trials: Trials | None = None) -> Claims | None:
    """Judge the claims of a suite; None where it has none.

    Args:
        suite: as it was last run.
        runs: what `run_table` gave.
        standing: how the claims stand to what was registered.
        trials: what the levels' tuning cost, where they were tuned.
    """
    if not suite.claims:
        return None
    looks = looks_made(suite, runs, standing, trials)
    is_present = bool(looks) and looks[-1].n_seeds == len(standing.seeds)
    judged = looks[-1].judged if is_present else _judged(suite, runs, standing, standing.look, trials)
    metrics = dict.fromkeys(each.metric for claim in judged.claims for each in claim.judgements)
    styles = {name: style_of(METRICS[name].unit, runs[name]) for name in metrics}
    contents = tuple(_claim_content(claim, standing, styles, runs["dataset"].nunique()) for claim in judged.claims)
    return Claims(judged, standing, styles, contents, looks)


def looks_made(suite: Suite, runs: pd.DataFrame, standing: Standing, trials: Trials | None = None) -> tuple[Look, ...]:
    """What is decided at each declared look up to the seeds of now, from the seeds that it had; arguments as above."""
    made = [(number, size) for number, size in enumerate(standing.looks, 1) if size <= len(standing.seeds)]
    return tuple(
        Look(number, size, _judged(suite, runs[runs["seed"].isin(standing.seeds[:size])], standing, number, trials))
        for number, size in made
    )


def _judged(suite: Suite, runs: pd.DataFrame, standing: Standing, look: int, trials: Trials | None) -> JudgedClaims:
    return judge_claims(
        runs,
        suite.claims,
        suite,
        alpha=suite.analysis.alpha,
        looks=standing.n_looks,
        look=look,
        unregistered=standing.unregistered,
        withdrawn=standing.n_withdrawn,
        trials=trials,
    )


def claims_json(suite: Suite, claims: Claims, versions: Mapping[str, str], seeds: Iterable[int]) -> str:
    """All that is known of the claims: sorted keys, floats of ten significant digits, no times of day."""
    standing = claims.standing
    judged = as_plain(claims.judged)
    for claim, content in zip(judged["claims"], claims.claims, strict=True):
        claim["exploratory_because"] = standing.unregistered.get(claim["statement"])
        for judgement, row in zip(claim["judgements"], content.rows, strict=True):
            judgement["sentence"] = row.sentence
    whole = {
        "format": CLAIMS_FORMAT,
        "suite": suite.name,
        "datasets": dict(versions),
        "seeds": list(seeds),
        "withdrawn": [claim.statement for claim in standing.withdrawn],
        "declared_looks": list(standing.looks),
        "looks_made": [_look_as_plain(look) for look in claims.looks],
        **judged,
    }
    return json.dumps(_rounded(whole), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _look_as_plain(look: Look) -> dict[str, Any]:
    judgements = [
        {
            "statement": claim.statement,
            "dataset": each.dataset,
            "p": as_plain(each.p),
            "adjusted_p": as_plain(each.adjusted_p),
            "verdict": as_plain(each.verdict),
        }
        for claim in look.judged.claims
        for each in claim.judgements
    ]
    return {"look": look.number, "seeds": look.n_seeds, "alpha": look.judged.alpha_per_look, "judgements": judgements}


def exact(style: Style, value: float) -> str:
    """A given number, such as a margin, with all its digits and its unit."""
    text = f"{style.factor * value:.10g}"
    unit = _UNIT_WORDS[style.unit]
    return f"{text} {unit.removesuffix('s') if text == '1' and style.unit == 'share' else unit}".rstrip()


_UNIT_WORDS: Mapping[Unit, str] = {
    "share": "percentage points",
    "nats": "nats",
    "number": "",
    "target": "in the target’s unit",
}


def _claim_content(
    claim: JudgedClaim, standing: Standing, styles: Mapping[str, Style], n_datasets: int
) -> ClaimContent:
    why = standing.unregistered.get(claim.statement)
    first = claim.judgements[0]
    style = styles[first.metric]
    return ClaimContent(
        statement=claim.statement,
        contrast=_contrast(claim),
        kind=f"{claim.kind.replace('_', '-')}: {_stated(claim)}",
        across=ACROSS_DATASETS[claim.across] if n_datasets > 1 else "",
        margin=exact(style, claim.margin),
        metric=METRICS[first.metric],
        is_registered=claim.is_registered,
        rows=tuple(_row(claim, each, styles[each.metric], why) for each in claim.judgements),
    )


def _stated(claim: JudgedClaim) -> str:
    """What its kind states, with its own levels."""
    return CLAIM_KINDS[claim.kind].replace("`better`", claim.better).replace("`than`", claim.than)


def _contrast(claim: JudgedClaim) -> str:
    """Such as: model.initializer: he_normal against glorot_uniform, at normalization = none, averaged over width."""
    parts = [f"{claim.factor}: {claim.better} against {claim.than}"]
    if claim.where:
        parts.append("at " + ", ".join(f"{factor} = {level}" for factor, level in claim.where.items()))
    if claim.averaged_over:
        parts.append("averaged over " + ", ".join(claim.averaged_over) + " within each seed")
    if claim.changing_with:
        parts.append(", ".join(claim.changing_with) + " changing with it")
    return "; ".join(parts)


def _row(claim: JudgedClaim, judgement: Judgement, style: Style, why: str | None) -> ClaimRow:
    verdict = judgement.verdict
    name = judgement.dataset or _TOGETHER[claim.across].format(counted(len(judgement.datasets), "dataset"))
    numbers = _numbers(name, judgement.evidence, verdict, style, judgement.p, judgement.adjusted_p)
    if _is_open_at_levels(judgement):
        numbers = replace(numbers, seeds_needed="those of the open levels below")
    names = Names(claim.better, claim.than, exact(style, claim.margin), claim.margin == 0)
    checks = [*judgement.datasets, *judgement.simple_effects]
    if judgement.without_diverged:
        checks.append(judgement.without_diverged)
    return ClaimRow(
        numbers=numbers,
        dataset=judgement.dataset,
        word=verdict.word if verdict else "exploratory",
        sentence=sentence(claim.kind, claim.across, verdict, names)
        if verdict
        else EXPLORATORY.format(why=why or "it was not registered"),
        checks=tuple(_check(check, style) for check in checks),
        check_note=_check_note(claim, judgement),
    )


def _check(check: Check, style: Style) -> Numbers:
    p = check.evidence.tested.p
    return _numbers(check.name, check.evidence, check.verdict, style, p, math.nan)


def _check_note(claim: JudgedClaim, judgement: Judgement) -> str:
    parts = []
    if judgement.simple_effects:
        parts.append("At single levels of what is averaged over: where these verdicts differ, the mean has none.")
    if not claim.has_simple_effects:
        parts.append("This design cannot tell whether it holds at each level of what is averaged over.")
    if judgement.without_diverged:
        parts.append("Without the seeds of which a run diverged: a check; diverged runs are outcomes and count.")
    return " ".join(parts)


def _numbers(name: str, found: Evidence, verdict: Verdict | None, style: Style, p: float, adjusted_p: float) -> Numbers:
    what = "dataset" if found.unit == "datasets" else "seed" if len(found.differences) == found.n else "pair"
    difference = style.difference(found.mean)
    if found.state == "raw values":
        difference = f"raw: {style.differences.values(found.differences)}"
    return Numbers(
        name=name,
        n=f"{found.n} of {counted(found.n_planned, what)}",
        difference=difference,
        interval=style.differences.interval(found),
        p=p_text(p),
        adjusted_p=p_text(math.nan if math.isnan(p) else adjusted_p),
        verdict=f"{verdict.word}: {verdict.kind}" if verdict else "",
        seeds_needed=_seeds_needed(found, verdict),
    )


def _seeds_needed(found: Evidence, verdict: Verdict | None) -> str:
    if verdict is None or verdict.word != "inconclusive":
        return ""
    return found.seeds_needed.text if is_open(verdict) else "not a matter of seeds"


def is_open(verdict: Verdict | None) -> bool:
    """Whether further seeds would decide it."""
    return verdict is not None and verdict.word == "inconclusive" and verdict.kind not in NO_MATTER_OF_SEEDS


def _is_open_at_levels(judgement: Judgement) -> bool:
    """Whether simple effects differ for now, since one of them is still open."""
    verdict = judgement.verdict
    differ = verdict is not None and verdict.kind == "simple effects differ"
    return differ and any(is_open(check.verdict) for check in judgement.simple_effects)


_TOGETHER: Mapping[AcrossDatasets, str] = {
    "all": "the worst of {}",
    "average": "the average of {}",
    "generalises": "datasets such as these {}",
}


def _per_cent(share: float) -> str:
    return f"{100 * share:.4g}{THIN_SPACE}%"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    # Fewer digits than where machines differ; minus zero is zero.
    return float(f"{value:.10g}") + 0.0 if isinstance(value, float) else value
