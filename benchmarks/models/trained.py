"""Trained model of a stored run: from its kept weights, or trained again, and held against what is stored."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import zoo
from benchmarks.arrays import Array
from benchmarks.data.catalog import DatasetReference, find_dataset
from benchmarks.data.dataset import CONTENT
from benchmarks.errors import DatasetError, UserError
from benchmarks.files import weights_file
from benchmarks.metrics import test_metrics
from benchmarks.plan.keys import begins_so, one_key, planned_runs
from benchmarks.runs import Cell, Run
from benchmarks.settings.run import SECTION_CONFIGS, SECTIONS, RunSettings, run_key
from benchmarks.store import Store, StoredRun
from zoo.settings import SettingError

if TYPE_CHECKING:
    import keras

    from benchmarks.data.dataset import Dataset
    from benchmarks.execution.local import TrainedValues

KEPT, TRAINED_AGAIN = "kept weights", "trained again"
"""Where the weights of a model come from."""

_BATCH = 256

ROUNDING = 1e-4
"""Metrics of the exported model may differ from the stored ones by this share: single precision in another order."""


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
        configs: dict[str, Any] = {section: each for section, (each, *_) in SECTION_CONFIGS.items()} | {"model": family}
        settings = RunSettings(**{section: config(**sections[section]) for section, config in configs.items()})
        if run_key(settings, stored.dataset, stored.dataset_version, stored.seed) == stored.key:
            return settings
    except (SettingError, KeyError):
        pass  # told below
    raise UserError(
        f"run {stored.key}: it was stored by another version of this program, in which its settings meant something "
        "else; `ablate run` of its suite trains what they mean now"
    )


def finished_run(store: Store, given: str) -> StoredRun:
    """As `find_run`, for a run that is done and can be repeated.

    Raises:
        UserError: also where it failed or diverged, or was stored by another version.
    """
    stored = find_run(store, given)
    if stored.status != "done":
        why = "diverged, so it has no trained model" if stored.status == "diverged" else stored.status.replace("_", " ")
        raise UserError(f"RUN: {stored.key} {why}: {stored.message}")
    settings_of(stored)
    return stored


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
    outputs = _outputs(model, dataset.test.inputs)
    measured = test_metrics(dataset.task, outputs, dataset.test.labels)
    if not doubts:
        doubts += _differences(stored, measured, ROUNDING, "the model gives other numbers than those stored")
    return TrainedModel(model, origin, measured, tuple(doubts))


def _outputs(model: keras.Model, inputs: Array) -> Array:
    """What a model gives for raw inputs (n, *input_shape)."""
    if inputs.dtype != np.float64:
        return np.asarray(model.predict(inputs, batch_size=_BATCH, verbose=0))
    # Keras's `predict` rounds arrays to single precision.
    batches = (inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH))
    return np.concatenate([np.asarray(model(batch)) for batch in batches])


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
    from benchmarks.execution.worker import WorkerOptions
    from benchmarks.execution.workers import Workers, resources
    from benchmarks.plan.stacks import check_runs

    run = Run(Cell(stored.dataset, {}, settings), stored.seed, stored.dataset_version)
    path = weights_file(store.folder, stored.key)
    threads = store.machines()[stored.machine].get("threads")
    references = {stored.dataset: reference_of(stored, store, data_dir)}
    options = WorkerOptions(references, store.folder, keep_weights=True)
    with Workers(resources(1, 1, workers=1, threads=threads), options) as workers:
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
    are_close = math.isclose(stored, found, rel_tol=tolerance, abs_tol=tolerance / 10)
    return are_close or (math.isnan(stored) and math.isnan(found))


def load_dataset(stored: StoredRun, store: Store, data_dir: Path) -> Dataset:
    """The dataset of a run, prepared and decoded where it is not yet.

    Raises:
        DatasetError: it cannot be had.
    """
    from benchmarks.data.loading import load_decoded
    from benchmarks.data.preparing import prepare

    reference = reference_of(stored, store, data_dir)
    prepare(reference)
    found = load_decoded(reference, store.folder)
    if found.version != stored.dataset_version:
        raise DatasetError(
            f"datasets: {reference.name} in {reference.data_dir} is not what run {stored.key} was trained on\n"
            f"  given:   {found.version}\n  allowed: {stored.dataset_version}, such as --data-dir with a former copy"
        )
    return found


def reference_of(stored: StoredRun, store: Store, data_dir: Path) -> DatasetReference:
    """Where the dataset of a run is."""
    version, _, _ = stored.dataset_version.partition(CONTENT)
    return find_dataset(f"{stored.dataset}:{version}", data_dir, store.folder, settings_of(stored).data.reading)
