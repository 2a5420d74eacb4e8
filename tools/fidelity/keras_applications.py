"""Networks of keras.applications, and how their weights are carried over to the zoo's."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np

import zoo

EPSILON = 1.001e-5
"""Of the normalizations of keras.applications."""
NETWORKS = {
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "resnet50_v2": "ResNet50V2",
    "resnet101_v2": "ResNet101V2",
    "resnet152_v2": "ResNet152V2",
}
"""Variant -> its name there."""


def theirs_and_ours(name: str, side: int) -> tuple[Any, Any]:
    """A network of theirs with arbitrary weights, and the zoo's with the same, for images of `side` x `side` pixels.

    Their biases before a normalization have no place in the zoo: the moving means take them up. That of the second
    version's stem cannot be taken up, since zeros are padded after it, before the pooling; it is zero here.
    """
    theirs = getattr(keras.applications, NETWORKS[name])(
        weights=None, input_shape=(side, side, 3), classes=10, classifier_activation=None
    )
    fill(theirs, seed=1)
    ours = zoo.create_model(name, input_shape=(side, side, 3), num_classes=10, normalization_epsilon=EPSILON)
    if name.endswith("_v2"):
        stem = theirs.get_layer("conv1_conv")
        stem.bias.assign(np.zeros(stem.bias.shape))
        _copy_second(theirs, ours)
    else:
        _copy_first(theirs, ours)
    return theirs, ours


def fill(model: Any, seed: int) -> None:
    """Give every variable an arbitrary value that keeps the variance of signals."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        kind, shape = variable.path.rsplit("/", 1)[-1], tuple(variable.shape)
        if kind == "kernel":
            value = generator.normal(scale=np.sqrt(2 / np.prod(shape[:-1])), size=shape)
        elif kind in ("bias", "beta", "moving_mean"):
            value = generator.normal(scale=0.3, size=shape)
        else:
            assert kind in ("gamma", "moving_variance"), kind
            value = generator.uniform(0.5, 1.5, size=shape)
        variable.assign(value.astype("float32"))


def _ours_of(name: str) -> str:
    """Name of the zoo's layer for a layer of keras.applications: "conv2_block1_2_conv" and its like."""
    stage, block, part = re.fullmatch(r"conv(\d)_block(\d+)_(\w+)", name).groups()  # type: ignore[union-attr] # all are
    place = f"stage_{int(stage) - 1}_block_{block}"
    number, kind = part.split("_")
    convolution = f"{place}_projection" if number == "0" else f"{place}_convolution_{number}"
    return convolution if kind == "conv" else f"{convolution}_normalization"


def _set_normalization(ours: Any, name: str, theirs: Any, superfluous: Any) -> None:
    """Copy a batch normalization; a constant that was added to its inputs is taken from its moving mean instead."""
    gamma, beta, mean, variance = theirs.get_weights()
    ours.get_layer(name).set_weights([gamma, beta, mean - superfluous, variance])


def _copy_first(theirs: Any, ours: Any) -> None:
    """Copy a network of post-activation blocks: each convolution has its normalization, which takes up the bias."""
    for layer in theirs.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        name = "stem" if layer.name == "conv1_conv" else _ours_of(layer.name)
        kernel, bias = layer.get_weights()
        ours.get_layer(name).set_weights([kernel])
        normalization = theirs.get_layer(layer.name.replace("_conv", "_bn"))
        _set_normalization(ours, f"{name}_normalization", normalization, bias)
    ours.get_layer("head").set_weights(theirs.get_layer("predictions").get_weights())


def _copy_second(theirs: Any, ours: Any) -> None:
    """Copy a network of pre-activation blocks: biases are carried along the residual stream to all its normalizations.

    The bias of the stem must be zero.
    """
    kernel, bias = theirs.get_layer("conv1_conv").get_weights()
    assert not bias.any()
    ours.get_layer("stem").set_weights([kernel])
    carried = 0
    for source in (layer.name.removesuffix("_out") for layer in theirs.layers if layer.name.endswith("_out")):
        place = _ours_of(f"{source}_1_conv").removesuffix("_convolution_1")
        before = theirs.get_layer(f"{source}_preact_bn")
        _set_normalization(ours, f"{place}_convolution_1_normalization", before, carried)
        for number in (1, 2):
            (kernel,) = theirs.get_layer(f"{source}_{number}_conv").get_weights()
            ours.get_layer(f"{place}_convolution_{number}").set_weights([kernel])
            after = theirs.get_layer(f"{source}_{number}_bn")
            _set_normalization(ours, f"{place}_convolution_{number + 1}_normalization", after, 0)
        kernel, bias = theirs.get_layer(f"{source}_3_conv").get_weights()
        ours.get_layer(f"{place}_convolution_3").set_weights([kernel])
        if source.endswith("_block1"):
            # The stream begins anew with the projection of activated features.
            kernel, carried = theirs.get_layer(f"{source}_0_conv").get_weights()
            ours.get_layer(f"{place}_projection").set_weights([kernel])
        carried = carried + bias
    _set_normalization(ours, "final_normalization", theirs.get_layer("post_bn"), carried)
    ours.get_layer("head").set_weights(theirs.get_layer("predictions").get_weights())
