"""Loading of prepared datasets: inputs and labels as arrays, checked, with what a person should know of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.arrays import Array
from benchmarks.data.catalog import DatasetReference
from benchmarks.data.dataset import (
    Allocate,
    Dataset,
    Examples,
    decoded_folder,
    in_memory,
    open_decoded,
    version_of,
    write_decoded,
)
from benchmarks.data.features import Feature, choose_features, decoded, no_inputs
from benchmarks.data.official_splits import Values, read_splits
from benchmarks.data.splits import held_out
from benchmarks.data.standardization import moments
from benchmarks.data.targets import Target, check_finite, check_range, target_of
from benchmarks.errors import DatasetError, first_line
from benchmarks.tensorflow_start import no_deprecations_of_tfds

HELD_OUT = 0.2
"""Share of each class that is held out as a test split where a dataset has none."""

MOST_WORDS = 20
"""A text with more values than this in the training split is no category, and is left out."""

MOST_OFFSET = 1000
"""Numbers further from zero than this many of their standard deviations are kept in double precision until they are
centred: in single precision they would lose more than the fourth digit of what tells them apart."""

_CHUNK = 4096
"""Examples that are looked at or copied at once, so that a dataset need not fit in memory."""


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
        choice = choose_features(name, builder.info)
        records = read_splits(name, builder, choice, reference.reading, allocate)
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"datasets: {reference.directory} cannot be read: {first_line(error)[:300]}") from error
    train, test = records.train, records.test
    where = f"datasets: the training split of {name}"
    target = target_of(where, choice.target, choice.target_feature, train[choice.target], reference.reading.task)
    source = records.source
    if test is None:
        part = "a fifth of each class of the training split" if target.classes else "a fifth of the training split"
        source = f"{part}, held out ({records.source})"
        train, test = _hold_out(name, train, target.labels(where, train[choice.target]), target, allocate)
    splits = {where: train, f"datasets: the test split of {name}": test}
    inputs = {feature: _with_vocabulary(known, train[feature]) for feature, known in choice.inputs.items()}
    left_out = [*choice.left_out, *(feature for feature, known in inputs.items() if known.kind == "text")]
    inputs = {feature: known for feature, known in inputs.items() if known.kind != "text"}
    if not inputs:
        raise no_inputs(name, sorted(left_out))
    labels = [target.labels(where, values[choice.target]) for where, values in splits.items()]
    for where, values in splits.items():
        for feature, known in inputs.items():
            _check_input(where, feature, known, values[feature])
    _check_sizes(name, inputs, train, test)
    numbers = {feature: train[feature] for feature, known in inputs.items() if known.kind == "number"}
    far = {feature for feature, values in numbers.items() if _is_far_from_zero(values)}
    dtype = np.float64 if far else np.float32
    joined = [_join(values, inputs, dtype, allocate) for values in splits.values()]
    columns = tuple(_column_names(inputs)) if joined[0].ndim == 2 else ()
    if not target.classes and _is_far_from_zero(labels[0]):
        far.add(target.name)
    notes = [
        target.note,
        *_missing_classes(target, labels),
        *_rounded_when_written({feature: train[feature] for feature in sorted(far)}),
        *_lost_values(columns, joined[0]),
    ]
    return Dataset(
        name=name,
        version=version_of(reference, *joined, *labels),
        train=Examples(joined[0], labels[0]),
        test=Examples(joined[1], labels[1]),
        num_classes=target.num_classes,
        target=target.name,
        class_names=target.class_names,
        test_split=source,
        columns=columns,
        left_out=tuple(sorted(left_out)),
        notes=tuple(filter(None, notes)),
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


def _hold_out(name: str, values: Values, labels: Array, target: Target, allocate: Allocate) -> tuple[Values, Values]:
    """Divide the values of a training split; both parts have examples of every class."""
    single = np.flatnonzero(np.bincount(labels) == 1) if target.classes else ()
    if len(single):
        classes = ", ".join(target.class_names[label] for label in single[:10])
        raise DatasetError(
            f"datasets: {name} has no test split, and of these classes one example, too few to be trained and tested "
            f"on: {classes}\n  allowed: two examples of each class; a test split; data.train and data.test"
        )
    is_held_out = held_out(labels, HELD_OUT)
    train, test = (
        {feature: _take(each, np.flatnonzero(part), allocate, each.dtype) for feature, each in values.items()}
        for part in (~is_held_out, is_held_out)
    )
    return train, test


def _take(values: Array, indices: Array, allocate: Allocate, dtype: Any) -> Array:
    taken = allocate((len(indices), *values.shape[1:]), dtype)
    for chunk in _chunks(len(indices)):
        taken[chunk] = values[indices[chunk]]
    return taken


def _chunks(number: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, number, _CHUNK))


def _check_input(where: str, feature: str, known: Feature, values: Array) -> None:
    where = f"{where}: feature {feature!r}"
    if known.kind == "category":
        if values.dtype.kind in "iu":  # a text is in the vocabulary by itself, or in the test split none of it
            check_range(where, values, len(known.categories))
    elif values.dtype.kind == "f":
        wrong = 0
        for chunk in _chunks(len(values)):
            part = values[chunk]
            with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is found here
                finite = np.isfinite(part.astype(np.float32)).reshape(len(part), -1)
            wrong += int((~finite).any(axis=1).sum())
        check_finite(where, wrong, len(values))


def _check_sizes(name: str, inputs: dict[str, Feature], train: Values, test: Values) -> None:
    for feature in inputs:
        size, other = train[feature].shape[1:], test[feature].shape[1:]
        if size != other:
            raise DatasetError(
                f"datasets: the examples of {name} vary in size: feature {feature!r} is {size} in training, "
                f"{other} in test"
            )


def _missing_classes(target: Target, labels: list[Array]) -> Iterator[str]:
    """What is to be said of classes without examples, as sentences."""
    for split, of_split in zip(("training", "test"), labels, strict=True):
        missing = np.setdiff1d(np.arange(len(target.classes)), of_split)
        if len(missing):
            shown = ", ".join(target.class_names[label] for label in missing[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            yield f"The {split} split has no example of these classes: {shown}{more}."


def _is_far_from_zero(values: Array) -> bool:
    """Whether numbers (n, ...) of some element have a spread, but one that is small beside their distance from 0."""
    if values.dtype.itemsize <= 2:
        return False
    mean, mean_square, origin = moments(values, np.arange(len(values)))
    spread = np.sqrt(np.maximum(mean_square - mean**2, 0))
    return bool(((spread > 0) & (np.abs(origin + mean) > MOST_OFFSET * spread)).any())


def _rounded_when_written(numbers: dict[str, Array]) -> Iterator[str]:
    """What is to be said of numbers, all far from zero, that the records have in single precision, as sentences."""
    for name, values in numbers.items():
        if values.dtype.kind == "f" and all(
            (values[chunk] == values[chunk].astype(np.float32)).all() for chunk in _chunks(len(values))
        ):
            yield (
                f"The numbers of {name!r} are far from zero beside their spread, and TFDS has written them in single "
                f"precision: {len(np.unique(values)):,} different ones are left. If there were more, subtract a "
                "constant when the dataset is prepared, or declare a Tensor of float64 with encoding = 'bytes'."
            )


def _lost_values(columns: tuple[str, ...], inputs: Array) -> Iterator[str]:
    """What is to be said of columns that have fewer values in single precision, even once they are centred."""
    if inputs.dtype != np.float64:
        return
    for column, values in zip(columns, inputs.T, strict=True):
        number = len(np.unique(values))
        kept = len(np.unique((values - values.mean()).astype(np.float32)))
        if kept < number:
            yield f"Of {number:,} different values of {column!r}, single precision tells {kept:,} apart."


def _with_vocabulary(known: Feature, values: Array) -> Feature:
    """A text of few values as the category that it is; all else as it was."""
    if known.kind != "text":
        return known
    words = sorted(set(values.tolist()))
    if not 2 <= len(words) <= MOST_WORDS:
        return known
    return Feature("category", (), tuple(decoded(word) for word in words))


def _join(values: Values, inputs: dict[str, Feature], dtype: Any, allocate: Allocate) -> Array:
    """One array of all inputs: pixels as they are, a lone tensor in its shape, else columns side by side."""
    if len(inputs) == 1:
        (feature,) = inputs
        only = values[feature]
        if inputs[feature].kind != "category" and only.ndim > 1:
            is_fit = only.dtype in (np.uint8, dtype)
            return only if is_fit else _take(only, np.arange(len(only)), allocate, dtype)
    number = len(values[next(iter(inputs))])
    width = len(list(_column_names(inputs)))
    joined = allocate((number, width), dtype)
    for chunk in _chunks(number):
        blocks = [_block(values[feature][chunk], known) for feature, known in inputs.items()]
        joined[chunk] = np.concatenate(blocks, axis=1)
    return joined


def _block(values: Array, known: Feature) -> Array:
    """The columns of one feature; a text that the training split does not have is 0 in each of its columns."""
    if known.kind != "category":
        return values.reshape(len(values), -1)
    if values.dtype.kind in "iu":
        places = values
    else:
        place_of = {word: place for place, word in enumerate(known.categories)}
        places = np.array([place_of.get(decoded(word), -1) for word in values.tolist()])
    return np.array(places[:, np.newaxis] == np.arange(len(known.categories)), dtype=np.float32)


def _column_names(inputs: dict[str, Feature]) -> Iterator[str]:
    for feature, known in inputs.items():
        if known.kind == "category":
            yield from (f"{feature}={category}" for category in known.categories)
        elif known.shape:
            yield from (f"{feature}[{','.join(map(str, place))}]" for place in np.ndindex(*known.shape))  # type: ignore[arg-type]
        else:
            yield feature
