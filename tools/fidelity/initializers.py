"""Initializers beside the formulas of their sources, in double precision.

Draws of Keras's generator from a standard distribution, of the same seed, are scaled by hand as the source says; tests
compare the distributions themselves with SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from scipy import stats

from tools.fidelity.table import Row
from zoo.families import MLPConfig
from zoo.initializers import INITIALIZERS
from zoo.layers import make_bias_initializer, make_initializer
from zoo.seeds import child_seed


class Drawn(NamedTuple):
    """Independent weights, as a source has them."""

    distribution: str
    """uniform, normal, or normal that is cut off at two deviations."""
    numerator: float
    below: str
    """What the numerator of the variance is divided by."""
    source: str


_EFFICIENT = "LeCun et al. 1998, Efficient BackProp, equation 16: deviation m^(-1/2)"
_FIRST = "LeCun et al. 1998, Gradient-Based Learning, appendix A: within 2.4 / F"
_HE = "He et al. 2015, equation 10"
_AVERAGE = "He et al. 2015, equations 10 and 14, averaged"

DRAWN: dict[str, Drawn] = {
    "small_normal": Drawn("normal", 0.01**2, "1", "Krizhevsky et al. 2012, section 5: deviation 0.01"),
    "lecun_normal": Drawn("cut", 1, "n_in", _EFFICIENT),
    "lecun_uniform": Drawn("uniform", 1, "n_in", _EFFICIENT),
    "lenet_uniform": Drawn("uniform", 2.4**2 / 3, "n_in^2", _FIRST),
    "glorot_normal": Drawn("cut", 2, "n_in + n_out", "Glorot & Bengio 2010, equation 12"),
    "glorot_uniform": Drawn(
        "uniform", 6 / 3, "n_in + n_out", "Glorot & Bengio 2010, equation 16: within (6 / n)^(1/2)"
    ),
    "he_normal": Drawn("cut", 2, "n_in", _HE),
    "he_uniform": Drawn("uniform", 2, "n_in", f"{_HE}; torch.nn.init.kaiming_uniform_"),
    "he_normal_fan_out": Drawn(
        "normal", 2, "n_out", "He et al. 2015, equation 14; torch.nn.init.kaiming_normal_ by fan_out"
    ),
    "he_average_normal": Drawn("cut", 4, "n_in + n_out", _AVERAGE),
    "he_average_uniform": Drawn("uniform", 4, "n_in + n_out", _AVERAGE),
    "pytorch_default": Drawn("uniform", 1, "3 n_in", "torch.nn.Linear, torch.nn.Conv2d: within n^(-1/2)"),
}
"""Those of independent weights."""


def variance(name: str, fan_in: float, fan_out: float) -> float:
    """The variance of the weights of one of `DRAWN`: `fan_in` inputs of a unit, `fan_out` units that see an input."""
    fans = {
        "1": 1,
        "n_in": fan_in,
        "n_out": fan_out,
        "3 n_in": 3 * fan_in,
        "n_in^2": fan_in**2,
        "n_in + n_out": fan_in + fan_out,
    }
    return DRAWN[name].numerator / fans[DRAWN[name].below]


KERNELS = {
    "hidden_2_dense": ((200, 300), 200, 300),
    "convolution": ((3, 3, 20, 30), 180, 270),
    "head": ((64, 10), 64, 10),
}
"""Layer -> shape of its kernel, inputs of a unit, and units that see an input."""

MADE: dict[str, tuple[str, Callable[[Any], float]]] = {
    "zeros": ("0", lambda kernel: float(np.abs(kernel).max())),
    "constant": ("0.01, the scale", lambda kernel: float(np.abs(kernel - 0.01).max())),
    "orthogonal": (
        "Saxe et al. 2014, section 3: W'W = 1",
        lambda kernel: _from_orthonormal(kernel.reshape(-1, kernel.shape[-1])),
    ),
    "delta_orthogonal": (
        "Xiao et al. 2018, algorithm 1: W'W = 1 at the centre, 0 around it",
        lambda kernel: max(_from_orthonormal(_middle(kernel)), float(np.abs(_around(kernel)).max(initial=0))),
    ),
    "identity": (
        "Le et al. 2015, section 2: 1 at the centre, 0 around it",
        lambda kernel: float(
            max(np.abs(_middle(kernel) - np.eye(*kernel.shape[-2:])).max(), np.abs(_around(kernel)).max(initial=0))
        ),
    ),
}
"""Those whose weights have to have a property: the property, and how far a kernel is from it."""


def rows() -> Iterator[Row]:
    """A row for each initializer, and one for the biases of PyTorch."""
    assert {*DRAWN} | {*MADE} == {*INITIALIZERS}
    for name, drawn in DRAWN.items():
        found = [_distance(name, layer, *kernel) for layer, kernel in KERNELS.items()]
        yield Row("initializer", name, drawn.source, max(found))
    for name, (source, distance) in MADE.items():
        found = [distance(_kernel(MLPConfig(initializer=name), layer, shape)) for layer, (shape, *_) in KERNELS.items()]
        yield Row("initializer", name, source, max(found))
    yield Row("initializer", "pytorch_default, biases", "torch.nn.Linear: within 1 / sqrt(n)", _distance_of_biases())


def standard_draws(distribution: str, shape: tuple[int, ...], seed: int) -> Any:
    """Draws of Keras's generator, scaled to variance 1 by the deviation that SciPy has for the distribution."""
    initializers = keras.initializers
    made = {
        "uniform": (initializers.RandomUniform(-1, 1, seed), stats.uniform(-1, 2).std()),
        "normal": (initializers.RandomNormal(0, 1, seed), 1.0),
        "cut": (initializers.TruncatedNormal(0, 1, seed), stats.truncnorm(-2, 2).std()),
    }
    initializer, deviation = made[distribution]
    return np.asarray(initializer(shape, "float64")) / deviation


def _kernel(config: Any, layer: str, shape: tuple[int, ...]) -> Any:
    return np.asarray(make_initializer(config, layer, shape, seed=3)(shape, "float64"))


def _distance(name: str, layer: str, shape: tuple[int, ...], fan_in: int, fan_out: int) -> float:
    standard = standard_draws(DRAWN[name].distribution, shape, child_seed(3, "weights", layer))
    expected = math.sqrt(variance(name, fan_in, fan_out)) * standard
    found = _kernel(MLPConfig(initializer=name), layer, shape)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _distance_of_biases() -> float:
    config, shape = MLPConfig(initializer="pytorch_default"), (200, 300)
    found = np.asarray(make_bias_initializer(config, "hidden_2_dense", shape, seed=3)((300,), "float64"))
    expected = standard_draws("uniform", (300,), child_seed(3, "biases", "hidden_2_dense")) / math.sqrt(3 * 200)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _from_orthonormal(matrix: Any) -> float:
    rows, columns = matrix.shape
    product = matrix.T @ matrix if columns <= rows else matrix @ matrix.T
    return float(np.abs(product - np.eye(min(rows, columns))).max())


def _middle(kernel: Any) -> Any:
    return kernel[tuple(size // 2 for size in kernel.shape[:-2])]


def _around(kernel: Any) -> Any:
    around = kernel.copy()
    around[tuple(size // 2 for size in kernel.shape[:-2])] = 0
    return around
