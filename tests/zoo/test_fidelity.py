"""The large networks against keras.applications, weight for weight, and the deepest ones on disk."""

from __future__ import annotations

import re
import sys

import keras
import numpy as np
import pytest

import zoo

# keras.applications has its own.
EPSILON = 1.001e-5


def fill(model, seed):
    """Give every variable of a network of keras.applications an arbitrary value that keeps the variance of signals."""
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


def ours_of(name):
    """Name of the zoo's layer for a layer of keras.applications: "conv2_block1_2_conv" and its like."""
    stage, block, part = re.fullmatch(r"conv(\d)_block(\d+)_(\w+)", name).groups()
    place = f"stage_{int(stage) - 1}_block_{block}"
    number, kind = part.split("_")
    convolution = f"{place}_projection" if number == "0" else f"{place}_convolution_{number}"
    return convolution if kind == "conv" else f"{convolution}_normalization"


def set_normalization(ours, name, theirs, superfluous):
    """Copy a batch normalization; a constant that was added to its inputs is taken from its moving mean instead."""
    gamma, beta, mean, variance = theirs.get_weights()
    ours.get_layer(name).set_weights([gamma, beta, mean - superfluous, variance])


def copy_first(theirs, ours):
    """Copy a network of post-activation blocks: each convolution has its normalization, which takes up the bias."""
    for layer in theirs.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        name = "stem" if layer.name == "conv1_conv" else ours_of(layer.name)
        kernel, bias = layer.get_weights()
        ours.get_layer(name).set_weights([kernel])
        normalization = theirs.get_layer(layer.name.replace("_conv", "_bn"))
        set_normalization(ours, f"{name}_normalization", normalization, bias)
    ours.get_layer("head").set_weights(theirs.get_layer("predictions").get_weights())


def copy_second(theirs, ours, layout):
    """Copy a network of pre-activation blocks: biases are carried along the residual stream to all its normalizations.

    The bias of the stem cannot be: zeros are padded after it, before the pooling. It must be zero.
    """
    kernel, bias = theirs.get_layer("conv1_conv").get_weights()
    assert not bias.any()
    ours.get_layer("stem").set_weights([kernel])
    carried = 0
    for stage, count in enumerate(layout, start=1):
        for block in range(1, count + 1):
            source, place = f"conv{stage + 1}_block{block}", f"stage_{stage}_block_{block}"
            before = theirs.get_layer(f"{source}_preact_bn")
            set_normalization(ours, f"{place}_convolution_1_normalization", before, carried)
            for number in (1, 2):
                (kernel,) = theirs.get_layer(f"{source}_{number}_conv").get_weights()
                ours.get_layer(f"{place}_convolution_{number}").set_weights([kernel])
                after = theirs.get_layer(f"{source}_{number}_bn")
                set_normalization(ours, f"{place}_convolution_{number + 1}_normalization", after, 0)
            kernel, bias = theirs.get_layer(f"{source}_3_conv").get_weights()
            ours.get_layer(f"{place}_convolution_3").set_weights([kernel])
            if block == 1:
                # The stream begins anew with the projection of activated features.
                kernel, carried = theirs.get_layer(f"{source}_0_conv").get_weights()
                ours.get_layer(f"{place}_projection").set_weights([kernel])
            carried = carried + bias
    set_normalization(ours, "final_normalization", theirs.get_layer("post_bn"), carried)
    ours.get_layer("head").set_weights(theirs.get_layer("predictions").get_weights())


def theirs_and_ours(name, side):
    theirs = getattr(keras.applications, name.replace("resnet", "ResNet").replace("_v2", "V2"))(
        weights=None, input_shape=(side, side, 3), classes=10, classifier_activation=None
    )
    fill(theirs, seed=1)
    ours = zoo.create_model(name, input_shape=(side, side, 3), num_classes=10, normalization_epsilon=EPSILON)
    return theirs, ours


def relative_difference(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def assert_same(theirs, ours, pairs, side):
    """Compare logits, pooled features, and the features named by pairs of layers."""
    pairs = [("avg_pool", "pooling"), ("predictions", "head"), *pairs]
    images = np.random.default_rng(2).normal(size=(2, side, side, 3)).astype("float32")
    of_theirs, of_ours = (
        keras.Model(model.input, [model.get_layer(pair[which]).output for pair in pairs])
        for which, model in enumerate((theirs, ours))
    )
    for pair, expected, found in zip(pairs, of_theirs(images), of_ours(images), strict=True):
        expected, found = np.asarray(expected), np.asarray(found)
        assert found.shape == expected.shape, pair
        assert relative_difference(expected[0], expected[1]) > 0.01, f"{pair}: both images give the same"
        assert relative_difference(found, expected) < 1e-4, pair


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("resnet50", 97),
        pytest.param("resnet50", 224, marks=pytest.mark.slow),
        pytest.param("resnet101", 64, marks=pytest.mark.slow),
    ],
)
def test_same_as_keras_applications(name, side):
    """With the same arbitrary weights, features after each stage and logits are those of keras.applications."""
    theirs, ours = theirs_and_ours(name, side)
    copy_first(theirs, ours)
    layout = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}[name]
    pairs = [
        (f"conv{stage + 1}_block{count}_out", f"stage_{stage}_block_{count}_convolution_3_activation")
        for stage, count in enumerate(layout, start=1)
    ]
    assert_same(theirs, ours, [("pool1_pool", "stem_pooling"), *pairs], side)


@pytest.mark.parametrize("side", [97, pytest.param(224, marks=pytest.mark.slow)])
def test_same_as_second_version_of_keras_applications(side):
    """The same of the pre-activation network; all biases but the stem's, which cannot be expressed, are arbitrary."""
    theirs, ours = theirs_and_ours("resnet50_v2", side)
    stem = theirs.get_layer("conv1_conv")
    stem.bias.assign(np.zeros(stem.bias.shape))
    copy_second(theirs, ours, (3, 4, 6, 3))
    # The activated inputs of each stage, which biases that were carried wrongly would shift.
    pairs = [
        (f"conv{stage + 1}_block1_preact_relu", f"stage_{stage}_block_1_convolution_1_activation")
        for stage in (1, 2, 3, 4)
    ]
    assert_same(theirs, ours, [("pool1_pool", "stem_pooling"), *pairs, ("post_relu", "final_activation")], side)


@pytest.mark.night
def test_saves_and_loads_a_network_of_a_thousand_layers(tmp_path):
    """preact_resnet1001 has the table's size; its file gives the same variables and logits, whatever Keras recurses."""
    limit = sys.getrecursionlimit()
    model = zoo.create_model("preact_resnet1001", seed=3)
    row, audit = zoo.VARIANTS["preact_resnet1001"], zoo.audit_model(model)
    assert (audit.parameters, audit.macs) == (row.parameters, row.macs)
    # A head and 1000 convolutions in branches and the stem, and three projections.
    assert audit.weight_layers == 1001 + 3
    assert sys.getrecursionlimit() == limit
    generator = np.random.default_rng(1)
    for variable in model.variables:
        if variable.path.endswith(("beta", "moving_mean")):
            variable.assign(generator.normal(scale=0.1, size=variable.shape))
    model.save(tmp_path / "deep.keras")
    loaded = zoo.load_model(tmp_path / "deep.keras")
    assert sys.getrecursionlimit() == limit
    assert len(loaded.variables) == len(model.variables)
    for before, after in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(before, after)
    images = generator.normal(size=(1, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5, atol=1e-6)
