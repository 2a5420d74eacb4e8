"""Weight initializers: name -> the Keras class, its arguments, its formula and its source.

The variance of a weight is given in terms of n_in and n_out, the numbers of inputs and outputs of one unit.
Biases start at zero, gains of normalization at one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Initializer:
    """One row of the table."""

    keras_class: str
    formula: str
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


INITIALIZERS: dict[str, Initializer] = {
    "lecun_normal": Initializer(
        "LecunNormal", "normal, cut off at two deviations, variance 1 / n_in", "LeCun et al. 1998, section 4.6"
    ),
    "lecun_uniform": Initializer("LecunUniform", "uniform, variance 1 / n_in", "LeCun et al. 1998, section 4.6"),
    "glorot_normal": Initializer(
        "GlorotNormal",
        "normal, cut off at two deviations, variance 2 / (n_in + n_out)",
        "Glorot & Bengio 2010, equation 12",
    ),
    "glorot_uniform": Initializer(
        "GlorotUniform", "uniform, variance 2 / (n_in + n_out)", "Glorot & Bengio 2010, equation 16"
    ),
    "he_normal": Initializer(
        "HeNormal", "normal, cut off at two deviations, variance 2 / n_in", "He et al. 2015, Delving Deep, equation 10"
    ),
    "he_uniform": Initializer("HeUniform", "uniform, variance 2 / n_in", "He et al. 2015, Delving Deep, equation 10"),
    "small_normal": Initializer(
        "RandomNormal",
        "normal, standard deviation 0.01",
        "Krizhevsky et al. 2012, section 5",
        {"stddev": 0.01},
    ),
}
"""Every name that a config's `initializer` accepts."""
