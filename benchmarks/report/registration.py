"""Which claims stood in the suite before anything was seen of their runs, and what of the plan was changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.claims import Analysis, Claim, claim_hash
from benchmarks.design import Cell, Levels, Run, comparison
from benchmarks.looks import analysis_with
from benchmarks.plan import Plan, registered_runs
from benchmarks.report.formatting import counted
from benchmarks.settings import canonical_json
from benchmarks.store import RegisteredClaim, Store
from benchmarks.suite import Suite, parse_suite
from benchmarks.training.results import OUTCOMES
from zoo.settings import SettingError


@dataclass(frozen=True)
class Standing:
    """How the claims of a suite stand to what was registered."""

    unregistered: Mapping[str, str]
    """Statement of each claim that is exploratory -> why, as a clause."""
    registered_at: Mapping[str, str]
    """Statement -> when it was registered, for those that were."""
    withdrawn: tuple[RegisteredClaim, ...]
    """Claims that were registered and then taken out or edited, after something was seen."""
    looks: tuple[int, ...]
    """Numbers of seeds at which the results are looked at; empty where one look is, at all seeds."""
    seeds: tuple[int, ...]
    """Those of now, in their order: a look is at the first of them."""

    @property
    def n_looks(self) -> int:
        """How often the results are looked at, as declared."""
        return max(1, len(self.looks))

    @property
    def look(self) -> int:
        """Which look this is, from 1; the first where no look was declared for so many seeds."""
        return self.looks.index(len(self.seeds)) + 1 if len(self.seeds) in self.looks else 1

    @property
    def n_withdrawn(self) -> int:
        """Judgements of the claims that were taken out: they had their share of alpha."""
        return sum(claim.n_judgements for claim in self.withdrawn)


def register_claims(plan: Plan, store: Store) -> None:
    """Note the claims of a suite that is about to be trained.

    A claim that is new is noted with the number of its runs that have results by now. One that is known stays as it is
    once any of its runs has a result, and is noted anew before; also where the settings under which it compares were
    changed, with the number of runs that had results under the former ones. One that is gone is forgotten as long as no
    run of the suite has a result, and stays, as withdrawn, after that.
    """
    suite = plan.suite
    known = store.claims(suite.name)
    finished = {key for key, status in plan.statuses.items() if status in OUTCOMES}
    analysis = analysis_with(suite, list(plan.looks)).model_dump(mode="json")
    now = {}
    for claim in suite.claims:
        n_results = sum(run.key in finished for run in runs_of_claim(suite, claim, plan.runs)) if finished else 0
        hashed, cells = claim_hash(claim), _hash_of_cells(suite, claim, plan.cells)
        is_changed = hashed in known and known[hashed].cells != cells
        if n_results == 0 or hashed not in known or is_changed:
            n_before = known[hashed].n_results_before if hashed in known else 0
            if is_changed:
                n_before += _results_before(claim, store, suite.name)
            now[hashed] = RegisteredClaim(
                hash=hashed,
                statement=claim.statement,
                n_judgements=len(suite.datasets) if claim.datasets == "each" else 1,
                seeds=list(plan.seeds),
                analysis=analysis,
                n_results=n_results,
                cells=cells,
                n_results_before=n_before,
            )
    changed = [claim for hashed, claim in now.items() if hashed not in known or _differs(claim, known[hashed])]
    current = {claim_hash(claim) for claim in suite.claims}
    gone = [] if finished else [hashed for hashed in known if hashed not in current]
    if changed or gone:
        store.register_claims(suite.name, changed, gone)


def runs_of_claim(suite: Suite, claim: Claim, runs: Iterable[Run]) -> list[Run]:
    """Those of these runs that a claim compares; none where the design has no such cells."""
    wanted = _places_of(suite, claim)
    return [run for run in runs if _place(run.cell.levels) in wanted]


def _hash_of_cells(suite: Suite, claim: Claim, cells: Iterable[Cell]) -> str:
    """Tells all settings of the cells that a claim compares, before a search has found any, from all others."""
    wanted = _places_of(suite, claim)
    settings = sorted(
        canonical_json([cell.dataset, cell.settings.identity()]) for cell in cells if _place(cell.levels) in wanted
    )
    tuned = [each.model_dump(mode="json") for each in suite.tuned]
    return hashlib.sha256(canonical_json([settings, tuned]).encode()).hexdigest()


def _results_before(claim: Claim, store: Store, name: str) -> int:
    """How many runs that a claim compares have results, as its suite was last run."""
    registration = store.registration(name)
    if registration is None:
        return 0
    try:
        runs = runs_of_claim(parse_suite(registration.text, name), claim, registered_runs(registration))
    except SettingError:  # a suite of an older version of this program
        return 0
    statuses = store.statuses(run.key for run in runs)
    return sum(status in OUTCOMES for status in statuses.values())


def standing(
    suite: Suite, seeds: Sequence[int], known: Mapping[str, RegisteredClaim], looks: Sequence[int] = ()
) -> Standing:
    """Hold the claims of a suite against what was registered.

    Args:
        suite: as it was last run.
        seeds: with which it was last run.
        known: what the store has of its claims, by hash.
        looks: those that were declared when it was last run, where the suite declares none.
    """
    analysis = analysis_with(suite, list(looks))
    found = {claim.statement: known.get(claim_hash(claim)) for claim in suite.claims}
    reasons = {statement: _why_exploratory(analysis, seeds, claim) for statement, claim in found.items()}
    hashes = {claim_hash(claim) for claim in suite.claims}
    return Standing(
        unregistered={statement: why for statement, why in reasons.items() if why},
        registered_at={statement: claim.registered_at for statement, claim in found.items() if claim},
        withdrawn=tuple(claim for hashed, claim in known.items() if hashed not in hashes and not claim.n_results),
        looks=tuple(analysis.looks),
        seeds=tuple(seeds),
    )


def undeclared_seeds(analysis: Analysis, seeds: Collection[int], registered: Collection[int]) -> str | None:
    """Why a number of seeds allows no verdict, as a clause; None where it was declared."""
    if len(seeds) in analysis.looks or (not analysis.looks and set(seeds) == set(registered)):
        return None
    if analysis.looks:
        declared = ", ".join(map(str, analysis.looks))
        return f"{counted(len(seeds), 'seed')}, where looks are declared at {declared}"
    if len(seeds) == len(registered):
        return "other seeds than those that were registered"
    return f"{counted(len(seeds), 'seed')}, where {len(registered)} were registered and no look was declared"


def _why_exploratory(analysis: Analysis, seeds: Sequence[int], claim: RegisteredClaim | None) -> str | None:
    if claim is None:
        return "it was not registered by “ablate run”"
    if claim.n_results:
        return f"it was added or edited when {counted(claim.n_results, 'run')} of those that it compares had results"
    if claim.n_results_before:
        of_runs = counted(claim.n_results_before, "run")
        return f"the settings under which it compares were changed when {of_runs} under the former ones had results"
    if claim.analysis != analysis.model_dump(mode="json"):
        return "how claims are judged was changed after there were results"
    return undeclared_seeds(analysis, seeds, claim.seeds)


def _differs(claim: RegisteredClaim, known: RegisteredClaim) -> bool:
    return {**vars(claim), "registered_at": ""} != {**vars(known), "registered_at": ""}


def _places_of(suite: Suite, claim: Claim) -> set[tuple[tuple[str, str], ...]]:
    """The combinations that a claim compares; none where the design has no such cells."""
    try:
        compared = comparison(suite, claim)
    except SettingError:
        return set()
    return {_place(levels) for levels in (*compared.better, *compared.than)}


def _place(levels: Levels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(levels.items()))
