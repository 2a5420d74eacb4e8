"""The `ablate` command. Nothing heavy is imported here: each command imports what it needs when it runs."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.text import Text

    from benchmarks.plan import Plan
    from benchmarks.profiling import Profile
    from benchmarks.reference import SettingFacts
    from benchmarks.store import Store
    from zoo import ModelConfig

DONE, SOME_FAILED, WRONG_CALL, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all runs done; some failed or diverged; the suite or the call is wrong; interrupted."""

app = typer.Typer(
    name="ablate",
    help="Does this choice matter for my network? Trains a matrix of settings on TFDS data, reports it with intervals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SuiteArgument = Annotated[str, typer.Argument(metavar="SUITE", help="A suite file, or the name of a shipped suite.")]
RunsDir = Annotated[Path, typer.Option(help="Folder of the store and the reports.")]
DataDir = Annotated[
    Path | None, typer.Option(help="TFDS folder of prepared datasets; by default TFDS_DATA_DIR or TFDS's own.")
]
Seeds = Annotated[int | None, typer.Option(min=1, max=100_000, help="Use seeds 0 to N-1 and not the suite's own.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
RUNS_DIR = Path("runs")


@app.command()
def run(
    suite: SuiteArgument,
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    seeds: Seeds = None,
    as_json: AsJson = False,
) -> None:
    """Train every run of a suite that is not stored yet, then write the report.

    The same command goes on where an interrupted one stopped. Exit code: 0 all runs done, 1 some failed or diverged,
    2 the suite or the call is wrong, 130 interrupted.
    """
    from benchmarks.store import Store

    console = _console(to_error=as_json)
    try:
        plan = _plan(suite, runs_dir, data_dir, seeds)
        store = Store.create_or_open(runs_dir)
        _train(plan, store, console)
        counts, report_path = _write_report(plan, store)
    except KeyboardInterrupt:
        console.print("\ninterrupted: finished runs are stored, and the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    _tell_report(plan.suite.name, counts, report_path, as_json)
    raise typer.Exit(DONE if counts["done"] == len(plan.runs) else SOME_FAILED)


@app.command()
def plan(
    suite: SuiteArgument,
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    seeds: Seeds = None,
    as_json: AsJson = False,
) -> None:
    """Check a suite and show its cells and runs, and how many of them are stored. Nothing is trained or downloaded."""
    made = _plan(suite, runs_dir, data_dir, seeds)
    if as_json:
        _print_json(_plan_as_json(made))
        return
    console = _console()
    _say(": ".join(filter(None, (made.suite.name, made.suite.question))))
    for name, reference in made.references.items():
        _say(f"dataset {name}: version {reference.version}, {_ORIGINS[reference.origin]}")
    _say(
        f"{len(made.cells)} cells ({made.suite.design}) x {len(made.seeds)} seeds = {len(made.runs)} runs: "
        f"{_describe(made.counts)}"
    )
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
def status(runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """Show every suite of a runs folder: how many runs are done, diverged, failed or still missing."""
    from benchmarks.plan import stored_counts
    from benchmarks.store import Store

    store = Store.open(runs_dir)
    rows = [
        {"suite": registration.name, **stored_counts(registration, store), "registered_at": registration.registered_at}
        for registration in store.registrations()
    ]
    if as_json:
        _print_json(rows)
    elif rows:
        _console().print(_table(rows))
    else:
        _say(f"{runs_dir}: no suite was run here yet")


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
        _print_json([_model_as_json(name) for name in names])
        return
    console = _console()
    if not verbose:
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = UNBROKEN  # whoever reads a pipe wants one line a model
        console.print(_model_table(names))
        return
    for name in names:
        _print_model(console, name)
    _print_choices(console, [zoo.VARIANTS[name].config for name in names])


@app.command()
def datasets(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the datasets that need no download: embedded ones and those prepared in the TFDS folder."""
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
        _print_json(rows)
    else:
        _console().print(_table(rows))
        _say("Any other TFDS name with images or numbers and a class label is downloaded when a suite names it.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the suite format, for editors that complete and check TOML."""
    from benchmarks.schema import suite_schema

    _print_json(suite_schema())


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
    _say(f"wrote {path}; next: ablate plan {path}, then ablate run {path}")


@app.command()
def speed(
    work: Annotated[str, typer.Argument(help="digits or mnist.")] = "digits",
    repeats: Annotated[int, typer.Option(min=1, help="Timed repetitions; the median is shown.")] = 5,
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure the runner against a plain loop of Keras `fit` on the same runs, side by side."""
    from benchmarks.data.catalog import default_data_dir
    from benchmarks.quiet import import_tensorflow

    import_tensorflow()
    from benchmarks.speed import compare

    comparison = compare(work, repeats, data_dir or default_data_dir(), runs_dir)
    if as_json:
        _print_json(comparison.as_json())
    else:
        _say(comparison.as_text())


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
    progress = _console(to_error=True)
    with progress.status("importing TensorFlow") as now:
        import_tensorflow()
        for subject in subjects:
            now.update(subject.name)
            for row in profiling.measure(subject, sizes, repeats):
                rows.append(row)
                now.update(f"{subject.name}: batch size {row.batch_size} is measured")
    facts = profiling.machine()
    if form == "json":
        _print_json(profiling.as_json(rows, repeats, facts))
    elif form == "csv":
        _say(profiling.as_csv(rows, repeats, facts).rstrip("\n"))
    else:
        _print_profiles(rows, repeats, facts)


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


def _train(plan: Plan, store: Store, console: Console) -> None:
    from benchmarks.progress import ProgressDisplay

    if not plan.missing and store.is_registered(plan.suite.name, plan.text, list(plan.seeds), plan.versions):
        return
    console.print(f"{plan.suite.name}: {len(plan.missing)} of {len(plan.runs)} runs to train", highlight=False)
    from benchmarks.quiet import import_tensorflow

    import_tensorflow()
    from benchmarks.execution.running import run_missing

    with ProgressDisplay(len(plan.missing), console) as progress:
        run_missing(plan, store, progress)


def _write_report(plan: Plan, store: Store) -> tuple[dict[str, int], Path]:
    from benchmarks.plan import stored_counts
    from benchmarks.report.writing import write_report

    registration = store.registration(plan.suite.name)
    assert registration is not None  # `run_missing` registers before it trains
    folder = store.path.parent / plan.suite.name
    return stored_counts(registration, store), write_report(plan.suite, registration, store, folder)


def _tell_report(name: str, counts: dict[str, int], path: Path, as_json: bool) -> None:
    if as_json:
        _print_json({"suite": name, "runs": counts, "report": str(path)})
    else:
        _say(f"{_describe(counts)}\nreport: {path}")


def _describe(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {status}" for status, number in counts.items() if number or status == "done")


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


WIDE = 100
"""Columns from which on the settings of a model are one table."""

UNBROKEN = 1_000
"""Columns that no line of a table needs."""


def _model_table(names: list[str]) -> Any:
    import zoo
    from benchmarks.reference import short_count

    table = _grid(name="left", parameters="right", MACs="right", paper="left")
    for name in names:
        variant = zoo.VARIANTS[name]
        paper = _text(variant.source)
        paper.no_wrap, paper.overflow = True, "ellipsis"
        table.add_row(_text(name), short_count(variant.parameters), short_count(variant.macs), paper)
    return table


def _print_model(console: Console, name: str) -> None:
    """All of one model: what it is, then every setting with its value."""
    import zoo
    from benchmarks.reference import facts_of, shape_text, value_text

    variant = zoo.VARIANTS[name]
    console.print(_text(f"{name}: {variant.summary}", "bold"))
    about = _grid(label="left", text="left")
    about.show_header, about.box = False, None
    for label, text in {
        "paper": variant.source,
        "input": f"{shape_text(variant.input_shape)}, {variant.num_classes} classes",
        "parameters": f"{variant.parameters:,}",
        "MACs": f"{variant.macs:,}",
        "published": variant.published or "-",
        "family": variant.config.family,
    }.items():
        about.add_row(_text(label), _text(text))
    console.print(about)
    console.print()
    table = _grid(setting="left", value="left", meaning="left")
    for facts in facts_of(type(variant.config)).values():
        value = getattr(variant.config, facts.name)
        is_default = value == facts.default
        style = "" if is_default else "bold"
        marked = value_text(value) + ("" if is_default else " *")
        meaning = _meaning(facts, is_default=is_default)
        if console.width >= WIDE:
            table.add_row(_text(facts.name, style), _text(marked, style), meaning)
        else:
            console.print(_text(f" {facts.name} = {marked}", style))
            console.print(_indented(meaning))
    console.print(table if console.width >= WIDE else "")


def _meaning(facts: SettingFacts, *, is_default: bool) -> Text:
    """What a setting does, which values it takes and when it has an effect, as sentences."""
    from benchmarks.reference import MOST_NAMES_IN_A_CELL, value_text

    names = facts.choices.table if facts.choices else ()
    allowed = f"one of {len(names)} names below" if len(names) > MOST_NAMES_IN_A_CELL else facts.allowed
    text = _text(facts.explanation).append(f" Allowed: {allowed}.", "dim")
    for need in facts.needs:
        text.append(f" {need.told()}", "dim")
    return text if is_default else text.append(f" * The family's default is {value_text(facts.default)}.")


def _print_choices(console: Console, configs: list[ModelConfig]) -> None:
    """Every table of named choices that the configs take from, once."""
    from benchmarks.reference import choice_tables, facts_of, row_texts

    families = dict.fromkeys(map(type, configs))
    used = {id(facts.choices.table) for each in families for facts in facts_of(each).values() if facts.choices}
    for table in choice_tables():
        if id(table.rows) not in used:
            continue
        console.print(_text(table.title, "bold"))
        grid = _grid(name="left", meaning="left")
        grid.show_header, grid.box = False, None
        for name, row in table.rows.items():
            texts = row_texts(row)
            source = texts.pop("source", "-")
            meaning = _text("; ".join(texts.values()))
            grid.add_row(_text(name), meaning if source == "-" else meaning.append(f" ({source})", "dim"))
        console.print(grid)
        console.print()


def _output_form(given: str, *, as_json: bool, as_csv: bool) -> str:
    from zoo.settings import SettingError, unknown

    forms = {"table": False, "csv": as_csv, "json": as_json}
    if given not in forms:
        raise SettingError([unknown("--format", "format", given, forms)])
    asked = {name for name, is_asked in forms.items() if is_asked} | ({given} - {"table"})
    if len(asked) > 1:
        raise UserError(f"--format: only one can be printed\n  given:   {' and '.join(sorted(asked))}")
    return asked.pop() if asked else given


def _print_profiles(rows: list[Profile], repeats: int, facts: dict[str, Any]) -> None:
    from benchmarks.reference import shape_text, short_count, value_text

    console = _console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBROKEN
    about = _grid(model="left", input="left", parameters="right", MACs="right", build="right")
    about.show_edge = about.pad_edge = False
    for row in {row.model: row for row in rows}.values():
        sizes = (short_count(row.parameters), short_count(row.macs), f"{row.build_seconds:.2f} s")
        about.add_row(_text(row.model), shape_text(row.input_shape), *sizes)
    console.print(about)
    console.print()
    for kind in ("training", "inference"):
        console.print(_pace_table(rows, kind))
        console.print()
    if rows[0].changes:
        _say("settings  " + ", ".join(f"{name} = {value_text(value)}" for name, value in rows[0].changes.items()))
    _say(f"timed     {repeats} calls, after warming up: median (lower - upper quartile); first: the first call, traced")
    _say("memory    all layers' outputs for the batch, as they are kept for the backward pass")
    _say("machine   " + ", ".join(f"{name} {value}" for name, value in facts.items()))


def _pace_table(rows: list[Profile], kind: str) -> Any:
    """The table of training, or that of inference."""
    from benchmarks.reference import short_memory

    is_training = kind == "training"
    headers = ["model", "batch", *(["memory"] if is_training else []), "first", "images/s", "ms a batch"]
    table = _grid(**{name: "left" if name == "model" else "right" for name in headers})
    table.title, table.title_justify, table.title_style = kind, "left", "bold"
    table.show_edge = table.pad_edge = False
    for row in rows:
        pace = row.training if is_training else row.inference
        lower, median, upper = (
            _digits(1e3 * seconds) for seconds in (pace.quartiles[0], pace.median, pace.quartiles[1])
        )
        cells = [_text(row.model), str(row.batch_size)]
        cells += [short_memory(row.activation_bytes)] if is_training else []
        cells += [f"{pace.first_call_seconds:.2f} s", _digits(row.images_per_second(pace))]
        table.add_row(*cells, f"{median} ({lower} - {upper})")
    return table


def _digits(number: float) -> str:
    """A number with three digits, or all that stand before its point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "suite": plan.suite.name,
        "design": plan.suite.design,
        "datasets": {name: each.version for name, each in plan.references.items()},
        "seeds": list(plan.seeds),
        "runs": {"total": len(plan.runs), **plan.counts},
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
    table = _table(rows)
    if len(plan.cells) > CELLS_SHOWN:
        table.caption = f"... and {len(plan.cells) - CELLS_SHOWN} more cells; --json lists all"
    return table


def _grid(**columns: JustifyMethod) -> Any:
    """An empty table with headers and how they are justified; its cells break at words."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name, justify in columns.items():
        table.add_column(name, justify=justify, overflow="fold")
    return table


def _indented(text: Text) -> Any:
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, 5))


def _text(text: str, style: str = "") -> Text:
    """Text that is never taken for markup."""
    from rich.text import Text

    return Text(text, style)


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in rows[0]:
        # The path of a setting stays as it is written in a suite.
        header = name if "." in name else name.replace("_", " ")
        table.add_column(Text(header), overflow="fold", justify="right" if isinstance(rows[0][name], int) else "left")
    for row in rows:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row.values()))
    return table


def _console(*, to_error: bool = False) -> Console:
    from rich.console import Console

    class PatientConsole(Console):
        """Goes on in silence when nobody reads any more: a training must not end with `| head`."""

        def on_broken_pipe(self) -> None:
            _silence(self.file)

    return PatientConsole(stderr=to_error)


def _print_json(value: object) -> None:
    _say(json.dumps(value, indent=2, ensure_ascii=False))


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _silence(sys.stdout)


def _silence(stream: IO[str]) -> None:
    """Let further output of a stream go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


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
