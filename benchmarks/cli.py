"""The `ablate` command. Nothing heavy is imported here: each command imports what it needs when it runs."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.errors import UserError
from benchmarks.interrupts import Terminated, listening
from benchmarks.rendering import (
    UNBROKEN,
    make_console,
    model_table,
    phases_text,
    print_choices,
    print_json,
    print_log,
    print_model,
    print_profiles,
    row_table,
    say,
)

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.data.dataset import Dataset
    from benchmarks.design import Run
    from benchmarks.execution.leases import Shard
    from benchmarks.execution.running import Options, Session
    from benchmarks.plan import Plan
    from benchmarks.store import Registration, Store
    from benchmarks.training.stopwatch import Stopwatch

DONE, SOME_FAILED, WRONG_CALL, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
"""Exit codes: all runs done; some failed or diverged; the suite or the call is wrong; interrupted; told to end."""

REGRESSION = 1
"""Exit code of `ablate compare` where something got worse."""

app = typer.Typer(
    name="ablate",
    help="Does this choice matter for my network? Trains a matrix of settings on TFDS data, reports it with intervals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SuiteArgument = Annotated[str, typer.Argument(metavar="SUITE", help="A suite file, or the name of a shipped suite.")]
RegisteredSuite = Annotated[
    str, typer.Argument(metavar="SUITE", help="A suite that was run here: its name, or its file.")
]
RunsDir = Annotated[Path, typer.Option(help="Folder of the store and the reports.")]
DataDir = Annotated[
    Path | None, typer.Option(help="TFDS folder of prepared datasets; by default TFDS_DATA_DIR or TFDS's own.")
]
Seeds = Annotated[int | None, typer.Option(min=1, max=100_000, help="Use seeds 0 to N-1 and not the suite's own.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; by default what fits cores and memory, and finds work.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
RUNS_DIR = Path("runs")


@app.command()
def run(
    suite: SuiteArgument,
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    seeds: Seeds = None,
    checkpoint_every: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="How often runs under way are written down; 0: at every opportunity."
        ),
    ] = 60.0,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep the weights of each run that is trained, for `ablate export`.")
    ] = False,
    workers: Workers = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each worker; by default the cores divided among them.")
    ] = None,
    dataset_memory: Annotated[
        float | None,
        typer.Option(min=0, metavar="GIB", help="Inputs of a dataset that take more are streamed from disk."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a timeline of the training there, and seconds a phase.")
    ] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS", help="Try runs again that are failed, out_of_memory, timed_out, or all of them."
        ),
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=0.001, metavar="SECONDS", help="End a run that takes longer: timed_out.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="NUMBER/COUNT", help="Train one part of the suite, such as 3/16, and write no report."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train every run of a suite that is not stored yet, then write the report.

    The same command goes on where an interrupted one stopped; a run that failed is tried again with --retry alone.
    Exit code: 0 all runs done, 1 some failed or diverged, 2 the suite or the call is wrong, 130 interrupted by Ctrl-C,
    143 by SIGTERM.
    """
    from benchmarks.execution.leases import Shard
    from benchmarks.execution.running import Options
    from benchmarks.ledger import reopened, ways_to_retry
    from benchmarks.plan import count_by_status
    from benchmarks.report.registration import register_claims
    from benchmarks.store import Store

    console = make_console(to_error=as_json)
    ways, part = ways_to_retry(retry or ()), None if shard is None else Shard.parse(shard)
    try:
        plan = _plan(suite, runs_dir, data_dir, seeds)
        store = Store.create_or_open(runs_dir)
        if ways:
            plan = reopened(plan, store, ways)
        with listening(), _profiled(profile, console) as stopwatch:
            dataset_bytes = None if dataset_memory is None else dataset_memory * 2**30
            options = Options(workers, threads, dataset_bytes, checkpoint_every, keep_weights, time_limit, part)
            register_claims(plan, store)
            plan, own = _train(plan, store, console, options, stopwatch)
        if part:
            counts = count_by_status(own, store.statuses(run.key for run in own))
        else:
            counts, report_path = _write_report(plan, store)
    except KeyboardInterrupt as interrupt:
        console.print("\ninterrupted: finished runs are stored, and the same command goes on from here")
        raise typer.Exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED) from None
    if part:
        _tell_part(plan.suite.name, part, counts, as_json)
    else:
        _tell_report(plan.suite.name, counts, report_path, as_json)
    raise typer.Exit(DONE if counts["done"] == len(own) else SOME_FAILED)


@app.command()
def tune(
    suite: SuiteArgument,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The suite to write; by default NAME_tuned.toml.")
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Make the search of a suite, and write a suite with the settings that it found in place of the search.

    Its runs are those that `ablate run SUITE` trains after the search. Exit code: 0 settings were found for every
    group, 1 not for all, 2 the suite or the call is wrong, 130 interrupted by Ctrl-C, 143 by SIGTERM.
    """
    from benchmarks.search.tuned_suite import TunedSuite
    from benchmarks.store import Store

    console = make_console(to_error=as_json)
    plan = _plan(suite, runs_dir, data_dir, None)
    made = TunedSuite(plan, output)
    store = Store.create_or_open(runs_dir)
    try:
        if plan.open_groups:
            from benchmarks.execution.running import Options, begun

            with listening(), begun(plan, store, Options(workers)) as session:
                plan = _search(session, console)
    except KeyboardInterrupt as interrupt:
        console.print("\ninterrupted: finished trials are stored, and the same command goes on from here")
        raise typer.Exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED) from None
    tuned = made.write(plan)
    if as_json:
        print_json(tuned.as_json())
    else:
        say(f"wrote {made.path}; next: ablate plan {made.path}, then ablate run {made.path}")
    raise typer.Exit(DONE if tuned.is_complete else SOME_FAILED)


@app.command()
def plan(
    suite: SuiteArgument,
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    seeds: Seeds = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Train like programs for a moment where no stored run tells their time.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a suite and show its cells and runs, how many are stored, and how long the rest will take.

    Nothing is downloaded or trained, unless --probe asks for it; what a probe trains is not stored.
    """
    from benchmarks.duration import expected_time

    made = _plan(suite, runs_dir, data_dir, seeds)
    expected = expected_time(made, runs_dir, probes=probe)
    if as_json:
        print_json(_plan_as_json(made) | {"expected": asdict(expected)})
        return
    from benchmarks.design import estimable

    console = make_console()
    say(": ".join(filter(None, (made.suite.name, made.suite.question))))
    for name, reference in made.references.items():
        say(f"dataset {name}: version {reference.version}, {_ORIGINS[reference.origin]}")
    say(
        f"{len(made.cells)} cells ({made.suite.chosen_design.name}) x {len(made.seeds)} seeds = {len(made.runs)} runs: "
        f"{_describe(made.counts)}"
    )
    if made.suite.search:
        table = made.suite.search
        searched = f"{len(made.groups) - len(made.open_groups)} of {len(made.groups)} groups searched"
        say(f"search: {table.strategy}, {table.trials} trials each by {table.objective}, {searched}")
    say(estimable(made.suite).note)
    if made.missing:
        say(expected.as_text())
    console.print(_cell_table(made))


@app.command()
def report(suite: SuiteArgument, runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """Write the report of a suite anew from what is stored."""
    from benchmarks.plan import stored_counts
    from benchmarks.report.writing import write_report
    from benchmarks.store import Store
    from benchmarks.suite import parse_suite, read_suite_text

    path = _suite_path(suite)
    text = read_suite_text(path)
    checked = parse_suite(text, str(path))
    store = Store.open(runs_dir)
    registration = store.registration(checked.name)
    if registration is None:
        raise UserError(f"{runs_dir}: suite {checked.name!r} was never run here; `ablate run {suite}` runs it")
    if registration.text != text:
        raise UserError(
            f"{path}: changed since it was last run; `ablate run {suite}` trains what is missing and reports"
        )
    _tell_report(
        checked.name,
        stored_counts(registration, store),
        write_report(checked, registration, store, runs_dir / checked.name),
        as_json,
    )


@app.command()
def status(
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE]", help="A suite that was run here.", show_default=False)
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Show every suite of a runs folder and how many of its runs have ended how, or every run of one SUITE.

    Of one suite, each run that is planned has exactly one status: planned, running, interrupted, done, diverged,
    failed, out_of_memory or timed_out.
    """
    from benchmarks.plan import stored_counts
    from benchmarks.store import Store

    store = Store.open(runs_dir)
    if suite is not None:
        _tell_ledger(_registered(suite, store), store, as_json)
        return
    rows = [
        {"suite": registration.name, **stored_counts(registration, store), "registered_at": registration.registered_at}
        for registration in store.registrations()
    ]
    if as_json:
        print_json(rows)
    elif rows:
        make_console().print(row_table(rows))
    else:
        say(f"{runs_dir}: no suite was run here yet")


@app.command()
def watch(suite: RegisteredSuite, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Show how a suite comes on, wherever its runners are, until nothing is left to train or Ctrl-C is pressed."""
    from benchmarks.ledger import ledger_of
    from benchmarks.progress import watch as watch_ledger
    from benchmarks.store import Store

    store = Store.open(runs_dir)
    name = _registered(suite, store).name
    try:
        watch_ledger(lambda: ledger_of(_registered(name, store), store), make_console())
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Key of a run, or its beginning; see `runs`.")],
    runs_dir: RunsDir = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Tell how a run went: its status, the reason, the traceback, attempts, the machine, and its last epochs."""
    from benchmarks.ledger import log_of
    from benchmarks.store import Store

    log = log_of(Store.open(runs_dir), run)
    if as_json:
        print_json(log.as_json())
    else:
        print_log(make_console(), log)


@app.command()
def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE...", help="Runs folders to copy from.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The runs folder to copy to; it may hold runs already.")],
    prefer_first: Annotated[
        bool, typer.Option("--prefer-first", help="Of conflicting results keep the first, DIR's own before all.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Join the stores of several runs folders, such as those of a job array; conflicting results are refused."""
    from benchmarks.merging import merge as merge_stores

    joined = merge_stores(stores, into, prefers_first=prefer_first)
    if as_json:
        print_json([asdict(each) | {"left": each.left} for each in joined])
        return
    for each in joined:
        say(each.as_text())
    say(f"next: ablate status --runs-dir {into}, then ablate report SUITE --runs-dir {into}")


@app.command()
def index(runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """Write index.html into a runs folder: every suite with its question, its state, its verdicts and its report."""
    from benchmarks.report.index import index_entries, write_index
    from benchmarks.store import Store

    store = Store.open(runs_dir)
    path = write_index(store)
    if as_json:
        print_json({"index": str(path), "suites": [asdict(entry) for entry in index_entries(store)]})
    else:
        say(f"index: {path}")


@app.command()
def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="A runs folder; or a suite, by its name or its file.")],
    after: Annotated[str, typer.Argument(metavar="B", help="What it is compared with, likewise.")],
    suite: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The suite in both folders; given twice, that in A and that in B."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC", help="Compare this; by default the outcome: test accuracy or RMSE."),
    ] = None,
    margin: Annotated[
        float, typer.Option(metavar="X", help="Least difference that matters, in the metric's unit: 0.002 is 0.2 %.")
    ] = 0.0,
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="How often anything may be called changed that is not.")
    ] = 0.05,
    runs_dir: RunsDir = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Tell what changed from A to B beyond noise: two runs folders, two suites of one, or two versions of a suite.

    Cells that have the same levels are compared, paired over the seeds that both have: a t test against the margin
    with Holm's correction over all comparisons, and a sign-flip test that must agree. With fewer than six common seeds
    nothing is said and the values are shown. A cell whose dataset or budget (epochs, steps, images, tuning trials)
    changed, or that has a hole, is not compared, and says so; other changed settings, another revision of the code and
    other machines are told beside the results.

    For checks in CI: keep the runs folder of the last release as A, run the same suite into B, and compare. Exit code:
    0 nothing got worse, 1 a regression: a cell is worse by more than the margin; 2 the call is wrong, or nothing can
    be compared.
    """
    from benchmarks import comparing

    found = comparing.compare(before, after, suite or (), metric or (), margin, alpha, runs_dir)
    if as_json:
        print_json(comparing.as_json(found))
    else:
        console = make_console()
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = UNBROKEN
        say(f"A: {found.before}\nB: {found.after}")
        console.print(row_table(comparing.rows_of(found)))
        say("\n".join(comparing.summary_of(found)))
    raise typer.Exit(REGRESSION if found.changes.regressions else DONE)


@app.command()
def runs(
    suite: RegisteredSuite,
    runs_dir: RunsDir = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """List the runs of a suite as it was last run: key (for `ablate export`), cell, seed, status and outcome."""
    from benchmarks.export import short_keys
    from benchmarks.plan import registered_runs, weights_file
    from benchmarks.store import Store
    from benchmarks.training.metrics import OUTCOME_METRICS

    store = Store.open(runs_dir)
    registration = _registered(suite, store)
    planned = registered_runs(registration)
    stored = store.runs(run.key for run in planned)
    rows = []
    for run in planned:
        found = stored.get(run.key)
        metric = OUTCOME_METRICS[registration.datasets[run.cell.dataset].task]
        rows.append(
            {
                "key": run.key,
                "dataset": run.cell.dataset,
                "levels": dict(run.cell.levels),
                "seed": run.seed,
                "status": found.status if found else "missing",
                "metric": metric,
                "outcome": found.metrics.get(metric) if found else None,
                "weights_kept": weights_file(runs_dir, run.key).exists(),
            }
        )
    if as_json:
        print_json(rows)
        return
    console = make_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBROKEN
    console.print(row_table(_run_rows(rows, short_keys([run.key for run in planned]))))


@app.command()
def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Key of a finished run, or its beginning; see `runs`.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder for the model.")],
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too; needs the extra `onnx`.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the trained model of a run: model.keras for raw inputs, a model card, and run.json with all facts.

    Where the weights were not kept (`ablate run --keep-weights`), the run is trained again, which gives the same ones.
    """
    from benchmarks import export as exporting
    from benchmarks.data.catalog import default_data_dir
    from benchmarks.quiet import import_tensorflow
    from benchmarks.store import Store

    exporting.check_folder(folder)
    if onnx:
        exporting.check_onnx()
    store = Store.open(runs_dir)
    stored = exporting.finished_run(store, run)
    console = make_console(to_error=True)
    with console.status(f"making the model of {stored.key}"):
        import_tensorflow()
        made = exporting.export_run(store, stored, folder, data_dir or default_data_dir(), with_onnx=onnx)
    for doubt in made.doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    if as_json:
        told = {"run": stored.key, "folder": str(made.folder), "files": made.files, "weights": made.origin}
        print_json({**told, "doubts": made.doubts})
    else:
        say(f"{stored.key}: {made.origin}\n" + "\n".join(str(made.folder / name) for name in made.files))


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of names, such as resnet20 or 'wrn*'.")] = "*",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every setting and every named choice.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the models of the zoo, with their sizes and papers; with -v, also their settings."""
    import zoo
    from zoo.settings import SettingError, unknown

    names = zoo.list_models(pattern)
    if not names:
        raise SettingError([unknown("PATTERN", "model", pattern, zoo.VARIANTS)])
    if as_json:
        print_json([_model_as_json(name) for name in names])
        return
    console = make_console()
    if not verbose:
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = UNBROKEN  # whoever reads a pipe wants one line a model
        console.print(model_table(names))
        return
    for name in names:
        print_model(console, name)
    print_choices(console, [zoo.VARIANTS[name].config for name in names])


@app.command()
def datasets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One dataset, read to tell what it is.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = RUNS_DIR,
    show: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw examples of NAME before and after augmentation.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SETTING=VALUE", help="An augmentation, such as rotate=15, for --show."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Which examples and changes --show draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the datasets that need no download, tell what one holds, or draw its examples with --show."""
    if name is None:
        if show or changes:
            raise UserError("NAME: --show and --set need one\n  allowed: ablate datasets NAME --show FILE.png")
        _list_datasets(data_dir, as_json)
    elif show:
        _show_dataset(name, data_dir, runs_dir, show, changes or [], seed, as_json)
    elif changes:
        raise UserError("--set: it changes what --show draws\n  allowed: --show FILE.png beside it")
    else:
        _tell_dataset(name, data_dir, runs_dir, as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the suite format, for editors that complete and check TOML."""
    from benchmarks.schema import suite_schema

    print_json(suite_schema())


@app.command()
def new(name: Annotated[str, typer.Argument(help="Name of the suite; it is written to NAME.toml.")]) -> None:
    """Write a commented suite to start from."""
    from benchmarks.suite import NAME_PATTERN, parse_suite

    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(f"NAME: not a name of a suite\n  given:   {name}\n  allowed: letters, digits, _ and -")
    text = files("benchmarks").joinpath("new_suite.toml").read_text(encoding="utf-8").format(name=name)
    parse_suite(text, f"ablate new {name}")
    path = Path(f"{name}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path}: exists already; nothing was changed") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    say(f"wrote {path}; next: ablate plan {path}, then ablate run {path}")


@app.command()
def speed(
    work: Annotated[str, typer.Argument(help="digits, mnist or shapes.")] = "digits",
    repeats: Annotated[int, typer.Option(min=1, help="Timed repetitions; the median is shown.")] = 5,
    workers: Workers = None,
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure the runner against a plain loop of Keras `fit` on the same runs, side by side, and against PyTorch."""
    from benchmarks.data.catalog import default_data_dir
    from benchmarks.speed.comparison import compare

    comparison = compare(work, repeats, (data_dir or default_data_dir()).resolve(), runs_dir.resolve(), workers)
    if as_json:
        print_json(comparison.as_json())
    else:
        say(comparison.as_text())


@app.command()
def profile(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Models, or shell patterns of their names.")],
    batch_sizes: Annotated[str, typer.Option(help="Examples at once, with commas between.")] = "1,32",
    repeats: Annotated[int, typer.Option(min=1, max=100_000, help="Timed calls, after those that warm up.")] = 10,
    input_shape: Annotated[
        str | None, typer.Option(help="Such as 32,32,3; by default that of the publication.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="SETTING=VALUE", help="Replace a setting of the models.")
    ] = None,
    output: Annotated[str, typer.Option("--format", metavar="[table|csv|json]", help="How to print it.")] = "table",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for a spreadsheet.")] = False,
) -> None:
    """Measure what models cost on this machine: memory, build and trace time, images a second and latency."""
    from benchmarks import profiling
    from benchmarks.quiet import import_tensorflow

    form = _output_form(output, as_json=as_json, as_csv=as_csv)
    sizes = tuple(dict.fromkeys(profiling.parse_sizes("--batch-sizes", batch_sizes)))
    shape = None if input_shape is None else profiling.parse_sizes("--input-shape", input_shape)
    subjects = profiling.find_subjects(models, profiling.parse_changes(changes or ()), shape)
    rows = []
    progress = make_console(to_error=True)
    with progress.status("importing TensorFlow") as now:
        import_tensorflow()
        for subject in subjects:
            now.update(subject.name)
            for row in profiling.measure(subject, sizes, repeats):
                rows.append(row)
                now.update(f"{subject.name}: batch size {row.batch_size} is measured")
    facts = profiling.machine()
    if form == "json":
        print_json(profiling.as_json(rows, repeats, facts))
    elif form == "csv":
        say(profiling.as_csv(rows, repeats, facts).rstrip("\n"))
    else:
        print_profiles(rows, repeats, facts)


def _list_datasets(data_dir: Path | None, as_json: bool) -> None:
    from benchmarks.data.catalog import EMBEDDED, default_data_dir, prepared_datasets

    folder = data_dir or default_data_dir()
    rows = [
        {"name": name, "version": each.version, "origin": "embedded", "summary": each.summary}
        for name, each in EMBEDDED.items()
    ]
    rows += [
        {"name": each.name, "version": each.version, "origin": "prepared", "summary": f"in {folder}"}
        for each in prepared_datasets(folder)
    ]
    if as_json:
        print_json(rows)
    else:
        make_console().print(row_table(rows))
        say("Any other TFDS name with images or numbers and a class or a number to predict is downloaded when a suite")
        say("names it. `ablate datasets NAME` tells what one holds.")


def _tell_dataset(name: str, data_dir: Path | None, runs_dir: Path, as_json: bool) -> None:
    """What a dataset is to a suite that names it."""
    dataset = _read_dataset(name, data_dir, runs_dir)
    facts: dict[str, Any] = {
        "name": dataset.name,
        "version": dataset.version,
        "task": dataset.task,
        "num_classes": None if dataset.task == "regression" else dataset.num_classes,
        "input_shape": list(dataset.input_shape),
        "num_train": len(dataset.train),
        "num_test": len(dataset.test),
        "test_split": dataset.test_split,
        "columns": list(dataset.columns),
        "left_out": list(dataset.left_out),
    }
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        if text not in (None, ""):
            say(f"{key.replace('_', ' '):13}{text}")


def _show_dataset(
    name: str, data_dir: Path | None, runs_dir: Path, path: Path, changes: list[str], seed: int, as_json: bool
) -> None:
    """Draw examples of a dataset, each beside augmented versions of itself."""
    from benchmarks.augmentation.config import AugmentConfig
    from benchmarks.profiling import parse_changes
    from zoo.settings import SettingError, as_written

    if path.suffix.lower() != ".png" or not path.parent.is_dir() or path.is_dir():
        raise UserError(
            f"--show: not a place for a picture\n  given:   {path}\n  allowed: FILE.png in an existing folder"
        )
    given = {key.removeprefix("augment."): value for key, value in parse_changes(changes).items()}
    try:
        config = AugmentConfig(**given)
    except SettingError as error:
        raise error.below("augment") from None
    dataset = _read_dataset(name, data_dir, runs_dir)
    from benchmarks.augmentation.sheet import write_sheet

    if not changes and len(dataset.input_shape) == 3:
        # The recipe of He et al. 2016 in proportion: 4 pixels around 32.
        config = AugmentConfig(flip=True, crop_padding=min(dataset.input_shape[:2]) // 8)
    try:
        write_sheet(path, dataset, config, seed)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    shown = config.differing_from_default()
    if as_json:
        print_json({"file": str(path), "dataset": dataset.name, "version": dataset.version, "augment": shown})
    else:
        told = ", ".join(f"{key} = {as_written(value)}" for key, value in shown.items()) or "nothing changed"
        say(f"wrote {path}: {dataset.name} {dataset.version}, each row an example and seven versions of it: {told}")


def _read_dataset(name: str, data_dir: Path | None, runs_dir: Path) -> Dataset:
    from benchmarks.data.catalog import default_data_dir, find_dataset

    reference = find_dataset(name, data_dir or default_data_dir(), runs_dir)
    from benchmarks.quiet import import_tensorflow

    import_tensorflow()
    from benchmarks.data.loading import load, prepare

    prepare(reference)
    return load(reference)


def _registered(suite: str, store: Store) -> Registration:
    """A suite as it was last run into a store, by its name or its file."""
    from benchmarks.suite import parse_suite, read_suite_text
    from zoo.settings import nearest

    names = [each.name for each in store.registrations()]
    name = suite
    if suite not in names and Path(suite).is_file():
        name = parse_suite(read_suite_text(Path(suite)), suite).name
    found = store.registration(name)
    if found is None:
        closest = nearest(name, names)
        raise UserError(
            f"SUITE: no such suite was run into {store.path}\n  given:   {suite}\n"
            f"  allowed: {', '.join(names) or 'none: `ablate run SUITE` runs one'}"
            + (f"\n  nearest: {closest}" if closest else "")
        )
    return found


def _run_rows(rows: list[dict[str, Any]], keys: list[str]) -> list[dict[str, Any]]:
    """What a table shows of listed runs."""
    kept = any(row["weights_kept"] for row in rows)
    return [
        {
            "key": key,
            "dataset": row["dataset"],
            **row["levels"],
            "seed": row["seed"],
            "status": row["status"],
            "outcome": None if row["outcome"] is None else f"{row['metric']} {row['outcome']:.6g}",
            **({"weights": "kept" if row["weights_kept"] else None} if kept else {}),
        }
        for key, row in zip(keys, rows, strict=True)
    ]


_ORIGINS = {"embedded": "embedded", "prepared": "prepared on disk", "download": "will be downloaded"}


def _plan(suite: str, runs_dir: Path, data_dir: Path | None, seeds: int | None) -> Plan:
    from benchmarks.data.catalog import default_data_dir
    from benchmarks.plan import make_plan

    return make_plan(_suite_path(suite), runs_dir, data_dir or default_data_dir(), seeds)


def _suite_path(suite: str) -> Path:
    """The file itself, or the shipped suite of that name."""
    from zoo.settings import nearest

    path = Path(suite)
    if path.is_file() or not suite.isidentifier():
        return path
    shipped = {each.stem: each for each in Path(str(files("benchmarks").joinpath("suites"))).glob("*.toml")}
    if suite not in shipped:
        closest = nearest(suite, [*shipped, *(str(each) for each in Path().glob("*.toml"))])
        raise UserError(
            f"SUITE: no such file, and no shipped suite of this name\n  given:   {suite}\n"
            f"  allowed: a suite file, or one of {', '.join(sorted(shipped))}"
            + (f"\n  nearest: {closest}" if closest else "")
        )
    return shipped[suite]


def _train(
    plan: Plan, store: Store, console: Console, options: Options, stopwatch: Stopwatch | None
) -> tuple[Plan, list[Run]]:
    """Search and train what is missing; the plan with the settings that were found, and its runs that this job has."""
    from benchmarks.progress import ProgressDisplay

    is_registered = store.is_registered(plan.suite.name, plan.text, list(plan.seeds), plan.versions)
    if not plan.missing and not plan.open_groups and is_registered:
        return plan, plan.runs
    from benchmarks.execution.running import begun

    if not plan.open_groups:
        _say_missing(plan, console)
    with begun(plan, store, options, stopwatch) as session:
        if plan.open_groups:
            plan = _search(session, console)
            _say_missing(plan, console)
        missing = session.own(plan.missing)
        if options.shard:
            console.print(f"{plan.suite.name}: {len(missing)} of them in part {options.shard}", highlight=False)
        with ProgressDisplay(len(missing), console) as progress:
            session.train(missing, progress)
        return plan, session.own(plan.runs)


def _search(session: Session, console: Console) -> Plan:
    """Make the searches of a plan that have not ended; the plan with the settings that were found."""
    from benchmarks.execution.running import search_missing
    from benchmarks.progress import ProgressDisplay
    from zoo.settings import as_written

    plan, table = session.plan, session.plan.suite.search
    assert table is not None  # else no group is open
    groups = f"{len(plan.open_groups)} of {len(plan.groups)} {'group' if len(plan.groups) == 1 else 'groups'}"
    console.print(
        f"{plan.suite.name}: {groups} to search: {table.strategy}, trials: {table.trials} each", highlight=False
    )
    searched = {group.key for group in plan.open_groups}
    plan = search_missing(session, lambda number: ProgressDisplay(number, console))
    for group in plan.groups:
        if group.key in searched:
            chosen = plan.searches[group.key].chosen
            told = ", ".join(f"{path} = {as_written(value)}" for path, value in chosen.items())
            console.print(
                f"{group.title}: {told or 'nothing was found, so its settings stay as they are'}",
                markup=False,
                highlight=False,
                soft_wrap=True,
                emoji=False,
            )
    return plan


def _say_missing(plan: Plan, console: Console) -> None:
    console.print(f"{plan.suite.name}: {len(plan.missing)} of {len(plan.runs)} runs to train", highlight=False)


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
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        console.print(f"timeline: {timeline}, for https://ui.perfetto.dev", highlight=False, soft_wrap=True)


def _write_report(plan: Plan, store: Store) -> tuple[dict[str, int], Path]:
    from benchmarks.plan import stored_counts
    from benchmarks.report.writing import write_report

    registration = store.registration(plan.suite.name)
    assert registration is not None  # `run_missing` registers before it trains
    folder = store.path.parent / plan.suite.name
    return stored_counts(registration, store), write_report(plan.suite, registration, store, folder)


def _tell_report(name: str, counts: dict[str, int], path: Path, as_json: bool) -> None:
    if as_json:
        print_json({"suite": name, "runs": counts, "report": str(path)})
    else:
        say(f"{_describe(counts)}\nreport: {path}")


def _tell_part(name: str, part: Shard, counts: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json({"suite": name, "shard": str(part), "runs": counts, "report": None})
    else:
        say(f"part {part}: {_describe(counts)}")
        say(f"once all parts are in one store: ablate report {name}.toml")


def _tell_ledger(registration: Registration, store: Store, as_json: bool) -> None:
    from benchmarks.ledger import ledger_of

    ledger = ledger_of(registration, store)
    if as_json:
        print_json(ledger.as_json())
        return
    console = make_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBROKEN
    say(ledger.as_text())
    for rows in (ledger.cells(), ledger.reasons()):
        if rows:
            console.print(row_table(rows))


def _describe(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{number} {status.replace('_', ' ')}" for status, number in counts.items() if number or status == "done"
    )


def _model_as_json(name: str) -> dict[str, Any]:
    import zoo

    variant = zoo.VARIANTS[name]
    return {
        "name": name,
        "summary": variant.summary,
        "source": variant.source,
        "parameters": variant.parameters,
        "macs": variant.macs,
        "published": variant.published,
        "input_shape": variant.input_shape,
        "num_classes": variant.num_classes,
        "family": variant.config.family,
        "settings": variant.config.model_dump(),
    }


def _output_form(given: str, *, as_json: bool, as_csv: bool) -> str:
    from zoo.settings import SettingError, unknown

    forms = {"table": False, "csv": as_csv, "json": as_json}
    if given not in forms:
        raise SettingError([unknown("--format", "format", given, forms)])
    asked = {name for name, is_asked in forms.items() if is_asked} | ({given} - {"table"})
    if len(asked) > 1:
        raise UserError(f"--format: only one can be printed\n  given:   {' and '.join(sorted(asked))}")
    return asked.pop() if asked else given


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    from benchmarks.design import estimable

    return {
        "suite": plan.suite.name,
        "design": plan.suite.chosen_design.model_dump(),
        "estimable": asdict(estimable(plan.suite)),
        "claims": [claim.statement for claim in plan.suite.claims],
        "datasets": {name: each.version for name, each in plan.references.items()},
        "seeds": list(plan.seeds),
        "runs": {"total": len(plan.runs), **plan.counts},
        "search": None
        if plan.suite.search is None
        else {"groups": len(plan.groups), "searched": len(plan.groups) - len(plan.open_groups)},
        "cells": [{"dataset": cell.dataset, "levels": dict(cell.levels)} for cell in plan.cells],
    }


CELLS_SHOWN = 40


def _cell_table(plan: Plan) -> Any:
    per_cell = len(plan.seeds)
    rows = []
    for index, cell in enumerate(plan.cells[:CELLS_SHOWN]):
        cell_runs = plan.runs[index * per_cell : (index + 1) * per_cell]
        done = sum(plan.statuses.get(run.key) == "done" for run in cell_runs)
        rows.append({"dataset": cell.dataset, **cell.levels, "done": f"{done}/{per_cell}"})
    table = row_table(rows)
    if len(plan.cells) > CELLS_SHOWN:
        table.caption = f"... and {len(plan.cells) - CELLS_SHOWN} more cells; --json lists all"
    return table


def main() -> None:
    """Run the command line; an error that a person can mend is one message and exit code 2."""
    from zoo.settings import SettingError

    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show is shown as its escape.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="ablate")
    except (UserError, SettingError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(WRONG_CALL)
