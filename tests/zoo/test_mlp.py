"""The multilayer perceptron against an independent forward pass in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import zoo


def reference(model, config, inputs):
    """Compute the logits in float64 from the model's weights and the description in `MLPConfig`'s docstring."""

    def weights(name):
        return [value.astype("float64") for value in model.get_layer(name).get_weights()]

    def normalized(values, name):
        if config.normalization == "none":
            return values
        if config.normalization == "batch":
            gain, offset, mean, variance = weights(f"{name}_normalization")
        else:
            gain, offset = weights(f"{name}_normalization")
            mean, variance = values.mean(1, keepdims=True), values.var(1, keepdims=True)
        return gain * (values - mean) / np.sqrt(variance + 1e-5) + offset

    features = inputs.reshape(len(inputs), -1).astype("float64")
    for index in range(1, config.depth + 1):
        name = f"hidden_{index}"
        kernel, *bias = weights(f"{name}_dense")
        hidden = features @ kernel + (bias[0] if bias else 0)
        if config.normalization_place == "before_activation":
            hidden = np.tanh(normalized(hidden, name))
        else:
            hidden = normalized(np.tanh(hidden), name)
        if config.skip_connections and hidden.shape == features.shape:
            hidden = hidden + features
        features = hidden
    kernel, bias = weights("logits")
    return features @ kernel + bias


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("place", ["before_activation", "after_activation"])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("width", [4, 6])
def test_forward_pass(normalization, place, skip, width, randomize):
    """Logits agree with the reference, with skips around all layers (6 inputs, 6 units) or all but the first."""
    config = zoo.MLPConfig(
        depth=3,
        width=width,
        activation="tanh",
        normalization=normalization,
        normalization_place=place,
        skip_connections=skip,
        dropout=0.5,
    )
    model = randomize(zoo.build_model(config, (2, 3, 1), 3, seed=0))
    inputs = np.random.default_rng(1).normal(size=(5, 2, 3, 1)).astype("float32")
    np.testing.assert_allclose(model(inputs), reference(model, config, inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [0, 1])
def test_shallow_networks(depth, randomize):
    """Depth 0 is one linear layer of logits, depth 1 has one hidden layer before it; features need no flattening."""
    config = zoo.MLPConfig(depth=depth, width=4, activation="tanh")
    model = randomize(zoo.build_model(config, (6,), 3, seed=0))
    inputs = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")
    np.testing.assert_allclose(model(inputs), reference(model, config, inputs), rtol=1e-4, atol=1e-5)


def test_dropout_follows_every_hidden_layer():
    """Dropout stands behind the activation of each hidden layer, its output feeding the next dense layer."""
    model = zoo.build_model(zoo.MLPConfig(depth=3, width=4, dropout=0.3), (6,), 2, seed=0)
    for index, successor in ((1, "hidden_2_dense"), (2, "hidden_3_dense"), (3, "logits")):
        dropout = model.get_layer(f"hidden_{index}_dropout")
        assert dropout.rate == 0.3
        assert dropout.input is model.get_layer(f"hidden_{index}_activation").output
        assert model.get_layer(successor).input is dropout.output
