"""Target of a dataset: its classes, or a number, as `data.task` asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.arrays import Array
from benchmarks.data.features import Feature, decoded
from benchmarks.errors import DatasetError
from zoo.settings import Problem

MOST_CLASSES = 10_000
"""A text or a whole number with more values than this is no class."""


@dataclass(frozen=True)
class Target:
    """What is learnt: one of some classes, or a number."""

    name: str
    classes: tuple[Any, ...] = ()
    """The stored values of the classes, in their order; none where the target is a number."""
    class_names: tuple[str, ...] = ()
    """For people, likewise."""
    numbers: tuple[float, ...] = ()
    """What the stored classes 0, 1, ... count where a class is learnt as a number; else none."""
    note: str = ""
    """What of it a person may have meant otherwise, as a sentence."""

    @property
    def num_classes(self) -> int:
        """1 for a regression."""
        return len(self.classes) or 1

    def labels(self, where: str, values: Array) -> Array:
        """The labels (n,) of stored values: int32 for classes, float64 for numbers.

        Args:
            where: of which split they are, for errors.
            values: what TFDS gives of the target: (n,) or (n, 1).

        Raises:
            DatasetError: a value is missing, or none of the classes.
        """
        where = f"{where}: the target {self.name!r}"
        values = values.reshape(len(values))
        if not self.classes:
            numbers = np.asarray(self.numbers)[_places(where, values, len(self.numbers))] if self.numbers else values
            return _varying(where, _finite(where, np.asarray(numbers, np.float64)), "values")
        if self.classes == tuple(range(self.num_classes)):
            places = _places(where, values, self.num_classes)
        else:
            place_of = {value: place for place, value in enumerate(self.classes)}
            places = np.array([place_of.get(decoded(value), -1) for value in values.tolist()])
            if (places < 0).any():
                unknown = decoded(values[np.flatnonzero(places < 0)[0]])
                raise DatasetError(
                    f"{where} is no class of the training split in {examples_of((places < 0).sum(), len(places))}: "
                    f"{unknown!r}\n  allowed: {_shortened(self.classes)}"
                )
        return _varying(where, places.astype(np.int32), "classes")


def target_of(where: str, name: str, feature: Feature, values: Array, task: str) -> Target:
    """What is learnt from a target.

    Args:
        where: of which split the values are, for errors.
        name: of the target.
        feature: what the dataset says of it.
        values: of the training split, as TFDS gives them: (n,) or (n, 1).
        task: one of `TASK_CHOICES`.

    Raises:
        DatasetError: its values are not of such a task.
    """
    if task == "regression" and feature.kind != "number":
        return Target(name, numbers=_numbers_of(where, name, feature))
    if feature.kind == "category":
        return Target(name, tuple(range(len(feature.categories))), feature.categories)
    if feature.is_boolean and task != "regression":
        return Target(name, (False, True), ("false", "true"))
    if feature.kind == "number" and task != "classification":
        return Target(name, note=_whole_number_note(name, values) if feature.is_whole else "")
    found = [decoded(value) for value in np.unique(values.reshape(len(values))).tolist()]
    if feature.kind == "number" and (not _are_whole(values) or len(found) > MOST_CLASSES):
        raise _unfit(where, name, f"{len(found):,} different numbers", "classification", "by_target, or regression")
    if len(found) > MOST_CLASSES:
        raise _unfit(where, name, f"{len(found):,} different texts", task, f"at most {MOST_CLASSES:,} of them")
    return Target(
        name,
        tuple(found),
        tuple(map(str, found)),
        note=f"The values of the target {name!r} are {len(found):,} classes.",
    )


def is_unlabelled(values: Array, feature: Feature) -> bool:
    """Whether a split has no targets: TFDS writes -1 for a class that is not known, and NaN or nothing for others."""
    if feature.kind == "category":
        return bool((values < 0).all())
    if values.dtype.kind == "f":
        return bool(np.isnan(values).all())
    return feature.kind == "text" and not any(values.tolist())


def examples_of(some: int, number: int) -> str:
    """Such as: 2 of 1,000 examples."""
    return f"{some:,} of {number:,} examples"


def check_finite(where: str, number_wrong: int, number: int) -> None:
    """Refuse values of which some are missing.

    Raises:
        DatasetError: some are.
    """
    if number_wrong:
        raise DatasetError(
            f"{where} is missing or not finite in {examples_of(number_wrong, number)}\n"
            "  allowed: finite numbers in float32; fill in or leave out such examples when the dataset is prepared"
        )


def check_range(where: str, labels: Array, num_classes: int) -> None:
    """Refuse classes (n,) that are not among those of a feature.

    Raises:
        DatasetError: some are not.
    """
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise DatasetError(
            f"{where} is out of range in {examples_of(len(wrong), len(labels))}: {int(wrong[0])}\n"
            f"  allowed: 0 to {num_classes - 1}"
        )


def _places(where: str, values: Array, num_classes: int) -> Array:
    check_range(where, values, num_classes)
    return values.astype(np.int32)


def _finite(where: str, values: Array) -> Array:
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is found here
        check_finite(where, int((~np.isfinite(values.astype(np.float32))).sum()), len(values))
    return values


def _varying(where: str, labels: Array, what: str) -> Array:
    if not len(labels):
        raise DatasetError(f"{where} is empty")
    if (labels == labels[0]).all():
        raise DatasetError(f"{where} is {labels[0]:g} everywhere\n  allowed: at least two {what}")
    return labels


def _numbers_of(where: str, name: str, feature: Feature) -> tuple[float, ...]:
    with contextlib.suppress(ValueError):
        if feature.categories:
            return tuple(map(float, feature.categories))
    given = f"the classes {_shortened(feature.categories)}" if feature.categories else "texts"
    raise _unfit(where, name, given, "regression", "classification, or classes whose names are numbers")


def _unfit(where: str, name: str, given: str, task: str, allowed: str) -> DatasetError:
    return DatasetError(f"{where}: " + str(Problem("data.task", f"the target {name!r} has {given}", task, allowed)))


def _are_whole(values: Array) -> bool:
    return values.dtype.kind in "iub" or bool((values == np.rint(values)).all())


def _whole_number_note(name: str, values: Array) -> str:
    return (
        f"The target {name!r} has whole numbers from {values.min()} to {values.max()} and is learnt as a number; "
        'data.task = "classification" makes each of them a class.'
    )


def _shortened(values: Sequence[Any], most: int = 10) -> str:
    return ", ".join(map(str, values[:most])) + (f", ... ({len(values):,} in all)" if len(values) > most else "")
