"""`ablate run --until-resolved`: seeds are added from one interim analysis to the next until no claim is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from benchmarks.cli.rendering import tell
from benchmarks.errors import UserError, naming_file

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.plan.interim import Looks
    from benchmarks.plan.plan import Plan
    from benchmarks.report.claims import Look
    from benchmarks.runs import Run
    from benchmarks.store import Store

Train = Callable[["Plan"], tuple["Plan", list["Run"]]]
"""Registers the claims of a plan and trains what is missing of it; the plan by then, and its runs."""


def refuse_with_looks(max_seeds: int | None, until_resolved: bool, seeds: int | None, shard: str | None) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: they do not.
    """
    if max_seeds is not None and not until_resolved:
        raise UserError("--max-seeds: no effect without --until-resolved")
    if until_resolved and seeds is not None:
        raise UserError("--seeds: the looks say how many seeds there are\n  allowed: --max-seeds with --until-resolved")
    if until_resolved and shard is not None:
        raise UserError("--shard: a look is at all runs\n  allowed: several `ablate run` on one store, without --shard")


def resolve(plan: Plan, looks: Looks, store: Store, train: Train, console: Console) -> tuple[Plan, list[Run]]:
    """Train look after look until further seeds would decide nothing; the plan of the last one, and its runs.

    All looks are declared before the first. What is stored is not trained again, so that one that was killed goes on at
    the look that it was at.
    """
    from benchmarks.plan.combinations import refuse_too_many

    with naming_file(plan.path):
        refuse_too_many(plan.suite, looks.made[-1])
    own: list[Run] = []
    for look in looks.made:
        plan = at_look(plan, looks, look, store)
        plan, own = (plan, list(plan.all_runs)) if _is_trained(plan, store) else train(plan)
        made = _look(plan, store)
        _tell(made, len(looks.declared), console)
        if not made.open:
            break
    else:
        tell(console, f"{plan.suite.name}: the last look was made")
    known = store.registration(plan.suite.name)
    assert known is not None  # as at every look
    store.register(plan.suite.name, plan.text, list(plan.seeds), known.datasets, plan.looks)
    return plan, own


def at_look(plan: Plan, looks: Looks, look: int, store: Store) -> Plan:
    """The plan with the seeds of a look."""
    from benchmarks.plan.interim import seeds_at

    return plan.with_seeds(seeds_at(plan.suite, look), () if looks.stand_in_suite else looks.declared, store)


def _is_trained(plan: Plan, store: Store) -> bool:
    """Whether a suite was run as this plan has it, up to its seeds, and nothing of the plan is missing."""
    known = store.registration(plan.suite.name)
    if known is None or plan.missing or plan.is_open:
        return False
    return (known.text, known.versions, known.looks) == (plan.text, plan.versions, list(plan.looks))


def _look(plan: Plan, store: Store) -> Look:
    """What is decided with the seeds of a plan."""
    from benchmarks.analysis.reading import read_tables, tuning_trials
    from benchmarks.plan.registration import standing
    from benchmarks.report.claims import looks_made

    known = store.registration(plan.suite.name)
    assert known is not None  # the suite was registered before it was trained
    study = plan.changed(registration=known).renewed(store)
    runs, _ = read_tables(study)
    return looks_made(study.suite, runs, standing(study), tuning_trials(study))[-1]


def _tell(look: Look, n_looks: int, console: Console) -> None:
    head = f"look {look.number} of {n_looks}, {look.n_seeds} seeds"
    lines: Sequence[str] = [
        f"{statement}{f' ({dataset})' if dataset else ''}: {verdict.text}"
        for (statement, dataset), verdict in look.verdicts.items()
    ] or ["all claims are exploratory; the report says why"]
    for line in lines:
        tell(console, f"{head}: {line}")
