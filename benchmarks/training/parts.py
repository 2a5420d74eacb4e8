"""What a run brings to its training: its examples, and whether its settings fit them. It needs no TensorFlow."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from benchmarks.arrays import Array
from benchmarks.data.dataset import Dataset
from benchmarks.data.splits import (
    imbalanced_subset,
    split_train_validation,
    train_subset,
    train_subset_size,
    validation_size,
)
from benchmarks.data.standardization import Standardization
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.run import RunSettings
from benchmarks.tasks import Task
from zoo.families import MLPConfig
from zoo.settings import Problem, SettingError

LARGEST_STACK = 5

SMALL_MODEL = 50_000
"""Weights up to which a dense model counts as small: they and their gradients stay in the processor's caches."""


@dataclass(frozen=True)
class RunInputs:
    """What one run brings to a program."""

    settings: RunSettings
    seed: int
    train_indices: Array
    """Of examples of the official training split: (n,), as those of the validation part."""
    validation_indices: Array
    standardization: Standardization
    target_shift: float
    """A numeric target t is learnt as (t - target_shift) / target_scale; 0 and 1 for classes."""
    target_scale: float
    class_weights: Array
    """What an example of each class counts in the loss: (classes,)."""


def training_indices(settings: RunSettings, dataset: Dataset, seed: int) -> tuple[Array, Array]:
    """Indices of the examples that a run trains on, and of those that it validates on."""
    data, labels = settings.data, dataset.train.labels
    train, validation = split_train_validation(labels, data.validation_fraction, seed)
    if data.class_imbalance < 1:
        train = imbalanced_subset(train, labels, dataset.num_classes, data.class_imbalance, seed)
    if data.train_fraction < 1:
        train = train_subset(train, labels, data.train_fraction, seed)
    return train, validation


def steps_per_epoch(settings: RunSettings, dataset: Dataset) -> int:
    """Full batches in one pass over the training part: the same for every seed."""
    return train_size(settings, dataset) // settings.train.batch_size


def train_size(settings: RunSettings, dataset: Dataset) -> int:
    """Examples that a run trains on: the same number for every seed."""
    data, number = settings.data, len(dataset.train)
    if data.class_imbalance < 1:
        return len(training_indices(settings, dataset, seed=0)[0])
    return train_subset_size(number - validation_size(number, data.validation_fraction), data.train_fraction)


def check_fit(settings: RunSettings, dataset: Dataset) -> None:
    """Refuse settings that do not fit the data, before anything is trained.

    Raises:
        SettingError: a part of the data is empty, or a batch, the model, the loss or an augmentation does not fit.
    """
    check_task(settings, dataset.name, dataset.task)
    _check_parts(settings, dataset)
    try:
        settings.model.check_input_shape(dataset.input_shape)
    except SettingError as error:
        raise error.below(f"model, on {dataset.name}") from None
    settings.augment.check_data(dataset.task, dataset.input_shape)


def _check_parts(settings: RunSettings, dataset: Dataset) -> None:
    total, fraction = len(dataset.train), settings.data.validation_fraction
    num_validation = validation_size(total, fraction)
    if fraction > 0 and not 0 < num_validation < total:
        given = f"{fraction:g} of {total} examples of {dataset.name}: {num_validation} for validation"
        allowed = f"0, or from {1 / total:.2g} to {1 - 1 / total:.6g}"
        raise SettingError([Problem("data.validation_fraction", "both parts need examples", given, allowed)])
    batch_size = settings.train.batch_size
    num_train = train_size(settings, dataset)
    if batch_size > num_train:
        message = f"a batch larger than the training part of {dataset.name}"
        raise SettingError([Problem("train.batch_size", message, str(batch_size), f"1 to {num_train}")])


_FOR_CLASSES = {"label_smoothing": 0.0, "class_weights": "none", "monitor": "val_loss"}


def check_task(settings: RunSettings, dataset: str, task: Task) -> None:
    """Refuse what has no meaning for the labels of a dataset.

    Raises:
        SettingError: the loss, or a setting for classes, does not fit the task.
    """
    train, is_regression = settings.train, task == "regression"
    if (train.loss_for(task) == "cross_entropy") == is_regression:
        fit = "squared or huber" if is_regression else "cross_entropy"
        raise SettingError([Problem("train.loss", f"not a loss for {dataset} ({task})", train.loss, f"by_task, {fit}")])
    if not is_regression:
        return
    unfit = {f"train.{name}": value for name, value in _FOR_CLASSES.items() if getattr(train, name) != value}
    if settings.data.class_imbalance != 1:
        unfit["data.class_imbalance"] = 1
    for path, allowed in unfit.items():
        message = f"{dataset} has numbers to predict and no classes"
        raise SettingError([Problem(path, message, allowed=str(allowed))])


def stack_size(settings: RunSettings, dataset: Dataset) -> int:
    """How many runs of a program are trained at once.

    Small dense models gain most: their steps are mostly the cost of starting operations. The gradient of a vectorized
    convolution falls back to a loop and is some fifty times slower, so those runs go one after another; so do those
    of an optimizer that looks at whole layers.
    """
    model = settings.model
    if not isinstance(model, MLPConfig) or not OPTIMIZERS[settings.train.optimizer].is_elementwise:
        return 1
    widths = [math.prod(dataset.input_shape), *model.widths, dataset.num_classes]
    return LARGEST_STACK if sum(a * b for a, b in itertools.pairwise(widths)) <= SMALL_MODEL else 3
