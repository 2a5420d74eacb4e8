"""Weight initializers: name -> the Keras class, its arguments, its formula and its source.

The variance of a weight is given in terms of n_in and n_out, the numbers of inputs and outputs of one unit; for a
convolution both count the positions of the kernel. Where units see some of the inputs, n_in counts those that a unit
sees, and n_out the units that see an input. "Normal" is cut off at two standard deviations, and its variance is that
after the cut. Gains of normalization start at one, offsets at zero, and biases at `initial_bias` where it is not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Initializer:
    """One row of the table."""

    keras_class: str
    """Class in `keras.initializers`, or in `zoo.custom` where it starts with "zoo>"."""
    formula: str
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    factor_argument: str | None = None
    """The argument that all weights grow with; None where every weight is zero."""
    factor_power: int = 1
    """The weights grow with the argument to the power of 1 / this."""
    has_gain: bool = False
    """Whether the formula holds a factor that belongs to an activation, which `initializer_gain` can set."""
    takes_scale: bool = False
    """Whether `initializer_scale` is its factor."""
    is_random: bool = True
    limit: float | None = None
    """Uniform weights lie within this / n_in; None where the Keras class knows the variance by itself."""
    draws_biases: bool = False
    """Whether biases, the head's too, are drawn as well: uniformly within 1 / sqrt(n_in)."""
    is_orthogonal: bool = False

    @property
    def own_factor(self) -> Any:
        """The factor of its own formula, if it has one."""
        return self.arguments.get(self.factor_argument or "")


def _scaling(scale: float, mode: str, distribution: str, formula: str, source: str, **others: bool) -> Initializer:
    arguments = {"scale": scale, "mode": mode, "distribution": distribution}
    others = {"has_gain": True} | others
    return Initializer("VarianceScaling", formula, source, arguments, "scale", factor_power=2, **others)


_LECUN = "LeCun et al. 1998, Efficient BackProp, section 4.6"
_GLOROT = "Glorot & Bengio 2010, section 4.2.1"
_HE = "He et al. 2015, Delving Deep into Rectifiers, equation 10"
_NORMAL = "truncated_normal"
_WITHOUT_CUT = "untruncated_normal"

INITIALIZERS: dict[str, Initializer] = {
    "zeros": Initializer("Zeros", "0", "a classical mistake: units stay alike", is_random=False),
    "constant": Initializer(
        "Constant",
        "initializer_scale",
        "a classical mistake: units stay alike",
        factor_argument="value",
        takes_scale=True,
        is_random=False,
    ),
    "small_normal": Initializer(
        "RandomNormal",
        "normal without a cut, standard deviation initializer_scale",
        "Krizhevsky, Sutskever & Hinton 2012, section 5",
        factor_argument="stddev",
        takes_scale=True,
    ),
    "lecun_normal": _scaling(1.0, "fan_in", _NORMAL, "normal, variance 1 / n_in", _LECUN),
    "lecun_uniform": _scaling(1.0, "fan_in", "uniform", "uniform, variance 1 / n_in", _LECUN),
    "lenet_uniform": Initializer(
        "RandomUniform",
        "uniform within 2.4 / n_in, variance 1.92 / n_in^2",
        "LeCun et al. 1998, Gradient-Based Learning, appendix A",
        factor_argument="maxval",
        limit=2.4,
    ),
    "glorot_normal": _scaling(
        1.0, "fan_avg", _NORMAL, "normal, variance 2 / (n_in + n_out)", f"{_GLOROT}, equation 12"
    ),
    "glorot_uniform": _scaling(
        1.0, "fan_avg", "uniform", "uniform, variance 2 / (n_in + n_out)", f"{_GLOROT}, equation 16"
    ),
    "he_normal": _scaling(2.0, "fan_in", _NORMAL, "normal, variance 2 / n_in", _HE),
    "he_uniform": _scaling(2.0, "fan_in", "uniform", "uniform, variance 2 / n_in", _HE),
    "he_normal_fan_out": _scaling(
        2.0,
        "fan_out",
        _WITHOUT_CUT,
        "normal without a cut, variance 2 / n_out",
        "He et al. 2015, equation 14; convolutions of torchvision's residual networks (kaiming_normal_)",
    ),
    "he_average_normal": _scaling(
        2.0, "fan_avg", _NORMAL, "normal, variance 4 / (n_in + n_out)", f"{_HE}, averaged with 14"
    ),
    "he_average_uniform": _scaling(
        2.0, "fan_avg", "uniform", "uniform, variance 4 / (n_in + n_out)", f"{_HE}, averaged with 14"
    ),
    "pytorch_default": _scaling(
        1 / 3,
        "fan_in",
        "uniform",
        "uniform, variance 1 / (3 n_in): Kaiming uniform with a = sqrt(5); biases uniform within 1 / sqrt(n_in)",
        "torch.nn.Linear and torch.nn.Conv2d, reset_parameters",
        has_gain=False,
        draws_biases=True,
    ),
    "orthogonal": Initializer(
        "Orthogonal",
        "orthonormal columns, or rows where there are fewer; convolutions as n_in by channels matrices",
        "Saxe, McClelland & Ganguli 2014, section 3",
        {"gain": 1.0},
        "gain",
        has_gain=True,
        is_orthogonal=True,
    ),
    "delta_orthogonal": Initializer(
        "zoo>DeltaOrthogonal",
        "an orthogonal matrix at the centre of the kernel, zero around it; dense layers as orthogonal",
        "Xiao et al. 2018, Dynamical Isometry, algorithm 1",
        {"gain": 1.0},
        "gain",
        has_gain=True,
        is_orthogonal=True,
    ),
    "identity": Initializer(
        "zoo>CentredIdentity",
        "each output is the input of its number, zero where there is none; at the centre of convolutions",
        "Le, Jaitly & Hinton 2015, section 2; torch.nn.init.dirac_",
        {"gain": 1.0},
        "gain",
        is_random=False,
    ),
}
"""Every name that a config's `initializer` accepts."""

INITIALIZER_GAINS: dict[str, str] = {
    "fixed": "the factor in the initializer's own formula, whatever the activation",
    "activation": "1 / E[f(z)^2] for a standard normal z, f the activation, in place of the formula's factor: "
    "2 for ReLU, 1 for SELU, 2.54 for tanh; 1 for layers that see the inputs, which no activation has seen. Names "
    "that differ in the factor alone are one then: he_normal and lecun_normal, he_uniform and lecun_uniform, "
    "he_average_normal and glorot_normal, he_average_uniform and glorot_uniform",
}
"""Every name that a config's `initializer_gain` accepts."""
