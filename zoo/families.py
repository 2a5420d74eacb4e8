"""The configs of the model families: what each has beside the settings of all."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self

from pydantic import model_validator

from zoo.activations import ACTIVATIONS
from zoo.arguments import OpenShape
from zoo.config import MOST_UNITS, InputShape, ModelConfig, setting_of_rate
from zoo.initializers import INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS
from zoo.settings import ListAsTuple, OneOf, OneOrMore, Problem, SettingError, as_written, found_problems, setting
from zoo.topology import (
    ACTIVATED_SHORTCUTS,
    BLOCK_ORDERS,
    BLOCKS,
    DOWNSAMPLING_BLOCKS,
    DROPOUT_KINDS,
    MLP_SKIP_CONNECTIONS,
    POOLINGS,
    PUBLISHED_LAYOUTS,
    RESIDUAL_STARTS,
    RESNET_SKIP_CONNECTIONS,
    SEEN_BY_C3,
    STEM_PADDINGS,
    STEMS,
    STRIDED_CONVOLUTIONS,
    WIDTH_PROFILES,
    Part,
)

INPUT_DROPOUT = 0.2
"""The share of inputs that Hinton et al. 2012 and Srivastava et al. 2014 drop."""
HIDDEN_DROPOUT = 0.5
"""The share of hidden units that they drop."""

_OF_LINEAR_MODELS = {"depth", "initializer", "initializer_gain", "initializer_scale", "input_dropout", "l1", "l2"}
"""The settings that a model without hidden layers has a use for."""

MOST_LAYERS = 10_000


class _PlacedNormalization(ModelConfig):
    """A family whose normalization can stand on either side of the activation."""

    normalization_place: Annotated[str, OneOf("normalization place", NORMALIZATION_PLACES)] = setting(
        "before_activation",
        "Where the normalization stands: before or after the activation.",
        not_with={"normalization": "none"},
    )

    @property
    def hidden_bias(self) -> bool:
        """Whether hidden weight layers have a bias: not where an offset of a normalization makes it superfluous."""
        return super().hidden_bias or self.normalization_place == "after_activation"


class MLPConfig(_PlacedNormalization):
    """A multilayer perceptron: `depth` hidden layers, then one linear layer, the head.

    A hidden layer is dense, normalization, activation, dropout. With skip connections, its input is added to its
    output.
    """

    family: ClassVar[str] = "mlp"

    depth: int = setting(2, "Number of hidden layers; 0 gives a linear model.", ge=0, le=MOST_LAYERS)
    width: Annotated[Any, OneOrMore("hidden layers", MOST_UNITS)] = setting(
        64, "Units in each hidden layer; a list gives each layer its own."
    )
    width_profile: Annotated[str, OneOf("width profile", WIDTH_PROFILES)] = setting(
        "constant", "How the width goes from layer to layer.", not_with={"depth": 1}
    )
    skip_connections: Annotated[str, OneOf("kind of skip connections", MLP_SKIP_CONNECTIONS)] = setting(
        "none", "Whether and how the input of a hidden layer is added to its output (He et al. 2016, section 3.2)."
    )
    stochastic_depth: float = setting_of_rate(
        "Chance that the last hidden layer is skipped by an example in training; it grows linearly from the first "
        "(Huang et al. 2016, equation 4).",
        not_with={"skip_connections": "none"},
    )

    @model_validator(mode="after")
    def _check_widths(self) -> Self:
        if isinstance(self.width, tuple) and len(self.width) != self.depth:
            message = f"one width for each of the {self.depth} hidden layers is needed"
            allowed = f"a list of {self.depth}, or depth = {len(self.width)}"
            raise found_problems([Problem("width", message, str(list(self.width)), allowed)])
        if self.width_profile == "pyramid":
            if isinstance(self.width, tuple):
                message = "a list of widths has its own profile"
                raise found_problems([Problem("width_profile", message, "pyramid", "constant, or one width")])
            if self.width >> max(self.depth - 1, 0) == 0:
                message = f"{self.width} units cannot be halved {self.depth - 1} times"
                allowed = f"more units, or depth = {self.width.bit_length()} or less"
                raise found_problems([Problem("width", message, str(self.width), allowed)])
        least, narrowest = NORMALIZATIONS[self.normalization].least, min(self.widths, default=MOST_UNITS)
        if narrowest < least:
            message = f"no gradient passes a layer of {narrowest} with normalization = {as_written(self.normalization)}"
            raise found_problems([Problem("width", message, as_written(self.width), f"{least} or more in each layer")])
        return self

    @model_validator(mode="after")
    def _check_hidden_layers(self) -> Self:
        if self.depth == 0:
            unused = self.differing_from_default().keys() - _OF_LINEAR_MODELS
            problems = [
                Problem(name, "no effect with depth = 0", as_written(getattr(self, name)), "only with hidden layers")
                for name in sorted(unused)
            ]
            if problems:
                raise found_problems(problems)
        return self

    def differing_from_default(self) -> dict[str, Any]:
        """The settings whose value is not their default; a list of equal widths is told as one width."""
        values = super().differing_from_default()
        if isinstance(self.width, tuple) and len(set(self.width)) == 1:
            del values["width"]
            if self.width[0] != type(self).model_fields["width"].default:
                values["width"] = self.width[0]
        return values

    @property
    def first_layers(self) -> tuple[str, ...]:  # type: ignore[override] # without hidden layers it is the head
        """Names of the weight layers that see the inputs."""
        return ("hidden_1_dense", "hidden_1_projection") if self.depth else ("head",)

    def check_input_shape(self, input_shape: OpenShape) -> None:
        """Refuse inputs that have no axis or an open one, or from which on no layer has its skip connection."""
        super().check_input_shape(input_shape)
        inputs = (math.prod(_require_sizes(input_shape, "a multilayer perceptron")), *self.widths)
        if self.skip_connections == "identity" and all(width < before for before, width in pairwise(inputs)):
            message = f"no effect on {inputs[0]} inputs: every layer is narrower than its input"
            raise SettingError([Problem("skip_connections", message, "identity", "none, projection, or wider layers")])

    @property
    def has_hidden_matrices(self) -> bool:
        """Whether there is a hidden layer whose weights are a matrix: not in a linear model."""
        return self.depth > 0

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer, first to last."""
        if isinstance(self.width, tuple):
            return self.width
        halvings = range(self.depth) if self.width_profile == "pyramid" else [0] * self.depth
        return tuple(self.width >> halving for halving in halvings)


class LeNetConfig(_PlacedNormalization):
    """LeNet-5: LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition, section II.B.

    Convolutions C1, C3, C5 and a dense layer F6, between them subsampling layers S2 and S4: the mean of 2x2 pixels,
    times a learned coefficient, plus a learned offset. C3 sees the maps of S2 that table I of the paper lists. Every
    layer is followed by the activation. Images smaller than 32x32 are put in the middle of a field of that size, as
    the paper does. The head is linear; the paper's compares with fixed bitmaps and holds nothing to train. Weights
    start uniformly within 2.4 / n_in (appendix A), biases at zero, of which the paper says nothing, and each
    coefficient of S2 and S4 at one, of the mean. Dropout acts on C5 and F6.
    """

    family: ClassVar[str] = "lenet"
    first_layers: ClassVar[tuple[str, ...]] = ("c1",)

    activation: Annotated[str, OneOf("activation", ACTIVATIONS)] = setting(
        "scaled_tanh", "Activation of every hidden layer."
    )
    initializer: Annotated[str, OneOf("initializer", INITIALIZERS)] = setting(
        "lenet_uniform", "Initial weights of every layer.", shapes_program=False
    )

    def check_input_shape(self, input_shape: OpenShape) -> None:
        """Refuse inputs that are not images, or leave their size open."""
        super().check_input_shape(input_shape)
        _require_image(input_shape, "LeNet-5")
        _require_sizes(input_shape, "LeNet-5")

    def part(self, layer: str) -> Part | None:
        """What the layer of this name is a part of: each map of C3 is a layer of its own."""
        number = re.fullmatch(r"c3_(\d+)", layer)
        return Part(SEEN_BY_C3, int(number[1]) - 1) if number else None


class ResNetConfig(_PlacedNormalization):
    """A residual network: He et al. 2016, Deep Residual Learning, and the networks that came of it.

    A stem, `stages` stages of residual blocks, global pooling and one linear layer, the head. From stage to stage the
    channels double and height and width halve. Without skip connections it is the paper's plain network.
    """

    family: ClassVar[str] = "resnet"
    first_layers: ClassVar[tuple[str, ...]] = ("stem",)
    has_dense_hidden_layers: ClassVar[bool] = False

    depth: int = setting(
        20, "Number of weight layers from input to output, shortcuts not counted.", ge=3, le=MOST_LAYERS
    )
    stages: int = setting(3, "Number of stages.", ge=1, le=8)
    blocks_per_stage: Annotated[tuple[int, ...], ListAsTuple] = setting(
        (), "Blocks in each stage; empty: as published for this depth, else equally many. It must agree with depth."
    )
    block: Annotated[str, OneOf("block", BLOCKS)] = setting("basic", "What a residual branch is made of.")
    block_order: Annotated[str, OneOf("block order", BLOCK_ORDERS)] = setting(
        "post_activation", "Whether weights or normalization and activation come first in a residual branch."
    )
    width: int = setting(16, "Channels of the stem and, before widening, of the first stage.", ge=1, le=MOST_UNITS)
    widening_factor: int = setting(
        1,
        "Times as many channels in the blocks; in bottleneck blocks, inside of them "
        "(Zagoruyko & Komodakis 2016, section 2.3).",
        ge=1,
        le=100,
    )
    stem: Annotated[str, OneOf("stem", STEMS)] = setting("small_image", "What comes before the first block.")
    stem_padding: Annotated[str, OneOf("stem padding", STEM_PADDINGS)] = setting(
        "minus_infinity",
        "What surrounds the image where the stem pools it; after ReLU it makes no difference whether zeros do.",
        only_with={"stem": ("imagenet",)},
    )
    downsampling_block: Annotated[str, OneOf("downsampling block", DOWNSAMPLING_BLOCKS)] = setting(
        "first", "Which block halves height and width.", not_with={"stages": 1}
    )
    strided_convolution: Annotated[str, OneOf("strided convolution", STRIDED_CONVOLUTIONS)] = setting(
        "1x1",
        "Which convolution of a bottleneck block halves height and width.",
        only_with={"block": ("bottleneck",)},
        not_with={"stages": 1},
    )
    normalization: Annotated[str, OneOf("normalization", NORMALIZATIONS)] = setting(
        "batch", "Normalization of every convolution."
    )
    skip_connections: Annotated[str, OneOf("kind of skip connections", RESNET_SKIP_CONNECTIONS)] = setting(
        "identity", "Whether and how the input of a block is added to its output (He et al. 2016, section 4.1)."
    )
    activated_shortcuts: Annotated[str, OneOf("choice of activated shortcuts", ACTIVATED_SHORTCUTS)] = setting(
        "first_block",
        "Which identity shortcuts of pre-activation blocks see the block's activated input; others see it as it came.",
        only_with={"block_order": ("pre_activation",), "skip_connections": ("identity",)},
        not_with={"stages": 1},
    )
    residual_start: Annotated[str, OneOf("residual start", RESIDUAL_STARTS)] = setting(
        "as_others", "How the residual branches begin.", not_with={"skip_connections": "none"}
    )
    squeeze_excitation: int = setting(
        0,
        "Reduction ratio of the squeeze-and-excitation of every block; 0: none (Hu, Shen & Sun 2018, section 3).",
        ge=0,
        le=MOST_UNITS,
    )
    dropout: float = setting_of_rate(
        "Share of units dropped between the convolutions of a block (Zagoruyko & Komodakis 2016, section 2.4)."
    )
    dropout_kind: Annotated[str, OneOf("kind of dropout", DROPOUT_KINDS)] = setting(
        "units", "What is dropped together.", not_with={"dropout": 0.0}
    )
    stochastic_depth: float = setting_of_rate(
        "Chance that the last block is skipped by an example in training; it grows linearly from the first "
        "(Huang et al. 2016, equation 4).",
        not_with={"skip_connections": "none"},
    )
    pooling: Annotated[str, OneOf("pooling", POOLINGS)] = setting("average", "What comes before the head.")

    @model_validator(mode="after")
    def _check_residual_start(self) -> Self:
        if self.residual_start == "fixup" and self.normalization != "none":
            message = "Fixup takes the place of normalization, and is none beside one"
            allowed = 'with normalization = "none"; beside one, zero_gamma starts each branch at zero'
            raise found_problems([Problem("residual_start", message, "fixup", allowed)])
        if self.weight_standardization and self.initial_factor(self._last_convolution) == 0:
            message = "branches cannot start with weights of zero, which weight_standardization would make 1 in size"
            allowed = "without weight_standardization, or as_others"
            raise found_problems([Problem("residual_start", message, self.residual_start, allowed)])
        return self

    @property
    def _last_convolution(self) -> str:
        return f"stage_1_block_1_convolution_{BLOCKS[self.block].convolutions}"

    @model_validator(mode="after")
    def _check_depth(self) -> Self:
        per_block = BLOCKS[self.block].convolutions
        explicit = self.blocks_per_stage
        if explicit:
            if len(explicit) != self.stages or min(explicit) < 1:
                message = f"one number of blocks for each of the {self.stages} stages is needed"
                raise found_problems([Problem("blocks_per_stage", message, str(list(explicit)), "1 or more in each")])
            depth = 2 + per_block * sum(explicit)
            if depth != self.depth:
                message = f"the blocks {list(explicit)} make a depth of {depth}"
                raise found_problems([Problem("depth", message, str(self.depth), str(depth))])
        elif not self.layout:
            step = per_block * self.stages
            below = 2 + step * max((self.depth - 2) // step, 1)
            published = [
                depth for block, stages, depth in PUBLISHED_LAYOUTS if (block, stages) == (self.block, self.stages)
            ]
            message = f"with {self.stages} stages of {self.block} blocks the depth is {step}n + 2"
            allowed = ", ".join(map(str, sorted({*published, below, below + step}))) + " or others"
            raise found_problems([Problem("depth", message, str(self.depth), allowed)])
        return self

    def differing_from_default(self) -> dict[str, Any]:
        """The settings whose value is not their default; a layout that follows from the depth is not told."""
        values = super().differing_from_default()
        if self.blocks_per_stage == self._layout_of_depth:
            values.pop("blocks_per_stage", None)
        return values

    @property
    def layout(self) -> tuple[int, ...]:
        """Blocks in each stage; empty where no layout has this depth."""
        return self.blocks_per_stage or self._layout_of_depth

    @property
    def _layout_of_depth(self) -> tuple[int, ...]:
        published = PUBLISHED_LAYOUTS.get((self.block, self.stages, self.depth))
        if published:
            return published
        blocks, rest = divmod(self.depth - 2, BLOCKS[self.block].convolutions * self.stages)
        return () if rest else (blocks,) * self.stages

    def check_input_shape(self, input_shape: OpenShape) -> None:
        """Refuse inputs that are not images, or leave open what the weights depend on."""
        super().check_input_shape(input_shape)
        _require_image(input_shape, "a residual network")
        if self.pooling == "flatten":
            _require_sizes(input_shape, 'a head after pooling = "flatten"')
        _require_sizes(input_shape[2:], "the first convolution", input_shape)

    @property
    def hidden_bias(self) -> bool:
        """Whether convolutions have a bias: not where offsets of normalizations make it superfluous.

        Pre-activation included: there the next normalization, after the addition, makes it so.
        """
        return super().hidden_bias and not self.scalar_biases

    @property
    def has_biased_hidden_layers(self) -> bool:
        """Whether there is a hidden layer with a bias at all: those of squeeze-and-excitation always have one."""
        return self.hidden_bias or self.squeeze_excitation > 0

    @property
    def has_hidden_matrices(self) -> bool:
        """Whether there is a hidden layer whose weights are a matrix: those of squeeze-and-excitation alone."""
        return self.squeeze_excitation > 0

    @property
    def scalar_biases(self) -> bool:
        """Whether single learned numbers are added before every convolution and activation: rule 3 of Fixup."""
        return self.residual_start == "fixup"

    @property
    def branch_ends_with_convolution(self) -> bool:
        """Whether no normalization follows the last convolution of a residual branch within the branch."""
        normalized = self.normalization != "none" and self.normalization_place == "before_activation"
        return self.block_order == "pre_activation" or not normalized

    def initial_factor(self, layer: str) -> float:
        """What the initializer's weights are multiplied with in the layer of this name."""
        convolutions = BLOCKS[self.block].convolutions
        in_branch = re.fullmatch(r"stage_\d+_block_\d+_convolution_(\d)", layer)
        is_last = in_branch is not None and int(in_branch[1]) == convolutions
        if self.residual_start == "zero_gamma":
            return 0.0 if is_last and self.branch_ends_with_convolution else 1.0
        if self.residual_start == "fixup":
            if is_last or layer == "head":
                return 0.0
            if in_branch:
                return float(sum(self.layout) ** (-1 / (2 * convolutions - 2)))
        return 1.0


def _require_image(input_shape: OpenShape, network: str) -> None:
    if len(input_shape) != 3:
        allowed = "(height, width, channels), without the batch axis"
        raise SettingError([Problem("input_shape", f"{network} needs images", str(tuple(input_shape)), allowed)])


def _require_sizes(sizes: OpenShape, what: str, input_shape: OpenShape | None = None) -> InputShape:
    """The sizes, none of which may be open, for what has a weight for each; they are a part of `input_shape`."""
    known = tuple(size for size in sizes if size is not None)
    if len(known) < len(sizes):
        problem = Problem(
            "input_shape",
            f"{what} has weights for every size, and none can be open",
            str(tuple(input_shape or sizes)),
            "whole numbers; None is for height and width before global pooling, in a residual network",
        )
        raise SettingError([problem])
    return known


FAMILIES: tuple[type[ModelConfig], ...] = (MLPConfig, LeNetConfig, ResNetConfig)
