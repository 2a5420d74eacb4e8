"""The settings that every family of models has, each declared and explained once; families.py has the others."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import model_validator

from zoo.activations import ACTIVATIONS, activation_gain
from zoo.arguments import OpenShape, checked_shape
from zoo.initializers import INITIALIZER_GAINS, INITIALIZERS
from zoo.normalization import NORMALIZATION_VARIANCES, NORMALIZATIONS
from zoo.settings import OneOf, Problem, Settings, as_written, found_problems, setting
from zoo.topology import Part

InputShape = tuple[int, ...]
"""Shape of one example, without the batch axis: (features,) or (height, width, channels)."""

MOST_UNITS = 65_536


def setting_of_rate(explanation: str, **declared: Any) -> Any:
    """Declare a setting that is a share or a chance, none by default."""
    return setting(0.0, explanation, ge=0, lt=1, **declared)


class ModelConfig(Settings):
    """The settings that every family of models has; one subclass a family.

    Hidden layers are all weight layers but the last, which is called the head.
    """

    family: ClassVar[str]
    first_layers: ClassVar[tuple[str, ...]]
    """Names of the weight layers that see the inputs."""
    has_dense_hidden_layers: ClassVar[bool] = True

    activation: Annotated[str, OneOf("activation", ACTIVATIONS)] = setting("relu", "Activation of every hidden layer.")
    leaky_relu_slope: float = setting(
        0.01, "Slope of leaky_relu below zero.", ge=0, lt=1, only_with={"activation": ("leaky_relu",)}
    )
    elu_alpha: float = setting(
        1.0, "The value -alpha that elu tends to.", gt=0, le=100, only_with={"activation": ("elu",)}
    )
    initializer: Annotated[str, OneOf("initializer", INITIALIZERS)] = setting(
        "he_normal", "Initial weights of every layer.", shapes_program=False
    )
    initializer_gain: Annotated[str, OneOf("initializer gain", INITIALIZER_GAINS)] = setting(
        "fixed",
        "Whether the factor in the initializer's variance follows the activation.",
        shapes_program=False,
        only_with={"initializer": tuple(name for name, row in INITIALIZERS.items() if row.has_gain)},
    )
    initializer_scale: float = setting(
        0.01,
        "Value of the initializer constant, standard deviation of small_normal.",
        gt=0,
        le=100,
        shapes_program=False,
        only_with={"initializer": tuple(name for name, row in INITIALIZERS.items() if row.takes_scale)},
    )
    initial_bias: float = setting(0.0, "Initial bias of every hidden layer.", ge=-100, le=100, shapes_program=False)
    normalization: Annotated[str, OneOf("normalization", NORMALIZATIONS)] = setting(
        "none", "Normalization of every hidden layer."
    )
    # Keras's own momentum, 0.99, leaves the moving averages far behind in trainings of a few hundred steps.
    normalization_momentum: float = setting(
        0.9,
        "Share of the old value that a moving average of batch normalization keeps at each step.",
        ge=0,
        lt=1,
        only_with={"normalization": ("batch",)},
    )
    normalization_variance: Annotated[str, OneOf("normalization variance", NORMALIZATION_VARIANCES)] = setting(
        "unbiased",
        "Which variance of a batch the moving average takes up, with which batch normalization evaluates.",
        only_with={"normalization": ("batch",)},
    )
    normalization_epsilon: float = setting(
        1e-5, "Added to the variance before its root is taken.", gt=0, le=1, not_with={"normalization": "none"}
    )
    normalization_group_size: int = setting(
        8,
        "Channels in each group; the nearest size that divides them and has three numbers of an example or more "
        "(Wu & He 2018, table 3: 8 and 16 did best).",
        ge=1,
        le=MOST_UNITS,
        only_with={"normalization": ("group",)},
    )
    weight_standardization: bool = setting(
        False,
        "Whether the weights into a hidden unit are used with mean 0 and variance 1 (Qiao et al. 2019, equation 10).",
    )
    input_dropout: float = setting_of_rate("Share of inputs that are dropped in training (Srivastava et al. 2014).")
    dropout: float = setting_of_rate("Share of hidden units that are dropped in training (Srivastava et al. 2014).")
    drop_connect: float = setting_of_rate(
        "Share of the hidden layers' weights that are dropped in training (Wan et al. 2013); all are used after it."
    )
    max_norm: float = setting(
        0.0,
        "Largest length of the weights into a hidden unit, kept by shrinking them after each step; 0: no limit "
        "(Hinton et al. 2012).",
        ge=0,
        le=1e6,
    )
    l1: float = setting(0.0, "Penalty on the sum of |w| over all weights, biases and gains apart.", ge=0, le=100)
    l2: float = setting(
        0.0,
        "Penalty on the sum of w^2 over all weights, biases and gains apart. Its gradient is 2 l2 w: with SGD, coupled "
        "weight decay d is l2 = d / 2.",
        ge=0,
        le=100,
    )

    @model_validator(mode="after")
    def _check_normalization(self) -> Self:
        unfit = NORMALIZATIONS[self.normalization].dense is None and self.normalization != "none"
        if unfit and self.has_dense_hidden_layers:
            fit = ", ".join(name for name, row in NORMALIZATIONS.items() if name == "none" or row.dense)
            message = "each unit of a dense layer would be normalized by itself, to zero"
            raise found_problems([Problem("normalization", message, self.normalization, fit)])
        least, size = NORMALIZATIONS[self.normalization].least, self.normalization_group_size
        if self.normalization == "group" and self.has_dense_hidden_layers and size < least:
            message = "no gradient passes groups so small of the units of a dense layer"
            raise found_problems([Problem("normalization_group_size", message, str(size), f"{least} or more")])
        return self

    @model_validator(mode="after")
    def _check_gain(self) -> Self:
        is_linear = "head" in self.first_layers
        acts = INITIALIZERS[self.initializer].own_factor != 1 or not (is_linear or self.activation_gain == 1)
        if self.initializer_gain == "activation" and not acts:
            asking = "depth = 0" if is_linear else f"activation = {as_written(self.activation)}"
            message = f"no effect: the factor of {self.initializer} is 1, which {asking} asks for"
            others = [name for name, row in INITIALIZERS.items() if row.has_gain and row.own_factor != 1]
            allowed = f"only with initializer = {' or '.join(map(as_written, others))}"
            raise found_problems([Problem("initializer_gain", message, as_written("activation"), allowed)])
        return self

    @model_validator(mode="after")
    def _check_initial_bias(self) -> Self:
        if self.initial_bias and INITIALIZERS[self.initializer].draws_biases:
            message = f"no effect with initializer = {as_written(self.initializer)}, which draws the biases too"
            raise found_problems([Problem("initial_bias", message, str(self.initial_bias), "with another initializer")])
        if self.initial_bias and not self.has_biased_hidden_layers:
            message = "no effect: no hidden layer of this network has a bias"
            allowed = "only without a normalization that has an offset of its own"
            raise found_problems([Problem("initial_bias", message, str(self.initial_bias), allowed)])
        return self

    def check_input_shape(self, input_shape: OpenShape) -> None:
        """Refuse inputs that the family cannot take.

        Raises:
            SettingError: the shape of an example does not fit.
        """
        checked_shape(input_shape)

    @property
    def hidden_bias(self) -> bool:
        """Whether hidden weight layers have a bias: not where an offset of a normalization makes it superfluous."""
        return not NORMALIZATIONS[self.normalization].has_offset

    @property
    def has_biased_hidden_layers(self) -> bool:
        """Whether there is a hidden layer with a bias at all."""
        return self.hidden_bias

    @property
    def has_hidden_matrices(self) -> bool:
        """Whether there is a hidden layer whose weights are a matrix, as a dense layer's are."""
        return self.has_dense_hidden_layers

    @property
    def scalar_biases(self) -> bool:
        """Whether single learned numbers are added before every weight layer and activation."""
        return False

    @property
    def activation_gain(self) -> float:
        """The factor on the weights that the activation asks for."""
        return activation_gain(self.activation, leaky_relu_slope=self.leaky_relu_slope, elu_alpha=self.elu_alpha)

    def initial_factor(self, layer: str) -> float:  # noqa: ARG002 - families with residual branches use it
        """What the initializer's weights are multiplied with in the layer of this name."""
        return 1.0

    def part(self, layer: str) -> Part | None:  # noqa: ARG002 - the family whose units see some of the inputs uses it
        """What the layer of this name is a part of, if it is one unit of a layer that is made in parts."""
        return None
