"""Sheet of images before and after augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.arrays import Array
from benchmarks.augmentation.augmenter import Augmenter, value_range_of
from benchmarks.data.dataset import Dataset
from benchmarks.errors import DatasetError
from benchmarks.settings.augmentation import AugmentConfig
from zoo.seeds import child_seed

_MEAN_OF = 1000
"""How many images the mean colour is taken from."""
_TILE = 1.15
"""Side of a tile in inches."""


def write_sheet(
    path: Path, dataset: Dataset, config: AugmentConfig, seed: int, rows: int = 8, columns: int = 8
) -> None:
    """Write a PNG: a training image a row, first as it is stored, then in several augmented versions.

    Above each image stand its classes, with their shares where they are mixed; partners come from the same sheet.
    Cutout's squares have the mean colour of the training split, which is what most standardizations take to zero.
    The seed decides which images there are, and what becomes of them.

    Raises:
        DatasetError: the examples are no images with 1 or 3 channels.
        SettingError: the augmentations do not fit the data.
    """
    shape = dataset.input_shape
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise DatasetError(f"datasets: {dataset.name} has no images to show; its examples have the shape {shape}")
    config.check_data("classification", shape)
    stored = dataset.train.inputs
    chosen = np.random.default_rng(child_seed(seed, "sheet")).choice(len(stored), rows, replace=rows > len(stored))
    inputs = tf.constant(stored[chosen], tf.float32)
    targets = tf.one_hot(dataset.train.labels[chosen], dataset.num_classes)
    augmenter = Augmenter(config, shape, value_range_of(stored))
    seeds = tf.constant(augmenter.initial_seeds(seed))
    mean = tf.constant(stored[:_MEAN_OF].mean(axis=(0, 1, 2)), tf.float32)
    versions = [(inputs.numpy(), targets.numpy())]
    for _ in range(columns - 1):
        images, mixed, seeds = augmenter.apply(inputs, targets, seeds, mean)
        versions.append((images.numpy(), mixed.numpy()))
    _draw(path, versions, augmenter.value_range)


def _draw(path: Path, versions: Sequence[tuple[Array, Array]], value_range: tuple[Any, Any]) -> None:
    low, high = value_range
    columns, rows = len(versions), len(versions[0][0])
    figure = Figure(figsize=(_TILE * columns, 1.2 * _TILE * rows), dpi=100, facecolor="white")
    for column, (images, targets) in enumerate(versions):
        for row, (image, target) in enumerate(zip(images, targets, strict=True)):
            axes = figure.add_axes(
                ((column + 0.03) / columns, (rows - row - 1 + 0.02) / rows, 0.94 / columns, 0.8 / rows)
            )
            _tile(axes, np.clip((image - low) / (high - low), 0, 1), _title(target))
    figure.savefig(path, format="png")


def _tile(axes: Axes, image: Array, title: str) -> None:
    is_grey = image.shape[-1] == 1
    axes.imshow(image[..., 0] if is_grey else image, cmap="gray" if is_grey else None, vmin=0, vmax=1)
    axes.set_title(title, fontsize=7, pad=2)
    axes.set_axis_off()


def _title(target: Array) -> str:
    """The classes of a label, the largest share first: `3`, or `70 % 3, 30 % 5`."""
    classes = [place for place in np.argsort(-target, kind="stable") if target[place] > 0.005]
    if len(classes) == 1:
        return str(classes[0])
    return ", ".join(f"{100 * target[place]:.0f} % {place}" for place in classes)
