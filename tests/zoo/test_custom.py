"""The zoo's own Keras classes against formulas in NumPy, and through a file."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import zoo
from zoo.custom import CentredIdentity, DeltaOrthogonal, ScalarBias, ScalarScale, TransformedConv2D, TransformedDense


def standardized(kernel):
    """Qiao et al. 2019, equation 10: each unit's weights get mean 0 and variance 1."""
    axes = tuple(range(kernel.ndim - 1))
    return (kernel - kernel.mean(axes)) / kernel.std(axes)


def built(layer, shape):
    model = keras.Sequential([keras.Input(shape), layer])
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        # A mean far from zero and another size for each unit.
        values = generator.normal(1, size=variable.shape) * np.arange(1, variable.shape[-1] + 1)
        variable.assign(values)
    return model


def dense(**settings):
    return built(TransformedDense(4, **{"standardize": False, "drop_connect": 0.0} | settings), (6,))


def convolution(**settings):
    layer = TransformedConv2D(4, 3, padding="same", **{"standardize": False, "drop_connect": 0.0} | settings)
    return built(layer, (5, 5, 3))


def plain(model, kernel, inputs):
    """Apply Keras's own layer with another kernel."""
    layer = model.layers[0]
    kind = keras.layers.Dense if isinstance(layer, TransformedDense) else keras.layers.Conv2D
    arguments = (4,) if kind is keras.layers.Dense else (4, 3)
    keywords = {} if kind is keras.layers.Dense else {"padding": "same"}
    same = kind(*arguments, **keywords)
    same.build(inputs.shape)
    same.set_weights([kernel, np.asarray(layer.bias)])
    return np.asarray(same(inputs))


def examples(model, number=5):
    return np.random.default_rng(1).normal(size=(number, *model.input_shape[1:])).astype("float32")


@pytest.mark.parametrize("make", [dense, convolution])
def test_nothing_asked_for_changes_nothing(make):
    """Without standardization and drop-connect the layers are Keras's own, bias included."""
    model = make()
    inputs = examples(model)
    kernel = np.asarray(model.layers[0].kernel)
    for training in (False, True):
        np.testing.assert_allclose(model(inputs, training=training), plain(model, kernel, inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", [dense, convolution])
def test_weight_standardization(make, training):
    """The kernel meets the inputs with mean 0 and variance 1 for each unit; what is stored stays as it is."""
    model = make(standardize=True)
    inputs, kernel = examples(model), np.asarray(model.layers[0].kernel)
    expected = plain(model, standardized(kernel.astype("float64")), inputs)
    np.testing.assert_allclose(model(inputs, training=training), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)


def test_standardization_of_equal_weights_has_a_finite_gradient():
    """Where all weights of a unit are equal, they count as zero, and the gradient is finite."""
    import tensorflow as tf

    model = dense(standardize=True)
    model.layers[0].kernel.assign(np.full((6, 4), 0.3))
    with tf.GradientTape() as tape:
        outputs = model(examples(model))
    np.testing.assert_allclose(outputs, np.broadcast_to(model.layers[0].bias, (5, 4)), atol=1e-1)
    assert np.isfinite(tape.gradient(outputs, model.layers[0].kernel.value)).all()


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_drop_connect_drops_weights(rate):
    """In training that share of weights is zero for the whole batch, and the others grow by 1 / (1 - rate)."""
    layer = TransformedDense(
        50, use_bias=False, standardize=False, drop_connect=rate, seed=3, kernel_initializer="ones"
    )
    model = keras.Sequential([keras.Input((200,)), layer])
    used = np.asarray(model(np.eye(200, dtype="float32"), training=True))
    assert np.mean(used == 0) == pytest.approx(rate, abs=0.02)
    np.testing.assert_allclose(used[used != 0], 1 / (1 - rate), rtol=1e-5)
    # Neither whole units nor whole inputs.
    assert 0 < (used == 0).mean(0).min() < (used == 0).mean(0).max() < 1
    assert 0 < (used == 0).mean(1).min() < (used == 0).mean(1).max() < 1
    alike = np.asarray(model(np.ones((4, 200), "float32"), training=True))
    np.testing.assert_allclose(alike, np.broadcast_to(alike[:1], alike.shape), rtol=1e-5)


@pytest.mark.parametrize("make", [dense, convolution])
def test_drop_connect_in_the_mean_and_in_inference(make):
    """In inference all weights are used, and the mean of many draws in training is the same."""
    model = make(drop_connect=0.3, seed=1)
    inputs = examples(model, 2)
    exact = plain(model, np.asarray(model.layers[0].kernel), inputs)
    np.testing.assert_allclose(model(inputs, training=False), exact, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model(inputs), exact, rtol=1e-4, atol=1e-4)
    drawn = np.array([np.asarray(model(inputs, training=True)) for _ in range(400)])
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (error > 0).all()
    assert np.sqrt(np.mean(((drawn.mean(0) - exact) / error) ** 2)) < 1.3


def test_drop_connect_follows_its_seed():
    """The same seed drops the same weights, call by call; the next call and another seed drop others."""
    inputs = np.eye(6, dtype="float32")
    first, again, other = (dense(drop_connect=0.5, seed=seed) for seed in (1, 1, 2))
    draws = [np.asarray(model(inputs, training=True)) for model in (first, again, other, first, again)]
    np.testing.assert_array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(draws[3], draws[4])
    assert (draws[0] != draws[2]).any()
    assert (draws[0] != draws[3]).any()


def test_dropped_weights_are_standardized_before():
    """With both, weights are standardized first: those that stay are the standardized ones times 1 / (1 - rate)."""
    model = dense(standardize=True, drop_connect=0.5, seed=1)
    layer = model.layers[0]
    used = np.asarray(model(np.eye(6, dtype="float32"), training=True)) - np.asarray(layer.bias)
    full = 2 * standardized(np.asarray(layer.kernel, "float64"))
    dropped = np.abs(used) < 1e-4
    assert 0 < dropped.sum() < dropped.size
    np.testing.assert_allclose(used[~dropped], full[~dropped], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        zoo.MLPConfig(depth=2, width=4, drop_connect=0.5, weight_standardization=True),
        zoo.ResNetConfig(depth=8, width=2, drop_connect=0.5, weight_standardization=True),
        zoo.LeNetConfig(drop_connect=0.5, weight_standardization=True),
    ],
)
def test_models_transform_every_hidden_kernel_and_not_the_head(config):
    """Every hidden weight layer has both, with the config's rate and a seed of its own; the head has neither."""
    model = zoo.build_model(config, (8, 8, 3), 2, seed=0)
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel_initializer")]
    *hidden, head = kernels
    assert type(head) is keras.layers.Dense
    assert all(isinstance(layer, TransformedDense | TransformedConv2D) for layer in hidden)
    assert {(layer.standardize, layer.drop_connect) for layer in hidden} == {(True, 0.5)}
    assert len({layer.seed for layer in hidden}) == len(hidden)


@pytest.mark.parametrize(
    ("layer", "start", "expected"),
    [
        (ScalarBias, 0.0, lambda x, value: x + value),
        (ScalarScale, 1.0, lambda x, value: x * value),
    ],
)
@pytest.mark.parametrize("shape", [(3,), (4, 4, 2)])
def test_single_learned_numbers(layer, start, expected, shape):
    """Both hold one number, which changes nothing at first and is added to or multiplied with everything later."""
    model = keras.Sequential([keras.Input(shape), layer()])
    (number,) = model.trainable_variables
    assert number.shape == ()
    inputs = np.random.default_rng(0).normal(size=(5, *shape)).astype("float32")
    np.testing.assert_array_equal(model(inputs), inputs)
    assert float(number) == start
    number.assign(-2.5)
    np.testing.assert_allclose(model(inputs), expected(inputs, -2.5), rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        TransformedDense(
            3, standardize=True, drop_connect=0.25, seed=7, kernel_initializer=DeltaOrthogonal(1.5, seed=2)
        ),
        TransformedDense(3, standardize=False, drop_connect=0.0, kernel_initializer=CentredIdentity(0.5)),
        TransformedConv2D(3, 3, standardize=True, drop_connect=0.5, seed=1, strides=2),
        ScalarBias(name="a"),
        ScalarScale(name="b"),
    ],
)
def test_configs_make_the_same_again(layer):
    """What a class writes into a file makes it again, by its registered name, with all that it was given."""
    written = keras.saving.serialize_keras_object(layer)
    assert written["registered_name"] == f"zoo>{type(layer).__name__}"
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
