"""The residual and plain networks for small images."""

from __future__ import annotations

from typing import Any

import keras

from zoo.config import InputShape, ResNetConfig
from zoo.layers import LayerMaker


def build_resnet(config: ResNetConfig, input_shape: InputShape, num_classes: int, seed: int) -> keras.Model:
    """Build the network: (batch, height, width, channels) -> logits (batch, num_classes)."""
    layers = LayerMaker(config, seed)
    inputs = keras.Input(input_shape, name="inputs")
    features = layers.normalize_and_activate(layers.convolution(inputs, config.width, "stem"), "stem")
    for stage in (1, 2, 3):
        for block in range(1, config.blocks_per_stage + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            channels = config.width * 2 ** (stage - 1)
            features = _basic_block(layers, features, channels, strides, f"stage_{stage}_block_{block}")
    features = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    return keras.Model(inputs, layers.logits(features, num_classes), name="resnet")


def _basic_block(layers: LayerMaker, features: Any, channels: int, strides: int, name: str) -> Any:
    """Two 3x3 convolutions; the shortcut is added before the second activation (figure 2 of the paper)."""
    first, second = f"{name}_1", f"{name}_2"
    hidden = layers.convolution(features, channels, first, strides=strides)
    hidden = layers.drop(layers.normalize_and_activate(hidden, first), first)
    hidden = layers.convolution(hidden, channels, second)
    normalize_first = layers.config.normalization_place == "before_activation"
    if normalize_first:
        hidden = layers.normalize(hidden, second)
    if layers.config.skip_connections:
        hidden = keras.layers.Add(name=f"{name}_add")([_shortcut(features, channels, strides, name), hidden])
    hidden = layers.activate(hidden, second)
    return hidden if normalize_first else layers.normalize(hidden, second)


def _shortcut(features: Any, channels: int, strides: int, name: str) -> Any:
    """Option A of the paper: every `strides`-th pixel, the added channels zero; no parameters.

    The zeros are split evenly before and after the channels, as the common reference implementations have it.
    """
    if strides > 1:
        features = keras.layers.MaxPooling2D(1, strides=strides, name=f"{name}_subsampling")(features)
    added = channels - features.shape[-1]
    if added:
        features = keras.ops.pad(features, ((0, 0), (0, 0), (0, 0), (added // 2, added - added // 2)))
    return features
