"""Heads: name -> how many numbers a network gives, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.arguments import MOST_SIZE, whole_number
from zoo.settings import Problem, SettingError, unknown


@dataclass(frozen=True)
class Head:
    """One row of the table."""

    explanation: str
    keras_activation: str | None = None
    """What is applied to the last linear layer."""
    is_binary: bool = False
    """Whether it gives one number, for the second of two classes."""


HEADS: dict[str, Head] = {
    "logits": Head("one logit a class, for a loss that applies the softmax itself"),
    "softmax": Head("one probability a class; they sum to 1", "softmax"),
    "binary_logit": Head("one logit, for the second of two classes", is_binary=True),
    "sigmoid": Head("one probability, of the second of two classes", "sigmoid", is_binary=True),
    "regression": Head("one number a target, linear"),
}
"""Every name that `build_model` accepts as `head`."""


def output_units(head: str, num_classes: int) -> int:
    """How many units the last layer has.

    Raises:
        SettingError: no such head, or one that cannot have so many outputs.
    """
    if not isinstance(head, str) or head not in HEADS:
        raise SettingError([unknown("head", "head", head, HEADS)])
    num_classes = whole_number("num_classes", num_classes, 1, MOST_SIZE)
    if not HEADS[head].is_binary:
        return num_classes
    if num_classes > 2:
        raise SettingError([Problem("num_classes", f"the head {head} is for two classes", str(num_classes), "2")])
    return 1
