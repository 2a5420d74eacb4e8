"""Export: a finished run as a model that others can use, plain Keras, fed raw inputs, with a card that says what it is.

    >>> import benchmarks
    >>> model = benchmarks.load_network("3f2a9c", runs_dir="runs")
    >>> together = benchmarks.load_ensemble(["3f2a9c", "b81d07"], runs_dir="runs")

Finding a run needs no TensorFlow; it is imported when a model is made.
"""

from __future__ import annotations

import os
import shutil
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.data.catalog import default_data_dir
from benchmarks.errors import UserError, refuse_missing
from benchmarks.models.card import card_as_json, card_as_markdown, card_facts, dataset_card
from benchmarks.models.trained import TrainedModel, finished_run, load_dataset, make_model
from benchmarks.store import Store, StoredRun
from benchmarks.tasks import Task

if TYPE_CHECKING:
    import keras

    from benchmarks.data.dataset import Dataset


class OtherResults(UserWarning):
    """A model does not give the numbers that are stored of its run."""


def load_network(
    run: str,
    runs_dir: str | os.PathLike[str] = "runs",
    data_dir: Path | None = None,
    store_url: str | None = None,
) -> keras.Model:
    """The Keras model of a finished run, fed raw inputs.

    Args:
        run: its key, or the beginning of it.
        runs_dir: the folder of the store.
        data_dir: the TFDS folder of prepared datasets; by default TFDS's own.
        store_url: where given, the store is on this server and not in the folder.

    Raises:
        UserError: there is no such run, it is not done, or its data cannot be had.

    Warns:
        OtherResults: the model does not give the numbers that are stored, as on a machine that rounds differently.
    """
    with closing(Store.open(Path(runs_dir), store_url)) as store:
        (model,), _ = _made(store, [finished_run(store, run)], data_dir)
    return model


def load_ensemble(
    runs: Sequence[str],
    runs_dir: str | os.PathLike[str] = "runs",
    data_dir: Path | None = None,
    store_url: str | None = None,
) -> keras.Model:
    """One Keras model of several finished runs, fed raw inputs, that gives the mean of what they give.

    That is the mean of their probabilities, (n, classes) or (n, 1) for two classes by one output, or of their
    predictions for a regression. It is saved and loaded as any Keras model; `zoo.load_model` loads it where its members
    need that.

    Args:
        runs: two keys or more, or the beginnings of them, of runs on one dataset; they need not be of one cell.
        runs_dir: the folder of the store.
        data_dir: the TFDS folder of prepared datasets; by default TFDS's own.
        store_url: where given, the store is on this server and not in the folder.

    Raises, warns: as `load_network`; UserError also where there are fewer than two runs, or they are of several
    datasets.
    """
    with closing(Store.open(Path(runs_dir), store_url)) as store:
        members = _members(store, runs)
        models, task = _made(store, members, data_dir)
    return _averaged({member.key: model for member, model in zip(members, models, strict=True)}, task)


def _members(store: Store, given: Sequence[str]) -> list[StoredRun]:
    if isinstance(given, str):
        raise UserError(f"RUNS: one text in place of a list of keys\n  given:   {given!r}\n  allowed: [{given!r}, ...]")
    found = {run.key: run for run in (finished_run(store, each) for each in given)}
    if len(found) < 2:
        raise UserError(f"RUNS: an ensemble has two runs at least\n  given:   {', '.join(found) or 'none'}")
    datasets = dict.fromkeys(f"{run.dataset} {run.dataset_version}" for run in found.values())
    if len(datasets) > 1:
        raise UserError(f"RUNS: the runs of an ensemble are of one dataset\n  given:   {' and '.join(datasets)}")
    return list(found.values())


def _averaged(models: Mapping[str, keras.Model], task: Task) -> keras.Model:
    """The mean of the probabilities or predictions of models, by the keys of their runs."""
    import keras

    activation = {"classification": "softmax", "binary": "sigmoid"}.get(task)
    (first, *_) = models.values()
    inputs = keras.Input(first.input_shape[1:], dtype=first.inputs[0].dtype)
    outputs = []
    for key, model in models.items():
        model.name = f"run_{key}"  # members are told apart by their names
        given = model(inputs)
        outputs.append(keras.layers.Activation(activation, name=f"{activation}_{key}")(given) if activation else given)
    return keras.Model(inputs, keras.layers.Average(name="mean", dtype=outputs[0].dtype)(outputs), name="ensemble")


def _made(store: Store, members: Sequence[StoredRun], data_dir: Path | None) -> tuple[list[keras.Model], Task]:
    """The models of runs on one dataset, of which doubts are warned, and what they were trained for."""
    data_dir = data_dir or default_data_dir()
    dataset = load_dataset(members[0], store, data_dir)
    made = [make_model(store, each, dataset, data_dir) for each in members]
    for doubt in (doubt for each in made for doubt in each.doubts):
        warnings.warn(doubt, OtherResults, stacklevel=3)
    return [each.model for each in made], dataset.task


def export_run(
    store: Store, stored: StoredRun, folder: Path, data_dir: Path, *, with_onnx: bool = False
) -> tuple[TrainedModel, list[str]]:
    """Write model.keras, README.md and run.json, and model.onnx where it is asked for; the model, and names of files.

    Raises:
        UserError: the folder is there and not empty, it cannot be written, or the model not be made.
    """
    check_folder(folder)
    dataset = load_dataset(stored, store, data_dir)
    made = make_model(store, stored, dataset, data_dir)
    with _new_folder(folder) as unfinished:
        made.model.save(unfinished / "model.keras")
        files = ["model.keras", *(["model.onnx"] if with_onnx else []), "README.md", "run.json"]
        if with_onnx:
            _write_onnx(made.model, dataset, unfinished / "model.onnx")
        facts = card_facts(store, stored, dataset, made, dataset_card(stored, store, data_dir))
        needs_zoo = _needs_zoo(unfinished / "model.keras")
        (unfinished / "README.md").write_text(card_as_markdown(facts, needs_zoo, with_onnx), encoding="utf-8")
        (unfinished / "run.json").write_text(card_as_json(facts), encoding="utf-8")
    return made, files


def check_folder(folder: Path) -> None:
    """Refuse a place for an export that is taken.

    Raises:
        UserError: it is a file, or a folder with something in it.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "a folder with something in it" if folder.is_dir() else "not a folder"
            raise UserError(f"{folder}: {what}; nothing was changed. Name a new folder")
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from None


def check_onnx() -> None:
    """Refuse an export to ONNX where its packages are not installed.

    Raises:
        UserError: with the command that installs them.
    """
    refuse_missing("--onnx", ("onnx", "tf2onnx"), extra="onnx")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside its place, moved there once it is whole."""
    made = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        made.mkdir(parents=True)
        yield made
        made.replace(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write_onnx(model: keras.Model, dataset: Dataset, path: Path) -> None:
    model(dataset.test.inputs[:1].astype(model.inputs[0].dtype))  # Keras exports only what was called
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # Keras asks whether it is there
        model.export(str(path), format="onnx", verbose=False)


def _needs_zoo(path: Path) -> bool:
    """Whether a saved model has layers or initializers that Keras alone does not know."""
    with zipfile.ZipFile(path) as archive:
        return b'"zoo>' in archive.read("config.json")
