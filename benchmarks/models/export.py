"""Export: a finished run as a model that others can use, plain Keras, fed raw inputs, with a card that says what it is.

    >>> import benchmarks
    >>> model = benchmarks.load_network("3f2a9c", runs_dir="runs")
    >>> together = benchmarks.load_ensemble(["3f2a9c", "b81d07"], runs_dir="runs")

Finding a run needs no TensorFlow; it is imported when a model is made.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import zoo
from benchmarks.data.catalog import DatasetReference, default_data_dir, find_dataset
from benchmarks.errors import UserError
from benchmarks.files import weights_file
from benchmarks.metrics import FURTHER_METRICS, METRICS, OUTCOME_METRICS, test_metrics
from benchmarks.plan.keys import begins_so, one_key, planned_runs
from benchmarks.runs import Cell, Run
from benchmarks.settings import training
from benchmarks.settings.augmentation import AugmentConfig
from benchmarks.settings.data import DataConfig
from benchmarks.settings.run import SECTIONS, RunSettings, canonical_json, run_key
from benchmarks.settings.training import TrainConfig
from benchmarks.store import Store, StoredRun
from benchmarks.tasks import Task
from zoo.settings import SettingError

if TYPE_CHECKING:
    import keras

    from benchmarks.data.dataset import Dataset
    from benchmarks.execution.local import TrainedValues


KEPT, TRAINED_AGAIN = "kept weights", "trained again"
"""Where the weights of a model come from."""

ROUNDING = 1e-4
"""Metrics of the exported model may differ from the stored ones by this share: single precision in another order."""


class OtherResults(UserWarning):
    """A model does not give the numbers that are stored of its run."""


@dataclass(frozen=True)
class TrainedModel:
    """The model of a run, and how far it agrees with what is stored of the run."""

    model: keras.Model
    """Raw inputs -> logits, or predictions in the unit of the target."""
    origin: str
    """`KEPT` or `TRAINED_AGAIN`."""
    metrics: dict[str, float]
    """Of the test split, measured with this model."""
    doubts: tuple[str, ...]
    """What differs from the stored run, as sentences; empty where all agrees."""


@dataclass(frozen=True)
class Exported:
    """What `export_run` wrote."""

    folder: Path
    files: tuple[str, ...]
    origin: str
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class DatasetCard:
    """What a person needs to know of a dataset to feed a model; empty texts where nobody says."""

    description: str
    homepage: str
    licence: str
    citation: str
    target: str
    classes: tuple[str, ...]
    """Names of the classes in the order of the outputs; empty for numbers."""


def find_run(store: Store, given: str) -> StoredRun:
    """The run of this key, or of the one key that begins so, as the store has it.

    Raises:
        UserError: there is no such run, or more than one.
    """
    stored = store.statuses(store.keys(given.lower()))
    if not stored:
        for suite, run in planned_runs(store):
            if begins_so(run.key, given):
                raise UserError(f"RUN: {run.key} is not trained yet; `ablate run` of the suite {suite!r} trains it")
    key = one_key(given, stored or store.statuses(store.keys()), store)
    return store.runs([key])[key]


def settings_of(stored: StoredRun) -> RunSettings:
    """The settings of a stored run.

    Raises:
        UserError: they mean something else to this version of the program.
    """
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    try:
        for path, value in stored.settings.items():
            section, _, name = path.partition(".")
            sections[section][name] = value
        family = {each.family: each for each in zoo.FAMILIES}[sections["model"].pop("family")]
        settings = RunSettings(
            family(**sections["model"]),
            TrainConfig(**sections["train"]),
            DataConfig(**sections["data"]),
            AugmentConfig(**sections["augment"]),
        )
        if run_key(settings, stored.dataset, stored.dataset_version, stored.seed) == stored.key:
            return settings
    except (SettingError, KeyError):
        pass  # told below
    raise UserError(
        f"run {stored.key}: it was stored by another version of this program, in which its settings meant something "
        "else; `ablate run` of its suite trains what they mean now"
    )


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
    store = Store.open(Path(runs_dir), store_url)
    try:
        return trained_model(store, find_run(store, run).key, data_dir or default_data_dir())
    finally:
        store.close()


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
    data_dir = data_dir or default_data_dir()
    store = Store.open(Path(runs_dir), store_url)
    try:
        members = _members(store, runs)
        dataset = _load_dataset(members[0], store, data_dir)
        made = [make_model(store, each, dataset, data_dir) for each in members]
    finally:
        store.close()
    for doubt in (doubt for each in made for doubt in each.doubts):
        warnings.warn(doubt, OtherResults, stacklevel=2)
    return _averaged({member.key: each.model for member, each in zip(members, made, strict=True)}, dataset.task)


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
    return keras.Model(inputs, keras.layers.Average(name="mean")(outputs), name="ensemble")


def trained_model(store: Store, key: str, data_dir: Path) -> keras.Model:
    """The Keras model of a finished run, from its kept weights where there are any, else trained again.

    Raises, warns: as `load`.
    """
    stored = finished_run(store, key)
    made = make_model(store, stored, _load_dataset(stored, store, data_dir), data_dir)
    for doubt in made.doubts:
        warnings.warn(doubt, OtherResults, stacklevel=2)
    return made.model


def finished_run(store: Store, given: str) -> StoredRun:
    """As `find_run`, for a run that is done and can be repeated.

    Raises:
        UserError: also where it failed or diverged, or was stored by another version.
    """
    stored = find_run(store, given)
    if stored.status != "done":
        raise UserError(f"RUN: {stored.key} {_why_no_model(stored)}: {stored.message}")
    settings_of(stored)
    return stored


def _why_no_model(stored: StoredRun) -> str:
    return "diverged, so it has no trained model" if stored.status == "diverged" else stored.status.replace("_", " ")


def make_model(store: Store, stored: StoredRun, dataset: Dataset, data_dir: Path) -> TrainedModel:
    """Make the model of a run that is done, and measure it on its dataset.

    Raises:
        UserError: its weights cannot be read, or do not come out of training any more.
    """
    settings = settings_of(stored)
    path = weights_file(store.folder, stored.key)
    doubts: list[str] = []
    if path.exists():
        origin, values = KEPT, _read_weights(path)
    else:
        origin, (values, metrics) = TRAINED_AGAIN, _train_again(store, stored, settings, data_dir)
        doubts += _differences(stored, metrics, 0.0, "trained again, it gives other numbers than those stored")
    try:
        model = values.as_model(settings, dataset)
    except (KeyError, ValueError) as error:
        raise _unfit_weights(path, error) from error
    outputs = model.predict(dataset.test.inputs, batch_size=256, verbose=0)
    measured = test_metrics(dataset.task, outputs, dataset.test.labels)
    if not doubts:
        doubts += _differences(stored, measured, ROUNDING, "the model gives other numbers than those stored")
    return TrainedModel(model, origin, measured, tuple(doubts))


def _read_weights(path: Path) -> TrainedValues:
    from benchmarks.execution.local import TrainedValues

    try:
        return TrainedValues.read(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _unfit_weights(path, error) from error


def _unfit_weights(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: the kept weights cannot be used: {error}; without the file, the run is trained again")


def _train_again(
    store: Store, stored: StoredRun, settings: RunSettings, data_dir: Path
) -> tuple[TrainedValues, Mapping[str, float]]:
    """Train a run in a process of its own, with as many threads as it had: the last bits depend on their number."""
    from benchmarks.execution.local import TrainedValues
    from benchmarks.execution.workers import Workers, resources
    from benchmarks.plan.stacks import check_runs

    run = Run(Cell(stored.dataset, {}, settings), stored.seed, stored.dataset_version)
    path = weights_file(store.folder, stored.key)
    threads = store.machines()[stored.machine].get("threads")
    references = {stored.dataset: _reference(stored, store, data_dir)}
    with Workers(resources(1, 1, workers=1, threads=threads), references, store.folder, keep_weights=True) as workers:
        datasets = workers.open_datasets()
        check_runs([run], datasets)
        # It is trained in the slot that it always has, so alone it comes out as it did among others.
        ((_, result),) = workers.train([run], datasets)
    if result.status != "done":
        raise UserError(f"run {stored.key}: trained again, it {result.status}: {result.message}")
    try:
        return TrainedValues.read(path), result.metrics
    finally:
        path.unlink()


def _differences(stored: StoredRun, found: Mapping[str, float], tolerance: float, what: str) -> Iterator[str]:
    """One sentence where metrics differ by more than a share of them."""
    names = [name for name in found if not _agree(stored.metrics.get(name, math.nan), found[name], tolerance)]
    if names:
        pairs = "; ".join(
            f"{name} {found[name]:.10g}, stored {stored.metrics.get(name, math.nan):.10g}" for name in names
        )
        yield f"run {stored.key}: {what}: {pairs}. Another machine or version of TensorFlow rounds differently."


def _agree(stored: float, found: float, tolerance: float) -> bool:
    if math.isnan(stored) or math.isnan(found):
        return math.isnan(stored) and math.isnan(found)
    return math.isclose(stored, found, rel_tol=tolerance, abs_tol=tolerance / 10)


def export_run(store: Store, stored: StoredRun, folder: Path, data_dir: Path, *, with_onnx: bool = False) -> Exported:
    """Write model.keras, README.md and run.json, and model.onnx where it is asked for.

    Args:
        store: holds the run.
        stored: what `finished_run` gave.
        folder: is made; one that is there must be empty.
        data_dir: the TFDS folder of prepared datasets.
        with_onnx: needs the extra `onnx`.

    Raises:
        UserError: the folder cannot be written, or the model not be made.
    """
    check_folder(folder)
    dataset = _load_dataset(stored, store, data_dir)
    made = make_model(store, stored, dataset, data_dir)
    card = dataset_card(stored, store, data_dir)
    with _new_folder(folder) as unfinished:
        made.model.save(unfinished / "model.keras")
        files = ["model.keras", *(["model.onnx"] if with_onnx else []), "README.md", "run.json"]
        if with_onnx:
            _write_onnx(made.model, dataset, unfinished / "model.onnx")
        facts = _facts(store, stored, dataset, made, card)
        needs_zoo = _needs_zoo(unfinished / "model.keras")
        (unfinished / "README.md").write_text(_readme(facts, needs_zoo, with_onnx), encoding="utf-8")
        (unfinished / "run.json").write_text(_json(facts), encoding="utf-8")
    return Exported(folder, tuple(files), made.origin, made.doubts)


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
    missing = [name for name in ("onnx", "tf2onnx") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"--onnx: {' and '.join(missing)} not installed; `pip install 'ablation-zoo[onnx]'` installs what it needs"
        )


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
    model(dataset.test.inputs[:1].astype(np.float32))  # Keras exports only what was called
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # Keras asks whether it is there
        model.export(str(path), format="onnx", verbose=False)


def _needs_zoo(path: Path) -> bool:
    """Whether a saved model has layers or initializers that Keras alone does not know."""
    with zipfile.ZipFile(path) as archive:
        return b'"zoo>' in archive.read("config.json")


def _load_dataset(stored: StoredRun, store: Store, data_dir: Path) -> Dataset:
    from benchmarks.data.loading import load_decoded, prepare

    reference = _reference(stored, store, data_dir)
    prepare(reference)
    return load_decoded(reference, store.folder)


def _reference(stored: StoredRun, store: Store, data_dir: Path) -> DatasetReference:
    return find_dataset(f"{stored.dataset}:{stored.dataset_version}", data_dir, store.folder)


def dataset_card(stored: StoredRun, store: Store, data_dir: Path) -> DatasetCard:
    """What TFDS's builder says of a run's dataset, which lies on disk."""
    import tensorflow_datasets as tfds

    from benchmarks.data.features import choose_features, flat_features

    info = tfds.builder_from_directory(str(_reference(stored, store, data_dir).directory)).info
    target = choose_features(stored.dataset, info).target
    licence = getattr(info.redistribution_info, "license", None)
    return DatasetCard(
        description=cleandoc(info.description or ""),
        homepage=info.homepage or "",
        licence=licence if isinstance(licence, str) else "",
        citation=cleandoc(info.citation or ""),
        target=target,
        classes=dict(flat_features(info.features))[target].categories,
    )


def _facts(store: Store, stored: StoredRun, dataset: Dataset, made: TrainedModel, card: DatasetCard) -> dict[str, Any]:
    """All that is told of an exported run, in plain values."""
    settings = settings_of(stored)
    identity = settings.identity()
    changed = {f"{section}.{name}": value for section in SECTIONS for name, value in identity[section].items()}
    return {
        "key": stored.key,
        "model": {
            "family": settings.model.family,
            "variant": next((name for name, each in zoo.VARIANTS.items() if each.config == settings.model), None),
            "parameters": stored.parameters,
            "input_shape": list(dataset.input_shape),
            "columns": list(dataset.columns),
            "task": dataset.task,
            "num_classes": dataset.num_classes,
        },
        "dataset": {
            "name": stored.dataset,
            "version": stored.dataset_version,
            "num_train": len(dataset.train),
            "num_test": len(dataset.test),
            "test_split": dataset.test_split,
            **asdict(card),
        },
        "seed": stored.seed,
        "settings_that_differ_from_defaults": changed,
        "settings": stored.settings,
        "metrics": stored.metrics,
        "history": stored.history,
        "cell": _cell(store, stored, settings, dataset),
        "suites": sorted({name for name, run in planned_runs(store) if run.key == stored.key}),
        "weights": made.origin,
        "metrics_of_the_exported_model": made.metrics,
        "doubts": list(made.doubts),
        "provenance": {
            "trained_on": store.machines().get(stored.machine, {}),
            "finished_at": stored.finished_at,
            "seconds": stored.seconds,
            "attempts": stored.attempts,
            "zoo_revision": zoo.REVISION,
            "training_revision": training.REVISION,
        },
    }


def _cell(store: Store, stored: StoredRun, settings: RunSettings, dataset: Dataset) -> dict[str, Any]:
    """What all runs with these settings on these data say together, as a report's cell does."""
    from benchmarks.analysis.summaries import cell_summaries
    from benchmarks.analysis.tables import run_table
    from benchmarks.execution.running import dataset_facts

    seeds = sorted({stored.seed}.union(*(each.seeds for each in store.registrations())))
    cell = Cell(stored.dataset, {}, settings)
    planned = [Run(cell, seed, stored.dataset_version) for seed in seeds]
    found = store.runs(run.key for run in planned)
    planned = [run for run in planned if run.key in found]
    (summary,) = cell_summaries(run_table(planned, found, {stored.dataset: dataset_facts(dataset)}))
    outcome = OUTCOME_METRICS[dataset.task]
    return {
        "runs": {run.seed: run.key for run in planned},
        "done": summary.n_done,
        "diverged": summary.n_diverged,
        "failed": summary.n_failed,
        "metrics": {name: asdict(each) for name, each in ({outcome: summary.outcome} | dict(summary.further)).items()},
    }


def _json(facts: Mapping[str, Any]) -> str:
    """JSON, in which a number that is not finite is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(name): plain(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(facts), indent=2, ensure_ascii=False) + "\n"


def _readme(facts: Mapping[str, Any], needs_zoo: bool, with_onnx: bool) -> str:
    """The model card as Markdown."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from benchmarks.report.formatting import markdown

    environment = Environment(
        loader=PackageLoader("benchmarks.models"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"markdown": markdown, "plain": _plain_text, "fenced": _fenced}
    return environment.get_template("README.md.j2").render(
        **facts, needs_zoo=needs_zoo, with_onnx=with_onnx, rows=list(_metric_rows(facts))
    )


def _metric_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Title with unit, value of this run, and mean over the cell with its interval, metric by metric."""
    from benchmarks.analysis.estimates import Estimate
    from benchmarks.report.formatting import style_of, titled

    task = facts["model"]["task"]
    names = [OUTCOME_METRICS[task], *FURTHER_METRICS[task]]
    for name in [*names, *(each for each in METRICS if each in facts["metrics"] and each not in names)]:
        if name not in facts["metrics"]:
            continue
        metric, value = METRICS[name], facts["metrics"][name]
        found = Estimate(**facts["cell"]["metrics"][name]) if name in facts["cell"]["metrics"] else None
        style = style_of(metric.unit, [value, *(found.values if found else ())])
        yield titled(metric.title, style.unit_of_values), style.value(value), style.estimate(found) if found else ""


def _plain_text(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _fenced(text: str) -> str:
    """Text as a code block, whatever backticks it holds."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
