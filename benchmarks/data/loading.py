"""Reading a dataset through TFDS into memory."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from benchmarks.data.catalog import EMBEDDED, DatasetReference
from benchmarks.errors import DatasetError

Array = np.ndarray[Any, Any]

HELD_OUT_EVERY = 5
"""Where a dataset has no test split, every fifth example of its training split is held out as one."""

_READ_BATCH = 1024


@dataclass(frozen=True)
class Examples:
    """Inputs (n, *input_shape) as they are stored, uint8 or float32, and labels (n,) int32."""

    inputs: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A dataset in memory."""

    name: str
    version: str
    train: Examples
    test: Examples
    num_classes: int
    test_split: str
    """Where the test examples come from, for people."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.train.inputs.shape[1:])


def prepare(reference: DatasetReference) -> None:
    """Make sure that the dataset lies on disk, downloading or generating it where it is missing.

    Raises:
        DatasetError: it is missing and cannot be downloaded.
    """
    if reference.origin == "prepared" or (reference.directory / "dataset_info.json").exists():
        return
    if reference.origin == "embedded":
        importlib.import_module(EMBEDDED[reference.name].module)
        tfds.disable_progress_bar()
    # TFDS announces a download also where it only generates.
    announcements = io.StringIO() if reference.origin == "embedded" else sys.stderr
    try:
        with contextlib.redirect_stdout(announcements), _few_retries():
            builder = tfds.builder(f"{reference.name}:{reference.version}", data_dir=str(reference.data_dir))
            builder.download_and_prepare()
    except Exception as error:
        if (reference.directory / "dataset_info.json").exists():
            return  # another process was faster
        if reference.origin == "embedded":
            message = f"datasets: {reference.name} could not be written to {reference.data_dir}: {_first_line(error)}"
            raise DatasetError(message) from error
        raise DatasetError(
            f"datasets: {reference.name} is not prepared in {reference.data_dir} and could not be downloaded\n"
            f"  reason:  {_first_line(error)}\n"
            f"  remedy:  prepare it where there is a network, with `tfds build {reference.name}`, and name its folder "
            "with --data-dir or TFDS_DATA_DIR"
        ) from error


@contextlib.contextmanager
def _few_retries() -> Iterator[None]:
    """Let TFDS give up a download after seconds: its own ten retries keep a person without a network for minutes."""
    log = logging.getLogger("urllib3.connectionpool")
    kept, kept_level = downloader.MAX_RETRIES, log.level
    downloader.MAX_RETRIES = 4
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        downloader.MAX_RETRIES = kept
        log.setLevel(kept_level)


def load(reference: DatasetReference) -> Dataset:
    """Read a prepared dataset into memory.

    Raises:
        DatasetError: it holds no image or numeric features with a class label, or unusable values.
    """
    try:
        builder = tfds.builder_from_directory(str(reference.directory))
        splits = builder.info.splits
        train_split, test_split, source = _choose_splits(reference.name, list(splits))
        input_names, label_name = _choose_features(reference.name, builder.info)
        num_classes = builder.info.features[label_name].num_classes
        train = _read(builder, train_split, input_names, label_name)
        test = _read(builder, test_split, input_names, label_name) if test_split else None
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"datasets: {reference.directory} cannot be read: {_first_line(error)}") from error
    if test is None:
        train, test = _hold_out(train)
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        shapes = f"{train.inputs.shape[1:]} in training, {test.inputs.shape[1:]} in test"
        raise DatasetError(f"datasets: the examples of {reference.name} vary in size: {shapes}")
    for split, examples in (("training", train), ("test", test)):
        _check_examples(reference.name, split, examples, num_classes)
    return Dataset(reference.name, reference.version, train, test, num_classes, source)


def _choose_splits(name: str, splits: list[str]) -> tuple[str, str | None, str]:
    if "train" not in splits:
        raise DatasetError(f"datasets: {name} has no training split; it has {', '.join(splits)}")
    if "test" in splits:
        return "train", "test", "the official test split"
    if "validation" in splits:
        return "train", "validation", "the official validation split (the dataset has no test split)"
    return "train", None, "every fifth example of the training split (the dataset has no test split)"


def _choose_features(name: str, info: tfds.core.DatasetInfo) -> tuple[list[str], str]:
    # TFDS gives features in an order that changes from process to process.
    features = dict(sorted(info.features.items()))
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    supervised = info.supervised_keys
    if supervised and len(supervised) == 2 and supervised[1] in labels:
        label = supervised[1]
    elif "label" in labels or len(labels) == 1:
        label = "label" if "label" in labels else labels[0]
    else:
        raise DatasetError(f"datasets: {name} has no class label that could be told; its features: {list(features)}")
    if supervised and isinstance(supervised[0], str) and _is_usable(features[supervised[0]]):
        return [supervised[0]], label
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if images:
        return images[:1], label
    numbers = [key for key, feature in features.items() if key != label and _is_usable(feature)]
    if not numbers:
        raise DatasetError(f"datasets: {name} has no image and no numeric features; its features: {list(features)}")
    return numbers, label


def _is_usable(feature: Any) -> bool:
    if isinstance(feature, tfds.features.Image):
        return True
    # Class labels, text, video and sequences are subclasses or have other shapes; plain tensors and scalars remain.
    is_plain = type(feature) in (tfds.features.Tensor, tfds.features.Scalar)
    return is_plain and None not in feature.shape and np.dtype(feature.np_dtype).kind in "fiub"


def _read(builder: Any, split: str, input_names: list[str], label_name: str) -> Examples:
    config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    _check_image_size(builder, split, input_names)
    batches = builder.as_dataset(split=split, batch_size=_READ_BATCH, shuffle_files=False, read_config=config)
    inputs, labels = [], []
    for batch in tfds.as_numpy(batches):
        inputs.append(_join(batch, input_names))
        labels.append(batch[label_name].astype(np.int32))
    if not inputs:
        raise DatasetError(f"datasets: the split {split!r} of {builder.info.name} is empty")
    return Examples(np.concatenate(inputs), np.concatenate(labels))


def _check_image_size(builder: Any, split: str, input_names: list[str]) -> None:
    name = input_names[0]
    if None not in builder.info.features[name].shape:
        return
    examples = builder.as_dataset(split=split, shuffle_files=False)
    sizes = sorted({tuple(example[name].shape) for example in tfds.as_numpy(examples)})
    if len(sizes) > 1:
        raise DatasetError(
            f"datasets: the images of {builder.info.name} vary in size ({sizes[0]} to {sizes[-1]}); "
            "a model here needs images of one size"
        )


def _join(batch: dict[str, Array], names: list[str]) -> Array:
    """One array of a batch's inputs: pixels as they are, numbers as float32 columns side by side."""
    if len(names) == 1 and batch[names[0]].ndim > 1:
        only = batch[names[0]]
        return only if only.dtype == np.uint8 else only.astype(np.float32)
    return np.concatenate([batch[name].reshape(len(batch[name]), -1).astype(np.float32) for name in names], axis=1)


def _hold_out(examples: Examples) -> tuple[Examples, Examples]:
    held_out = np.arange(len(examples)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return (
        Examples(examples.inputs[~held_out], examples.labels[~held_out]),
        Examples(examples.inputs[held_out], examples.labels[held_out]),
    )


def _check_examples(name: str, split: str, examples: Examples, num_classes: int) -> None:
    if not len(examples):
        raise DatasetError(f"datasets: the {split} split of {name} is empty")
    low, high = int(examples.labels.min()), int(examples.labels.max())
    if low < 0 or high >= num_classes:
        raise DatasetError(
            f"datasets: a label of the {split} split of {name} is out of range: "
            f"{low if low < 0 else high}, allowed 0 to {num_classes - 1}"
        )
    if low == high:
        raise DatasetError(f"datasets: every label of the {split} split of {name} is {low}; two classes are needed")
    if examples.inputs.dtype != np.uint8 and not np.isfinite(examples.inputs).all():
        raise DatasetError(f"datasets: the {split} split of {name} holds inputs that are not finite numbers")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
