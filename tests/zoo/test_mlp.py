"""The multilayer perceptron against an independent forward pass in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from tools.fidelity.net_references import Perceptron


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("place", ["before_activation", "after_activation"])
@pytest.mark.parametrize("skip", ["none", "identity", "projection"])
@pytest.mark.parametrize("width", [4, 6, 9, (8, 5, 5), (4, 7, 9)])
def test_forward_pass(normalization, place, skip, width, randomize):
    """Logits agree with the reference where layers are as wide as their 6 inputs, narrower and wider."""
    config = zoo.MLPConfig(
        depth=3,
        width=width,
        activation="tanh",
        normalization=normalization,
        normalization_place="before_activation" if normalization == "none" else place,
        skip_connections=skip,
        dropout=0.5,
    )
    model = randomize(zoo.build_model(config, (2, 3, 1), 3, seed=0))
    inputs = np.random.default_rng(1).normal(size=(5, 2, 3, 1)).astype("float32")
    np.testing.assert_allclose(model(inputs), Perceptron(model, config).logits(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [0, 1])
def test_shallow_networks(depth, randomize):
    """Depth 0 is one linear layer of logits, depth 1 has one hidden layer before it; features need no flattening."""
    config = zoo.MLPConfig(depth=1, width=4, activation="tanh") if depth else zoo.MLPConfig(depth=0)
    model = randomize(zoo.build_model(config, (6,), 3, seed=0))
    inputs = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")
    np.testing.assert_allclose(model(inputs), Perceptron(model, config).logits(inputs), rtol=1e-4, atol=1e-5)


def test_dropout_follows_every_hidden_layer():
    """Dropout stands behind the activation of each hidden layer, its output feeding the next dense layer."""
    model = zoo.build_model(zoo.MLPConfig(depth=3, width=4, dropout=0.3), (6,), 2, seed=0)
    for index, successor in ((1, "hidden_2_dense"), (2, "hidden_3_dense"), (3, "head")):
        dropout = model.get_layer(f"hidden_{index}_dropout")
        assert dropout.rate == 0.3
        assert dropout.input is model.get_layer(f"hidden_{index}_activation").output
        assert model.get_layer(successor).input is dropout.output


@pytest.mark.parametrize(
    ("skip", "added"),
    [("none", []), ("identity", [1, 2, 4]), ("projection", [1, 2, 3, 4])],
)
def test_where_shortcuts_are(skip, added):
    """Identity shortcuts skip layers that are no narrower than their inputs, projections all; none has a bias."""
    config = zoo.MLPConfig(depth=4, width=[6, 8, 5, 5], skip_connections=skip)
    model = zoo.build_model(config, (6,), 2, seed=0)
    names = [layer.name for layer in model.layers]
    assert [name for name in names if name.endswith("_add")] == [f"hidden_{index}_add" for index in added]
    projections = [layer for layer in model.layers if layer.name.endswith("_projection")]
    assert [layer.name for layer in projections] == (
        ["hidden_2_projection", "hidden_3_projection"] if skip == "projection" else []
    )
    assert not any(layer.use_bias for layer in projections)


def test_stochastic_depth_grows_linearly():
    """The l-th of L hidden layers is skipped with chance l / L of the last one's: Huang et al. 2016, equation 4."""
    config = zoo.MLPConfig(depth=4, width=6, skip_connections="identity", stochastic_depth=0.6)
    model = zoo.build_model(config, (6,), 2, seed=0)
    rates = [layer.rate for layer in model.layers if layer.name.endswith("_stochastic_depth")]
    assert rates == pytest.approx([0.15, 0.3, 0.45, 0.6])
    assert zoo.audit_model(model).branch_drop_rates == pytest.approx((0.15, 0.3, 0.45, 0.6))
    assert zoo.audit_model(model).dropout_rates == frozenset()


def test_skipped_layers_are_their_shortcut():
    """In training an example's layer is either skipped, its output its input, or doubled at a chance of one half."""
    config = zoo.MLPConfig(depth=1, width=6, skip_connections="identity", stochastic_depth=0.5)
    model = zoo.build_model(config, (6,), 2, seed=0)
    layer = model.get_layer("hidden_1_add")
    probe = type(model)(model.input, [layer.output, model.get_layer("hidden_1_activation").output])
    inputs = np.random.default_rng(0).normal(size=(400, 6)).astype("float32")
    outputs, branch = map(np.asarray, probe(inputs, training=True))
    alive = branch.any(1)
    skipped = (np.abs(outputs - inputs) < 1e-6).all(1)
    doubled = (np.abs(outputs - inputs - 2 * branch) < 1e-4).all(1)
    assert (skipped | doubled).all()
    assert skipped[alive].mean() == pytest.approx(0.5, abs=0.1)
    outputs, branch = map(np.asarray, probe(inputs, training=False))
    np.testing.assert_allclose(outputs, inputs + branch, rtol=1e-5, atol=1e-5)
