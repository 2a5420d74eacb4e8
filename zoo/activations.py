"""Activations: name -> the Keras function, its formula and its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Activation:
    """One row of the table."""

    keras_name: str
    formula: str
    source: str


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation("linear", "x", "identity"),
    "sigmoid": Activation("sigmoid", "1 / (1 + exp(-x))", "Rumelhart, Hinton & Williams 1986"),
    "tanh": Activation("tanh", "tanh(x)", "LeCun et al. 1998, Efficient BackProp, section 4.4"),
    "relu": Activation("relu", "max(x, 0)", "Nair & Hinton 2010"),
    "elu": Activation("elu", "x if x > 0 else exp(x) - 1", "Clevert, Unterthiner & Hochreiter 2016"),
    "selu": Activation("selu", "1.0507 (x if x > 0 else 1.6733 (exp(x) - 1))", "Klambauer et al. 2017"),
    "gelu": Activation("gelu", "x Phi(x), Phi the normal distribution function", "Hendrycks & Gimpel 2016"),
    "silu": Activation("silu", "x / (1 + exp(-x))", "Elfwing, Uchibe & Doya 2018"),
    "softplus": Activation("softplus", "log(1 + exp(x))", "Dugas et al. 2001"),
}
"""Every name that a config's `activation` accepts."""
