"""Splits of a dataset on disk: which of them a run trains and is tested on, and their records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.arrays import Array
from benchmarks.data.dataset import Allocate
from benchmarks.data.features import Choice, flat
from benchmarks.data.targets import is_unlabelled
from benchmarks.errors import DatasetError, first_line
from benchmarks.settings.data import Reading
from zoo.settings import Problem

_READ_BATCH = 1024

Values = dict[str, Array]
"""The values of each chosen feature as TFDS gives them."""

_Range = tuple[str, int, int]
"""A file of records, the first of them that is read, and the first that is not."""


@dataclass(frozen=True)
class Records:
    """The values of both splits."""

    train: Values
    test: Values | None
    """None where they are to be held out of the training split."""
    source: str
    """Where the test examples come from, for people; why they are held out, where there are none."""


def read_splits(name: str, builder: Any, choice: Choice, reading: Reading, allocate: Allocate) -> Records:
    """Read what is trained on, and what is tested on if there is such a split: `test`, else `validation`.

    One without labels, as contests have it, or that is trained on, is passed over.

    Raises:
        DatasetError: there is no such split, it is empty, or the dataset is in a format that cannot be read.
    """
    train = reading.train or "train"
    trained = _ranges(name, builder, "data.train", train)
    values = _read(name, builder, train, choice, allocate)
    usual = [each for each in ("test", "validation") if each in builder.info.splits]
    passed_over = ""
    for test in [reading.test] if reading.test else usual:
        overlap = _overlap(trained, _ranges(name, builder, "data.test", test))
        if overlap and reading.test:
            allowed = "splits, or parts of them, that have no example in common"
            message = f"{overlap:,} examples of {name} would be trained and tested on"
            raise DatasetError(str(Problem("data.test", message, f"{test} beside {train}", allowed)))
        if overlap:
            passed_over = passed_over or f"the {test} split is trained on"
            continue
        of_test = _read(name, builder, test, choice, allocate)
        if not reading.test and is_unlabelled(of_test[choice.target], choice.target_feature):
            passed_over = passed_over or f"the {test} split has no labels"
            continue
        return Records(values, of_test, _source(reading, test, passed_over))
    return Records(values, None, passed_over or "the dataset has no test split")


def _source(reading: Reading, test: str, passed_over: str) -> str:
    if reading.test:
        return f"{test}, as data.test says"
    why = passed_over or ("" if test == "test" else "the dataset has no test split")
    return f"the official {test} split" + (f" ({why})" if why else "")


def _ranges(name: str, builder: Any, path: str, split: str) -> list[_Range]:
    """The records of a split as TFDS writes splits."""
    splits = builder.info.splits
    try:
        instructions = splits[split].file_instructions
    except Exception as error:  # whatever TFDS's reader of such texts comes upon
        if path == "data.train" and split == "train":
            raise DatasetError(f"datasets: {name} has no training split; it has {', '.join(splits)}") from None
        allowed = f"{', '.join(splits)}; parts and sums of them, such as train[:80%] or train+test"
        message = f"no split of {name} ({first_line(error)[:100]})"
        raise DatasetError(str(Problem(path, message, split, allowed))) from None
    return [(each.filename, each.skip, _end(each)) for each in instructions]


def _end(instruction: Any) -> int:
    taken: int = instruction.examples_in_shard - instruction.skip if instruction.take == -1 else instruction.take
    return int(instruction.skip) + taken


def _overlap(some: list[_Range], others: list[_Range]) -> int:
    """How many records are in both."""
    return sum(
        max(0, min(end, other_end) - max(start, other_start))
        for file, start, end in some
        for other, other_start, other_end in others
        if file == other
    )


def _read(name: str, builder: Any, split: str, choice: Choice, allocate: Allocate) -> Values:
    _check_image_size(name, builder, split, choice)
    expected = builder.info.splits[split].num_examples  # TFDS raises where the records hold another number
    values: Values = {}
    found = 0
    for part in _batches(name, builder, split, choice, _READ_BATCH):
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


def _check_image_size(name: str, builder: Any, split: str, choice: Choice) -> None:
    feature, known = next(iter(choice.inputs.items()))
    if None not in known.shape:
        return
    sizes = sorted({each[feature].shape[1:] for each in _batches(name, builder, split, choice, 1)})
    if len(sizes) > 1:
        raise DatasetError(
            f"datasets: the images of the split {split!r} of {name} vary in size: feature {feature!r} is from "
            f"{sizes[0]} to {sizes[-1]}\n"
            "  allowed: images of one size"
        )


def _batches(name: str, builder: Any, split: str, choice: Choice, size: int) -> Iterator[Values]:
    """The chosen features of a split, some examples at a time, in the order in which they are stored."""
    formats = {each.value for each in builder.info.available_file_formats()}
    if "tfrecord" in formats:
        wanted = tfds.decode.PartialDecoding(choice.specification())
        config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
        stored = builder.as_dataset(
            split=split, batch_size=size, shuffle_files=False, decoders=wanted, read_config=config
        )
        yield from (dict(flat(batch)) for batch in tfds.as_numpy(stored))
        return
    try:
        source = builder.as_data_source(split=split)  # it takes no partial decoding
    except (NotImplementedError, ImportError, ValueError) as error:
        raise _unreadable(name, formats, first_line(error)[:200]) from None
    if len(source) != builder.info.splits[split].num_examples:  # as of parts of what is stored as Parquet
        raise _unreadable(name, formats, f"TFDS does not read {split!r} from this format")
    for start in range(0, len(source), size):
        examples = [dict(flat(source[index])) for index in range(start, min(start + size, len(source)))]
        yield {feature: _stacked([each[feature] for each in examples]) for feature in (*choice.inputs, choice.target)}


def _unreadable(name: str, formats: Iterable[str], reason: str) -> DatasetError:
    return DatasetError(
        f"datasets: {name} is stored as {', '.join(sorted(formats))}, which cannot be read here\n"
        f"  reason:  {reason}\n"
        "  remedy:  `tfds convert_format --out_file_format=tfrecord` writes it anew"
    )


def _stacked(values: list[Any]) -> Array:
    first = np.asarray(values[0])
    return np.array(values, object) if first.dtype.kind in "OSU" else np.stack(values)
