"""`ablate datasets`: list datasets, tell what one holds, draw its examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.cli.arguments import RUNS_DIR, AsJson, DataDir, RunsDir, check_picture
from benchmarks.cli.rendering import make_console, print_json, row_table, say
from benchmarks.errors import UserError

if TYPE_CHECKING:
    from benchmarks.data.dataset import Dataset


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
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="Which examples and changes --show draws; by default 0.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the datasets that need no download, tell what one holds, or draw its examples with --show."""
    if show:
        if name is None:
            raise UserError("NAME: --show needs one\n  allowed: ablate datasets NAME --show FILE.png")
        _show_dataset(name, data_dir, runs_dir, path=show, changes=changes or [], seed=seed or 0, as_json=as_json)
        return
    for option, value in (("--set", changes), ("--seed", seed)):
        if value is not None:
            raise UserError(f"{option}: it changes what --show draws\n  allowed: NAME --show FILE.png beside it")
    if name is None:
        _list_datasets(data_dir, as_json)
    else:
        _tell_dataset(name, data_dir, runs_dir, as_json)


def _list_datasets(data_dir: Path | None, as_json: bool) -> None:
    from benchmarks.data.catalog import EMBEDDED, default_data_dir, prepared_datasets

    folder = data_dir or default_data_dir()
    rows = [
        {"name": name, "version": each.version, "origin": "embedded", "summary": each.summary}
        for name, each in EMBEDDED.items()
    ]
    rows += [
        {"name": each.name, "version": each.version, "origin": "prepared", "summary": f"in {each.bucket or folder}"}
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
        "target": dataset.target,
        "num_classes": None if dataset.task == "regression" else dataset.num_classes,
        "input_shape": list(dataset.input_shape),
        "num_train": len(dataset.train),
        "num_test": len(dataset.test),
        "test_split": dataset.test_split,
        "columns": list(dataset.columns),
        "left_out": list(dataset.left_out),
        "notes": list(dataset.notes),
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
    from benchmarks.models.profiling import parse_changes
    from benchmarks.settings.augmentation import AugmentConfig
    from zoo.settings import SettingError, as_written

    check_picture(path, [".png"], "FILE.png in an existing folder")
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
    from benchmarks.tensorflow_start import import_tensorflow

    import_tensorflow()
    from benchmarks.data.loading import load
    from benchmarks.data.preparing import prepare

    prepare(reference)
    return load(reference)
