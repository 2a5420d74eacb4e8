"""Each activation, as a built model applies it, against its formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

import zoo
from zoo.activations import ACTIVATIONS


def _selu(x):
    # The two constants solve the fixed-point equations of Klambauer et al. 2017; this is their equation 14.
    erfc_1, erfc_2 = special.erfc(1 / np.sqrt(2)), special.erfc(np.sqrt(2))
    alpha = -np.sqrt(2 / np.pi) / (erfc_1 * np.exp(0.5) - 1)
    scale = (1 - erfc_1 * np.sqrt(np.e)) * np.sqrt(2 * np.pi)
    scale /= np.sqrt(
        2 * erfc_2 * np.e**2 + np.pi * erfc_1**2 * np.e - 2 * (2 + np.pi) * erfc_1 * np.sqrt(np.e) + np.pi + 2
    )
    return scale * np.where(x > 0, x, alpha * np.expm1(x))


FORMULAS = {
    "linear": lambda x: x,
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": _selu,
    "gelu": lambda x: x * stats.norm.cdf(x),
    "silu": lambda x: x * special.expit(x),
    "softplus": lambda x: np.logaddexp(0, x),
}
INPUTS = np.concatenate([np.linspace(-6, 6, 97), [-40.0, 40.0]])


def test_every_activation_has_a_formula_here():
    """A new row of the table needs its formula in this file."""
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_output_follows_the_formula(name):
    """A network of identity matrices puts out the activation's formula, gelu's tanh approximation excluded."""
    model = zoo.build_model(zoo.MLPConfig(depth=1, width=1, activation=name), (1,), 1, seed=0)
    for layer in ("hidden_1_dense", "logits"):
        model.get_layer(layer).set_weights([np.ones((1, 1)), np.zeros(1)])
    outputs = np.asarray(model(INPUTS[:, None]))[:, 0]
    np.testing.assert_allclose(outputs, FORMULAS[name](INPUTS), rtol=2e-6, atol=2e-6)


def test_formulas_tell_activations_apart():
    """On these inputs no two formulas agree within a hundred times the tolerance of the test above."""
    values = np.array([formula(INPUTS) for formula in FORMULAS.values()])
    distances = np.abs(values[:, None] - values).max(axis=2) + np.eye(len(values))
    assert distances.min() > 1e-3


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_row_is_complete(name):
    """Each row gives a formula and a source for people."""
    assert ACTIVATIONS[name].formula.strip()
    assert ACTIVATIONS[name].source.strip()
