"""Optimizers: name -> the Keras class, its coefficients, its formula and its source."""

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
    coefficients: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Setting -> the argument of the class that it gives, and the value it has when nobody sets it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_elementwise: bool = True
    """Whether each weight's step follows from its own gradients alone, which is what lets the runs of a stack share
    one optimizer over their packed weights."""
    is_for_matrices: bool = False
    """Whether it is for the weights of hidden dense layers alone, and all others are trained by Adam."""


_MOMENTUM = {"momentum": ("momentum", 0.9)}
_EPSILON = {"optimizer_epsilon": ("epsilon", 1e-7)}


def _adaptive(beta_1: float, beta_2: float) -> dict[str, tuple[str, float]]:
    return {"beta_1": ("beta_1", beta_1), "beta_2": ("beta_2", beta_2)}


_ADAM = _adaptive(0.9, 0.999) | _EPSILON

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer("SGD", "stochastic gradient descent", "Robbins & Monro 1951"),
    "momentum": Optimizer("SGD", "SGD with momentum", "Polyak 1964", _MOMENTUM),
    "nesterov": Optimizer(
        "SGD", "SGD with Nesterov momentum", "Sutskever et al. 2013, section 2", _MOMENTUM, {"nesterov": True}
    ),
    "adagrad": Optimizer(
        "Adagrad", "steps scaled by the sum of squared gradients", "Duchi, Hazan & Singer 2011", _EPSILON
    ),
    "adadelta": Optimizer(
        "Adadelta",
        "steps scaled by moving means of squared gradients and of squared steps",
        "Zeiler 2012, algorithm 1",
        {"squared_decay": ("rho", 0.95)} | _EPSILON,
    ),
    "rmsprop": Optimizer(
        "RMSprop",
        "steps scaled by a moving mean of squared gradients",
        "Tieleman & Hinton 2012",
        {"squared_decay": ("rho", 0.9), "momentum": ("momentum", 0.0)} | _EPSILON,
    ),
    "adam": Optimizer("Adam", "moving means of gradient and square", "Kingma & Ba 2015, algorithm 1", _ADAM),
    "adamw": Optimizer(
        "Adam", "Adam with decoupled weight decay, which it needs", "Loshchilov & Hutter 2019, algorithm 2", _ADAM
    ),
    "nadam": Optimizer("Nadam", "Adam with Nesterov momentum", "Dozat 2016", _ADAM),
    "adamax": Optimizer("Adamax", "Adam with the largest gradient", "Kingma & Ba 2015, algorithm 2", _ADAM),
    "lion": Optimizer(
        "Lion", "the sign of a moving mean of gradients", "Chen et al. 2023, program 1", _adaptive(0.9, 0.99)
    ),
    "lamb": Optimizer(
        "Lamb",
        "Adam, each layer's step in proportion to its weights",
        "You et al. 2020, algorithm 2",
        _ADAM,
        is_elementwise=False,
    ),
    "muon": Optimizer(
        "Muon",
        "momentum made orthogonal, for dense hidden layers; Adam for all other weights",
        "Jordan et al. 2024; Liu et al. 2025",
        {"momentum": ("momentum", 0.95)},
        {"exclude_layers": ["head"], "adam_weight_decay": None},
        is_elementwise=False,
        is_for_matrices=True,
    ),
}
"""Every name that `train.optimizer` accepts."""


def with_coefficient(setting: str) -> tuple[str, ...]:
    """The optimizers that have a coefficient which this setting gives."""
    return tuple(name for name, row in OPTIMIZERS.items() if setting in row.coefficients)
