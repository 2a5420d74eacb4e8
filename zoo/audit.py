"""What a built model of this zoo really holds, read off its layers and not off the config it was built from."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from zoo.build import count_parameters

_NORMALIZATION_LAYERS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


@dataclass(frozen=True)
class Audit:
    """What was found in a model."""

    parameters: int
    """Trainable parameters."""
    weight_layers: int
    """Dense and convolutional layers: the depth that papers count."""
    activations: frozenset[str]
    """Keras names of all activations, those inside weight layers included, "linear" left out."""
    normalizations: frozenset[str]
    """Class names of all normalization layers."""
    initializers: frozenset[str]
    """Class names of the initializers of all kernels."""
    dropout_rates: frozenset[float]
    """Rates of all dropout layers."""


def audit_model(model: keras.Model) -> Audit:
    """Read off what a model holds."""
    weight_layers = [layer for layer in model.layers if hasattr(layer, "kernel_initializer")]
    activations = {layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")}
    return Audit(
        parameters=count_parameters(model),
        weight_layers=len(weight_layers),
        activations=frozenset(activations - {"linear"}),
        normalizations=frozenset(
            type(layer).__name__ for layer in model.layers if isinstance(layer, _NORMALIZATION_LAYERS)
        ),
        initializers=frozenset(type(layer.kernel_initializer).__name__ for layer in weight_layers),
        dropout_rates=frozenset(layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)),
    )
