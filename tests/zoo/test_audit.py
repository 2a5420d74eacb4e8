"""The audit on models made by hand: it must find what a builder slipped in beside the config."""

from __future__ import annotations

import keras
import pytest

import zoo
from zoo.audit import Audit


def by_hand():
    """Make a network that mixes everything that an audit tells apart."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3, activation="relu", kernel_initializer="he_uniform"),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("gelu"),
            keras.layers.GroupNormalization(groups=1),
            keras.layers.Dropout(0.1),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="tanh", kernel_initializer="zeros"),
            keras.layers.LayerNormalization(),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(2, kernel_initializer="glorot_normal"),
        ]
    )


def test_finds_everything():
    """Activations inside weight layers, all normalizations, each kernel's initializer and all rates are found."""
    assert zoo.audit_model(by_hand()) == Audit(
        # 3x3x1x2 + 2, gain and offset of 2 twice, 72x3 + 3, gain and offset of 3, 3x2 + 2
        parameters=20 + 4 + 4 + 219 + 6 + 8,
        weight_layers=3,
        activations=frozenset({"relu", "gelu", "tanh"}),
        normalizations=frozenset({"BatchNormalization", "GroupNormalization", "LayerNormalization"}),
        initializers=frozenset({"HeUniform", "Zeros", "GlorotNormal"}),
        dropout_rates=frozenset({0.1, 0.4}),
    )


def test_finds_nothing_where_there_is_nothing():
    """A linear layer has no activation, no normalization and no dropout."""
    audit = zoo.audit_model(zoo.create_model("linear"))
    assert audit == Audit(7_850, 1, frozenset(), frozenset(), frozenset({"GlorotUniform"}), frozenset())


def test_frozen_layers_hold_no_trainable_parameters():
    """Parameters are those that training can change: moving statistics and frozen layers are left out."""
    model = by_hand()
    model.layers[6].trainable = False
    assert zoo.audit_model(model).parameters == 261 - 219


@pytest.mark.parametrize("name", ["mlp_small", "resnet8"])
def test_does_not_believe_the_config(name):
    """An activation that is put into a layer behind the config's back is found."""
    model = zoo.create_model(name)
    model.get_layer("logits").activation = keras.activations.sigmoid
    assert zoo.audit_model(model).activations == {"relu", "sigmoid"}
