"""LeNet-5."""

from __future__ import annotations

from typing import Any

import keras

from zoo.config import InputShape
from zoo.families import LeNetConfig
from zoo.layers import LayerMaker
from zoo.topology import SEEN_BY_C3

_FIELD = 32


def build_lenet(config: LeNetConfig, input_shape: InputShape, num_classes: int, seed: int, head: str) -> keras.Model:
    """Build the network: (batch, height, width, channels) -> (batch, outputs)."""
    layers = LayerMaker(config, seed)
    inputs, features = layers.inputs(input_shape)
    features = _in_field(features, input_shape)
    features = layers.normalize_and_activate(layers.unpadded_convolution(features, 6, "c1", size=5), "c1")
    features = _subsample(layers, features, "s2")
    features = layers.normalize_and_activate(_partial_convolution(layers, features, "c3"), "c3")
    features = _subsample(layers, features, "s4")
    features = layers.normalize_and_activate(layers.unpadded_convolution(features, 120, "c5", size=5), "c5")
    features = layers.drop(keras.layers.Flatten(name="flatten")(features), "c5", config.dropout)
    features = layers.normalize_and_activate(layers.dense(features, 84, "f6"), "f6")
    features = layers.drop(features, "f6", config.dropout)
    return keras.Model(inputs, layers.head(features, head, num_classes), name="lenet")


def _in_field(features: Any, input_shape: InputShape) -> Any:
    """Put smaller images in the middle of a field of 32x32 pixels of zeros."""
    missing = [max(_FIELD - size, 0) for size in input_shape[:2]]
    if not any(missing):
        return features
    padding = [(size // 2, size - size // 2) for size in missing]
    return keras.layers.ZeroPadding2D(padding, name="field")(features)


def _subsample(layers: LayerMaker, features: Any, name: str) -> Any:
    """The mean of 2x2 pixels, times a learned coefficient a map, plus a learned offset, activated.

    The paper has the sum for the mean: a quarter of its coefficient is ours.
    """
    features = keras.layers.AveragePooling2D(2, name=f"{name}_mean")(features)
    return layers.activate(layers.scale_channels(features, name), name)


def _partial_convolution(layers: LayerMaker, features: Any, name: str) -> Any:
    maps = keras.ops.split(features, features.shape[-1], axis=-1)
    outputs = []
    for number, seen in enumerate(SEEN_BY_C3, start=1):
        inputs = keras.layers.Concatenate(name=f"{name}_{number}_inputs")([maps[index] for index in seen])
        outputs.append(layers.unpadded_convolution(inputs, 1, f"{name}_{number}", size=5))
    return keras.layers.Concatenate(name=name)(outputs)
