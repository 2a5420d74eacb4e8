"""The multilayer perceptron."""

from __future__ import annotations

from typing import Any

import keras

from zoo.config import InputShape
from zoo.families import MLPConfig
from zoo.layers import LayerMaker


def build_mlp(config: MLPConfig, input_shape: InputShape, num_classes: int, seed: int, head: str) -> keras.Model:
    """Build the network: (batch, *input_shape) -> (batch, outputs)."""
    layers = LayerMaker(config, seed)
    inputs, features = layers.inputs(input_shape)
    if len(input_shape) > 1:
        features = keras.layers.Flatten(name="flatten")(features)
    for index, width in enumerate(config.widths, start=1):
        name = f"hidden_{index}"
        hidden = layers.dense(features, width, f"{name}_dense")
        hidden = layers.drop(layers.normalize_and_activate(hidden, name), name, config.dropout)
        shortcut = _shortcut(layers, config, features, width, name)
        if shortcut is not None:
            hidden = layers.drop_branch(hidden, name, config.stochastic_depth * index / config.depth)
            hidden = keras.layers.Add(name=f"{name}_add")([shortcut, hidden])
        features = hidden
    return keras.Model(inputs, layers.head(features, head, num_classes), name="mlp")


def _shortcut(layers: LayerMaker, config: MLPConfig, features: Any, width: int, name: str) -> Any:
    """What is added to a hidden layer's output, or None."""
    added = width - features.shape[-1]
    if config.skip_connections == "none" or (config.skip_connections == "identity" and added < 0):
        return None
    if added == 0:
        return features
    if config.skip_connections == "identity":
        return keras.ops.pad(features, ((0, 0), (0, added)))
    return layers.dense(features, width, f"{name}_projection", use_bias=False)
