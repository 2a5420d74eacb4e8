"""Where the numbers of a report come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

import zoo
from benchmarks.analysis.tables import MISSING
from benchmarks.labels import counted, whole
from benchmarks.report.claims import Claims
from benchmarks.results import FAILURES
from benchmarks.runs import Run
from benchmarks.settings import training
from benchmarks.settings.run import VARIANT, canonical_json
from benchmarks.store import Registration
from benchmarks.suite.suite import Suite
from zoo.variants import VARIANTS


@dataclass(frozen=True)
class Machine:
    """A machine that ran part of a suite."""

    n_runs: int
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Checked:
    """A line of the checklist."""

    question: str
    is_fine: bool
    answer: str


@dataclass(frozen=True)
class Provenance:
    """Everything that a reader needs to judge or repeat the runs."""

    suite_text: str
    fixed_settings: tuple[tuple[str, str], ...]
    """The settings that are the same in every cell."""
    varied_settings: tuple[str, ...]
    evaluated: str
    """What `evaluated_told` gave."""
    models: tuple[str, ...]
    """What the base settings change of each model that the suite names, in sentences."""
    machines: tuple[Machine, ...]
    zoo_revision: int
    training_revision: int
    n_runs: int
    """Runs of this suite that the store holds."""
    n_tried_again: int
    first_finished_at: str
    last_finished_at: str
    registered_at: str
    claims_registered: tuple[tuple[str, str], ...]
    """Statement and time, for each claim that was registered."""
    deviations: tuple[str, ...]
    """What is not as it was planned, in sentences."""
    checklist: tuple[Checked, ...]


def provenance(
    suite: Suite,
    registration: Registration,
    planned: Sequence[Run],
    runs: pd.DataFrame,
    machines: Mapping[str, Mapping[str, Any]],
    claims: Claims | None,
) -> Provenance:
    """Gather it from a suite, its registration, its plan, its run table, the store's machines and the judged claims."""
    held = runs[runs["machine"] != ""]
    fixed, varied = _settings(planned)
    return Provenance(
        suite_text=registration.text,
        fixed_settings=fixed,
        varied_settings=varied,
        evaluated=evaluated_told(planned),
        models=tuple(_models(suite)),
        machines=_machines(Counter(held["machine"]), machines),
        zoo_revision=zoo.REVISION,
        training_revision=training.REVISION,
        n_runs=len(held),
        n_tried_again=int((held["attempts"] > 1).sum()),
        first_finished_at=held["finished_at"].min() if len(held) else "",
        last_finished_at=held["finished_at"].max() if len(held) else "",
        registered_at=registration.registered_at,
        claims_registered=tuple(claims.standing.registered_at.items()) if claims else (),
        deviations=tuple(_deviations(suite, registration, runs, claims)),
        checklist=tuple(_checklist(suite, registration, planned, runs, claims)),
    )


def _deviations(suite: Suite, registration: Registration, runs: pd.DataFrame, claims: Claims | None) -> Iterable[str]:
    is_look = claims is not None and len(registration.seeds) in claims.standing.looks
    if list(registration.seeds) != suite.seed_list and not is_look:
        yield (
            f"The suite plans {counted(len(suite.seed_list), 'seed')}; "
            f"{counted(len(registration.seeds), 'seed')} were asked for on the command line."
        )
    if claims:
        for statement, why in claims.standing.unregistered.items():
            yield f"The claim “{statement}” is exploratory: {why}."
        for claim in claims.standing.attempts:
            yield (
                f"The claim “{claim.statement}” was registered before, with other seeds, settings or looks, and "
                f"{counted(claim.n_results_before, 'run')} had results when it was registered anew. It counts once "
                "more among the claims that alpha is divided over."
            )
        for claim in claims.standing.taken_out:
            yield (
                f"The claim “{claim.statement}” was registered, and taken out or edited after there were results. "
                "It counts among the claims that alpha is divided over."
            )
    counts = runs["status"].value_counts()
    if number := int(counts.get("diverged", 0)):
        yield f"{counted(number, 'run')} diverged: an outcome, which counts."
    for status in FAILURES:
        if number := int(counts.get(status, 0)):
            how = status.replace("_", " ")
            yield f"{counted(number, 'run')} ended as {how}: a hole, until “ablate run --retry {status}” fills it."
    if number := int(counts.get(MISSING, 0)):
        yield f"{counted(number, 'run')} {'is' if number == 1 else 'are'} missing."
    n_machines = runs.loc[runs["machine"] != "", "machine"].nunique()
    if n_machines > 1:
        yield f"The runs come from {n_machines} machines or set-ups, which differ in what is listed below."


def _checklist(
    suite: Suite, registration: Registration, planned: Sequence[Run], runs: pd.DataFrame, claims: Claims | None
) -> Iterable[Checked]:
    if claims:
        n_claims, n_exploratory = len(claims.claims), len(claims.standing.unregistered)
        registered = f"{n_claims - n_exploratory} of {counted(n_claims, 'claim')}"
        yield Checked("Were the claims registered before there were results?", not n_exploratory, registered)
        yield Checked(
            "Are all claims still as they were registered?",
            not claims.standing.withdrawn,
            f"{counted(len(claims.standing.withdrawn), 'claim')} taken out, edited or registered anew after there were "
            "results",
        )
        looks, undeclared = claims.standing.looks, claims.standing.undeclared
        declared = f"looks at {', '.join(map(str, looks))}" if looks else "one look, at all seeds"
        answer = undeclared or f"{declared}; now {len(registration.seeds)}"
        yield Checked("Were the seeds declared?", undeclared is None, answer)
    held = int(runs["outcome"].notna().sum())
    yield Checked(
        "Has every planned run an outcome?", held == len(runs), f"{whole(held)} of {counted(len(runs), 'run')}"
    )
    per_cell = runs.groupby("cell")["seed"].agg(frozenset).nunique()
    yield Checked("Has every cell the same seeds, so that they are paired?", per_cell == 1, "by the plan")
    n_machines = runs.loc[runs["machine"] != "", "machine"].nunique()
    yield Checked("Do all runs come from one machine and set-up?", n_machines <= 1, f"{n_machines}")
    if suite.search:
        yield Checked(
            "Have the settings been tuned on other seeds than those reported?", True, "checked before running"
        )
    yield Checked(f"Was each test set read once a run, {evaluated_told(planned)}?", True, "by construction")
    yield Checked("Do all runs have the revisions of this program and the versions of the data?", True, "by their keys")


_EVALUATED: Mapping[str, str] = {
    "last": "after the last epoch",
    "best_val": "with the weights of the epoch that was best on the validation part",
}
"""Value of `train.checkpoint` -> which weights are evaluated, as a clause."""


def evaluated_told(planned: Iterable[Run]) -> str:
    """With which weights the test examples were read, as a clause."""
    found = {run.cell.settings.train.checkpoint for run in planned}
    return ", or ".join(told for rule, told in _EVALUATED.items() if rule in found)


def _models(suite: Suite) -> Iterable[str]:
    """How each model that is named stands to its publication, before factors change it further."""
    for base in suite.bases:
        name = base.get(VARIANT)
        # Without a variant the suite writes down all of its model itself.
        if name not in VARIANTS:
            continue
        variant = VARIANTS[name]
        given = {path.removeprefix("model."): value for path, value in base.items() if path.startswith("model.")}
        changed = [
            f"{setting} is {_as_text(value)} instead of {_as_text(getattr(variant.config, setting))}"
            for setting, value in given.items()
            if f"model.{setting}" != VARIANT and not _is_equal(value, getattr(variant.config, setting))
        ]
        told = f"changes it: {', '.join(changed)}" if changed else "leaves it as it is"
        yield f"{name} ({variant.source}): the base {told}."


def _is_equal(value: Any, other: Any) -> bool:
    """Whether two values of a setting are the same; what is a list in a suite is a tuple in a config."""
    return canonical_json(value) == canonical_json(other) or value == other


def _settings(planned: Sequence[Run]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The settings that all cells share, with their values, and the paths of the others."""
    values: dict[str, set[str]] = {}
    # Tuned settings can differ between datasets.
    cells = {(run.cell.dataset, *run.cell.levels.items()): run.cell for run in planned}
    everywhere = Counter[str]()
    for cell in cells.values():
        for path, value in cell.settings.flat().items():
            values.setdefault(path, set()).add(_as_text(value))
            everywhere[path] += 1
    is_fixed = {path: len(found) == 1 and everywhere[path] == len(cells) for path, found in values.items()}
    fixed = tuple((path, next(iter(found))) for path, found in values.items() if is_fixed[path])
    return fixed, tuple(path for path in values if not is_fixed[path])


def _machines(n_runs: Mapping[str, int], machines: Mapping[str, Mapping[str, Any]]) -> tuple[Machine, ...]:
    used = sorted(n_runs, key=lambda machine: (-n_runs[machine], machine))
    return tuple(Machine(n_runs[each], tuple(flat_facts(machines.get(each, {})))) for each in used)


def flat_facts(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Facts by dotted name, as text; sorted, so that their order in the store does not matter."""
    found = []
    for name, value in sorted(facts.items()):
        if isinstance(value, Mapping):
            found += flat_facts(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", _as_text(value)))
    return found


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)
