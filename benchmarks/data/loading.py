"""Loading of datasets through TFDS: preparing, choosing splits, reading."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from benchmarks.arrays import Array
from benchmarks.data.buckets import copy_dataset
from benchmarks.data.catalog import EMBEDDED, DatasetReference
from benchmarks.data.dataset import Allocate, Dataset, Examples, decoded_folder, in_memory, open_decoded, write_decoded
from benchmarks.data.features import Choice, Feature, choose_features, flat, no_inputs
from benchmarks.errors import DatasetError, first_line
from benchmarks.tensorflow_start import no_deprecations_of_tfds

HELD_OUT_EVERY = 5
"""Where a dataset has no test split, every fifth example of its training split is held out as one."""

MOST_WORDS = 20
"""A text with more values than this in the training split is no category, and is left out."""

_READ_BATCH = 1024

_CHUNK = 4096
"""Examples that are looked at or copied at once, so that a dataset need not fit in memory."""

_Values = dict[str, Array]
"""The values of each chosen feature as TFDS gives them."""


@no_deprecations_of_tfds()
def prepare(reference: DatasetReference) -> None:
    """Make sure that the dataset lies on disk, downloading, copying or generating it where it is missing.

    Raises:
        DatasetError: it is missing and cannot be had.
    """
    if reference.origin == "prepared" or (reference.directory / "dataset_info.json").exists():
        return
    if reference.origin == "bucket":
        copy_dataset(reference.bucket, reference.name, reference.version, reference.directory)
        return
    if reference.origin == "embedded":
        importlib.import_module(f"benchmarks.data.embedded.{EMBEDDED[reference.name].module}")
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
            message = (
                f"datasets: {reference.name} could not be written to {reference.data_dir}: {first_line(error)[:300]}"
            )
            raise DatasetError(message) from error
        raise DatasetError(
            f"datasets: {reference.name} is not prepared in {reference.data_dir} and could not be downloaded\n"
            f"  reason:  {first_line(error)[:300]}\n"
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


@no_deprecations_of_tfds()
def load(reference: DatasetReference, allocate: Allocate = in_memory) -> Dataset:
    """Read a prepared dataset.

    An image, or a tensor of numbers alone, keeps its shape. All else becomes a table: numbers and booleans are columns,
    a category has a column of 0 and 1 for each of its classes, and so has a text of 2 to `MOST_WORDS` values; the
    columns stand in the order of their features' names. Nothing is filled in: a missing value is an error.

    Raises:
        DatasetError: it has no usable inputs or no target, or unusable values.
    """
    name = reference.name
    try:
        builder = tfds.builder_from_directory(str(reference.directory))
        train_split, test_split, source = _choose_splits(name, list(builder.info.splits))
        choice = choose_features(name, builder.info)
        train = _read(name, builder, train_split, choice, allocate)
        test = _read(name, builder, test_split, choice, allocate) if test_split else None
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"datasets: {reference.directory} cannot be read: {first_line(error)[:300]}") from error
    if test is None:
        train, test = _hold_out(train, allocate)
    inputs = {feature: _with_vocabulary(known, train[feature]) for feature, known in choice.inputs.items()}
    left_out = [*choice.left_out, *(feature for feature, known in inputs.items() if known.kind == "text")]
    inputs = {feature: known for feature, known in inputs.items() if known.kind != "text"}
    if not inputs:
        raise no_inputs(name, sorted(left_out))
    for split, values in (("training", train), ("test", test)):
        _check_target(f"datasets: the {split} split of {name}", values[choice.target], choice)
        for feature, known in inputs.items():
            _check_input(f"datasets: the {split} split of {name}", feature, known, values[feature])
    for feature in inputs:
        size, other = train[feature].shape[1:], test[feature].shape[1:]
        if size != other:
            raise DatasetError(
                f"datasets: the examples of {name} vary in size: feature {feature!r} is {size} in training, "
                f"{other} in test"
            )
    label_type = np.float32 if choice.num_classes == 1 else np.int32
    train_examples, test_examples = (
        Examples(_join(values, inputs, allocate), values[choice.target].astype(label_type)) for values in (train, test)
    )
    return Dataset(
        name=name,
        version=reference.version,
        train=train_examples,
        test=test_examples,
        num_classes=choice.num_classes,
        test_split=source,
        columns=tuple(_column_names(inputs)) if train_examples.inputs.ndim == 2 else (),
        left_out=tuple(sorted(left_out)),
    )


def load_decoded(reference: DatasetReference, runs_dir: Path) -> Dataset:
    """Read a prepared dataset once, and from then on the files that were made of it in a runs folder.

    Raises:
        DatasetError: as `load`.
    """
    folder = decoded_folder(reference, runs_dir)
    dataset = open_decoded(folder)
    if dataset is None:
        write_decoded(folder, lambda allocate: load(reference, allocate))
        dataset = open_decoded(folder)
        assert dataset is not None
    return dataset


def _choose_splits(name: str, splits: list[str]) -> tuple[str, str | None, str]:
    if "train" not in splits:
        raise DatasetError(f"datasets: {name} has no training split; it has {', '.join(splits)}")
    if "test" in splits:
        return "train", "test", "the official test split"
    if "validation" in splits:
        return "train", "validation", "the official validation split (the dataset has no test split)"
    return "train", None, "every fifth example of the training split (the dataset has no test split)"


def _read(name: str, builder: Any, split: str, choice: Choice, allocate: Allocate) -> _Values:
    wanted = tfds.decode.PartialDecoding(choice.specification())
    _check_image_size(name, builder, split, choice, wanted)
    batches = builder.as_dataset(
        split=split,
        batch_size=_READ_BATCH,
        shuffle_files=False,
        decoders=wanted,
        read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
    )
    expected = builder.info.splits[split].num_examples  # TFDS raises where the records hold another number
    values: _Values = {}
    found = 0
    for batch in tfds.as_numpy(batches):
        part = dict(flat(batch))
        values = values or {
            feature: allocate((expected, *each.shape[1:]), each.dtype) for feature, each in part.items()
        }
        size = len(next(iter(part.values())))
        for feature, each in part.items():
            values[feature][found : found + size] = each
        found += size
    if not found:
        raise DatasetError(f"datasets: the split {split!r} of {name} is empty")
    return values


def _check_image_size(name: str, builder: Any, split: str, choice: Choice, wanted: Any) -> None:
    feature, known = next(iter(choice.inputs.items()))
    if None not in known.shape:
        return
    examples = builder.as_dataset(split=split, shuffle_files=False, decoders=wanted)
    sizes = sorted({tuple(dict(flat(example))[feature].shape) for example in tfds.as_numpy(examples)})
    if len(sizes) > 1:
        raise DatasetError(
            f"datasets: the images of the split {split!r} of {name} vary in size: feature {feature!r} is from "
            f"{sizes[0]} to {sizes[-1]}\n"
            "  allowed: images of one size"
        )


def _hold_out(values: _Values, allocate: Allocate) -> tuple[_Values, _Values]:
    number = len(next(iter(values.values())))
    held_out = np.arange(number) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    train, test = (
        {feature: _take(each, np.flatnonzero(part), allocate, each.dtype) for feature, each in values.items()}
        for part in (~held_out, held_out)
    )
    return train, test


def _take(values: Array, indices: Array, allocate: Allocate, dtype: Any) -> Array:
    taken = allocate((len(indices), *values.shape[1:]), dtype)
    for chunk in _chunks(len(indices)):
        taken[chunk] = values[indices[chunk]]
    return taken


def _chunks(number: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, number, _CHUNK))


def _check_target(where: str, labels: Array, choice: Choice) -> None:
    if not len(labels):
        raise DatasetError(f"{where} is empty")
    where = f"{where}: the target {choice.target!r}"
    if choice.num_classes == 1:
        _check_finite(where, labels)
        first, what = labels[0], "values"
    else:
        _check_range(where, labels, choice.num_classes)
        first, what = int(labels[0]), "classes"
    if (labels == first).all():
        raise DatasetError(f"{where} is {first} everywhere\n  allowed: at least two {what}")


def _check_input(where: str, feature: str, known: Feature, values: Array) -> None:
    where = f"{where}: feature {feature!r}"
    if known.kind != "category":
        _check_finite(where, values)
    elif values.dtype.kind in "iu":  # a text is in the vocabulary by itself, or in the test split none of it
        _check_range(where, values, len(known.categories))


def _check_range(where: str, labels: Array, num_classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise DatasetError(
            f"{where} is out of range in {_of(len(wrong), len(labels))}: {int(wrong[0])}\n"
            f"  allowed: 0 to {num_classes - 1}"
        )


def _check_finite(where: str, values: Array) -> None:
    if values.dtype.kind != "f":
        return
    wrong = 0
    for chunk in _chunks(len(values)):
        part = values[chunk]
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is found here
            finite = np.isfinite(part.astype(np.float32)).reshape(len(part), -1)
        wrong += int((~finite).any(axis=1).sum())
    if wrong:
        raise DatasetError(
            f"{where} is missing or not finite in {_of(wrong, len(values))}\n"
            "  allowed: finite numbers in float32; fill in or leave out such examples when the dataset is prepared"
        )


def _of(some: int, number: int) -> str:
    return f"{some:,} of {number:,} examples"


def _with_vocabulary(known: Feature, values: Array) -> Feature:
    """A text of few values as the category that it is; all else as it was."""
    if known.kind != "text":
        return known
    words = sorted(set(values.tolist()))
    if not 2 <= len(words) <= MOST_WORDS:
        return known
    return Feature("category", (), tuple(_decoded(word) for word in words))


def _decoded(word: bytes | str) -> str:
    return word.decode(errors="backslashreplace") if isinstance(word, bytes) else word


def _join(values: _Values, inputs: dict[str, Feature], allocate: Allocate) -> Array:
    """One array of all inputs: pixels as they are, a lone tensor in its shape, else float32 columns side by side."""
    if len(inputs) == 1:
        (feature,) = inputs
        only = values[feature]
        if inputs[feature].kind != "category" and only.ndim > 1:
            is_fit = only.dtype in (np.uint8, np.float32)
            return only if is_fit else _take(only, np.arange(len(only)), allocate, np.float32)
    number = len(values[next(iter(inputs))])
    width = len(list(_column_names(inputs)))
    joined = allocate((number, width), np.float32)
    for chunk in _chunks(number):
        blocks = [_block(values[feature][chunk], known) for feature, known in inputs.items()]
        joined[chunk] = np.concatenate(blocks, axis=1)
    return joined


def _block(values: Array, known: Feature) -> Array:
    """The columns of one feature; a text that the training split does not have is 0 in each of its columns."""
    if known.kind != "category":
        return values.reshape(len(values), -1).astype(np.float32)
    if values.dtype.kind in "iu":
        places = values
    else:
        place_of = {word: place for place, word in enumerate(known.categories)}
        places = np.array([place_of.get(_decoded(word), -1) for word in values.tolist()])
    return np.array(places[:, np.newaxis] == np.arange(len(known.categories)), dtype=np.float32)


def _column_names(inputs: dict[str, Feature]) -> Iterator[str]:
    for feature, known in inputs.items():
        if known.kind == "category":
            yield from (f"{feature}={category}" for category in known.categories)
        elif known.shape:
            yield from (f"{feature}[{','.join(map(str, place))}]" for place in np.ndindex(*known.shape))  # type: ignore[arg-type]
        else:
            yield feature
