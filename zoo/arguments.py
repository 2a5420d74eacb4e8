"""Checks of the arguments that no config holds: shapes, numbers, seeds and names, as a caller hands them over."""

from __future__ import annotations

import operator
import secrets
from collections.abc import Iterable, Mapping, Set
from typing import Any

from zoo.settings import Problem, SettingError, as_written

MOST_SIZE = 10_000_000
"""The largest axis of an example, and the largest number of outputs."""

_SHAPES = "(features,) or (height, width, channels), without the batch axis"

OpenShape = tuple[int | None, ...]
"""Shape of one example, None where a size is left open."""


def whole_number(path: str, value: object, least: int, most: int | None = None) -> int:
    """A whole number of Python's, NumPy's or TensorFlow's as one of Python's.

    Raises:
        SettingError: it is none (True and 3.0 are none), or not from `least` to `most`.
    """
    allowed = f"a whole number, {least} or more" if most is None else f"a whole number from {least} to {most}"
    try:
        number = operator.index(value)  # type: ignore[arg-type] # what has none raises
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise SettingError([Problem(path, "wrong type", told(value), allowed)])
    if number < least or (most is not None and number > most):
        raise SettingError([Problem(path, "out of range", as_written(number), allowed)])
    return number


def checked_shape(value: Any) -> OpenShape:
    """The shape of one example as a tuple, from a tuple, a list, an array, or one number of features.

    Raises:
        SettingError: it is none of these, or an axis is neither None nor a whole number from 1 on.
    """
    is_number = not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0
    if value is None or isinstance(value, str | bytes | Mapping | Set):
        raise SettingError([Problem("input_shape", "wrong type", told(value), _SHAPES)])
    sizes = (value,) if is_number else tuple(value)
    if not sizes:
        raise SettingError([Problem("input_shape", "an example needs at least one axis", told(value), _SHAPES)])
    try:
        return tuple(None if size is None else whole_number("input_shape", size, 1, MOST_SIZE) for size in sizes)
    except SettingError as error:
        message, allowed = error.problems[0].message, f"{_SHAPES}; each {error.problems[0].allowed}"
        raise SettingError([Problem("input_shape", message, told(value), allowed)]) from None


def checked_seed(value: object) -> int:
    """A seed: the number that was given, or where None was, one that the operating system draws.

    Raises:
        SettingError: it is neither None nor a whole number from 0 on.
    """
    return secrets.randbits(31) if value is None else whole_number("seed", value, 0)


def checked_name(value: object) -> str:
    """The name of a model.

    Raises:
        SettingError: it is no text, empty, or has a slash, which Keras puts between the parts of a variable's path.
    """
    if not isinstance(value, str) or not value or "/" in value:
        allowed = "text without a slash, such as teacher"
        raise SettingError([Problem("name", "a model cannot be called so", told(value), allowed)])
    return str(value)


def told(value: Any) -> str:
    """What was given, as Python writes it, cut off where it is long."""
    text = str(value) if hasattr(value, "dtype") else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
