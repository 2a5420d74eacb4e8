"""Heads: how many outputs a network has, and what is done to them."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.heads import HEADS, output_units

FORMULAS = {
    "logits": lambda x: x,
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    "binary_logit": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "regression": lambda x: x,
}
BINARY = {"binary_logit", "sigmoid"}
CONFIGS = {
    "mlp": zoo.MLPConfig(depth=1, width=4, activation="tanh"),
    "lenet": zoo.LeNetConfig(),
    "resnet": zoo.ResNetConfig(depth=8, width=2),
}


def test_every_head_has_a_formula_here():
    """A new row of the table needs its formula in this file, and each row explains itself."""
    assert set(FORMULAS) == set(HEADS)
    assert all(row.explanation.strip() for row in HEADS.values())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", CONFIGS)
def test_outputs(head, family, randomize):
    """The outputs are the formula of a linear layer on the last features, and the audit names what is applied."""
    classes = 2 if head in BINARY else 3
    model = randomize(zoo.build_model(CONFIGS[family], (8, 8, 1), classes, seed=0, head=head))
    layer = model.get_layer("head")
    probe = type(model)(model.input, [layer.input, model.output])
    features, outputs = map(np.asarray, probe(np.random.default_rng(0).normal(size=(5, 8, 8, 1)).astype("float32")))
    expected = FORMULAS[head](features @ np.asarray(layer.kernel) + np.asarray(layer.bias))
    assert outputs.shape == (5, 1 if head in BINARY else 3)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    applied = {"softmax": "softmax", "sigmoid": "sigmoid"}.get(head, "linear")
    audit = zoo.audit_model(model)
    assert audit.head_activation == applied
    assert audit.activations == {"mlp": {"tanh"}, "lenet": {"tanh"}, "resnet": {"relu"}}[family]


@pytest.mark.parametrize(
    ("head", "classes", "units"),
    [
        ("logits", 1, 1),
        ("logits", 7, 7),
        ("softmax", 2, 2),
        ("regression", 1, 1),
        ("regression", 4, 4),
        ("binary_logit", 1, 1),
        ("binary_logit", 2, 1),
        ("sigmoid", 1, 1),
        ("sigmoid", 2, 1),
    ],
)
def test_number_of_outputs(head, classes, units):
    """One output a class or target; a binary head has one, whether one or two is asked for."""
    assert output_units(head, classes) == units
    assert zoo.build_model(CONFIGS["mlp"], (3,), classes, seed=0, head=head).output_shape == (None, units)


@pytest.mark.parametrize(
    ("head", "classes", "path", "given_text", "allowed"),
    [
        ("logit", 2, "head", "logit", ", ".join(HEADS)),
        ("logits", 0, "num_classes", "0", "a whole number from 1 to 10000000"),
        ("sigmoid", 0, "num_classes", "0", "a whole number from 1 to 10000000"),
        ("regression", -1, "num_classes", "-1", "a whole number from 1 to 10000000"),
        ("sigmoid", 3, "num_classes", "3", "2"),
        ("binary_logit", 10, "num_classes", "10", "2"),
    ],
)
@pytest.mark.parametrize("family", CONFIGS)
def test_refusals(family, head, classes, path, given_text, allowed):
    """No unknown head, no model without output, and no binary head for more than two classes."""
    with pytest.raises(zoo.SettingError) as caught:
        zoo.build_model(CONFIGS[family], (8, 8, 1), classes, seed=0, head=head)
    (problem,) = caught.value.problems
    assert (problem.path, problem.given, problem.allowed) == (path, given_text, allowed)
    assert problem.nearest == ("logits" if head == "logit" else None)


@pytest.mark.parametrize(
    ("head", "outputs"), [("logits", 10), ("softmax", 10), ("binary_logit", 1), ("sigmoid", 1), ("regression", 1)]
)
def test_default_number_of_outputs_of_a_variant(head, outputs):
    """A named model has the classes of its publication where the head has classes, and else one output."""
    assert zoo.create_model("mlp_small", head=head).output_shape == (None, outputs)


def test_heads_keep_the_hidden_weights():
    """The head decides nothing about the layers before it."""
    first, *others = (
        [np.asarray(v) for v in zoo.build_model(CONFIGS["mlp"], (3,), 2, seed=0, head=head).variables[:2]]
        for head in HEADS
    )
    for other in others:
        np.testing.assert_array_equal(first[0], other[0])
