"""Normalization: name -> the Keras layers for dense and for convolutional features, with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KerasLayer:
    """A Keras layer class by name, and its arguments."""

    keras_class: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Normalization:
    """One row of the table; None means that nothing is inserted."""

    dense: KerasLayer | None
    convolution: KerasLayer | None
    explanation: str
    source: str


# Momentum and epsilon of the papers' nets. Keras's own momentum, 0.99, leaves the moving averages far behind in
# trainings of a few hundred steps.
_BATCH = KerasLayer("BatchNormalization", {"momentum": 0.9, "epsilon": 1e-5})

NORMALIZATIONS: dict[str, Normalization] = {
    "none": Normalization(None, None, "nothing is inserted", "-"),
    "batch": Normalization(_BATCH, _BATCH, "each channel over the batch", "Ioffe & Szegedy 2015"),
    "layer": Normalization(
        KerasLayer("LayerNormalization", {"epsilon": 1e-5}),
        # One group: over height, width and channels of an example, as Ba et al. define it, with a gain per channel.
        KerasLayer("GroupNormalization", {"groups": 1, "epsilon": 1e-5}),
        "all units of a layer, for each example by itself",
        "Ba, Kiros & Hinton 2016",
    ),
}
"""Every name that a config's `normalization` accepts."""

NORMALIZATION_PLACES: dict[str, str] = {
    "before_activation": "between the weights and the activation (Ioffe & Szegedy 2015, section 3.2)",
    "after_activation": "after the activation",
}
"""Every name that a config's `normalization_place` accepts."""
