"""The claims of a suite as a report has them: judged at every look, and written as `claims.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.analysis.claims import Trials, judge_claims
from benchmarks.analysis.judgements import JudgedClaim, JudgedClaims, Judgement
from benchmarks.analysis.plain import as_plain
from benchmarks.analysis.verdicts import Verdict
from benchmarks.metrics import METRICS
from benchmarks.plan.registration import Standing
from benchmarks.report.formatting import Style, style_of
from benchmarks.report.prose import EXPLORATORY, NO_MATTER_OF_SEEDS, Names, sentence
from benchmarks.suite.suite import Suite

CLAIMS_FILE = "claims.json"

CLAIMS_FORMAT = 1
"""Of claims.json; raised when a reader of it would go wrong."""


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
        found = self.judged.judgements
        return {(claim.statement, each.dataset): each.verdict for claim, each in found if each.verdict}

    @property
    def open(self) -> list[tuple[str, str | None]]:
        """Statement and dataset of what is inconclusive and would be decided by further seeds."""
        found = self.judged.judgements
        return [
            (claim.statement, each.dataset) for claim, each in found if is_open(each.verdict) or is_open_below(each)
        ]


@dataclass(frozen=True)
class Claims:
    """The claims of a suite with what is needed to tell of them."""

    judged: JudgedClaims
    standing: Standing
    styles: Mapping[str, Style]
    """Metric -> how its differences are written."""
    looks: tuple[Look, ...]
    """Those that were made, the present one last; empty where one look is, at all seeds."""

    def sentence(self, claim: JudgedClaim, judgement: Judgement) -> str:
        """A judgement of a claim in a sentence."""
        if judgement.verdict is None:
            return EXPLORATORY.format(why=self.standing.unregistered.get(claim.statement, "it was not registered"))
        margin = exact(self.styles[judgement.metric], claim.margin)
        names = Names(claim.better, claim.than, margin, f" by more than {margin}" if claim.margin else "")
        return sentence(claim.kind, claim.across, judgement.verdict, names)


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
    metrics = dict.fromkeys(each.metric for _, each in judged.judgements)
    return Claims(judged, standing, {name: style_of(METRICS[name].unit, runs[name]) for name in metrics}, looks)


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
    for plain, claim in zip(judged["claims"], claims.judged.claims, strict=True):
        plain["exploratory_because"] = standing.unregistered.get(claim.statement)
        for judgement, each in zip(plain["judgements"], claim.judgements, strict=True):
            judgement["sentence"] = claims.sentence(claim, each)
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
    told = ("dataset", "p", "adjusted_p", "verdict")
    judgements = [
        {"statement": claim.statement, **{name: as_plain(getattr(each, name)) for name in told}}
        for claim, each in look.judged.judgements
    ]
    return {"look": look.number, "seeds": look.n_seeds, "alpha": look.judged.alpha_per_look, "judgements": judgements}


def exact(style: Style, value: float) -> str:
    """A given number, such as a margin, with all its digits and its unit."""
    text, unit = f"{style.factor * value:.10g}", style.unit_of_differences
    if style.unit != "target":
        unit = unit.removeprefix("in ")
    return f"{text} {unit.removesuffix('s') if text == '1' and style.unit == 'share' else unit}".rstrip()


def is_open(verdict: Verdict | None) -> bool:
    """Whether further seeds would decide it."""
    return verdict is not None and verdict.word == "inconclusive" and verdict.kind not in NO_MATTER_OF_SEEDS


def is_open_below(judgement: Judgement) -> bool:
    """Whether simple effects differ for now, since one of them is still open."""
    verdict = judgement.verdict
    differ = verdict is not None and verdict.kind == "simple effects differ"
    return differ and any(is_open(check.verdict) for check in judgement.simple_effects)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    # Fewer digits than where machines differ; minus zero is zero.
    return float(f"{value:.10g}") + 0.0 if isinstance(value, float) else value
