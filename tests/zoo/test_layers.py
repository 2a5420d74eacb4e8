"""The layers that every builder takes its parts from."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.layers import LayerMaker


def maker(seed=0, **values):
    return LayerMaker(zoo.ResNetConfig(**values), seed)


def applied(make, shape):
    """Build a model of what `make` does to an input of this shape."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, make(inputs))


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), strides=st.sampled_from([1, 2, 3]))
def test_shape_of_a_convolution(height, width, strides):
    """A convolution gives ceil(height / strides) by ceil(width / strides) pixels, down to one pixel."""
    inputs = keras.Input((height, width, 2))
    outputs = maker().convolution(inputs, 5, "c", strides=strides)
    assert outputs.shape == (None, -(-height // strides), -(-width // strides), 5)


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("strides", [1, 2])
def test_a_convolution_is_centred(size, strides):
    """A kernel with a single one in the middle picks every `strides`-th pixel, from the first one on."""
    model = applied(lambda inputs: maker().convolution(inputs, 1, "c", strides=strides), (size, size, 1))
    kernel = np.zeros((3, 3, 1, 1))
    kernel[1, 1] = 1
    model.get_layer("c").set_weights([kernel])
    image = np.arange(size * size, dtype="float32").reshape(1, size, size, 1)
    np.testing.assert_array_equal(model(image), image[:, ::strides, ::strides])


def test_a_convolution_pads_with_zeros():
    """A kernel of ones on an image of ones counts the pixels that lie inside: four in a corner."""
    model = applied(lambda inputs: maker().convolution(inputs, 1, "c", strides=2), (6, 6, 1))
    model.get_layer("c").set_weights([np.ones((3, 3, 1, 1))])
    expected = np.array([[4, 6, 6], [6, 9, 9], [6, 9, 9]])
    np.testing.assert_array_equal(np.asarray(model(np.ones((1, 6, 6, 1))))[0, :, :, 0], expected)


@pytest.mark.parametrize(
    ("normalization", "place", "has_bias"),
    [
        ("none", "before_activation", True),
        ("none", "after_activation", True),
        ("batch", "before_activation", False),
        ("batch", "after_activation", True),
        ("layer", "before_activation", False),
        ("layer", "after_activation", True),
    ],
)
def test_bias_only_where_no_offset_follows_at_once(normalization, place, has_bias):
    """A convolution and a hidden dense layer have a bias except directly before a normalization; logits always."""
    settings = {"normalization": normalization, "normalization_place": place}
    resnet = zoo.build_model(zoo.ResNetConfig(depth=8, width=2, **settings), (4, 4, 1), 2, seed=0)
    mlp = zoo.build_model(zoo.MLPConfig(depth=2, width=2, **settings), (4,), 2, seed=0)
    for model in (resnet, mlp):
        biases = {layer.name: layer.use_bias for layer in model.layers if hasattr(layer, "use_bias")}
        assert biases.pop("logits") is True
        assert set(biases.values()) == {has_bias}


@pytest.mark.parametrize(
    ("place", "order"),
    [
        ("before_activation", ["BatchNormalization", "Activation"]),
        ("after_activation", ["Activation", "BatchNormalization"]),
    ],
)
def test_order_of_normalization_and_activation(place, order):
    """Normalization stands on the side of the activation that the setting names."""
    model = applied(lambda inputs: maker(normalization_place=place).normalize_and_activate(inputs, "a"), (4, 4, 2))
    assert [type(layer).__name__ for layer in model.layers[1:]] == order


def test_no_dropout_no_layer():
    """A rate of zero inserts nothing."""
    assert len(applied(lambda inputs: maker(dropout=0.0).drop(inputs, "a"), (4,)).layers) == 1


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_dropout(rate):
    """In training that share of units is zero and the others are scaled up; in inference nothing happens."""
    model = applied(lambda inputs: maker(dropout=rate).drop(inputs, "a"), (10_000,))
    ones = np.ones((1, 10_000), "float32")
    dropped = np.asarray(model(ones, training=True))
    np.testing.assert_allclose(dropped[dropped != 0], 1 / (1 - rate), rtol=1e-6)
    assert np.mean(dropped == 0) == pytest.approx(rate, abs=0.02)
    np.testing.assert_array_equal(model(ones, training=False), ones)


def test_initial_weights_depend_on_seed_and_name_only():
    """The same seed and name give the same kernel whatever the maker made before; another of either does not."""

    def kernel(seed, name, made_before=()):
        layers = maker(seed=seed)
        inputs = keras.Input((4,))
        for other in made_before:
            layers.dense(inputs, 3, other)
        model = keras.Model(inputs, layers.dense(inputs, 3, name))
        return np.asarray(model.get_layer(name).kernel)

    reference = kernel(1, "a")
    np.testing.assert_array_equal(kernel(1, "a", made_before=["b", "c"]), reference)
    assert not np.isclose(kernel(2, "a"), reference).any()
    assert not np.isclose(kernel(1, "b"), reference).any()
