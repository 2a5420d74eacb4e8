"""Optimizers: name -> the class, its coefficients with what the source says of them, its formula and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Coefficient(NamedTuple):
    """A number of an optimizer that a setting of the same name as its key gives."""

    argument: str
    """Of the class."""
    value: float
    """When nobody sets it."""
    source: str
    """What the optimizer's source says of it, or where the value is from."""


@dataclass(frozen=True)
class Optimizer:
    """One row of the table."""

    class_name: str
    """In `benchmarks.training.optimizers`, where it differs from Keras's own, else in `keras.optimizers`."""
    explanation: str
    source: str
    coefficients: Mapping[str, Coefficient]
    """Setting -> the coefficient that it gives; `learning_rate` is one of them."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_elementwise: bool = True
    """Whether each weight's step follows from its own gradients alone, which is what lets the runs of a stack share
    one optimizer over their packed weights."""
    is_for_matrices: bool = False
    """Whether it is for the weights of hidden dense layers alone, and all others are trained by Adam."""
    has_momentum_forms: bool = False
    """Whether `momentum_form` says how it uses its momentum."""
    decays_within: bool = False
    """Whether decoupled weight decay is a part of its own step."""

    @property
    def defaults(self) -> str:
        """Its coefficients when nobody sets them, each with what the source says, for people."""
        return "; ".join(f"{name} {each.value:g} ({each.source})" for name, each in self.coefficients.items())


def _rate(value: float, source: str) -> dict[str, Coefficient]:
    return {"learning_rate": Coefficient("learning_rate", value, source)}


def _momentum(value: float, source: str) -> dict[str, Coefficient]:
    return {"momentum": Coefficient("momentum", value, source)}


def _epsilon(value: float, source: str) -> dict[str, Coefficient]:
    return {"optimizer_epsilon": Coefficient("epsilon", value, source)}


def _squared_decay(value: float, source: str) -> dict[str, Coefficient]:
    return {"squared_decay": Coefficient("rho", value, source)}


def _adaptive(beta_1: float, beta_2: float, source: str) -> dict[str, Coefficient]:
    return {"beta_1": Coefficient("beta_1", beta_1, source), "beta_2": Coefficient("beta_2", beta_2, source)}


_BENGIO = "none there; 0.01 is what typically works (Bengio 2012, section 3.1.1)"
_POLYAK = "none there; 0.9 as in Krizhevsky, Sutskever & Hinton 2012, section 5"
_KINGMA = "as there, algorithm 1"
_KINGMA_MAX = "as there, algorithm 2"
_ADAM = _rate(0.001, _KINGMA) | _adaptive(0.9, 0.999, _KINGMA) | _epsilon(1e-8, _KINGMA)
_DECOUPLED = "as there, algorithm 2"
_DOZAT = "as torch.optim.NAdam"
_LAMB = "as there, section 4"

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer("SGD", "stochastic gradient descent", "Robbins & Monro 1951", _rate(0.01, _BENGIO)),
    "momentum": Optimizer(
        "Momentum",
        "SGD with momentum",
        "Polyak 1964",
        _rate(0.01, _BENGIO) | _momentum(0.9, _POLYAK),
        has_momentum_forms=True,
    ),
    "nesterov": Optimizer(
        "Momentum",
        "SGD with Nesterov momentum",
        "Sutskever et al. 2013, section 2",
        _rate(0.01, _BENGIO) | _momentum(0.9, "the least that is tried there, table 1"),
        {"nesterov": True},
        has_momentum_forms=True,
    ),
    "adagrad": Optimizer(
        "Adagrad",
        "steps divided by the root of the sum of squared gradients, which begins at 0",
        "Duchi, Hazan & Singer 2011, figure 1",
        _rate(0.01, "chosen by validation there; 0.01 as torch.optim.Adagrad")
        | _epsilon(1e-10, "a small number there, added to the root; 1e-10 as torch.optim.Adagrad"),
    ),
    "adadelta": Optimizer(
        "Adadelta",
        "steps scaled by moving means of squared gradients and of squared steps",
        "Zeiler 2012, algorithm 1",
        _rate(1.0, "there is none: 1")
        | _squared_decay(0.95, "as there, section 4.1")
        | _epsilon(1e-6, "as there, section 4.1, added inside of the roots"),
    ),
    "rmsprop": Optimizer(
        "RMSprop",
        "steps divided by the root of a moving mean of squared gradients",
        "Tieleman & Hinton 2012, lecture 6e",
        _rate(0.001, "none there; 0.001 is Hinton's usual one (Ruder 2016, section 4.5)")
        | _squared_decay(0.9, "as there, slide 29")
        | _momentum(0.0, "none there")
        | _epsilon(1e-8, "none there; added to the root, 1e-8 as torch.optim.RMSprop"),
    ),
    "adam": Optimizer("Adam", "moving means of gradient and square", "Kingma & Ba 2015, algorithm 1", _ADAM),
    "adamw": Optimizer(
        "Adam",
        "Adam with decoupled weight decay, which it needs",
        "Loshchilov & Hutter 2019, algorithm 2",
        _rate(0.001, _DECOUPLED) | _adaptive(0.9, 0.999, _DECOUPLED) | _epsilon(1e-8, _DECOUPLED),
    ),
    "nadam": Optimizer(
        "NAdam",
        "Adam with Nesterov momentum, which grows: beta_1 (1 - 0.96^(t / 250) / 2) at step t",
        "Dozat 2016, section 3",
        _rate(0.002, _DOZAT) | _adaptive(0.9, 0.999, _DOZAT) | _epsilon(1e-8, _DOZAT),
    ),
    "adamax": Optimizer(
        "Adamax",
        "Adam with the largest gradient",
        "Kingma & Ba 2015, algorithm 2",
        _rate(0.002, _KINGMA_MAX)
        | _adaptive(0.9, 0.999, _KINGMA_MAX)
        | _epsilon(1e-8, "none there; 1e-8 as torch.optim.Adamax"),
    ),
    "lion": Optimizer(
        "Lion",
        "the sign of a moving mean of gradients",
        "Chen et al. 2023, program 1",
        _rate(1e-4, "3 to 10 times smaller than AdamW's there, section 5")
        | _adaptive(0.9, 0.99, "as there, program 1"),
    ),
    "lamb": Optimizer(
        "Lamb",
        "Adam, each layer's step, weight decay included, in proportion to its weights",
        "You et al. 2020, algorithm 2",
        _rate(0.001, "by batch size there, 0.000625 for 512 examples (table 4); 0.001 as Adam")
        | _adaptive(0.9, 0.999, _LAMB)
        | _epsilon(1e-6, _LAMB),
        is_elementwise=False,
        decays_within=True,
    ),
    "muon": Optimizer(
        "Muon",
        "momentum made orthogonal, for dense hidden layers; Adam for all other weights",
        "Jordan et al. 2024; Liu et al. 2025",
        _rate(0.001, "that of AdamW (Liu et al. 2025, section 2.2), whose step has its size")
        | _momentum(0.95, "as Jordan et al. 2024"),
        {"exclude_layers": ["head"], "adam_weight_decay": None},
        is_elementwise=False,
        is_for_matrices=True,
    ),
}
"""Every name that `train.optimizer` accepts."""

MOMENTUM_FORMS: dict[str, str] = {
    "rate_inside": "v = momentum v - rate g; w = w + v: a rate that drops leaves the steps that are under way as they "
    "are (Sutskever et al. 2013, equation 1; keras.optimizers.SGD)",
    "rate_outside": "v = momentum v + g; w = w - rate v: a rate that drops shrinks the steps under way too; the same "
    "as rate_inside while the rate stays (torch.optim.SGD)",
    "average": "v = momentum v + (1 - momentum) g; w = w - rate v: a moving average of gradients, whose steps are "
    "1 - momentum times those of rate_outside",
}
"""Every name that `train.momentum_form` accepts: how momentum, rate and gradient come together, with a step w."""

WEIGHT_DECAY_FORMS: dict[str, str] = {
    "decoupled": "rate x weight_decay x w is taken from each weight beside the optimizer's step (Loshchilov & Hutter "
    "2019, algorithm 2; of lamb it is a part of the step that is put in proportion to the weights)",
    "coupled": "weight_decay x w is added to the gradient, and goes through momentum and scaling with it (SGD in the "
    "papers of the residual networks, and torch.optim.SGD); the same as model.l2 = weight_decay / 2",
}
"""Every name that `train.weight_decay_form` accepts."""


def with_coefficient(setting: str) -> tuple[str, ...]:
    """The optimizers that have a coefficient which this setting gives."""
    return tuple(name for name, row in OPTIMIZERS.items() if setting in row.coefficients)
