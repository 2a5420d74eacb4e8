"""Normalization by itself: what each row of the table computes on dense features and on images."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import zoo
from zoo.layers import LayerMaker
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS

EPSILON = 1e-5
SHAPES = [(6,), (4, 3, 5)]


def normalizer(name, shape):
    """Build a model of nothing but the normalization."""
    inputs = keras.Input(shape)
    layers = LayerMaker(zoo.MLPConfig(normalization=name), seed=0)
    return keras.Model(inputs, layers.normalize(inputs, "features"))


def examples(shape, number=7, scale=1.0):
    """Draw examples whose channels and whose sums differ widely from one another."""
    generator = np.random.default_rng(3)
    channel = np.arange(1, shape[-1] + 1)
    example = np.arange(1, number + 1).reshape(-1, *[1] * len(shape))
    return (scale * (generator.normal(size=(number, *shape)) * channel + example)).astype("float32")


@pytest.mark.parametrize("shape", SHAPES)
def test_none_inserts_nothing(shape):
    """Without normalization the features themselves are handed on."""
    assert len(normalizer("none", shape).layers) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_normalization_in_training(shape):
    """In training each channel is normalized over the batch and, for images, over height and width."""
    inputs = examples(shape)
    axes = tuple(range(inputs.ndim - 1))
    expected = (inputs - inputs.mean(axes)) / np.sqrt(inputs.var(axes) + EPSILON)
    np.testing.assert_allclose(normalizer("batch", shape)(inputs, training=True), expected, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_normalization_keeps_nine_tenths(shape):
    """A training step moves the moving statistics by a tenth of the way: the momentum of the papers' nets."""
    inputs = examples(shape)
    axes = tuple(range(inputs.ndim - 1))
    model = normalizer("batch", shape)
    model(inputs, training=True)
    layer = model.layers[-1]
    np.testing.assert_allclose(layer.moving_mean, 0.1 * inputs.mean(axes), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * inputs.var(axes), rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_normalization_in_inference(shape, randomize):
    """In inference the moving statistics are used, and an example's output does not depend on its batch."""
    model = randomize(normalizer("batch", shape))
    layer = model.layers[-1]
    gain, offset, mean, variance = (
        np.asarray(v) for v in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    )
    inputs = examples(shape)
    expected = gain * (inputs - mean) / np.sqrt(variance + EPSILON) + offset
    np.testing.assert_allclose(model(inputs, training=False), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(inputs[:1], training=False), expected[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [False, True])
def test_layer_normalization(shape, training, randomize):
    """All units of an example, of an image height, width and channels, share one mean and one variance."""
    model = randomize(normalizer("layer", shape))
    layer = model.layers[-1]
    inputs = examples(shape)
    axes = tuple(range(1, inputs.ndim))
    mean, variance = inputs.mean(axes, keepdims=True), inputs.var(axes, keepdims=True)
    expected = np.asarray(layer.gamma) * (inputs - mean) / np.sqrt(variance + EPSILON) + np.asarray(layer.beta)
    np.testing.assert_allclose(model(inputs, training=training), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["batch", "layer"])
def test_one_gain_and_one_offset_per_channel(name, shape):
    """An image's pixels share the gain and the offset of their channel."""
    trainable = normalizer(name, shape).trainable_variables
    assert [tuple(variable.shape) for variable in trainable] == [(shape[-1],)] * 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["batch", "layer"])
def test_epsilon(name, shape):
    """Features with a variance of the order of epsilon show that epsilon is 1e-5 and not Keras's 1e-3."""
    inputs = examples(shape, scale=1e-3)
    axes = tuple(range(inputs.ndim - 1)) if name == "batch" else tuple(range(1, inputs.ndim))
    mean, variance = inputs.mean(axes, keepdims=True), inputs.var(axes, keepdims=True)
    expected = (inputs - mean) / np.sqrt(variance + EPSILON)
    np.testing.assert_allclose(normalizer(name, shape)(inputs, training=True), expected, rtol=1e-3, atol=1e-4)


def test_rows_are_complete():
    """Each row explains itself to people and names its source."""
    assert all(row.explanation.strip() and row.source.strip() for row in NORMALIZATIONS.values())
    assert all(text.strip() for text in NORMALIZATION_PLACES.values())
