"""The configs of the model families: each setting is declared and explained here, once."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS
from zoo.settings import ModelConfig, clash, one_of, setting

ActivationName = one_of("activation", ACTIVATIONS)
InitializerName = one_of("initializer", INITIALIZERS)
NormalizationName = one_of("normalization", NORMALIZATIONS)
NormalizationPlace = one_of("normalization place", NORMALIZATION_PLACES)


class LayerSettings(ModelConfig):
    """The settings that every family has."""

    activation: ActivationName = setting("relu", "Activation of every hidden layer.")
    initializer: InitializerName = setting(
        "he_normal", "Initial weights of every layer.", shapes_program=False
    )
    normalization: NormalizationName = setting("none", "Normalization of every hidden layer.")
    normalization_place: NormalizationPlace = setting(
        "before_activation", "Where the normalization stands: before or after the activation."
    )
    dropout: float = setting(
        0.0, "Share of hidden units that are dropped in training (Srivastava et al. 2014).", ge=0, lt=1
    )
    skip_connections: bool = setting(False, "Whether the input of a block is added to its output.")

    @property
    def bias_before_normalization(self) -> bool:
        """Whether weight layers have a bias: not where a normalization with its own offset follows at once."""
        return self.normalization == "none" or self.normalization_place == "after_activation"


class MLPConfig(LayerSettings):
    """A multilayer perceptron: `depth` hidden layers of `width` units, then one linear layer of logits.

    A hidden layer is dense, normalization, activation, dropout. With skip connections, every hidden layer whose input
    is as wide as its output adds that input to its output.
    """

    family: ClassVar[str] = "mlp"

    depth: int = setting(2, "Number of hidden layers; 0 gives a linear classifier.", ge=0, le=10_000)
    width: int = setting(64, "Units in each hidden layer.", ge=1)


class ResNetConfig(LayerSettings):
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
            raise clash(
                "the depth of a residual network for small images is 6n + 2",
                str(self.depth),
                f"{below} or {below + 6} nearby",
                path="depth",
            )
        return self

    @property
    def blocks_per_stage(self) -> int:
        """Basic blocks in each of the three stages."""
        return (self.depth - 2) // 6
