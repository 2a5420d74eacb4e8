"""Activations: name -> the Keras part that applies it, its formula and its source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Activation:
    """One row of the table."""

    formula: str
    source: str
    second_moment: float
    """The mean of f(z)^2 for a standard normal z, at the default of the parameter if there is one."""
    keras_layer: str = "Activation"
    """Class in `keras.layers`; empty where `keras.ops` applies it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    parameter: tuple[str, str] | None = None
    """The layer's argument that a setting of the config gives, and that setting."""
    input_factor: float = 1.0
    output_factor: float = 1.0


def _keras(name: str, formula: str, source: str, second_moment: float) -> Activation:
    return Activation(formula, source, second_moment, arguments={"activation": name})


ACTIVATIONS: dict[str, Activation] = {
    "linear": _keras("linear", "x", "identity", 1.0),
    "sigmoid": _keras(
        "sigmoid", "1 / (1 + exp(-x))", "Rumelhart, Hinton & Williams 1986, Learning representations", 0.2933790359
    ),
    "tanh": _keras("tanh", "tanh(x)", "LeCun et al. 1998, Efficient BackProp, section 4.4", 0.3942944904),
    "scaled_tanh": Activation(
        "1.7159 tanh(2 x / 3)",
        "LeCun et al. 1998, Efficient BackProp, section 4.4",
        0.7504302763,
        arguments={"activation": "tanh"},
        input_factor=2 / 3,
        output_factor=1.7159,
    ),
    "relu": _keras("relu", "max(x, 0)", "Nair & Hinton 2010, Rectified Linear Units", 0.5),
    "leaky_relu": Activation(
        "x if x > 0 else slope x",
        "Maas, Hannun & Ng 2013, Rectifier Nonlinearities, section 2",
        (1 + 0.01**2) / 2,
        "LeakyReLU",
        parameter=("negative_slope", "leaky_relu_slope"),
    ),
    "prelu": Activation(
        "x if x > 0 else slope x; one slope a channel or unit is learned, from 0.25",
        "He et al. 2015, Delving Deep into Rectifiers, section 2.1",
        (1 + 0.25**2) / 2,
        "PReLU",
    ),
    "elu": Activation(
        "x if x > 0 else alpha (exp(x) - 1)",
        "Clevert, Unterthiner & Hochreiter 2016, equation 1",
        0.6449454175,
        "ELU",
        parameter=("alpha", "elu_alpha"),
    ),
    "selu": _keras(
        "selu",
        "1.0507 (x if x > 0 else 1.6733 (exp(x) - 1))",
        "Klambauer et al. 2017, Self-Normalizing Neural Networks, equation 2",
        1.0,
    ),
    "gelu": _keras(
        "gelu", "x Phi(x), Phi the normal distribution function", "Hendrycks & Gimpel 2016, section 2", 0.4252214826
    ),
    "gelu_tanh": Activation(
        "x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2",
        "Hendrycks & Gimpel 2016, section 2",
        0.425193711,
        keras_layer="",
        arguments={"approximate": True},
    ),
    "silu": _keras("silu", "x / (1 + exp(-x)), also called swish", "Elfwing, Uchibe & Doya 2018", 0.3557755198),
    "mish": _keras("mish", "x tanh(log(1 + exp(x)))", "Misra 2020, Mish, equation 1", 0.4523421924),
    "softplus": _keras("softplus", "log(1 + exp(x))", "Dugas et al. 2001", 0.9212459089),
    "softsign": _keras("softsign", "x / (1 + |x|)", "Bergstra et al. 2009; Glorot & Bengio 2010", 0.1830140213),
    "hard_swish": _keras(
        "hard_silu",
        "x min(max(x + 3, 0), 6) / 6",
        "Howard et al. 2019, Searching for MobileNetV3, section 5.2",
        0.3315673751,
    ),
}
"""Every name that a config's `activation` accepts."""


def activation_gain(name: str, *, leaky_relu_slope: float, elu_alpha: float) -> float:
    """The factor on the weights with which pre-activations of variance 1 lead to pre-activations of variance 1.

    That is a fixed point; it repels, so that deviations grow from layer to layer, for gelu, silu, mish and hard_swish.
    It is 1 / sqrt(E[f(z)^2]) for a standard normal z: sqrt(2) for ReLU, which is the argument of He et al. 2015,
    Delving Deep, section 2.2, carried to every activation; 1 for SELU, which is made so.
    """
    if name == "leaky_relu":
        moment = (1 + leaky_relu_slope**2) / 2
    elif name == "elu":
        # The half of the moment below zero is alpha^2 E[(exp(z) - 1)^2; z < 0].
        moment = 0.5 + elu_alpha**2 * (ACTIVATIONS["elu"].second_moment - 0.5)
    else:
        moment = ACTIVATIONS[name].second_moment
    return 1 / math.sqrt(moment)
