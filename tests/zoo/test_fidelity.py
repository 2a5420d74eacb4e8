"""The large networks against keras.applications, weight for weight, and the deepest ones on disk."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest

import zoo
from tools.fidelity import initializers, nets
from tools.fidelity.keras_applications import theirs_and_ours
from tools.fidelity.nets import relative_difference
from zoo.initializers import INITIALIZERS
from zoo.variants import VARIANTS


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
        ("resnet50", 64),
        pytest.param("resnet50", 224, marks=pytest.mark.night),
        pytest.param("resnet101", 64, marks=pytest.mark.night),
    ],
)
def test_same_as_keras_applications(name, side):
    """With the same arbitrary weights, features after each stage and logits are those of keras.applications."""
    theirs, ours = theirs_and_ours(name, side)
    layout = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}[name]
    pairs = [
        (f"conv{stage + 1}_block{count}_out", f"stage_{stage}_block_{count}_convolution_3_activation")
        for stage, count in enumerate(layout, start=1)
    ]
    assert_same(theirs, ours, [("pool1_pool", "stem_pooling"), *pairs], side)


@pytest.mark.parametrize("side", [97, 64, pytest.param(224, marks=pytest.mark.night)])
def test_same_as_second_version_of_keras_applications(side):
    """The same of the pre-activation network; all biases but the stem's, which cannot be expressed, are arbitrary."""
    theirs, ours = theirs_and_ours("resnet50_v2", side)
    # The activated inputs of each stage, which biases that were carried wrongly would shift.
    pairs = [
        (f"conv{stage + 1}_block1_preact_relu", f"stage_{stage}_block_1_convolution_1_activation")
        for stage in (1, 2, 3, 4)
    ]
    assert_same(theirs, ours, [("pool1_pool", "stem_pooling"), *pairs, ("post_relu", "final_activation")], side)


def test_initializers_are_those_of_their_sources():
    """Every row of the table draws what its source's formula says, to rounding in double precision."""
    found = list(initializers.rows())
    assert [row.name for row in found if row.difference > 1e-7] == []
    assert {row.name for row in found} >= set(INITIALIZERS)


@pytest.mark.parametrize("name", ["linear", "mlp_dropout", "mlp_residual", "lenet5", "preact_resnet8", "se_resnet20"])
def test_networks_are_those_of_their_papers(name):
    """A variant computes what the paper's arithmetic does from the same weights, and has the size that is known."""
    for row in nets.rows([name]):
        # Keras holds the 2 / 3 and 1.7159 of LeNet-5's tanh in single precision.
        precise = 1e-7 if name == "lenet5" else 1e-12
        assert row.difference < (0.02 if row.kind == "printed size of" else precise), row


@pytest.mark.night
@pytest.mark.parametrize("name", VARIANTS)
def test_all_networks_are_those_of_their_papers(name):
    """The same of every variant, and of those that keras.applications has."""
    test_networks_are_those_of_their_papers(name)


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
