"""Optimizers: name -> the Keras class, its arguments, its formula and its source.

Each works element by element, which is what lets the runs of a stack share one optimizer over their packed weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Optimizer:
    """One row of the table."""

    keras_class: str
    explanation: str
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer("SGD", "stochastic gradient descent", "Robbins & Monro 1951"),
    "momentum": Optimizer("SGD", "SGD with momentum 0.9", "Polyak 1964", {"momentum": 0.9}),
    "nesterov": Optimizer(
        "SGD", "SGD with Nesterov momentum 0.9", "Sutskever et al. 2013", {"momentum": 0.9, "nesterov": True}
    ),
    "adagrad": Optimizer("Adagrad", "steps scaled by the sum of squared gradients", "Duchi, Hazan & Singer 2011"),
    "rmsprop": Optimizer(
        "RMSprop", "steps scaled by a moving mean of squared gradients, decay 0.9", "Tieleman & Hinton 2012"
    ),
    "adam": Optimizer("Adam", "moving means of gradient and square, 0.9 and 0.999", "Kingma & Ba 2015"),
}
"""Every name that `train.optimizer` accepts."""
