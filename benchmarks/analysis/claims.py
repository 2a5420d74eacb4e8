"""From a suite's claims and its table of runs to verdicts, adjusted together.

Holm's correction is over all registered claims: one p for each dataset of a claim about `each`, and one p for every
other claim. What was not registered is exploratory: its p is adjusted for false discoveries, and it has no verdict.

Beside each judgement stand checks whose p is not adjusted: the single datasets, the simple effects of a main effect,
and the same without diverged runs. They can take a verdict away and never give one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.analysis.contrasts import Contrast, Pair
from benchmarks.analysis.datasets import average_evidence, generalised_evidence, p_of_all, verdict_on_all
from benchmarks.analysis.estimates import p_against_zero
from benchmarks.analysis.judgements import Check, Explored, JudgedClaim, JudgedClaims, Judgement, SeedPair
from benchmarks.analysis.outcomes import Outcomes
from benchmarks.analysis.tables import refuse_repeated_runs
from benchmarks.analysis.verdicts import (
    ALPHA,
    EQUAL_DIFFERENCES,
    Evidence,
    Obstacle,
    Verdict,
    Word,
    evidence_of,
    holm,
    verdict_of,
)
from benchmarks.labels import level_label
from benchmarks.metrics import METRICS, OUTCOME_METRICS
from benchmarks.plan.comparisons import Comparison, comparison
from benchmarks.runs import Levels
from benchmarks.suite.claims import Claim
from benchmarks.suite.suite import Suite
from zoo.settings import SettingError

Trials = Mapping[tuple[str, frozenset[tuple[str, str]]], int]
"""Dataset and levels of a cell -> trials that its settings were tuned with; a cell that is not named had none."""


@dataclass(frozen=True)
class _Scene:
    """What all claims are judged by."""

    datasets: Mapping[str, Outcomes]
    suite: Suite
    trials: Trials
    alpha: float
    family: int


@dataclass(frozen=True)
class _Found:
    """The evidence of one judgement, with the p that is adjusted."""

    evidence: Evidence
    p: float
    without_diverged: Evidence | None = None
    parts: Mapping[str, Evidence] = field(default_factory=dict)
    """Dataset -> its evidence, where there are several."""
    pairs: tuple[SeedPair, ...] = ()
    """The differences behind the evidence, holes among them; empty where there are several datasets."""


def judge_claims(
    runs: pd.DataFrame,
    claims: Sequence[Claim],
    suite: Suite,
    *,
    alpha: float = ALPHA,
    looks: int = 1,
    look: int = 1,
    unregistered: Collection[str] = (),
    withdrawn: int = 0,
    trials: Trials | None = None,
) -> JudgedClaims:
    """Judge the claims of a suite.

    Args:
        runs: what `run_table` gave.
        claims: those of the suite.
        suite: its design says which cells a claim compares.
        alpha: for all looks together.
        looks: how often the results are looked at, as declared before running.
        look: which of the looks this is, from 1.
        unregistered: statements of the claims that were not in the suite when its runs began.
        withdrawn: judgements of registered claims that were taken out again; they count as tested all the same.
        trials: what the cells' tuning cost, where they were tuned.

    Raises:
        ValueError: a cell has a seed twice, the look is not among those declared, or two claims have one statement.
    """
    refuse_repeated_runs(runs)
    if not 1 <= look <= looks:
        raise ValueError(f"look {look}: the suite declares {looks}, counted from 1")
    if len({claim.statement for claim in claims}) < len(claims):
        raise ValueError("two claims with the same statement")
    factors = list(suite.factors)
    datasets = {str(name): Outcomes(of_dataset, factors) for name, of_dataset in runs.groupby("dataset", sort=False)}
    registered = [claim for claim in claims if claim.statement not in unregistered]
    family = withdrawn + sum(len(datasets) if claim.datasets == "each" else 1 for claim in registered)
    scene = _Scene(datasets=datasets, suite=suite, trials=trials or {}, alpha=alpha / looks, family=max(1, family))
    found = {claim.statement: _findings(scene, claim, _cells_of(scene, claim)) for claim in claims}
    values = {(statement, dataset): each.p for statement, own in found.items() for dataset, each in own.items()}
    tested = {place: p for place, p in values.items() if place[0] not in unregistered}
    explored = {place: p for place, p in values.items() if place[0] in unregistered}
    adjusted = dict(zip(tested, holm([*tested.values(), *[math.nan] * withdrawn]), strict=False))
    adjusted |= dict(zip(explored, _benjamini_hochberg(explored.values()), strict=True))
    judged = tuple(_judged(scene, claim, found[claim.statement], adjusted, claim in registered) for claim in claims)
    return JudgedClaims(alpha=alpha, looks=looks, look=look, alpha_per_look=scene.alpha, family=family, claims=judged)


def explore(contrasts: Iterable[Contrast]) -> list[Explored]:
    """Adjust differences that nobody claimed for false discoveries, all together."""
    listed = list(contrasts)
    values = [p_against_zero(contrast.estimate) for contrast in listed]
    return [Explored(each, p, q) for each, p, q in zip(listed, values, _benjamini_hochberg(values), strict=True)]


def _benjamini_hochberg(values: Collection[float]) -> list[float]:
    return stats.false_discovery_control(np.nan_to_num([*values], nan=1.0)).tolist() if values else []


def _cells_of(scene: _Scene, claim: Claim) -> Comparison:
    """The cells that a claim compares; none where the design has no such cells."""
    try:
        return comparison(scene.suite, claim)
    except SettingError:
        return Comparison((), ())


def _findings(scene: _Scene, claim: Claim, compared: Comparison) -> dict[str | None, _Found]:
    """Dataset, or None for all together, -> what was found."""
    pairs = {name: _pairs(claim, outcomes, compared) for name, outcomes in scene.datasets.items()}
    parts = {name: _of_dataset(scene, claim, name, found, compared) for name, found in pairs.items()}
    diverged = {name: {pair.seed for pair in found or () if pair.diverged} for name, found in pairs.items()}
    if claim.datasets != "each":
        # A seed is left out on every dataset, so that they keep the same seeds.
        diverged = dict.fromkeys(diverged, set().union(*diverged.values()))
    without = {
        name: _of_dataset(scene, claim, name, [pair for pair in found if pair.seed not in diverged[name]], compared)
        for name, found in pairs.items()
        if found is not None and diverged[name]
    }
    if claim.datasets == "each":
        return {
            name: _Found(part, part.tested.p, without.get(name), pairs=pairs[name] or ())
            for name, part in parts.items()
        }
    found = _together(scene, claim, list(parts.values()))
    checked = _together(scene, claim, list((parts | without).values())).evidence if without else None
    return {None: replace(found, parts=parts, without_diverged=checked)}


def _pairs(claim: Claim, outcomes: Outcomes, compared: Comparison) -> tuple[SeedPair, ...] | None:
    """The differences on one dataset; None where it has no such metric or the design no such cells."""
    metric = _metric(claim, outcomes)
    return outcomes.pairs(metric, compared) if outcomes.task in METRICS[metric].tasks else None


def _of_dataset(scene: _Scene, claim: Claim, name: str, pairs: Sequence[Pair] | None, compared: Comparison) -> Evidence:
    """The evidence on one dataset."""
    outcomes = scene.datasets[name]
    metric = METRICS[_metric(claim, outcomes)]
    differences = [pair.difference for pair in pairs or ()]
    are_identical = outcomes.are_identical(compared)
    evidence = evidence_of(
        differences, claim.margin, claim.kind, scene.alpha, family=scene.family, are_identical=are_identical
    )
    if pairs is None:
        fits = outcomes.task in metric.tasks
        why = Obstacle("not in the design") if fits else Obstacle("no such metric", metric.title)
        return replace(evidence, obstacle=why)
    budget = _budget_obstacle(scene.trials, name, compared)
    return replace(evidence, obstacle=_hole_obstacle(pairs, metric.title) or evidence.obstacle or budget)


def _metric(claim: Claim, outcomes: Outcomes) -> str:
    return claim.metric or OUTCOME_METRICS[outcomes.task]


def _hole_obstacle(pairs: Sequence[Pair], title: str) -> Obstacle | None:
    holes = [pair for pair in pairs if math.isnan(pair.difference)]
    if not holes:
        return None
    diverged = sum(pair.diverged for pair in holes)
    detail = f"{len(holes)} of {len(pairs)} pairs"
    if diverged:
        detail += f"; in {diverged} a run diverged, and nothing is known that its {title} could count as"
    return Obstacle("missing pair", detail)


def _budget_obstacle(trials: Trials, dataset: str, compared: Comparison) -> Obstacle | None:
    """Cells beside each other are to have equal trials; a level that stands in more cells may have more in sum."""
    ours, theirs = (
        sorted(trials.get((dataset, frozenset(levels.items())), 0) for levels in cells)
        for cells in (compared.better, compared.than)
    )
    if ours == theirs:
        return None
    one, other = (" or ".join(map(str, dict.fromkeys(numbers))) for numbers in (ours, theirs))
    return Obstacle("unequal budget", f"{one} against {other} tuning trials a cell")


def _together(scene: _Scene, claim: Claim, parts: Sequence[Evidence]) -> _Found:
    """The evidence of a claim that is about several datasets at once."""
    units = _unit_obstacle(scene, claim)
    if claim.datasets == "all":
        worst = max(parts, key=lambda part: (part.obstacle is not None, np.nan_to_num(part.tested.p_support, nan=1.0)))
        return _Found(replace(worst, obstacle=units or worst.obstacle), p_of_all(parts))
    combine = average_evidence if claim.datasets == "average" else generalised_evidence
    evidence = combine(parts, scene.family)
    if not evidence.obstacle and all(part.are_identical for part in parts):
        evidence = replace(evidence, are_identical=True, tested=parts[0].tested)
    elif not evidence.obstacle and evidence.state == "no values":
        # Identical results somewhere have no spread that could be weighed against that of other datasets.
        evidence = replace(evidence, obstacle=EQUAL_DIFFERENCES)
    evidence = replace(evidence, obstacle=units or evidence.obstacle)
    return _Found(evidence, evidence.tested.p)


def _unit_obstacle(scene: _Scene, claim: Claim) -> Obstacle | None:
    metrics = sorted({_metric(claim, outcomes) for outcomes in scene.datasets.values()})
    if len(metrics) > 1:
        return Obstacle("different units", "one margin cannot hold for " + " and ".join(metrics))
    if claim.datasets != "all" and len(scene.datasets) > 1 and METRICS[metrics[0]].unit == "target":
        return Obstacle("different units", f"the {METRICS[metrics[0]].title} of each dataset is in its target's unit")
    return None


def _verdict(claim: Claim, found: _Found, adjusted_p: float) -> Verdict:
    """The verdict before simple effects are looked at."""
    if claim.datasets == "all":
        units = found.evidence.obstacle
        if units and units.kind == "different units":
            return Verdict("inconclusive", units.kind, units.detail)
        return verdict_on_all(found.parts, found.p, adjusted_p)
    own = {name: verdict_of(part, part.tested.p) for name, part in found.parts.items()}
    verdict = verdict_of(found.evidence, adjusted_p)
    opposite = {"supported": "refuted", "refuted": "supported"}.get(verdict.word)
    against = [name for name, each in own.items() if each.word == opposite]
    return Verdict("inconclusive", "mixed", f"{opposite} on {', '.join(against)}") if against else verdict


def _judged(
    scene: _Scene,
    claim: Claim,
    found: Mapping[str | None, _Found],
    adjusted: Mapping[tuple[str, str | None], float],
    is_registered: bool,
) -> JudgedClaim:
    compared = _cells_of(scene, claim)
    levels, others = (_other_levels(cells, claim.factor) for cells in (compared.better, compared.than))
    averaged = {factor: own for factor, own in levels.items() if len(own) > 1}
    simple = _simple_findings(scene, claim, compared, averaged)
    judgements = tuple(
        _judgement(
            scene,
            claim=claim,
            dataset=dataset,
            found=each,
            adjusted_p=adjusted[claim.statement, dataset],
            is_registered=is_registered,
            simple=simple,
        )
        for dataset, each in found.items()
    )
    return JudgedClaim(
        statement=claim.statement,
        kind=claim.kind,
        across=claim.datasets,
        factor=claim.factor,
        better=level_label(claim.better),
        than=level_label(claim.than),
        where={factor: level_label(level) for factor, level in claim.where.items()},
        averaged_over=tuple(averaged),
        changing_with=tuple(factor for factor, own in levels.items() if set(own) != set(others[factor])),
        margin=claim.margin,
        is_registered=is_registered,
        has_simple_effects=bool(simple) or not averaged,
        judgements=judgements,
    )


def _other_levels(cells: Sequence[Levels], factor: str) -> dict[str, list[str]]:
    """Factor -> its levels in these cells, for all factors but one."""
    others = [each for each in (cells[0] if cells else ()) if each != factor]
    return {each: list(dict.fromkeys(levels[each] for levels in cells)) for each in others}


def _simple_findings(
    scene: _Scene, claim: Claim, compared: Comparison, averaged: Mapping[str, Sequence[str]]
) -> list[tuple[str, dict[str | None, _Found]]]:
    """The same claim at each level of each factor that is averaged over, where the design can tell it."""
    found = []
    for factor, levels in averaged.items():
        held = claim.model_copy(update={"where": {**claim.where, factor: levels[0]}})
        if not _cells_of(scene, held).better:
            continue
        for level in levels:
            better, than = (
                tuple(each for each in cells if each[factor] == level) for cells in (compared.better, compared.than)
            )
            found.append((f"{factor} = {level}", _findings(scene, claim, Comparison(better, than))))
    return found


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
        pairs=found.pairs,
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
