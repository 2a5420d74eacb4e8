"""Commands that train."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.cli.arguments import (
    DONE,
    INTERRUPTED,
    RUNS_DIR,
    SOME_FAILED,
    TERMINATED,
    AsJson,
    DataDir,
    RunsDir,
    Seeds,
    StoreURL,
    SuiteArgument,
    Workers,
)
from benchmarks.cli.finding import plan_of
from benchmarks.cli.rendering import describe, make_console, path_text, phases_text, print_json, say, tell
from benchmarks.cli.reporting import tell_report
from benchmarks.cli.resolving import at_look, refuse_with_looks, resolve
from benchmarks.cli.tracking import Track, destinations_of, tracked_suite
from benchmarks.errors import UserError
from benchmarks.execution.interrupts import Terminated, listening

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.execution.executors import RayCluster
    from benchmarks.execution.running import Options, Session
    from benchmarks.plan.plan import Plan
    from benchmarks.plan.shards import Shard
    from benchmarks.runs import Run
    from benchmarks.store import Store
    from benchmarks.tracking.config import Destinations
    from benchmarks.training.stopwatch import Stopwatch


CheckpointEvery = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="How often runs under way are written down; 0: at every opportunity."),
]
KeepWeights = Annotated[
    bool, typer.Option("--keep-weights", help="Keep the weights of each run that is trained, for `ablate export`.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of each worker; by default the cores divided among them.")
]
DatasetMemory = Annotated[
    float | None, typer.Option(min=0, metavar="GIB", help="Inputs of a dataset that take more are streamed from disk.")
]
Profile = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write a timeline of the training there, and seconds a phase.")
]
Retry = Annotated[
    list[str] | None,
    typer.Option(metavar="STATUS", help="Try runs again that are failed, out_of_memory, timed_out, or all of them."),
]
TimeLimit = Annotated[
    float | None, typer.Option(min=0.001, metavar="SECONDS", help="End a run that takes longer: timed_out.")
]
UntilResolved = Annotated[
    bool,
    typer.Option("--until-resolved", help="Add seeds at looks declared before the first until no claim is open."),
]
MaxSeeds = Annotated[
    int | None,
    typer.Option(min=1, max=100_000, metavar="N", help="Of --until-resolved: at most so many seeds; the last look."),
]
Part = Annotated[
    str | None,
    typer.Option(metavar="NUMBER/COUNT", help="Train one part of the suite, such as 3/16, and write no report."),
]

ExecutorName = Annotated[
    str, typer.Option(metavar="NAME", help="local: worker processes of this machine; ray: the nodes of a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Ray cluster, or auto; without it, one is started on this machine alone."),
]
Gpus = Annotated[float | None, typer.Option(metavar="NUMBER", help="GPUs of each worker on Ray, such as 1 or 0.25.")]
TaskMemory = Annotated[
    float | None, typer.Option(min=0, metavar="GIB", help="Memory set aside for each worker on Ray; 1.5 by default.")
]


def run(
    suite: SuiteArgument,
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    data_dir: DataDir = None,
    seeds: Seeds = None,
    until_resolved: UntilResolved = False,
    max_seeds: MaxSeeds = None,
    checkpoint_every: CheckpointEvery = 60.0,
    keep_weights: KeepWeights = False,
    workers: Workers = None,
    threads: Threads = None,
    dataset_memory: DatasetMemory = None,
    profile: Profile = None,
    retry: Retry = None,
    time_limit: TimeLimit = None,
    shard: Part = None,
    executor: ExecutorName = "local",
    address: Address = None,
    gpus: Gpus = None,
    task_memory: TaskMemory = None,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Train every run of a suite that is not stored yet, then write the report.

    The same command goes on where an interrupted one stopped; a run that failed is tried again with --retry alone.
    Exit code: 0 all runs done, 1 some failed or diverged, 2 the suite or the call is wrong, 130 interrupted by Ctrl-C,
    143 by SIGTERM.
    """
    from benchmarks.execution.executors import cluster_of
    from benchmarks.execution.running import Options
    from benchmarks.plan.interim import planned_looks
    from benchmarks.plan.ledger import reopened, ways_to_retry
    from benchmarks.plan.shards import Shard
    from benchmarks.store import Store

    console = make_console(to_error=as_json)
    refuse_with_looks(max_seeds, until_resolved, seeds, shard)
    ways, part = ways_to_retry(retry or ()), None if shard is None else Shard.parse(shard)
    destinations = destinations_of(track, part)
    cluster, dataset_bytes = cluster_of(executor, address, gpus, task_memory), _in_bytes(dataset_memory)
    options = Options(
        workers=workers,
        threads=threads,
        dataset_bytes=dataset_bytes,
        checkpoint_every=checkpoint_every,
        keep_weights=keep_weights,
        time_limit=time_limit,
        shard=part,
        cluster=cluster,
    )
    with _told_if_interrupted("runs", console):
        plan = plan_of(suite, runs_dir, store_url, data_dir, seeds)
        looks = planned_looks(plan.suite, max_seeds) if until_resolved else None
        store = Store.create_or_open(runs_dir, store_url)
        plan = _with_data(plan, store, console, cluster, needed=bool(ways or part))
        if ways:
            plan = reopened(at_look(plan, looks, looks.made[-1], store) if looks else plan, store, ways)
        with _profiled(profile, console) as stopwatch:
            train = partial(_train, store=store, console=console, options=options, stopwatch=stopwatch)
            plan, own = resolve(plan, looks, store, train, console) if looks else train(plan)
        if part:
            n_done = _tell_part(suite, plan, part, own, store, as_json=as_json)
        else:
            n_done = _report(plan, store, destinations, as_json)
    raise typer.Exit(DONE if n_done == len(own) else SOME_FAILED)


def tune(
    suite: SuiteArgument,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The suite to write; by default NAME_tuned.toml.")
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    data_dir: DataDir = None,
    checkpoint_every: CheckpointEvery = 60.0,
    workers: Workers = None,
    threads: Threads = None,
    dataset_memory: DatasetMemory = None,
    retry: Retry = None,
    time_limit: TimeLimit = None,
    executor: ExecutorName = "local",
    address: Address = None,
    gpus: Gpus = None,
    task_memory: TaskMemory = None,
    as_json: AsJson = False,
) -> None:
    """Make the search of a suite, and write a suite with the settings that it found in place of the search.

    Its runs are those that `ablate run SUITE` trains after the search. With --retry, a search is made again that has
    trials which failed so. Exit code: 0 settings were found for every group, 1 not for all, 2 the suite or the call is
    wrong, 130 interrupted by Ctrl-C, 143 by SIGTERM.
    """
    from benchmarks.execution.executors import cluster_of
    from benchmarks.plan.ledger import reopened, ways_to_retry
    from benchmarks.search.outcomes import outcome_told
    from benchmarks.search.tuned_suite import TunedSuite
    from benchmarks.store import Store

    console = make_console(to_error=as_json)
    ways, cluster = ways_to_retry(retry or ()), cluster_of(executor, address, gpus, task_memory)
    plan = plan_of(suite, runs_dir, store_url, data_dir, None)
    made = TunedSuite(plan, output)
    store = Store.create_or_open(runs_dir, store_url)
    with _told_if_interrupted("trials", console):
        plan = _with_data(plan, store, console, cluster, needed=bool(ways))
    if ways:
        plan = reopened(plan, store, ways, trials_alone=True)
    known = set(plan.searches)
    if plan.open_groups:
        from benchmarks.execution.running import Options, begun

        dataset_bytes = _in_bytes(dataset_memory)
        options = Options(workers, threads, dataset_bytes, checkpoint_every, time_limit=time_limit, cluster=cluster)
        with _told_if_interrupted("trials", console), begun(plan, store, options) as session:
            plan = _search(session, console)
    tuned = made.write(plan)
    for group in plan.groups:
        if group.key in known and not plan.searches[group.key].chosen:
            tell(console, outcome_told(group, plan.searches[group.key], store))
    if as_json:
        print_json(tuned.as_json())
    elif tuned.path is None:
        say("no suite is written: nothing was found; change [search.space], or repeat failed trials with --retry")
    else:
        say(f"wrote {tuned.path}; next: ablate plan {tuned.path}, then ablate run {tuned.path}")
    raise typer.Exit(DONE if tuned.is_complete else SOME_FAILED)


def _with_data(plan: Plan, store: Store, console: Console, cluster: RayCluster | None, *, needed: bool) -> Plan:
    """The plan for what its datasets hold, where that is needed to know what is left to do."""
    if plan.unread and (needed or plan.missing or plan.is_open):
        from benchmarks.execution.running import with_data

        plan = with_data(plan, store.folder, store, cluster)
    for sentence in plan.changed_data(store):
        tell(console, sentence)
    return plan


def _in_bytes(gib: float | None) -> float | None:
    return None if gib is None else gib * 2**30


def _train(
    plan: Plan, store: Store, console: Console, options: Options, stopwatch: Stopwatch | None
) -> tuple[Plan, list[Run]]:
    """Register claims, search and train what is missing; the plan with what was found, and the runs of this job."""
    from benchmarks.cli.progress import ProgressDisplay
    from benchmarks.plan.registration import register_claims

    register_claims(plan, store)
    is_registered = store.is_registered(plan.suite.name, plan.text, list(plan.seeds), plan.versions, list(plan.looks))
    # Which runs are of a part follows from the data, which a session opens.
    if not plan.missing and not plan.is_open and is_registered and not options.shard:
        return plan, list(plan.all_runs)
    from benchmarks.execution.running import begun

    if not plan.is_open:
        _say_missing(plan, console)
    with begun(plan, store, options, stopwatch) as session:
        if plan.is_open:
            # Those of other parts may have ended meanwhile, and this part has none to search.
            plan = _find_path(session, console) if plan.open_path else _search(session, console)
            session = replace(session, plan=plan)
            _say_missing(plan, console)
        missing = session.own(plan.missing)
        if options.shard:
            tell(console, f"{plan.suite.name}: {len(missing)} of them in part {options.shard}")
        with ProgressDisplay(len(missing), console) as progress:
            session.train(missing, progress)
        return plan, session.own(plan.all_runs)


def _find_path(session: Session, console: Console) -> Plan:
    """Find the path of a plan; the plan with the cells along it."""
    from benchmarks.cli.progress import ProgressDisplay
    from benchmarks.execution.running import search_missing
    from benchmarks.plan.path import changes_taken

    path = session.plan.open_path
    assert path is not None  # as whoever calls has seen
    name = session.plan.suite.name
    tell(console, f"{name}: a path to find by {path.objective}: at most {path.most_runs} runs")
    plan = search_missing(session, lambda number: ProgressDisplay(number, console))
    tell(console, f"path: {path_text(changes_taken(plan.searches[path.key].chosen))}")
    return plan


def _search(session: Session, console: Console) -> Plan:
    """Make the searches of a plan that have not ended; the plan with the settings that were found."""
    from benchmarks.cli.progress import ProgressDisplay
    from benchmarks.execution.running import search_missing
    from benchmarks.search.outcomes import outcome_told

    plan, table = session.plan, session.plan.suite.search
    assert table is not None  # else no group is open
    searched = {group.key for group in session.open_groups}
    groups = f"{len(plan.open_groups)} of {len(plan.groups)} {'group' if len(plan.groups) == 1 else 'groups'}"
    own = f", {len(searched)} of them in part {session.shard}" if session.shard else ""
    tell(console, f"{plan.suite.name}: {groups} to search{own}: {table.strategy}, trials: {table.trials} each")
    plan = search_missing(session, lambda number: ProgressDisplay(number, console))
    for group in plan.groups:
        if group.key in searched:
            tell(console, outcome_told(group, plan.searches[group.key], session.store))
    return plan


def _say_missing(plan: Plan, console: Console) -> None:
    from benchmarks.plan.groups import WaitingRun

    waiting = sum(isinstance(run, WaitingRun) for run in plan.runs)
    known = f", of which {waiting} wait for a search" if waiting else ""
    tell(console, f"{plan.suite.name}: {len(plan.missing)} of {len(plan.all_runs)} runs to train{known}")


@contextmanager
def _told_if_interrupted(what: str, console: Console) -> Iterator[None]:
    """End the command where what is done inside is interrupted by Ctrl-C or SIGTERM, and say what is kept."""
    try:
        with listening():
            yield
    except KeyboardInterrupt as interrupt:
        tell(console, f"\ninterrupted: finished {what} are stored, and the same command goes on from here")
        raise typer.Exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED) from None


@contextmanager
def _profiled(folder: Path | None, console: Console) -> Iterator[Stopwatch | None]:
    """Write where the time went that is spent inside, also where it is interrupted."""
    if folder is None:
        yield None
        return
    from benchmarks.training.stopwatch import Stopwatch

    try:
        folder.mkdir(parents=True, exist_ok=True)
        timeline, table = folder / "timeline.json", folder / "phases.txt"
        table.write_text("the training is under way\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: the profile cannot be written: {error.strerror}") from None
    stopwatch, start = Stopwatch(), time.perf_counter()
    try:
        yield stopwatch
    finally:
        text = phases_text(stopwatch.totals(), time.perf_counter() - start)
        stopwatch.write_timeline(timeline)
        table.write_text(text + "\n", encoding="utf-8")
        tell(console, text)
        tell(console, f"timeline: {timeline}, for https://ui.perfetto.dev")


def _report(plan: Plan, store: Store, destinations: Destinations, as_json: bool) -> int:
    """Write and tell the report of a plan that was run; the number of its runs that are done."""
    from benchmarks.plan.study import Study
    from benchmarks.report.writing import write_report

    registration = store.registration(plan.name)
    assert registration is not None  # as `begun` does before anything is trained
    study = Study.registered(registration, store, plan)
    counts, path = study.counts, write_report(study, store.folder / study.name)
    store.keep_back_up()
    tell_report(study, path, as_json, tracked_suite(study, destinations))
    return counts["done"]


def _tell_part(suite: str, plan: Plan, part: Shard, own: Sequence[Run], store: Store, *, as_json: bool) -> int:
    """Tell how the runs of one part ended; the number of those that are done."""
    from benchmarks.plan.study import counted_by_status

    statuses = store.statuses(run.key for run in own)
    counts = counted_by_status(statuses.get(run.key) for run in own)
    if as_json:
        print_json({"suite": plan.name, "shard": str(part), "runs": counts, "report": None})
    else:
        say(f"part {part}: {describe(counts)}")
        say(f"once all parts are in one store: ablate report {suite}")
    return counts["done"]
