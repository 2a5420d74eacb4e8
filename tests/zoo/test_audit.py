"""The audit on models made by hand: it must find what a builder slipped in beside the config."""

from __future__ import annotations

import dataclasses

import keras
import pytest

import zoo
from zoo.audit import Audit


def of_layers(input_shape, *layers):
    """Audit the functional model that applies layers one after the other."""
    outputs = inputs = keras.Input(input_shape)
    for layer in layers:
        outputs = layer(outputs)
    return zoo.audit_model(keras.Model(inputs, outputs))


def mixed_layers():
    """Make layers that mix everything that an audit tells apart."""
    return [
        keras.layers.Conv2D(2, 3, activation="relu", kernel_initializer="he_uniform"),
        keras.layers.BatchNormalization(),
        keras.layers.Activation("gelu"),
        keras.layers.GroupNormalization(groups=1),
        keras.layers.Dropout(0.1),
        keras.layers.Flatten(),
        keras.layers.Dense(3, activation="tanh", kernel_initializer="zeros"),
        keras.layers.LayerNormalization(),
        keras.layers.Dropout(0.4),
        keras.layers.Dense(2, kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_in")),
    ]


def test_finds_everything():
    """Of a network that has one of each, everything is found."""
    assert of_layers((8, 8, 1), *mixed_layers()) == Audit(
        # 3x3x1x2 + 2, gain and offset of 2 twice, 72x3 + 3, gain and offset of 3, 3x2 + 2
        parameters=20 + 4 + 4 + 219 + 6 + 8,
        # 6x6 pixels of 3x3x1x2, 72x3, 3x2
        macs=36 * 18 + 216 + 6,
        weight_layers=3,
        activations=frozenset({"relu", "gelu", "tanh"}),
        gates=frozenset(),
        head_activation="linear",
        normalizations=frozenset({"BatchNormalization", "GroupNormalization", "LayerNormalization"}),
        initializers=frozenset({"HeUniform()", "zeros", "he_normal"}),
        dropout_rates=frozenset({0.1, 0.4}),
        branch_drop_rates=(),
        # The input, six outputs of 6x6x2, three of 3 and one of 2, of four bytes each.
        activation_bytes=4 * (64 + 6 * 72 + 3 * 3 + 2),
    )


def test_sequential_models():
    """A Sequential model of the same layers holds the same; only its input is no layer."""
    found = zoo.audit_model(keras.Sequential([keras.Input((8, 8, 1)), *mixed_layers()]))
    expected = of_layers((8, 8, 1), *mixed_layers())
    assert dataclasses.replace(found, activation_bytes=0) == dataclasses.replace(expected, activation_bytes=0)
    assert 0 <= expected.activation_bytes - found.activation_bytes <= 4 * 64


def test_finds_nothing_where_there_is_nothing():
    """A linear layer has no activation, no normalization and no dropout."""
    audit = zoo.audit_model(zoo.create_model("linear"))
    nothing = frozenset()
    assert audit == Audit(
        parameters=7_850,
        macs=7_840,
        weight_layers=1,
        activations=nothing,
        gates=nothing,
        head_activation="linear",
        normalizations=nothing,
        initializers=frozenset({"glorot_uniform"}),
        dropout_rates=nothing,
        branch_drop_rates=(),
        # 28x28 as they come and flattened, and ten outputs.
        activation_bytes=4 * (784 + 784 + 10),
    )


def test_looks_into_nested_models():
    """Models in models, functional in Sequential in functional, are searched as if their layers were the outer's."""
    innermost_input = keras.Input((5,))
    hidden = keras.layers.Dense(4, activation="tanh", kernel_initializer="ones")(innermost_input)
    innermost = keras.Model(innermost_input, keras.layers.Dropout(0.3)(hidden))
    inner = keras.Sequential([keras.Input((5,)), innermost, keras.layers.LayerNormalization()])
    audit = of_layers((5,), inner, keras.layers.Dense(2, kernel_initializer="zeros"))
    assert (audit.parameters, audit.macs, audit.weight_layers) == (5 * 4 + 4 + 8 + 4 * 2 + 2, 28, 2)
    assert audit.activations == {"tanh"}
    assert audit.normalizations == {"LayerNormalization"}
    assert audit.dropout_rates == {0.3}
    assert audit.initializers == {"Ones()", "zeros"}


def test_standardized_models_hold_the_same():
    """A model that standardizes its inputs itself has the inner one's parameters, layers and activations."""
    model = zoo.create_model("resnet8", input_shape=(8, 8, 1), activation="silu")
    inner, outer = zoo.audit_model(model), zoo.audit_model(zoo.with_standardization(model, 0.0, 1.0))
    assert dataclasses.replace(outer, activation_bytes=0) == dataclasses.replace(inner, activation_bytes=0)
    assert inner.activations == {"silu"}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: keras.layers.ReLU(), "relu"),
        (lambda: keras.layers.LeakyReLU(), "leaky_relu"),
        (lambda: keras.layers.PReLU(), "prelu"),
        (lambda: keras.layers.ELU(), "elu"),
        (lambda: keras.layers.Softmax(), "softmax"),
        (lambda: keras.layers.Activation("hard_silu"), "hard_swish"),
        (lambda: keras.layers.Activation("swish"), "silu"),
        (lambda: keras.layers.Activation("softsign"), "softsign"),
        (lambda: keras.layers.Activation("tanh"), "tanh"),
        # Not in the zoo's table: Keras's name.
        (lambda: keras.layers.Activation("exponential"), "exponential"),
        (lambda: keras.layers.Dense(3, activation="mish"), "mish"),
        (lambda: lambda features: keras.ops.gelu(features, approximate=True), "gelu_tanh"),
        (lambda: lambda features: keras.ops.gelu(features, approximate=False), "gelu"),
    ],
)
def test_names_of_activations(make, expected):
    """Each kind of layer or operation that applies an activation is told by the table's name."""
    audit = of_layers((3,), make(), keras.layers.Dense(2))
    assert audit.activations == {expected}
    assert audit.head_activation == "linear"
    assert audit.gates == frozenset()


@pytest.mark.parametrize("name", ["scaled_tanh", "gelu_tanh", "prelu", "leaky_relu", "elu", "hard_swish", "softplus"])
def test_activations_of_the_zoo(name):
    """What a config names is what the built network is found to have; the scaled tanh shows as "tanh"."""
    audit = zoo.audit_model(zoo.create_model("mlp_small", activation=name))
    assert audit.activations == {"tanh" if name == "scaled_tanh" else name}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: keras.layers.Dense(2), "linear"),
        (lambda: keras.layers.Dense(2, activation="softmax"), "softmax"),
        (lambda: keras.layers.Activation("sigmoid"), "sigmoid"),
        (lambda: keras.layers.Softmax(), "softmax"),
        (lambda: keras.layers.Rescaling(2.0), "linear"),
    ],
)
def test_activation_of_the_head(make, expected):
    """What gives the outputs is told apart from hidden activations, also where it is of the same kind as none."""
    audit = of_layers((3,), keras.layers.Dense(3, activation="tanh"), make())
    assert audit.head_activation == expected
    assert audit.activations == {"tanh"}


def test_an_activation_both_hidden_and_at_the_head():
    """The same activation in a hidden layer and at the head is found in both places."""
    audit = of_layers((3,), keras.layers.Dense(3, activation="sigmoid"), keras.layers.Dense(1, activation="sigmoid"))
    assert (audit.activations, audit.head_activation) == ({"sigmoid"}, "sigmoid")


def test_gates():
    """The sigmoid whose output scales other features is a gate; a sigmoid elsewhere is an activation."""
    inputs = keras.Input((4, 4, 6))
    features = keras.layers.Conv2D(6, 1)(inputs)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(features)
    gate = keras.layers.Dense(2, activation="relu")(gate)
    gate = keras.layers.Dense(6, activation="sigmoid")(gate)
    scaled = keras.layers.Multiply()([features, gate])
    gated = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(scaled))
    audit = zoo.audit_model(gated)
    assert (audit.activations, audit.gates, audit.head_activation) == ({"relu"}, {"sigmoid"}, "linear")

    audit = zoo.audit_model(keras.Model(inputs, keras.layers.Activation("tanh")(gate)))
    assert (audit.activations, audit.gates, audit.head_activation) == ({"relu", "sigmoid"}, frozenset(), "tanh")


def test_gates_of_squeeze_and_excitation():
    """In the zoo's own network the gates are sigmoid and everything else is the config's activation."""
    audit = zoo.audit_model(zoo.create_model("se_resnet20", depth=8, activation="mish"))
    assert (audit.activations, audit.gates) == ({"mish"}, {"sigmoid"})


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: keras.layers.BatchNormalization(), "BatchNormalization"),
        (lambda: keras.layers.LayerNormalization(), "LayerNormalization"),
        (lambda: keras.layers.GroupNormalization(groups=2), "GroupNormalization"),
        (lambda: keras.layers.RMSNormalization(), "RMSNormalization"),
        (lambda: keras.layers.UnitNormalization(), "UnitNormalization"),
    ],
)
def test_names_of_normalizations(make, kind):
    """Each normalization layer of Keras is found."""
    audit = of_layers((4,), make(), keras.layers.Dense(2))
    assert audit.normalizations == {kind}


@pytest.mark.parametrize(
    ("shape", "make", "macs"),
    [
        ((5,), lambda: keras.layers.Dense(7), 5 * 7),
        # One position after the other.
        ((6, 5), lambda: keras.layers.Dense(7), 6 * 5 * 7),
        ((2, 3, 5), lambda: keras.layers.Dense(7, use_bias=False), 2 * 3 * 5 * 7),
        # 8x6 without its edge: 6x4 pixels, 3x3 of 2 channels into 5.
        ((8, 6, 2), lambda: keras.layers.Conv2D(5, 3), 24 * 9 * 2 * 5),
        ((8, 6, 2), lambda: keras.layers.Conv2D(5, 3, padding="same"), 48 * 9 * 2 * 5),
        # Every second pixel of 7x5: 4x3.
        ((7, 5, 2), lambda: keras.layers.Conv2D(5, 3, strides=2, padding="same"), 12 * 9 * 2 * 5),
        ((7, 5, 2), lambda: keras.layers.Conv2D(5, (1, 3), strides=(2, 1)), 4 * 3 * 3 * 2 * 5),
        # Every second pixel of a 3x3 window is seen: 5x5 pixels of 9x9 are left.
        ((9, 9, 2), lambda: keras.layers.Conv2D(5, 3, dilation_rate=2), 25 * 9 * 2 * 5),
        # Each of 6 outputs sees 2 of 4 channels.
        ((5, 5, 4), lambda: keras.layers.Conv2D(6, 3, groups=2), 9 * 9 * 2 * 6),
        # Each of 4 channels gives two outputs, which see it alone.
        ((5, 5, 4), lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2), 9 * 9 * 4 * 2),
        ((9, 2), lambda: keras.layers.Conv1D(5, 3, strides=3), 3 * 3 * 2 * 5),
        ((4, 4), lambda: keras.layers.BatchNormalization(), 0),
    ],
)
def test_multiply_adds(shape, make, macs):
    """Multiply-adds are those counted by hand: weights of a unit, times units, times positions; biases are none."""
    assert of_layers(shape, make()).macs == macs


def test_multiply_adds_of_all_layers_are_summed():
    """Two layers, one in a model inside, count together."""
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    assert of_layers((2,), keras.layers.Dense(3), inner).macs == 2 * 3 + 3 * 4


def test_activation_bytes():
    """Outputs count with the size of their own dtype, two bytes in half precision and four in single."""
    expected = {
        None: 4 * (16 + 4 * 3 + 4 * 3 + 3),
        "mixed_float16": 4 * 16 + 2 * (12 + 12 + 3),
        "mixed_bfloat16": 4 * 16 + 2 * (12 + 12 + 3),
    }
    for policy, size in expected.items():
        audit = of_layers(
            (4, 4, 1),
            keras.layers.Conv2D(3, 1, strides=2, dtype=policy),
            keras.layers.Activation("relu", dtype=policy),
            keras.layers.GlobalAveragePooling2D(dtype=policy),
        )
        assert audit.activation_bytes == size, policy


def test_branch_drop_rates():
    """Layers that drop whole branches are told apart from dropout, in the model's order, repeated rates and all."""
    audit = of_layers(
        (4, 4, 2),
        keras.layers.Dropout(0.2, noise_shape=(None, 1, 1, 1)),
        keras.layers.Dropout(0.5),
        keras.layers.Dropout(0.1, noise_shape=(None, 1, 1, 1)),
        keras.layers.Dropout(0.2, noise_shape=(None, 1, 1, 1)),
    )
    assert audit.branch_drop_rates == (0.2, 0.1, 0.2)
    assert audit.dropout_rates == {0.5}


def test_branch_drop_rates_of_stochastic_depth():
    """A network of four residual layers has the rates that grow linearly to the config's."""
    model = zoo.create_model("mlp_residual", depth=4, width=5, input_shape=(5,), stochastic_depth=0.4, dropout=0.25)
    audit = zoo.audit_model(model)
    assert audit.branch_drop_rates == pytest.approx((0.1, 0.2, 0.3, 0.4))
    assert audit.dropout_rates == {0.25}


def test_spatial_dropout_drops_units_not_branches():
    """Dropping channels counts among the rates of dropout."""
    audit = of_layers((4, 4, 2), keras.layers.SpatialDropout2D(0.35))
    assert (audit.dropout_rates, audit.branch_drop_rates) == ({0.35}, ())


@pytest.mark.parametrize(
    ("initializer", "expected"),
    [
        (keras.initializers.VarianceScaling(1.0, "fan_in", "truncated_normal"), "lecun_normal"),
        (keras.initializers.VarianceScaling(1.0, "fan_avg", "uniform"), "glorot_uniform"),
        (keras.initializers.VarianceScaling(2.0, "fan_avg", "uniform"), "he_average_uniform"),
        (keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"), "pytorch_default"),
        (
            keras.initializers.VarianceScaling(3.0, "fan_out", "uniform"),
            "VarianceScaling(scale=3.0, mode=fan_out, distribution=uniform)",
        ),
        (keras.initializers.Orthogonal(1.0), "orthogonal"),
        (keras.initializers.Orthogonal(1.5), "Orthogonal(gain=1.5)"),
        (keras.initializers.RandomNormal(stddev=0.2), "small_normal"),
        (keras.initializers.Constant(0.3), "constant"),
        (keras.initializers.Zeros(), "zeros"),
        (keras.initializers.GlorotUniform(seed=3), "GlorotUniform()"),
    ],
)
def test_names_of_initializers(initializer, expected):
    """An initializer shows as the table's row that it agrees with, else as Keras's class with its arguments."""
    assert of_layers((4,), keras.layers.Dense(4, kernel_initializer=initializer)).initializers == {expected}


@pytest.mark.parametrize("name", ["he_normal", "glorot_normal", "he_uniform", "delta_orthogonal", "identity", "zeros"])
def test_initializers_of_the_zoo(name):
    """What a config names is what all kernels of the built network, its head's too, are found to be drawn from."""
    assert zoo.audit_model(zoo.create_model("resnet8", initializer=name)).initializers == {name}


def test_gains_that_follow_the_activation_show():
    """A variance that is not the initializer's own is told with its number: 2.536 for tanh, 1 at the first layer."""
    model = zoo.create_model("mlp_small", activation="tanh", initializer="he_normal", initializer_gain="activation")
    found = zoo.audit_model(model).initializers
    assert "lecun_normal" in found
    (other,) = found - {"lecun_normal"}
    assert other.startswith("VarianceScaling(scale=2.536")


def test_frozen_layers_hold_no_trainable_parameters():
    """Parameters are those that training can change: moving statistics and frozen layers are left out."""
    model = keras.Sequential([keras.Input((8, 8, 1)), *mixed_layers()])
    model.layers[6].trainable = False
    assert zoo.audit_model(model).parameters == 261 - 219


@pytest.mark.parametrize("name", ["mlp_small", "resnet8", "lenet5"])
def test_does_not_believe_the_config(name):
    """An activation that is put into a hidden layer, or into the head, behind the config's back is found."""
    model = zoo.create_model(name, activation="elu")
    model.get_layer("head").activation = keras.activations.sigmoid
    hidden = next(layer for layer in model.layers if hasattr(layer, "kernel_initializer"))
    hidden.activation = keras.activations.softsign
    audit = zoo.audit_model(model)
    assert audit.activations == {"elu", "softsign"}
    assert audit.head_activation == "sigmoid"
