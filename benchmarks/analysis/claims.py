"""From a suite's claims and its table of runs to verdicts, adjusted together.

Holm's correction is over all registered claims: one p for each dataset of a claim about `each`, and one p for every
other claim. What was not registered is exploratory: its p is adjusted for false discoveries, and it has no verdict.

Beside each judgement stand checks whose p is not adjusted: the single datasets, the simple effects of a main effect,
and the same without diverged runs. They can take a verdict away and never give one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from benchmarks.analysis.contrasts import Contrast, Factors, Pair, is_balanced, level_pairs, oriented
from benchmarks.analysis.datasets import average_evidence, generalised_evidence
from benchmarks.analysis.judgements import Check, Explored, JudgedClaim, JudgedClaims, Judgement
from benchmarks.analysis.tables import refuse_repeated_runs
from benchmarks.analysis.verdicts import ALPHA, Evidence, Obstacle, Verdict, Word, evidence_of, verdict_of
from benchmarks.claims import Claim
from benchmarks.suite import level_label
from benchmarks.training.metrics import METRICS, OUTCOME_METRICS

Trials = Mapping[str, Mapping[str, int]]
"""Factor -> label of its level -> trials that its settings were tuned with; a level that is not named had none."""


@dataclass(frozen=True)
class _Scene:
    """What all claims are judged by."""

    datasets: Mapping[str, pd.DataFrame]
    factors: Factors
    baseline: Mapping[str, str]
    trials: Trials
    alpha: float
    family: int
    seed: int


@dataclass(frozen=True)
class _Found:
    """The evidence of one judgement, with the p that is adjusted."""

    evidence: Evidence
    p: float
    without_diverged: Evidence | None
    parts: Mapping[str, Evidence] = field(default_factory=dict)
    """Dataset -> its evidence, where there are several."""


def judge_claims(
    runs: pd.DataFrame,
    claims: Sequence[Claim],
    factors: Factors,
    baseline: Mapping[str, str],
    *,
    alpha: float = ALPHA,
    looks: int = 1,
    look: int = 1,
    unregistered: Collection[str] = (),
    trials: Trials | None = None,
    seed: int = 0,
) -> JudgedClaims:
    """Judge the claims of a suite.

    Args:
        runs: what `run_table` gave.
        claims: those of the suite.
        factors: every factor of the suite.
        baseline: factor -> label of its baseline level.
        alpha: for all looks together.
        looks: how often the results are looked at, as declared before running.
        look: which of the looks this is, from 1.
        unregistered: statements of the claims that were not in the suite when its runs began.
        trials: what the levels' tuning cost, where they were tuned.
        seed: of random sign flips.

    Raises:
        ValueError: a cell has a seed twice, the look is not among those declared, or two claims have one statement.
    """
    refuse_repeated_runs(runs)
    if not 1 <= look <= looks:
        raise ValueError(f"look {look}: the suite declares {looks}, counted from 1")
    if len({claim.statement for claim in claims}) < len(claims):
        raise ValueError("two claims with the same statement")
    datasets = {str(name): of_dataset for name, of_dataset in runs.groupby("dataset", sort=False)}
    registered = [claim for claim in claims if claim.statement not in unregistered]
    family = sum(len(datasets) if claim.datasets == "each" else 1 for claim in registered)
    scene = _Scene(datasets, factors, baseline, trials or {}, alpha / looks, max(1, family), seed)
    found = {claim.statement: _findings(scene, claim, _where(claim)) for claim in claims}
    exploratory = [claim for claim in claims if claim.statement in unregistered]
    adjusted = _adjusted(found, registered, _holm) | _adjusted(found, exploratory, _benjamini_hochberg)
    judged = tuple(
        _judged(scene, claim, found[claim.statement], adjusted[claim.statement], claim in registered)
        for claim in claims
    )
    return JudgedClaims(alpha, looks, look, scene.alpha, family, judged)


def explore(contrasts: Iterable[Contrast]) -> list[Explored]:
    """Adjust differences that nobody claimed for false discoveries, all together."""
    listed = list(contrasts)
    values = [_p_against_zero(contrast) for contrast in listed]
    return [Explored(each, p, q) for each, p, q in zip(listed, values, _benjamini_hochberg(values), strict=True)]


def _p_against_zero(contrast: Contrast) -> float:
    found = contrast.estimate
    return float(stats.ttest_1samp(found.values, 0).pvalue) if found.state == "interval" else math.nan


def _counted(p: float) -> float:
    """What stands in a family for a p: a claim that could not be tested counts as one that was not significant."""
    return 1.0 if math.isnan(p) else p


def _holm(values: Sequence[float]) -> list[float]:
    return [float(p) for p in multipletests([_counted(p) for p in values], method="holm")[1]] if values else []


def _benjamini_hochberg(values: Sequence[float]) -> list[float]:
    return [float(p) for p in stats.false_discovery_control([_counted(p) for p in values])] if values else []


def _adjusted(
    found: Mapping[str, Mapping[str | None, _Found]],
    claims: Iterable[Claim],
    adjust: Callable[[Sequence[float]], list[float]],
) -> dict[str, dict[str | None, float]]:
    """Statement -> dataset -> adjusted p, over all these claims."""
    places = [(claim.statement, dataset) for claim in claims for dataset in found[claim.statement]]
    adjusted: dict[str, dict[str | None, float]] = {}
    values = adjust([found[statement][dataset].p for statement, dataset in places])
    for (statement, dataset), p in zip(places, values, strict=True):
        adjusted.setdefault(statement, {})[dataset] = p
    return adjusted


def _where(claim: Claim) -> dict[str, str]:
    return {factor: level_label(level) for factor, level in claim.where.items()}


def _averaged_over(scene: _Scene, claim: Claim, where: Mapping[str, str]) -> tuple[str, ...]:
    if not all(is_balanced(runs, scene.factors) for runs in scene.datasets.values()):
        return ()
    return tuple(factor for factor in scene.factors if factor != claim.factor and factor not in where)


def _findings(scene: _Scene, claim: Claim, where: Mapping[str, str]) -> dict[str | None, _Found]:
    """Dataset, or None for all together, -> what was found."""
    pairs = {name: _pairs(scene, claim, runs, where) for name, runs in scene.datasets.items()}
    parts = {name: _of_dataset(scene, claim, name, found) for name, found in pairs.items()}
    diverged = {name: {pair.seed for pair in found or () if pair.diverged} for name, found in pairs.items()}
    if claim.datasets != "each":
        # A seed is left out on every dataset, so that they keep the same seeds.
        diverged = dict.fromkeys(diverged, set().union(*diverged.values()))
    without = {
        name: _of_dataset(scene, claim, name, [pair for pair in found if pair.seed not in diverged[name]])
        for name, found in pairs.items()
        if found is not None and diverged[name]
    }
    if claim.datasets == "each":
        return {name: _Found(part, part.tested.p, without.get(name)) for name, part in parts.items()}
    found = _together(scene, claim, list(parts.values()))
    checked = _together(scene, claim, list((parts | without).values())).evidence if without else None
    return {None: replace(found, parts=parts, without_diverged=checked)}


def _pairs(scene: _Scene, claim: Claim, runs: pd.DataFrame, where: Mapping[str, str]) -> tuple[Pair, ...] | None:
    """The differences on one dataset; None where it has no such metric or the design no such cells."""
    averaged = _averaged_over(scene, claim, where)
    others = {each: level for each, level in scene.baseline.items() if each != claim.factor and each not in averaged}
    metric = _metric(claim, runs)
    if runs["task"].iloc[0] not in METRICS[metric].tasks:
        return None
    better, than = level_label(claim.better), level_label(claim.than)
    return level_pairs(oriented(runs, metric), scene.factors, claim.factor, better, than, others | dict(where))


def _of_dataset(scene: _Scene, claim: Claim, name: str, pairs: Sequence[Pair] | None) -> Evidence:
    """The evidence on one dataset."""
    runs = scene.datasets[name]
    metric = METRICS[_metric(claim, runs)]
    evidence = _evidence(scene, claim, pairs or ())
    if pairs is None:
        fits = runs["task"].iloc[0] in metric.tasks
        why = Obstacle("not in the design") if fits else Obstacle("no such metric", metric.title)
        return replace(evidence, obstacle=why)
    budget = _budget_obstacle(scene.trials.get(claim.factor, {}), level_label(claim.better), level_label(claim.than))
    return replace(evidence, obstacle=_hole_obstacle(pairs, metric.title) or evidence.obstacle or budget)


def _evidence(scene: _Scene, claim: Claim, pairs: Iterable[Pair]) -> Evidence:
    differences = [pair.difference for pair in pairs]
    return evidence_of(differences, claim.margin, claim.kind, scene.alpha, family=scene.family, seed=scene.seed)


def _metric(claim: Claim, runs: pd.DataFrame) -> str:
    return claim.metric or OUTCOME_METRICS[runs["task"].iloc[0]]


def _hole_obstacle(pairs: Sequence[Pair], title: str) -> Obstacle | None:
    holes = [pair for pair in pairs if math.isnan(pair.difference)]
    if not holes:
        return None
    diverged = sum(pair.diverged for pair in holes)
    detail = f"{len(holes)} of {len(pairs)} pairs"
    if diverged:
        detail += f"; in {diverged} a run diverged, and nothing is known that its {title} could count as"
    return Obstacle("missing pair", detail)


def _budget_obstacle(trials: Mapping[str, int], better: str, than: str) -> Obstacle | None:
    ours, theirs = trials.get(better, 0), trials.get(than, 0)
    return None if ours == theirs else Obstacle("unequal budget", f"{ours} and {theirs} tuning trials")


def _together(scene: _Scene, claim: Claim, parts: Sequence[Evidence]) -> _Found:
    """The evidence of a claim that is about several datasets at once."""
    units = _unit_obstacle(scene, claim)
    if claim.datasets == "all":
        worst = max(parts, key=lambda part: (part.obstacle is not None, _counted(part.tested.p_support)))
        return _Found(replace(worst, obstacle=units or worst.obstacle), _p_of_all(parts), None)
    combine = average_evidence if claim.datasets == "average" else generalised_evidence
    evidence = combine(parts, scene.family, scene.seed)
    evidence = replace(evidence, obstacle=units or evidence.obstacle)
    return _Found(evidence, evidence.tested.p, None)


def _unit_obstacle(scene: _Scene, claim: Claim) -> Obstacle | None:
    metrics = sorted({_metric(claim, runs) for runs in scene.datasets.values()})
    if len(metrics) > 1:
        return Obstacle("different units", "one margin cannot hold for " + " and ".join(metrics))
    if claim.datasets != "all" and len(scene.datasets) > 1 and METRICS[metrics[0]].unit == "target":
        return Obstacle("different units", f"the {METRICS[metrics[0]].title} of each dataset is in its target's unit")
    return None


def _p_of_all(parts: Sequence[Evidence]) -> float:
    """The worst one-sided p; where a dataset speaks against the claim, the least p against it, times the datasets."""
    against = [part.tested.p for part in parts if not part.obstacle and part.tested.p_support > 0.5]
    if against:
        return min(1.0, len(parts) * min(against))
    return max(_counted(part.tested.p_support) for part in parts)


def _verdict(claim: Claim, found: _Found, adjusted_p: float) -> Verdict:
    """The verdict before simple effects are looked at."""
    own = {name: verdict_of(part, part.tested.p) for name, part in found.parts.items()}
    if claim.datasets == "all":
        return _verdict_on_all(found, own, adjusted_p)
    verdict = verdict_of(found.evidence, adjusted_p)
    opposite = {"supported": "refuted", "refuted": "supported"}.get(verdict.word)
    against = [name for name, each in own.items() if each.word == opposite]
    return Verdict("inconclusive", "mixed", f"{opposite} on {', '.join(against)}") if against else verdict


def _verdict_on_all(found: _Found, own: Mapping[str, Verdict], adjusted_p: float) -> Verdict:
    """Refuted if any dataset refutes it, supported if all support it.

    A pair that is missing anywhere comes first; a dataset of too few seeds keeps the claim from being supported, and
    from nothing else.
    """
    obstacle = found.evidence.obstacle
    errors = [each for each in found.parts.values() if each.obstacle and each.obstacle.kind in _ERRORS]
    if obstacle and (obstacle.kind == "different units" or errors):
        first = obstacle if obstacle.kind == "different units" else errors[0].obstacle
        assert first
        return Verdict("inconclusive", first.kind, first.detail)
    refuting = [name for name, verdict in own.items() if verdict.word == "refuted"]
    unsettled = [name for name, verdict in own.items() if verdict.word == "inconclusive"]
    if unsettled and not refuting:
        first_open = own[unsettled[0]]
        detail = "; ".join(part for part in (first_open.detail, f"on {', '.join(unsettled)}") if part)
        return Verdict("inconclusive", first_open.kind, detail)
    if not adjusted_p < found.evidence.alpha:
        return Verdict("inconclusive", "not after Holm")
    if refuting:
        return Verdict("refuted", own[refuting[0]].kind, f"on {', '.join(refuting)}")
    return Verdict("supported", next(iter(own.values())).kind, f"on each of {len(own)}")


_ERRORS = ("missing pair", "not in the design", "no such metric", "unequal budget")


def _judged(
    scene: _Scene,
    claim: Claim,
    found: Mapping[str | None, _Found],
    adjusted: Mapping[str | None, float],
    is_registered: bool,
) -> JudgedClaim:
    where = _where(claim)
    simple = _simple_findings(scene, claim, where)
    judgements = tuple(
        _judgement(scene, claim, dataset, each, adjusted[dataset], is_registered, simple)
        for dataset, each in found.items()
    )
    return JudgedClaim(
        statement=claim.statement,
        kind=claim.kind,
        across=claim.datasets,
        factor=claim.factor,
        better=level_label(claim.better),
        than=level_label(claim.than),
        where=where,
        averaged_over=_averaged_over(scene, claim, where),
        margin=claim.margin,
        is_registered=is_registered,
        judgements=judgements,
    )


def _simple_findings(
    scene: _Scene, claim: Claim, where: Mapping[str, str]
) -> list[tuple[str, dict[str | None, _Found]]]:
    return [
        (f"{factor} = {level}", _findings(scene, claim, {**where, factor: level}))
        for factor in _averaged_over(scene, claim, where)
        for level in scene.factors[factor]
    ]


def _judgement(
    scene: _Scene,
    claim: Claim,
    dataset: str | None,
    found: _Found,
    adjusted_p: float,
    is_registered: bool,
    simple: Iterable[tuple[str, Mapping[str | None, _Found]]],
) -> Judgement:

    def check(name: str, evidence: Evidence, verdict: Verdict) -> Check:
        return Check(name, evidence, verdict if is_registered else None)

    verdict = _verdict(claim, found, adjusted_p)
    effects = {name: (each[dataset], _verdict(claim, each[dataset], each[dataset].p)) for name, each in simple}
    words = {name: each.word for name, (_, each) in effects.items()}
    without = found.without_diverged
    return Judgement(
        dataset=dataset,
        metric=_metric(claim, scene.datasets[dataset or next(iter(scene.datasets))]),
        evidence=found.evidence,
        p=found.p,
        adjusted_p=adjusted_p,
        verdict=_with_simple_effects(verdict, words) if is_registered else None,
        datasets=tuple(check(name, part, verdict_of(part, part.tested.p)) for name, part in found.parts.items()),
        without_diverged=check("without diverged runs", without, verdict_of(without, without.tested.p))
        if without
        else None,
        simple_effects=tuple(check(name, each.evidence, own) for name, (each, own) in effects.items()),
    )


def _with_simple_effects(verdict: Verdict, words: Mapping[str, Word]) -> Verdict:
    """A main effect has no headline where the simple effects have different verdicts."""
    if verdict.word == "inconclusive" or len(set(words.values())) <= 1:
        return verdict
    told = "; ".join(f"{name}: {word}" for name, word in words.items())
    return Verdict("inconclusive", "simple effects differ", told)
