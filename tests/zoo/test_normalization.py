"""Normalization by itself: what each row of the table computes on dense features and on images."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.layers import LayerMaker
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATION_VARIANCES, NORMALIZATIONS, group_count

EPSILON = 1e-5
SHAPES = [(6,), (4, 3, 5)]


def normalizer(name, shape, **settings):
    """Build a model of nothing but the normalization."""
    inputs = keras.Input(shape)
    layers = LayerMaker(zoo.ResNetConfig(normalization=name, **settings), seed=0)
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
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * inputs.var(axes, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("variance", "number", "lost"), [("unbiased", 8, 0), ("unbiased", 2, 0), ("biased", 8, 1)])
def test_which_variance_the_moving_average_takes_up(shape, variance, number, lost):
    """That of a batch times m / (m - 1), with m numbers a channel: Ioffe & Szegedy 2015, algorithm 2; or Keras's."""
    inputs = examples(shape, number)
    m = inputs.size // inputs.shape[-1]
    model = normalizer("batch", shape, normalization_variance=variance, normalization_momentum=0.0)
    for _ in range(2):
        outputs = model(inputs, training=True)
    by_hand = np.square(inputs - inputs.mean(tuple(range(inputs.ndim - 1)))).reshape(m, -1).sum(0)
    np.testing.assert_allclose(model.layers[-1].moving_variance, by_hand / (m - 1 + lost), rtol=1e-5)
    np.testing.assert_allclose(np.var(outputs, axis=tuple(range(inputs.ndim - 1))), 1, rtol=1e-2)


def test_a_batch_of_one_has_no_variance():
    """From a single number a channel, the moving average takes up zero, and nothing is divided by it."""
    model = normalizer("batch", (3,))
    model(examples((3,), 1), training=True)
    np.testing.assert_allclose(model.layers[-1].moving_variance, 0.9, rtol=1e-6)


def test_the_batch_may_be_of_any_size():
    """Where a compiled function does not know how many examples come, they are counted when it runs."""
    model = normalizer("batch", (3,), normalization_momentum=0.0)
    model.compile(keras.optimizers.SGD(0.0), "mean_squared_error")
    inputs = examples((3,), 12)
    model.fit(inputs, inputs, batch_size=12, verbose=0)
    np.testing.assert_allclose(model.layers[-1].moving_variance, inputs.var(0, ddof=1), rtol=1e-4)


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


def grouped(inputs, groups, epsilon=EPSILON):
    """Normalize groups of neighbouring channels over all positions of an example: Wu & He 2018, equations 1 to 7."""
    split = inputs.reshape(*inputs.shape[:-1], groups, -1).astype("float64")
    axes = (*range(1, split.ndim - 2), split.ndim - 1)
    mean, variance = split.mean(axes, keepdims=True), split.var(axes, keepdims=True)
    return ((split - mean) / np.sqrt(variance + epsilon)).reshape(inputs.shape)


@pytest.mark.parametrize(
    ("shape", "size", "groups"), [((12,), 4, 3), ((12,), 5, 2), ((4, 3, 12), 4, 3), ((4, 3, 5), 2, 5)]
)
@pytest.mark.parametrize("training", [False, True])
def test_group_normalization(shape, size, groups, training, randomize):
    """Groups of normalization_group_size channels, or the size nearest to it, share mean and variance."""
    model = randomize(normalizer("group", shape, normalization_group_size=size))
    layer = model.layers[-1]
    inputs = examples(shape)
    expected = np.asarray(layer.gamma) * grouped(inputs, groups) + np.asarray(layer.beta)
    np.testing.assert_allclose(model(inputs, training=training), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_instance_normalization(training, randomize):
    """Each channel of each image has its own mean and variance over height and width."""
    model = randomize(normalizer("instance", (4, 3, 5)))
    layer = model.layers[-1]
    inputs = examples((4, 3, 5))
    mean, variance = inputs.mean((1, 2), keepdims=True), inputs.var((1, 2), keepdims=True)
    expected = np.asarray(layer.gamma) * (inputs - mean) / np.sqrt(variance + EPSILON) + np.asarray(layer.beta)
    np.testing.assert_allclose(model(inputs, training=training), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [False, True])
def test_rms_normalization(shape, training, randomize):
    """Units, of an image the channels of each pixel, are divided by their root mean square, and have a gain alone."""
    model = randomize(normalizer("rms", shape))
    (gain,) = model.trainable_variables
    inputs = examples(shape)
    expected = np.asarray(gain) * inputs / np.sqrt((inputs**2).mean(-1, keepdims=True) + EPSILON)
    np.testing.assert_allclose(model(inputs, training=training), expected, rtol=1e-4, atol=1e-4)


WITH_OFFSET = [("batch", (6,)), ("layer", (6,)), ("group", (6,))]
WITH_OFFSET += [(name, (4, 3, 5)) for name in ("batch", "layer", "group", "instance")]


@pytest.mark.parametrize(("name", "shape"), WITH_OFFSET)
def test_one_gain_and_one_offset_per_channel(name, shape):
    """An image's pixels share the gain and the offset of their channel."""
    trainable = normalizer(name, shape).trainable_variables
    assert [tuple(variable.shape) for variable in trainable] == [(shape[-1],)] * 2


@pytest.mark.parametrize("epsilon", [EPSILON, 1e-3])
@pytest.mark.parametrize(("name", "shape"), [*WITH_OFFSET, ("rms", (6,)), ("rms", (4, 3, 5))])
def test_epsilon(name, shape, epsilon):
    """Features with a variance of the order of epsilon show that it is the config's: 1e-5, where nobody sets it."""
    inputs = examples(shape, scale=1e-3)
    axes = tuple(range(inputs.ndim - 1)) if name == "batch" else tuple(range(1, inputs.ndim))
    mean, variance = inputs.mean(axes, keepdims=True), inputs.var(axes, keepdims=True)
    if name == "rms":
        mean, variance = 0, (inputs**2).mean(-1, keepdims=True)
    expected = (inputs - mean) / np.sqrt(variance + epsilon)
    if name in ("group", "instance"):
        expected = grouped(inputs, 1 if name == "group" else shape[-1], epsilon)
    settings = {} if epsilon == EPSILON else {"normalization_epsilon": epsilon}
    outputs = normalizer(name, shape, **settings)(inputs, training=True)
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
def test_momentum(momentum):
    """Moving statistics keep the share normalization_momentum of what they were."""
    inputs = examples((6,))
    model = normalizer("batch", (6,), normalization_momentum=momentum)
    model(inputs, training=True)
    layer = model.layers[-1]
    np.testing.assert_allclose(layer.moving_mean, (1 - momentum) * inputs.mean(0), rtol=1e-3)
    np.testing.assert_allclose(layer.moving_variance, momentum + (1 - momentum) * inputs.var(0, ddof=1), rtol=1e-3)


@given(channels=st.integers(1, 300), size=st.integers(1, 400), least=st.integers(1, 3))
def test_group_count_is_nearest(channels, size, least):
    """Groups are of one size, and no size that divides the channels is nearer as a ratio to what was asked for."""
    groups = group_count(channels, size, least)
    assert channels % groups == 0
    assert channels // groups >= min(least, channels)
    found = abs(np.log(channels / groups / size))
    for divisor in (number for number in range(min(least, channels), channels + 1) if channels % number == 0):
        assert found <= abs(np.log(divisor / size)) + 1e-12


@given(groups=st.integers(1, 50), size=st.integers(1, 50))
def test_group_count_where_it_divides(groups, size):
    """A size that divides the channels is kept."""
    assert group_count(groups * size, size) == groups


@pytest.mark.parametrize(("channels", "size", "groups"), [(16, 8, 2), (84, 8, 12), (5, 8, 1), (4, 2, 2), (2, 100, 1)])
def test_group_count_known_answers(channels, size, groups):
    """The examples of the explanation, and more groups than one only where there are channels enough."""
    assert group_count(channels, size) == groups


NARROW = [(name, shape) for name in ("layer", "group") for shape in [(1,), (2,), (1, 1, 2), (1, 2, 1)]]
NARROW += [("instance", (1, 1, 5)), ("instance", (2, 1, 5)), ("rms", (1,)), ("rms", (4, 3, 1))]


@pytest.mark.parametrize(("name", "shape"), NARROW)
def test_too_few_numbers_are_not_normalized_together(name, shape):
    """One number becomes 0, two become 1 and -1, and 1 or -1 by their root mean square: no gradient would pass."""
    with pytest.raises(zoo.SettingError, match=r"no gradient passes features, .* by [12]\n"):
        normalizer(name, shape)


def test_where_too_few_numbers_are_normalized_is_told():
    """An image that became one pixel on the way is refused with the place in the network."""
    with pytest.raises(zoo.SettingError, match="passes stage_3_block_1_convolution_1, where"):
        zoo.build_model(zoo.ResNetConfig(depth=8, width=2, normalization="instance"), (4, 4, 1), 2, seed=0)


NORMALIZED = [(name, (channels,)) for name in ("layer", "group", "rms") for channels in (3, 4, 67, 134)]
NORMALIZED += [("group", (1, 1, 67)), ("group", (1, 2, 67)), ("instance", (1, 3, 5)), ("rms", (2,)), ("rms", (3, 3, 2))]


@pytest.mark.parametrize(("name", "shape"), NORMALIZED)
@pytest.mark.parametrize("size", [1, 8])
def test_what_is_normalized_depends_on_what_went_in(name, shape, size):
    """A move of an input by a tenth moves some output by a hundredth, also where units are a prime number."""
    settings = {"normalization_group_size": size} if name == "group" else {}
    model, inputs = normalizer(name, shape, **settings), examples(shape)
    moved = inputs.copy()
    moved.reshape(len(inputs), -1)[:, 0] += 0.1 * np.abs(inputs).max()
    change = np.abs(np.asarray(model(moved)) - np.asarray(model(inputs))).reshape(len(inputs), -1).max(1)
    assert np.median(change) > 0.01


def test_rows_are_complete():
    """Each row explains itself to people and names its source."""
    assert all(row.explanation.strip() and row.source.strip() for row in NORMALIZATIONS.values())
    assert all(text.strip() for text in (NORMALIZATION_PLACES | NORMALIZATION_VARIANCES).values())
