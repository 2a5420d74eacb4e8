"""The multilayer perceptron."""

from __future__ import annotations

from typing import Any

import keras

from zoo.config import InputShape, MLPConfig
from zoo.layers import LayerMaker


def build_mlp(config: MLPConfig, input_shape: InputShape, num_classes: int, seed: int) -> keras.Model:
    """Build the network: (batch, *input_shape) -> logits (batch, num_classes)."""
    layers = LayerMaker(config, seed)
    inputs = keras.Input(input_shape, name="inputs")
    features = inputs if len(input_shape) == 1 else keras.layers.Flatten(name="flatten")(inputs)
    for index in range(1, config.depth + 1):
        features = _hidden_layer(layers, features, config.width, f"hidden_{index}")
    return keras.Model(inputs, layers.logits(features, num_classes), name="mlp")


def _hidden_layer(layers: LayerMaker, features: Any, width: int, name: str) -> Any:
    hidden = layers.dense(features, width, f"{name}_dense")
    hidden = layers.drop(layers.normalize_and_activate(hidden, name), name)
    if layers.config.skip_connections and features.shape[-1] == width:
        return keras.layers.Add(name=f"{name}_add")([features, hidden])
    return hidden
