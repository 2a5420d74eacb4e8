"""Fused batch normalization against Keras's own layer."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from benchmarks.training.fused import FusedBatchNormalization, with_fused_normalization

IMAGES = np.random.default_rng(3).normal(2, 5, (6, 8, 8, 3)).astype(np.float32)


def both(**settings):
    """A network of the zoo and the same with its normalization fused, all weights away from where they start."""
    plain = zoo.create_model("resnet8", input_shape=(8, 8, 3), seed=1, **settings)
    generator = np.random.default_rng(2)
    plain.set_weights([value + generator.uniform(0.1, 0.5, value.shape) for value in plain.get_weights()])
    return plain, with_fused_normalization(plain)


def trained_on(model):
    """What a training call gives: outputs, gradients of the weights, and the moving averages after it."""
    with tf.GradientTape() as tape:
        outputs = model(tf.constant(IMAGES), training=True)
        loss = tf.reduce_sum(outputs**2)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    averages = {
        each.path: np.asarray(each) for each in model.non_trainable_variables if each.path.split("/")[-1] != "seed"
    }
    return np.asarray(outputs), dict(zip([v.path for v in model.trainable_variables], gradients, strict=True)), averages


@pytest.mark.parametrize(
    "settings",
    [{}, {"block_order": "pre_activation"}, {"normalization_momentum": 0.7}, {"normalization_variance": "biased"}],
    ids=str,
)
def test_equals_kerass_own_layer(settings):
    """Outputs, gradients and moving averages agree, and so does evaluation afterwards."""
    plain, fused = both(**settings)
    assert sum(type(layer) is FusedBatchNormalization for layer in fused.layers) == 7
    outputs, gradients, averages = trained_on(plain)
    fused_outputs, fused_gradients, fused_averages = trained_on(fused)
    np.testing.assert_allclose(fused_outputs, outputs, rtol=1e-4, atol=1e-4)
    assert list(fused_averages) == list(averages)
    assert any("moving_variance" in path for path in averages)
    for path, values in averages.items():
        np.testing.assert_allclose(fused_averages[path], values, rtol=1e-4, atol=1e-5, err_msg=path)
    assert list(fused_gradients) == list(gradients)
    scale = max(float(tf.reduce_max(tf.abs(each))) for each in gradients.values())
    for path, values in gradients.items():
        np.testing.assert_allclose(fused_gradients[path], values, rtol=1e-3, atol=1e-5 * scale, err_msg=path)
    np.testing.assert_allclose(fused(IMAGES), plain(IMAGES), rtol=1e-4, atol=1e-4)


def test_values_and_paths_stay():
    """Gains that start at zero, drawn kernels and the states of dropout are those of the given model."""
    plain = zoo.create_model("resnet8", input_shape=(8, 8, 3), residual_start="zero_gamma", dropout=0.1, seed=4)
    fused = with_fused_normalization(plain)
    # Keras numbers the generators of a process, whatever model they are in.
    paths, fused_paths = (
        [re.sub(r"seed_generator_\d+", "seed_generator", each.path) for each in model.variables]
        for model in (plain, fused)
    )
    assert fused_paths == paths
    for ours, theirs in zip(fused.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)
    assert any(not np.asarray(each).any() for each in fused.trainable_variables if each.path.endswith("gamma"))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(lambda: zoo.create_model("resnet8", input_shape=(8, 8, 3), normalization="group"), id="group"),
        pytest.param(lambda: zoo.create_model("mlp_small", normalization="batch"), id="dense"),
        pytest.param(
            lambda: keras.Sequential([keras.Input((4, 4, 2)), keras.layers.BatchNormalization(center=False)]),
            id="no offset",
        ),
    ],
)
def test_others_stay_as_they_are(model):
    """What the kernel does not know is left to Keras."""
    made = model()
    assert with_fused_normalization(made) is made
