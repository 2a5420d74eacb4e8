"""Tables of how networks are laid out: name -> what it means, with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One kind of residual branch."""

    convolutions: int
    expansion: int
    """Channels of the block's output for each of its first convolution, before widening."""
    explanation: str


@dataclass(frozen=True)
class Part:
    """One unit of a convolution whose units see some of the inputs each, made as a layer of its own."""

    seen: tuple[tuple[int, ...], ...]
    """The inputs that each unit of the whole sees."""
    unit: int
    """Which of the units it is, from 0."""

    @property
    def units_per_input(self) -> float:
        """How many units of the whole see an input of this one, in the mean over its inputs."""
        inputs = self.seen[self.unit]
        return sum(each in seen for each in inputs for seen in self.seen) / len(inputs)


SEEN_BY_C3: tuple[tuple[int, ...], ...] = (
    *((first, (first + 1) % 6, (first + 2) % 6) for first in range(6)),
    *((first, (first + 1) % 6, (first + 2) % 6, (first + 3) % 6) for first in range(6)),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)
"""The maps of S2 that each map of LeNet-5's C3 sees: LeCun et al. 1998, Gradient-Based Learning, table I."""

BLOCKS: dict[str, Block] = {
    "basic": Block(2, 1, "two 3x3 convolutions (He et al. 2016, figure 2)"),
    "bottleneck": Block(3, 4, "1x1, 3x3 and 1x1 convolutions, the last four times as wide (He et al. 2016, figure 5)"),
}

PUBLISHED_LAYOUTS: dict[tuple[str, int, int], tuple[int, ...]] = {
    ("basic", 4, 34): (3, 4, 6, 3),
    ("bottleneck", 4, 50): (3, 4, 6, 3),
    ("bottleneck", 4, 101): (3, 4, 23, 3),
    ("bottleneck", 4, 152): (3, 8, 36, 3),
}
"""Block, stages and depth -> blocks in each stage: He et al. 2016, table 1. Elsewhere all stages have equally many."""

BLOCK_ORDERS: dict[str, str] = {
    "post_activation": "convolution, normalization, activation; the last activation after the addition "
    "(He et al. 2016, figure 2)",
    "pre_activation": "normalization, activation, convolution; nothing after the addition. Some blocks hand their "
    "activated input to the shortcut too: activated_shortcuts says which (He et al. 2016, Identity Mappings, "
    "figure 4e)",
}

ACTIVATED_SHORTCUTS: dict[str, str] = {
    "first_block": "the first block of the network, after the convolution of the stem; and every projection, whatever "
    "is said here (He et al. 2016, Identity Mappings, appendix)",
    "every_stage": "the first block of every stage (fb.resnet.torch, preresnet.lua)",
}

STEMS: dict[str, str] = {
    "small_image": "one 3x3 convolution (He et al. 2016, section 4.2)",
    "imagenet": "a 7x7 convolution with stride 2 and 3x3 max pooling with stride 2 (He et al. 2016, table 1)",
}

STEM_PADDINGS: dict[str, str] = {
    "minus_infinity": "one pixel on each side that is never the largest (fb.resnet.torch and torchvision)",
    "zeros": "one pixel of zeros on each side, which is the largest where all others are below zero "
    "(keras.applications)",
    "same": "as minus_infinity, but nothing above and to the left of an image of even size: the windows begin at its "
    "edge (He et al. 2016 in Caffe; TF-Slim)",
}

DOWNSAMPLING_BLOCKS: dict[str, str] = {
    "first": "the first block of every stage but the first (He et al. 2016, section 3.3)",
    "last": "the last block of every stage but the last (TF-Slim's resnet_v2 and keras.applications)",
}

STRIDED_CONVOLUTIONS: dict[str, str] = {
    "1x1": "the first (He et al. 2016)",
    "3x3": "the second (fb.resnet.torch and torchvision, known as v1.5)",
}

RESNET_SKIP_CONNECTIONS: dict[str, str] = {
    "none": "no addition: a plain network",
    "identity": "the input, every second pixel where the block halves the image, zeros for new channels: option A",
    "projection": "a 1x1 convolution where the number of channels changes, the input elsewhere: option B",
    "projection_everywhere": "a 1x1 convolution in every block: option C",
}

MLP_SKIP_CONNECTIONS: dict[str, str] = {
    "none": "no addition",
    "identity": "the input, with zeros for new units: option A; layers narrower than their input have none",
    "projection": "a linear layer without bias where the width changes, the input elsewhere: option B",
}

RESIDUAL_STARTS: dict[str, str] = {
    "as_others": "as all other layers",
    "zero_gamma": "at zero: the gain of the branch's last normalization, or the weights of its last convolution where "
    "no normalization follows in the branch (Goyal et al. 2017, section 5.1)",
    "fixup": "the last convolution of each branch and the head at zero, the branch's others times "
    "L^(-1 / (2 m - 2)) for L branches of m layers, no biases a channel, but single learned numbers before each "
    "convolution and activation, and one learned factor a branch (Zhang, Dauphin & Ma 2019, section 3)",
}

DROPOUT_KINDS: dict[str, str] = {
    "units": "every unit by itself (Srivastava et al. 2014)",
    "channels": "whole channels: spatial dropout (Tompson et al. 2015, section 3.2)",
}

WIDTH_PROFILES: dict[str, str] = {
    "constant": "all hidden layers as wide",
    "pyramid": "each hidden layer half as wide as the one before, rounded down",
}

POOLINGS: dict[str, str] = {
    "average": "the mean of each channel (Lin, Chen & Yan 2014, section 3.2)",
    "max": "the largest value of each channel",
    "flatten": "no pooling: the head sees every position",
}
