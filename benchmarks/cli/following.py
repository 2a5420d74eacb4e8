"""Commands that follow stores and merge them: status, watch, logs, runs, merge."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.cli.arguments import INTERRUPTED, RUNS_DIR, AsJson, RegisteredSuite, RunsDir, StoreURL
from benchmarks.cli.finding import registered_study, registered_suite
from benchmarks.cli.rendering import make_console, make_wide_console, print_json, row_table, say
from benchmarks.labels import with_levels

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.plan.ledger import Log
    from benchmarks.plan.study import Study
    from benchmarks.store import Registration, Store


def status(
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE]", help="A suite that was run here.", show_default=False)
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    as_json: AsJson = False,
) -> None:
    """Show every suite of a runs folder and how many of its runs have ended how, or every run of one SUITE.

    Of one suite, each run that is planned has exactly one status: planned, running, interrupted, done, diverged,
    failed, out_of_memory or timed_out.
    """
    from benchmarks.store import Store

    store = Store.open(runs_dir, store_url)
    if suite is not None:
        _tell_ledger(registered_study(suite, store), as_json)
        return
    rows = [_suite_row(registration, store) for registration in store.registrations()]
    if as_json:
        print_json(rows)
    elif rows:
        problems = {row["suite"]: row.pop("problem") for row in rows}
        make_wide_console().print(row_table(rows))
        for name, problem in problems.items():
            if problem:
                say(f"{name}: {problem}")
    else:
        say(f"{store.place}: no suite was run here yet")


def watch(suite: RegisteredSuite, runs_dir: RunsDir = RUNS_DIR, store_url: StoreURL = None) -> None:
    """Show how a suite comes on, wherever its runners are, until nothing is left to train or Ctrl-C is pressed."""
    from benchmarks.cli.progress import watch as watch_ledger
    from benchmarks.plan.ledger import ledger_of
    from benchmarks.store import Store

    store = Store.open(runs_dir, store_url)
    name = registered_suite(suite, store).name
    try:
        watch_ledger(lambda: ledger_of(registered_study(name, store)), make_console())
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Key of a run, or its beginning; see `runs`.")],
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    as_json: AsJson = False,
) -> None:
    """Tell how a run went: its status, the reason, the traceback, attempts, the machine, and its last epochs."""
    from benchmarks.plan.ledger import log_of
    from benchmarks.store import Store

    log = log_of(Store.open(runs_dir, store_url), run)
    if as_json:
        print_json(log.as_json())
    else:
        _print_log(make_console(), log)


def runs(
    suite: RegisteredSuite,
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    as_json: AsJson = False,
) -> None:
    """List the runs of a suite as it was last run: key (for `ablate export`), cell, seed, status and outcome."""
    from benchmarks.files import weights_file
    from benchmarks.metrics import OUTCOME_METRICS
    from benchmarks.plan.keys import short_keys
    from benchmarks.store import Store

    store = Store.open(runs_dir, store_url)
    study = registered_study(suite, store)
    stored = store.runs(run.key for run in study.all_runs)
    rows = []
    for place, run in enumerate(study.all_runs):
        found = stored.get(run.key)
        metric = OUTCOME_METRICS[study.facts[run.cell.dataset].task]
        rows.append(
            {
                "key": run.key,
                "dataset": run.cell.dataset,
                "levels": dict(run.cell.levels),
                "seed": run.seed,
                "untuned": place >= len(study.runs),
                "status": found.status if found else "missing",
                "metric": metric,
                "outcome": found.metrics.get(metric) if found else None,
                "weights_kept": weights_file(runs_dir, run.key).exists(),
            }
        )
    if as_json:
        print_json(rows)
        return
    console = make_wide_console()
    console.print(row_table(_run_rows(rows, short_keys([run.key for run in study.all_runs]))))


def merge(
    stores: Annotated[
        list[str], typer.Argument(metavar="STORE...", help="Runs folders, or URLs of Postgres servers, to copy from.")
    ],
    into: Annotated[
        str, typer.Option(metavar="STORE", help="The runs folder, or the URL, to copy to; it may hold runs already.")
    ],
    prefer_first: Annotated[
        bool, typer.Option("--prefer-first", help="Of conflicting results keep the first, those of --into before all.")
    ] = False,
    runs_dir: Annotated[Path, typer.Option(help="Folder of the weights that lie beside a server's store.")] = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Join the stores of runs folders, such as of a job array, and of servers; conflicting results are refused."""
    from benchmarks.plan.merging import merge as merge_stores
    from benchmarks.store import Store, place_of

    joined = merge_stores(stores, into, prefers_first=prefer_first, runs_dir=runs_dir)
    if as_json:
        print_json([asdict(each) | {"left": each.left} for each in joined])
        return
    for each in joined:
        say(each.as_text())
    target = Store.open(*place_of(into, runs_dir))
    place = f"{'--runs-dir' if target.is_local else '--store'} {target.title}"
    say(f"next: ablate status {place}, then ablate report SUITE {place}")


def _suite_row(registration: Registration, store: Store) -> dict[str, Any]:
    """How many runs of a suite have ended how; none of these numbers where nobody can tell what its runs are."""
    from benchmarks.plan.study import NOT_UNDERSTOOD, Study, counted_by_status
    from zoo.settings import SettingError

    counts: dict[str, Any]
    try:
        counts, problem = Study.registered(registration, store).counts, None
    except SettingError:
        counts, problem = dict.fromkeys(counted_by_status(())), NOT_UNDERSTOOD
    return {"suite": registration.name, **counts, "registered_at": registration.registered_at, "problem": problem}


def _tell_ledger(study: Study, as_json: bool) -> None:
    from benchmarks.plan.ledger import ledger_of

    ledger = ledger_of(study)
    if as_json:
        print_json(ledger.as_json())
        return
    console = make_wide_console()
    say(ledger.as_text())
    for rows in (ledger.cells(), ledger.search.rows() if ledger.search else [], ledger.reasons()):
        if rows:
            console.print(row_table(rows))


def _run_rows(rows: list[dict[str, Any]], keys: list[str]) -> list[dict[str, Any]]:
    """What a table shows of listed runs."""
    kept = any(row["weights_kept"] for row in rows)
    are_compared = any(row["untuned"] for row in rows)
    return [
        with_levels(
            {
                "key": key,
                "dataset": row["dataset"],
                "seed": row["seed"],
                **({"settings": "untuned" if row["untuned"] else "tuned"} if are_compared else {}),
                "status": row["status"],
                "outcome": None if row["outcome"] is None else f"{row['metric']} {row['outcome']:.6g}",
                **({"weights": "kept" if row["weights_kept"] else None} if kept else {}),
            },
            row["levels"],
        )
        for key, row in zip(keys, rows, strict=True)
    ]


def _print_log(console: Console, log: Log) -> None:
    """How a run went: what is known in a line each, then its last epochs and the traceback."""
    from benchmarks.plan.ledger import STATUSES, words

    stored = log.stored
    facts = {
        "status": f"{words(log.status)}: {STATUSES[log.status]}",
        "reason": stored.message if stored else None,
        "dataset": log.dataset,
        "seed": str(log.seed),
        "suites": ", ".join(log.suites) or "none: a trial of a search, or of a suite that was changed since",
        "attempts": str(stored.attempts) if stored else "0",
        "seconds": f"{stored.seconds:.3g}" if stored else None,
        "ended": stored.finished_at if stored else None,
        "metrics": ", ".join(f"{name} {value:.6g}" for name, value in stored.metrics.items()) if stored else None,
        "machine": ", ".join(f"{name} {value}" for name, value in log.machine.items()),
    }
    facts = with_levels(facts, log.levels)
    say(f"run {log.key}")
    width = max(map(len, facts)) + 2
    for name, text in facts.items():
        if text:
            say(f"{name:{width}}{text}")
    if log.epochs:
        rows = [{name: _followed(value) for name, value in epoch.items()} for epoch in log.epochs]
        console.print(row_table(rows))
    if stored and stored.traceback:
        say(stored.traceback.rstrip())


def _followed(value: float | None) -> int | str | None:
    return value if value is None or isinstance(value, int) else f"{value:.6g}"
