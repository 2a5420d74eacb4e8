"""Registration: claims that stood in the suite before anything was seen of their runs, and what was changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.labels import counted
from benchmarks.plan.plan import Plan
from benchmarks.plan.study import Study
from benchmarks.results import OUTCOMES
from benchmarks.runs import Levels, Run
from benchmarks.settings.run import canonical_json
from benchmarks.store import RegisteredClaim, Store
from benchmarks.suite.claims import Analysis, Claim, claim_hash
from zoo.settings import SettingError


@dataclass(frozen=True)
class Standing:
    """How the claims of a suite stand to what was registered."""

    unregistered: Mapping[str, str]
    """Statement of each claim that is exploratory -> why, as a clause."""
    registered_at: Mapping[str, str]
    """Statement -> when it was registered, for those that were."""
    taken_out: tuple[RegisteredClaim, ...]
    """Claims that were registered and then taken out or edited, after something was seen."""
    attempts: tuple[RegisteredClaim, ...]
    """Former registrations of claims that were registered anew, with other seeds or settings, after that."""
    looks: tuple[int, ...]
    """Numbers of seeds at which the results are looked at; empty where one look is, at all seeds."""
    seeds: tuple[int, ...]
    """Those of now, in their order: a look is at the first of them."""
    undeclared: str | None
    """Why these are not the seeds that were declared, as a clause; None where they are."""

    @property
    def withdrawn(self) -> tuple[RegisteredClaim, ...]:
        """What was registered and is judged no more."""
        return (*self.taken_out, *self.attempts)

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
        """Judgements of what is judged no more: they had their share of alpha."""
        return sum(claim.n_judgements for claim in self.withdrawn)


def register_claims(plan: Plan, store: Store) -> None:
    """Note the claims of a suite that is about to be trained.

    A claim that is new is noted with the number of its runs that have results by now. One that is known stays as it is
    once any of its runs has a result, and is noted anew before; also where the settings under which it compares were
    changed, with the number of runs that had results under the former ones.

    What a claim was registered as before, and a claim that is gone, is forgotten where no run that it compared has a
    result. Where one has, it stays as a former registration, and comes back if it is given again.
    """
    suite = plan.suite
    known = store.claims(suite.name)
    finished = {key for key, status in plan.statuses.items() if status in OUTCOMES}
    given = {claim_hash(claim): _as_given(claim, plan, finished) for claim in suite.claims}
    anew = {hashed: claim for hashed, claim in given.items() if _is_anew(claim, known)}
    left = [claim for hashed, claim in known.items() if not claim.is_former and (hashed in anew or hashed not in given)]
    seen = _results_seen(store, plan) if left else {}
    n_seen = {claim.hash: _n_seen(claim, seen) for claim in left}
    noted = [_noted(claim, known, n_seen.get(hashed, 0)) for hashed, claim in anew.items()]
    # One that was exploratory had no verdict, and no share of alpha.
    ended = [claim for claim in left if n_seen[claim.hash] and not claim.n_results and not claim.n_results_before]
    noted += [replace(claim, hash=_former(claim), n_results_before=n_seen[claim.hash]) for claim in ended]
    dropped = [claim.hash for claim in left] + [_former(claim) for claim in anew.values()]
    if noted or left:
        store.register_claims(suite.name, noted, dropped)


def _as_given(claim: Claim, plan: Plan, finished: Collection[str]) -> RegisteredClaim:
    """A claim of a plan as it would be noted if it were new."""
    runs = _compared(plan, claim, plan.runs) if finished else []
    return RegisteredClaim(
        hash=claim_hash(claim),
        statement=claim.statement,
        n_judgements=len(plan.suite.datasets) if claim.datasets == "each" else 1,
        seeds=list(plan.seeds),
        analysis=plan.analysis.model_dump(mode="json"),
        n_results=sum(run.key in finished for run in runs),
        cells=_hash_of_cells(plan, claim),
    )


def _is_anew(claim: RegisteredClaim, known: Mapping[str, RegisteredClaim]) -> bool:
    """Whether a claim is to be noted, and not to stay as it is known."""
    before = known.get(claim.hash)
    if before is None or _former(claim) in known:
        return True
    may_change = claim.n_results == 0 or claim.cells != before.cells
    return may_change and replace(before, n_results_before=0, registered_at="") != claim


def _noted(claim: RegisteredClaim, known: Mapping[str, RegisteredClaim], n_seen: int) -> RegisteredClaim:
    """What is noted of a claim: its former registration where it is as it was then."""
    if former := known.get(_former(claim)):
        return replace(former, hash=claim.hash, n_results_before=0)
    before = known.get(claim.hash)
    if before is None:
        return claim
    return replace(claim, n_results_before=before.n_results_before + n_seen * (before.cells != claim.cells))


def _former(claim: RegisteredClaim) -> str:
    """The hash under which a registration is kept that has ended."""
    told = canonical_json([claim.seeds, claim.analysis, claim.cells])
    return f"{claim.hash}/{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def _n_seen(claim: RegisteredClaim, seen: Mapping[str, Sequence[Run]]) -> int:
    """How many runs were seen of a claim; none where those that were are not of its seeds."""
    runs = seen.get(claim.hash, ())
    return len(runs) if any(run.seed in claim.seeds for run in runs) else 0


def _results_seen(store: Store, plan: Plan) -> dict[str, list[Run]]:
    """Hash of each claim of a suite as it was last run -> the runs that it compares and that have results."""
    registration = store.registration(plan.name)
    if registration is None:
        return {}
    try:
        study = Study.registered(registration, store, plan)
        finished = [run for run in study.runs if study.statuses.get(run.key) in OUTCOMES]
    except SettingError:  # a suite of an older version of this program
        return {}
    return {claim_hash(claim): _compared(study, claim, finished) for claim in study.suite.claims}


def _compared(study: Study, claim: Claim, runs: Iterable[Run]) -> list[Run]:
    """Those of these runs of a study that a claim compares."""
    wanted = _places(study, claim)
    return [run for run in runs if _place(run.cell.levels) in wanted]


def _hash_of_cells(study: Study, claim: Claim) -> str:
    """Tells all settings of the cells that a claim compares, before a search has found any, from all others."""
    wanted = _places(study, claim)
    cells = (cell for cell in study.cells if _place(cell.levels) in wanted)
    settings = sorted(canonical_json([cell.dataset, cell.settings.identity()]) for cell in cells)
    tuned = [each.model_dump(mode="json") for each in study.suite.tuned]
    return hashlib.sha256(canonical_json([settings, tuned]).encode()).hexdigest()


def standing(study: Study) -> Standing:
    """Hold the claims of a study against what its store has registered of them."""
    suite, seeds, analysis = study.suite, study.seeds, study.analysis
    known = study.store.claims(study.name)
    found = {claim.statement: known.get(claim_hash(claim)) for claim in suite.claims}
    reasons = {statement: _why_exploratory(analysis, seeds, claim) for statement, claim in found.items()}
    hashes = {claim_hash(claim) for claim in suite.claims}
    judged_no_more = [claim for hashed, claim in known.items() if hashed not in hashes and not claim.n_results]
    is_attempt = {claim.hash: claim.hash.partition("/")[0] in hashes for claim in judged_no_more}
    registered = [claim for claim in found.values() if claim]
    undeclared = [undeclared_seeds(analysis, seeds, claim.seeds) for claim in registered]
    return Standing(
        unregistered={statement: why for statement, why in reasons.items() if why},
        registered_at={statement: claim.registered_at for statement, claim in found.items() if claim},
        taken_out=tuple(claim for claim in judged_no_more if not is_attempt[claim.hash]),
        attempts=tuple(claim for claim in judged_no_more if is_attempt[claim.hash]),
        looks=tuple(analysis.looks),
        seeds=tuple(seeds),
        undeclared=next(filter(None, undeclared), None) if registered else "none was registered",
    )


def undeclared_seeds(analysis: Analysis, seeds: Sequence[int], registered: Sequence[int]) -> str | None:
    """Why seeds allow no verdict, as a clause; None where they were declared.

    Where there are looks, seeds are added at the end: a look is at the first of them.
    """
    if analysis.looks and len(seeds) not in analysis.looks:
        declared = ", ".join(map(str, analysis.looks))
        return f"{counted(len(seeds), 'seed')}, where looks are declared at {declared}"
    n_common = min(len(seeds), len(registered))
    if analysis.looks and list(seeds[:n_common]) != list(registered[:n_common]):
        return "other seeds than those that were registered, or in another order, which says what a look is at"
    if analysis.looks or set(seeds) == set(registered):
        return None
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


def _places(study: Study, claim: Claim) -> set[tuple[tuple[str, str], ...]]:
    return {_place(levels) for levels in study.expansion.compared[claim.statement]}


def _place(levels: Levels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(levels.items()))
