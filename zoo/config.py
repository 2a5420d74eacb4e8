"""The configs of the model families: each setting is declared and explained here, once."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS
from zoo.settings import OneOf, Problem, SettingError, Settings, found_problems, setting

ActivationName = Annotated[str, OneOf("activation", ACTIVATIONS)]
InitializerName = Annotated[str, OneOf("initializer", INITIALIZERS)]
NormalizationName = Annotated[str, OneOf("normalization", NORMALIZATIONS)]
NormalizationPlace = Annotated[str, OneOf("normalization place", NORMALIZATION_PLACES)]


InputShape = tuple[int, ...]
"""Shape of one example, without the batch axis: (features,) or (height, width, channels)."""


class ModelConfig(Settings):
    """The settings that every family of models has; one subclass a family."""

    family: ClassVar[str]

    activation: ActivationName = setting("relu", "Activation of every hidden layer.")
    initializer: InitializerName = setting("he_normal", "Initial weights of every layer.", shapes_program=False)
    normalization: NormalizationName = setting("none", "Normalization of every hidden layer.")
    normalization_place: NormalizationPlace = setting(
        "before_activation", "Where the normalization stands: before or after the activation."
    )
    dropout: float = setting(
        0.0, "Share of hidden units that are dropped in training (Srivastava et al. 2014).", ge=0, lt=1
    )
    skip_connections: bool = setting(False, "Whether the input of a block is added to its output.")

    def check_input_shape(self, input_shape: InputShape) -> None:
        """Refuse inputs that the family cannot take.

        Raises:
            SettingError: the shape of an example does not fit.
        """
        if not input_shape:
            problem = Problem("input_shape", "an example needs at least one axis", "()", "(features,) or an image's")
            raise SettingError([problem])

    @property
    def hidden_bias(self) -> bool:
        """Whether hidden weight layers have a bias: not where a normalization with its own offset follows at once."""
        return self.normalization == "none" or self.normalization_place == "after_activation"


class MLPConfig(ModelConfig):
    """A multilayer perceptron: `depth` hidden layers of `width` units, then one linear layer of logits.

    A hidden layer is dense, normalization, activation, dropout. With skip connections, every hidden layer whose input
    is as wide as its output adds that input to its output.
    """

    family: ClassVar[str] = "mlp"

    depth: int = setting(2, "Number of hidden layers; 0 gives a linear classifier.", ge=0, le=10_000)
    width: int = setting(64, "Units in each hidden layer.", ge=1)


class ResNetConfig(ModelConfig):
    """A residual network for small images: He et al. 2016, Deep Residual Learning, section 4.2.

    One 3x3 convolution, three stages of (depth - 2) / 6 basic blocks with width, 2 width and 4 width channels, the
    second and third stage at half the height and width of the one before, global average pooling and one linear layer
    of logits. Shortcuts hold no parameters (option A). Without skip connections it is the paper's plain network.
    """

    family: ClassVar[str] = "resnet"

    depth: int = setting(20, "Number of weight layers, 6n + 2: 8, 14, 20, 32, 44, 56, 110, ...", ge=8)
    width: int = setting(16, "Channels of the first stage.", ge=1)
    normalization: NormalizationName = setting("batch", "Normalization of every convolution.")
    dropout: float = setting(
        0.0,
        "Share of units dropped between the convolutions of a block (Zagoruyko & Komodakis 2016, section 2.4).",
        ge=0,
        lt=1,
    )
    skip_connections: bool = setting(True, "Whether the input of a block is added to its output.")

    @model_validator(mode="after")
    def _check_depth(self) -> Self:
        if (self.depth - 2) % 6:
            below = self.depth - (self.depth - 2) % 6
            problem = Problem(
                "depth",
                "the depth of a residual network for small images is 6n + 2",
                str(self.depth),
                f"{below}, {below + 6} or others",
            )
            raise found_problems([problem])
        return self

    def check_input_shape(self, input_shape: InputShape) -> None:
        """Refuse inputs that are not images."""
        if len(input_shape) != 3:
            problem = Problem(
                "input_shape", "a residual network needs images", str(input_shape), "(height, width, channels)"
            )
            raise SettingError([problem])

    @property
    def blocks_per_stage(self) -> int:
        """Basic blocks in each of the three stages."""
        return (self.depth - 2) // 6
