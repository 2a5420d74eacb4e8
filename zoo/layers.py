"""The layers that a config asks for, made by name; every builder takes its parts from here."""

from __future__ import annotations

from typing import Any

import keras

from zoo.activations import ACTIVATIONS
from zoo.config import ModelConfig
from zoo.initializers import INITIALIZERS
from zoo.normalization import NORMALIZATIONS
from zoo.seeds import child_seed


class LayerMaker:
    """Makes the layers of one model: resolves each named choice once, and seeds each layer by its name.

    A layer's initial weights depend on the seed and on the layer's own name and shape, on nothing else: a setting that
    leaves a layer's shape alone leaves its initial weights alone.
    """

    def __init__(self, config: ModelConfig, seed: int):
        self.config = config
        self.seed = seed
        self.activation_name = ACTIVATIONS[config.activation].keras_name
        self.normalization_row = NORMALIZATIONS[config.normalization]

    def dense(self, features: Any, units: int, name: str) -> Any:
        """Apply a hidden dense layer: (batch, n) -> (batch, units)."""
        initializer = make_initializer(self.config, name, self.seed)
        layer = keras.layers.Dense(units, use_bias=self.config.hidden_bias, kernel_initializer=initializer, name=name)
        return layer(features)

    def logits(self, features: Any, num_classes: int) -> Any:
        """Apply the last layer: (batch, n) -> logits (batch, num_classes), float32 whatever the dtype policy."""
        initializer = make_initializer(self.config, "logits", self.seed)
        layer = keras.layers.Dense(num_classes, kernel_initializer=initializer, name="logits", dtype="float32")
        return layer(features)

    def convolution(self, features: Any, channels: int, name: str, *, strides: int = 1) -> Any:
        """Apply a 3x3 convolution: (batch, h, w, c) -> (batch, ceil(h / strides), ceil(w / strides), channels).

        It pads one pixel on each side also where it strides, as the reference networks do; Keras's own "same" padding
        would pad a strided convolution on the right and below only.
        """
        if strides > 1:
            features = keras.layers.ZeroPadding2D(1, name=f"{name}_padding")(features)
        layer = keras.layers.Conv2D(
            channels,
            3,
            strides=strides,
            padding="valid" if strides > 1 else "same",
            use_bias=self.config.hidden_bias,
            kernel_initializer=make_initializer(self.config, name, self.seed),
            name=name,
        )
        return layer(features)

    def normalize(self, features: Any, name: str) -> Any:
        """Apply the config's normalization, or nothing where it is "none"."""
        is_image = len(features.shape) == 4
        row = self.normalization_row.convolution if is_image else self.normalization_row.dense
        if row is None:
            return features
        return getattr(keras.layers, row.keras_class)(name=f"{name}_normalization", **row.arguments)(features)

    def activate(self, features: Any, name: str) -> Any:
        """Apply the config's activation."""
        return keras.layers.Activation(self.activation_name, name=f"{name}_activation")(features)

    def normalize_and_activate(self, features: Any, name: str) -> Any:
        """Apply normalization and activation in the config's order."""
        if self.config.normalization_place == "before_activation":
            return self.activate(self.normalize(features, name), name)
        return self.normalize(self.activate(features, name), name)

    def drop(self, features: Any, name: str) -> Any:
        """Apply the config's dropout, or nothing where the rate is 0."""
        if self.config.dropout == 0:
            return features
        layer_name = f"{name}_dropout"
        layer = keras.layers.Dropout(self.config.dropout, seed=dropout_seed(self.seed, layer_name), name=layer_name)
        return layer(features)


def make_initializer(config: ModelConfig, layer_name: str, seed: int) -> keras.Initializer:
    """The initializer of one layer's kernel, seeded by the model's seed and the layer's name."""
    row = INITIALIZERS[config.initializer]
    return getattr(keras.initializers, row.keras_class)(seed=child_seed(seed, "weights", layer_name), **row.arguments)


def dropout_seed(seed: int, layer_name: str) -> int:
    """The seed of one dropout layer."""
    return child_seed(seed, "dropout", layer_name)
