"""Commands about models: list and measure them, and export a trained one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.cli.arguments import RUNS_DIR, AsJson, DataDir, RunsDir, StoreURL, Workers
from benchmarks.cli.rendering import make_console, make_wide_console, print_json, row_table, say
from benchmarks.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from benchmarks.cli.reference import SettingFacts
    from benchmarks.models.profiling import Profile
    from zoo import ModelConfig

WIDE = 100
"""Columns from which on the settings of a model are one table."""


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
    if not verbose:
        make_wide_console().print(_model_table(names))
        return
    console = make_console()
    for name in names:
        _print_model(console, name)
    _print_choices(console, [zoo.VARIANTS[name].config for name in names])


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Key of a finished run, or its beginning; see `runs`.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder for the model.")],
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    data_dir: DataDir = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too; needs the extra `onnx`.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the trained model of a run: model.keras for raw inputs, a model card, and run.json with all facts.

    Where the weights were not kept (`ablate run --keep-weights`), the run is trained again, which gives the same ones.
    """
    from benchmarks.data.catalog import default_data_dir
    from benchmarks.models import export as exporting
    from benchmarks.models.trained import finished_run
    from benchmarks.store import Store
    from benchmarks.tensorflow_start import import_for_training

    exporting.check_folder(folder)
    if onnx:
        exporting.check_onnx()
    store = Store.open(runs_dir, store_url)
    stored = finished_run(store, run)
    console = make_console(to_error=True)
    with console.status(f"making the model of {stored.key}"):
        import_for_training()
        made, files = exporting.export_run(store, stored, folder, data_dir or default_data_dir(), with_onnx=onnx)
    for doubt in made.doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    if as_json:
        told = {"run": stored.key, "folder": str(folder), "files": files, "weights": made.origin}
        print_json({**told, "doubts": made.doubts})
    else:
        say(f"{stored.key}: {made.origin}\n" + "\n".join(str(folder / name) for name in files))


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
    from benchmarks.models import profiling
    from benchmarks.tensorflow_start import import_for_training

    form = _output_form(output, as_json=as_json, as_csv=as_csv)
    sizes = tuple(dict.fromkeys(profiling.parse_sizes("--batch-sizes", batch_sizes)))
    shape = None if input_shape is None else profiling.parse_sizes("--input-shape", input_shape)
    subjects = profiling.find_subjects(models, profiling.parse_changes(changes or ()), shape)
    rows = []
    progress = make_console(to_error=True)
    with progress.status("importing TensorFlow") as now:
        import_for_training()
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
        _print_profiles(rows, repeats, facts)


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

    comparison = compare(work, repeats, data_dir or default_data_dir(), runs_dir.resolve(), workers)
    if as_json:
        print_json(comparison.as_json())
    else:
        say(comparison.as_text())


def _model_as_json(name: str) -> dict[str, Any]:
    import zoo

    variant = zoo.VARIANTS[name]
    told = ("summary", "source", "parameters", "macs", "published", "input_shape", "num_classes")
    facts = {field: getattr(variant, field) for field in told}
    return {"name": name, **facts, "family": variant.config.family, "settings": variant.config.model_dump()}


def _output_form(given: str, *, as_json: bool, as_csv: bool) -> str:
    from zoo.settings import SettingError, unknown

    forms = {"table": False, "csv": as_csv, "json": as_json}
    if given not in forms:
        raise SettingError([unknown("--format", "format", given, forms)])
    asked = {name for name, is_asked in forms.items() if is_asked} | ({given} - {"table"})
    if len(asked) > 1:
        raise UserError(f"--format: only one can be printed\n  given:   {' and '.join(sorted(asked))}")
    return asked.pop() if asked else given


def _model_table(names: list[str]) -> Any:
    """Models with their sizes, one a line."""
    import zoo
    from benchmarks.cli.reference import short_count

    rows = []
    for name in names:
        variant = zoo.VARIANTS[name]
        paper = _text(variant.source)
        paper.no_wrap, paper.overflow = True, "ellipsis"
        sizes = {"parameters": short_count(variant.parameters), "MACs": short_count(variant.macs)}
        rows.append({"name": name, **sizes, "paper": paper})
    return row_table(rows, right=("parameters", "MACs"))


def _print_model(console: Console, name: str) -> None:
    """All of one model: what it is, then every setting with its value."""
    from rich.padding import Padding

    import zoo
    from benchmarks.cli.reference import facts_of, shape_text, value_text

    variant = zoo.VARIANTS[name]
    console.print(_text(f"{name}: {variant.summary}", "bold"))
    about = {
        "paper": variant.source,
        "input": f"{shape_text(variant.input_shape)}, {variant.num_classes} classes",
        "parameters": f"{variant.parameters:,}",
        "MACs": f"{variant.macs:,}",
        "published": variant.published or "-",
        "family": variant.config.family,
    }
    console.print(_pairs(about))
    console.print()
    rows = []
    for facts in facts_of(type(variant.config)).values():
        value = getattr(variant.config, facts.name)
        is_default = value == facts.default
        style, mark = ("", "") if is_default else ("bold", " *")
        meaning = _meaning(facts, is_default=is_default)
        if console.width >= WIDE:
            told = _text(value_text(value) + mark, style)
            rows.append({"setting": _text(facts.name, style), "value": told, "meaning": meaning})
        else:
            console.print(_text(f" {facts.name} = {value_text(value)}{mark}", style))
            console.print(Padding(meaning, (0, 0, 0, 5)))
    console.print(row_table(rows) if rows else "")


def _meaning(facts: SettingFacts, *, is_default: bool) -> Text:
    """What a setting does, which values it takes and when it has an effect, as sentences."""
    from benchmarks.cli.reference import MOST_NAMES_IN_A_CELL, value_text

    names = facts.choices.table if facts.choices else ()
    allowed = f"one of {len(names)} names below" if len(names) > MOST_NAMES_IN_A_CELL else facts.allowed
    text = _text(facts.explanation).append(f" Allowed: {allowed}.", "dim")
    for need in facts.needs:
        text.append(f" {need.told()}", "dim")
    return text if is_default else text.append(f" * The family's default is {value_text(facts.default)}.")


def _print_choices(console: Console, configs: list[ModelConfig]) -> None:
    """Every table of named choices that the configs take from, once."""
    from benchmarks.cli.reference import choice_tables, facts_of, row_texts

    families = dict.fromkeys(map(type, configs))
    used = {id(facts.choices.table) for each in families for facts in facts_of(each).values() if facts.choices}
    for table in choice_tables():
        if id(table.rows) not in used:
            continue
        console.print(_text(table.title, "bold"))
        meanings = {}
        for name, row in table.rows.items():
            texts = row_texts(row)
            source = texts.pop("source", "-")
            meanings[name] = _text("; ".join(texts.values())).append("" if source == "-" else f" ({source})", "dim")
        console.print(_pairs(meanings))
        console.print()


def _print_profiles(rows: list[Profile], repeats: int, facts: dict[str, Any]) -> None:
    """What models cost, as tables with what they mean."""
    from benchmarks.cli.reference import shape_text, short_count, value_text

    console = make_wide_console()
    about = [
        {
            "model": row.model,
            "input": shape_text(row.input_shape),
            "parameters": short_count(row.parameters),
            "MACs": short_count(row.macs),
            "build": f"{row.build_seconds:.2f} s",
        }
        for row in {row.model: row for row in rows}.values()
    ]
    training, inference = ([_pace_row(row, kind) for row in rows] for kind in ("training", "inference"))
    for title, shown in ((None, about), ("training", training), ("inference", inference)):
        table = row_table(shown, right=[name for name in shown[0] if name not in ("model", "input")])
        table.title, table.title_justify, table.title_style = title, "left", "bold"
        table.show_edge = table.pad_edge = False
        console.print(table)
        console.print()
    if rows[0].changes:
        say("settings  " + ", ".join(f"{name} = {value_text(value)}" for name, value in rows[0].changes.items()))
    say(f"timed     {repeats} calls, after warming up: median (lower - upper quartile); first: the first call, traced")
    say("memory    all layers' outputs for the batch, as they are kept for the backward pass")
    say("machine   " + ", ".join(f"{name} {value}" for name, value in facts.items()))


def _pace_row(row: Profile, kind: str) -> dict[str, Any]:
    """What training, or inference, took."""
    from benchmarks.cli.reference import short_memory

    pace = row.training if kind == "training" else row.inference
    median, lower, upper = (_digits(1e3 * seconds) for seconds in (pace.median, *pace.quartiles))
    return {
        "model": row.model,
        "batch": row.batch_size,
        **({"memory": short_memory(row.activation_bytes)} if kind == "training" else {}),
        "first": f"{pace.first_call_seconds:.2f} s",
        "images/s": _digits(row.images_per_second(pace)),
        "ms a batch": f"{median} ({lower} - {upper})",
    }


def _digits(number: float) -> str:
    """A number with three digits, or all that stand before its point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _pairs(meanings: Mapping[str, str | Text]) -> Any:
    """Names and what they mean, without a head."""
    table = row_table([{"name": name, "meaning": meaning} for name, meaning in meanings.items()])
    table.show_header, table.box = False, None
    return table


def _text(text: str, style: str = "") -> Text:
    """Text that is never taken for markup."""
    from rich.text import Text

    return Text(text, style)
