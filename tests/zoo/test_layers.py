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
        ("batch", "before_activation", False),
        ("batch", "after_activation", True),
        ("layer", "before_activation", False),
        ("layer", "after_activation", True),
        ("group", "before_activation", False),
        ("rms", "before_activation", True),
        ("rms", "after_activation", True),
    ],
)
def test_bias_only_where_no_offset_follows_at_once(normalization, place, has_bias):
    """A convolution and a hidden dense layer have a bias except directly before an offset; the head always."""
    settings = {"normalization": normalization, "normalization_place": place}
    resnet = zoo.build_model(zoo.ResNetConfig(depth=8, width=2, **settings), (4, 4, 1), 2, seed=0)
    mlp = zoo.build_model(zoo.MLPConfig(depth=2, width=3, **settings), (4,), 2, seed=0)
    for model in (resnet, mlp):
        biases = {layer.name: layer.use_bias for layer in model.layers if hasattr(layer, "use_bias")}
        assert biases.pop("head") is True
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
    assert len(applied(lambda inputs: maker().drop(inputs, "a", 0.0), (4,)).layers) == 1


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_dropout(rate):
    """In training that share of units is zero and the others are scaled up; in inference nothing happens."""
    model = applied(lambda inputs: maker().drop(inputs, "a", rate), (10_000,))
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


@pytest.mark.parametrize("kind", ["units", "channels"])
def test_kinds_of_dropout(kind):
    """Spatial dropout drops all positions of a channel together, dropout of units each by itself."""
    model = applied(lambda inputs: maker().drop(inputs, "a", 0.4, kind=kind), (5, 5, 400))
    dropped = np.asarray(model(np.ones((2, 5, 5, 400), "float32"), training=True)) == 0
    assert dropped.mean() == pytest.approx(0.4, abs=0.06)
    together = dropped.all((1, 2)) | ~dropped.any((1, 2))
    assert together.all() if kind == "channels" else not together.any()


@pytest.mark.parametrize("shape", [(6,), (4, 3, 5)])
def test_branch_dropout(shape):
    """Stochastic depth drops all of an example's branch or nothing; what stays is divided by 1 - rate."""
    model = applied(lambda inputs: maker().drop_branch(inputs, "a", 0.3), shape)
    inputs = np.random.default_rng(0).uniform(1, 2, size=(2000, *shape)).astype("float32")
    ratio = (np.asarray(model(inputs, training=True)) / inputs).reshape(2000, -1)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-4)
    kept = ratio[:, 0] != 0
    assert 1 - kept.mean() == pytest.approx(0.3, abs=0.04)
    np.testing.assert_allclose(ratio[kept], 1 / 0.7, rtol=1e-4)
    np.testing.assert_array_equal(model(inputs, training=False), inputs)


def test_no_branch_dropout_no_layer():
    """A rate of zero inserts nothing, and without Fixup no number is added."""
    assert len(applied(lambda inputs: maker().drop_branch(inputs, "a", 0.0), (4,)).layers) == 1
    assert len(applied(lambda inputs: maker().shift(inputs, "a"), (4,)).layers) == 1


FAMILIES = {
    "mlp": zoo.MLPConfig(depth=2, width=5, activation="prelu", normalization="batch"),
    "lenet": zoo.LeNetConfig(normalization="batch"),
    "resnet": zoo.ResNetConfig(depth=8, width=3, activation="prelu", squeeze_excitation=1),
}


def built(family, **values):
    return zoo.build_model(FAMILIES[family].changed(**values), (8, 8, 2), 3, seed=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_input_dropout_and_hidden_dropout(family):
    """Input dropout acts on the inputs alone, dropout on hidden features alone, each with its own rate."""
    model = built(family, input_dropout=0.2, dropout=0.5)
    drops = {layer.name: layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    first = drops.pop("inputs_dropout")
    assert first.rate == 0.2
    assert first.input is model.inputs[0]
    assert drops
    assert all(layer.rate == 0.5 and layer.input is not model.inputs[0] for layer in drops.values())
    assert len({layer.seed for layer in [first, *drops.values()]}) == len(drops) + 1
    consumers = [layer for layer in model.layers if getattr(layer, "input", None) is model.inputs[0]]
    assert [layer for layer in consumers if not isinstance(layer, keras.layers.InputLayer)] == [first]


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.0, 0.01), (0.2, 0.03)])
@pytest.mark.parametrize("family", FAMILIES)
def test_penalties(family, l1, l2, randomize):
    """The penalty is l1 sum |w| + l2 sum w^2 over the kernels that map features, head included; nothing else counts."""
    model = randomize(built(family, l1=l1, l2=l2))
    weights = [np.asarray(layer.kernel, "float64") for layer in model.layers if hasattr(layer, "kernel_initializer")]
    expected = sum(l1 * np.abs(kernel).sum() + l2 * np.square(kernel).sum() for kernel in weights)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_penalty_no_limit(family):
    """By default nothing is penalized and nothing limited."""
    model = built(family)
    assert model.losses == []
    assert all(variable.constraint is None for variable in model.trainable_variables)


@pytest.mark.parametrize("transformed", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_max_norm(family, transformed, randomize):
    """After a step, the weights into each hidden unit are no longer than max_norm; the head's are free."""
    model = randomize(built(family, max_norm=0.7, drop_connect=0.3 if transformed else 0.0))
    before = {layer.name: np.asarray(layer.kernel) for layer in model.layers if hasattr(layer, "kernel_initializer")}
    optimizer = keras.optimizers.SGD(0.0)
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.zeros(variable.shape) for variable in model.trainable_variables])
    assert len(before) > 2
    for name, kernel in before.items():
        length = np.sqrt(np.square(kernel).sum(tuple(range(kernel.ndim - 1))))
        expected = kernel if name == "head" else kernel * np.minimum(1, 0.7 / length)
        np.testing.assert_allclose(model.get_layer(name).kernel, expected, rtol=1e-4, atol=1e-6)
    lengths = [np.sqrt(np.square(kernel).sum(tuple(range(kernel.ndim - 1)))) for kernel in before.values()]
    assert (np.concatenate(lengths) > 0.7).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_initial_bias(family):
    """Biases of hidden layers start at initial_bias, the head's and those of LeNet's subsampling at zero."""
    found = {}
    for layer in built(family, normalization="none", initial_bias=0.25).layers:
        if getattr(layer, "bias", None) is not None:
            found.setdefault(hasattr(layer, "kernel_initializer") and layer.name != "head", []).append(layer)
    for hidden, layers in found.items():
        for layer in layers:
            np.testing.assert_array_equal(layer.bias, np.full(layer.bias.shape, 0.25 if hidden else 0.0))
    assert len(found[True]) > 1
    assert len(found[False]) == (3 if family == "lenet" else 1)


def test_squeeze_and_excitation(randomize):
    """Channels are scaled by sigmoid(W2 f(W1 m)), m their means over positions: Hu et al. 2018, equations 2 to 4."""
    layers = maker(activation="tanh")
    model = randomize(applied(lambda inputs: layers.squeeze_and_excite(inputs, 2, "a"), (4, 3, 6)))
    inputs = np.random.default_rng(0).normal(size=(5, 4, 3, 6)).astype("float32")
    (w1, b1), (w2, b2) = (model.get_layer(name).get_weights() for name in ("a_squeeze", "a_excitation"))
    assert w1.shape == (6, 3)
    gate = 1 / (1 + np.exp(-(np.tanh(inputs.mean((1, 2)) @ w1 + b1) @ w2 + b2)))
    np.testing.assert_allclose(model(inputs), inputs * gate[:, None, None], rtol=1e-4, atol=1e-5)


def test_squeeze_keeps_one_unit():
    """A reduction by more than the channels leaves one unit."""
    model = applied(lambda inputs: maker().squeeze_and_excite(inputs, 16, "a"), (4, 4, 6))
    assert model.get_layer("a_squeeze").kernel.shape == (6, 1)


def test_weight_standardization_refuses_single_weights():
    """A unit of one weight would be standardized to zero: it is refused, with the layer's name."""
    with pytest.raises(zoo.SettingError, match="the units of hidden_1_dense have one weight each"):
        zoo.build_model(zoo.MLPConfig(weight_standardization=True), (1,), 2, seed=0)
    config = zoo.ResNetConfig(depth=11, block="bottleneck", width=1, weight_standardization=True)
    with pytest.raises(zoo.SettingError, match="the units of stage_1_block_1_convolution_1 have one weight each"):
        zoo.build_model(config, (8, 8, 3), 2, seed=0)
    assert zoo.build_model(zoo.MLPConfig(weight_standardization=True), (2,), 2, seed=0)


def test_scale_channels():
    """LeNet's subsampling has one factor, one at first, and one offset, zero at first, for each map."""
    model = applied(lambda inputs: maker().scale_channels(inputs, "a"), (4, 4, 3))
    image = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(model(image), image, rtol=1e-6)
    layer = model.get_layer("a")
    layer.set_weights([np.reshape([2.0, 3.0, 4.0], layer.kernel.shape), np.array([1.0, 0.0, -1.0])])
    np.testing.assert_allclose(model(image), image * [2, 3, 4] + [1, 0, -1], rtol=1e-5, atol=1e-5)
