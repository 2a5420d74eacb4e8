"""Residual and plain convolutional networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from zoo.config import InputShape
from zoo.custom import ScalarScale
from zoo.families import ResNetConfig
from zoo.layers import LayerMaker
from zoo.topology import BLOCKS

_POOLINGS = {
    "average": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
    "flatten": keras.layers.Flatten,
}


def build_resnet(config: ResNetConfig, input_shape: InputShape, num_classes: int, seed: int, head: str) -> keras.Model:
    """Build the network: (batch, height, width, channels) -> (batch, outputs)."""
    layers = LayerMaker(config, seed)
    inputs, features = layers.inputs(input_shape)
    features = _stem(layers, config, features)
    blocks = _blocks(config)
    add_block = _pre_activation_block if config.block_order == "pre_activation" else _post_activation_block
    for block in blocks:
        features = add_block(layers, config, features, block)
    if config.block_order == "pre_activation":
        features = layers.normalize_and_activate(features, "final")
    features = _POOLINGS[config.pooling](name="pooling")(features)
    return keras.Model(inputs, layers.head(features, head, num_classes), name="resnet")


@dataclass(frozen=True)
class _Block:
    name: str
    branch: tuple[tuple[int, int, int], ...]
    """Size, channels and strides of each convolution."""
    channels: int
    strides: int
    begins_stage: bool
    begins_network: bool
    skipped: float
    """Chance that an example skips the branch in training."""


def _blocks(config: ResNetConfig) -> list[_Block]:
    total = sum(config.layout)
    blocks: list[_Block] = []
    for stage, count in enumerate(config.layout, start=1):
        channels = config.width * 2 ** (stage - 1)
        for number in range(1, count + 1):
            if config.downsampling_block == "first":
                strided = number == 1 and stage > 1
            else:
                strided = number == count and stage < config.stages
            strides = 2 if strided else 1
            branch = _branch(config, channels, strides)
            blocks.append(
                _Block(
                    name=f"stage_{stage}_block_{number}",
                    branch=branch,
                    channels=branch[-1][1],
                    strides=strides,
                    begins_stage=number == 1,
                    begins_network=not blocks,
                    skipped=config.stochastic_depth * (len(blocks) + 1) / total,
                )
            )
    return blocks


def _branch(config: ResNetConfig, channels: int, strides: int) -> tuple[tuple[int, int, int], ...]:
    inside = channels * config.widening_factor
    if config.block == "basic":
        return (3, inside, strides), (3, inside, 1)
    first, second = (strides, 1) if config.strided_convolution == "1x1" else (1, strides)
    return (1, inside, first), (3, inside, second), (1, channels * BLOCKS["bottleneck"].expansion, 1)


def _stem(layers: LayerMaker, config: ResNetConfig, features: Any) -> Any:
    for_imagenet = config.stem == "imagenet"
    size, strides = (7, 2) if for_imagenet else (3, 1)
    features = layers.convolution(features, config.width, "stem", size=size, strides=strides)
    if config.block_order == "post_activation":
        features = layers.normalize_and_activate(features, "stem")
    if for_imagenet:
        features = _stem_pooling(config.stem_padding, features)
    return features


def _stem_pooling(padding: str, features: Any) -> Any:
    """3x3 max pooling by 2: (batch, h, w, c) -> (batch, ceil(h / 2), ceil(w / 2), c)."""
    if padding == "same":
        return keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pooling")(features)
    if padding == "zeros":
        features = keras.layers.ZeroPadding2D(1, name="stem_pooling_padding")(features)
        return keras.layers.MaxPooling2D(3, strides=2, name="stem_pooling")(features)
    # Keras pads by minus infinity, but both sides alike only where it pools every pixel.
    features = keras.layers.MaxPooling2D(3, strides=1, padding="same", name="stem_pooling_window")(features)
    return keras.layers.MaxPooling2D(1, strides=2, name="stem_pooling")(features)


def _post_activation_block(layers: LayerMaker, config: ResNetConfig, features: Any, block: _Block) -> Any:
    """Convolution, normalization, activation; the shortcut is added before the last activation (figure 2)."""
    normalizes_first = config.normalization_place == "before_activation"
    hidden = features
    for index, (size, channels, strides) in enumerate(block.branch, start=1):
        name = f"{block.name}_convolution_{index}"
        hidden = layers.convolution(hidden, channels, name, size=size, strides=strides)
        if index < len(block.branch):
            hidden = layers.normalize_and_activate(hidden, name)
            hidden = layers.drop(hidden, name, config.dropout, kind=config.dropout_kind)
        elif normalizes_first:
            hidden = layers.normalize(hidden, name, gain_at_zero=config.residual_start == "zero_gamma")
    hidden = _add_shortcut(layers, config, features, hidden, block)
    hidden = layers.activate(hidden, name)
    return hidden if normalizes_first else layers.normalize(hidden, name)


def _pre_activation_block(layers: LayerMaker, config: ResNetConfig, features: Any, block: _Block) -> Any:
    """Normalization, activation, convolution: He et al. 2016, Identity Mappings in Deep Residual Networks, figure 4e.

    The first block hands its activated input to the shortcut too, as does whichever has a projection (the appendix).
    """
    begins = block.begins_stage if config.activated_shortcuts == "every_stage" else block.begins_network
    hidden = shortcut = features
    for index, (size, channels, strides) in enumerate(block.branch, start=1):
        name = f"{block.name}_convolution_{index}"
        hidden = layers.normalize_and_activate(hidden, name)
        if index > 1:
            hidden = layers.drop(hidden, name, config.dropout, kind=config.dropout_kind)
        elif begins or _has_projection(config, features, block):
            shortcut = hidden
        hidden = layers.convolution(hidden, channels, name, size=size, strides=strides)
    return _add_shortcut(layers, config, shortcut, hidden, block)


def _add_shortcut(layers: LayerMaker, config: ResNetConfig, features: Any, branch: Any, block: _Block) -> Any:
    """Finish a residual branch and add the shortcut from `features`."""
    if config.squeeze_excitation:
        branch = layers.squeeze_and_excite(branch, config.squeeze_excitation, block.name)
    if config.skip_connections == "none":
        return branch
    if config.residual_start == "fixup":
        branch = ScalarScale(name=f"{block.name}_scale")(branch)
    branch = layers.drop_branch(branch, block.name, block.skipped)
    return keras.layers.Add(name=f"{block.name}_add")([_shortcut(layers, config, features, block), branch])


def _shortcut(layers: LayerMaker, config: ResNetConfig, features: Any, block: _Block) -> Any:
    """Options A, B and C of He et al. 2016, section 4.1."""
    if _has_projection(config, features, block):
        name = f"{block.name}_projection"
        features = layers.convolution(features, block.channels, name, size=1, strides=block.strides, use_bias=False)
        ends_normalized = not config.branch_ends_with_convolution
        return layers.normalize(features, name) if ends_normalized else features
    if block.strides > 1:
        features = keras.layers.MaxPooling2D(1, strides=block.strides, name=f"{block.name}_subsampling")(features)
    added = block.channels - features.shape[-1]
    if added:
        # Split evenly before and after the channels, as the common reference implementations have it.
        features = keras.ops.pad(features, ((0, 0), (0, 0), (0, 0), (added // 2, added - added // 2)))
    return features


def _has_projection(config: ResNetConfig, features: Any, block: _Block) -> bool:
    if config.skip_connections == "projection":
        return bool(block.channels != features.shape[-1])
    return config.skip_connections == "projection_everywhere"
