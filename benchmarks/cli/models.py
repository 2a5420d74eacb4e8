"""Commands about models: list and measure them, and export a trained one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.cli.arguments import RUNS_DIR, AsJson, DataDir, RunsDir, StoreURL, Workers
from benchmarks.cli.rendering import (
    make_console,
    make_wide_console,
    model_table,
    print_choices,
    print_json,
    print_model,
    print_profiles,
    say,
)
from benchmarks.errors import UserError


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
        make_wide_console().print(model_table(names))
        return
    console = make_console()
    for name in names:
        print_model(console, name)
    print_choices(console, [zoo.VARIANTS[name].config for name in names])


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
    from benchmarks.tensorflow_start import import_tensorflow

    exporting.check_folder(folder)
    if onnx:
        exporting.check_onnx()
    store = Store.open(runs_dir, store_url)
    stored = finished_run(store, run)
    console = make_console(to_error=True)
    with console.status(f"making the model of {stored.key}"):
        import_tensorflow()
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
    from benchmarks.tensorflow_start import import_tensorflow

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
