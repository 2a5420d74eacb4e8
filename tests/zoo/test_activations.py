"""Each activation, as a built model applies it, against its formula."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import integrate, special, stats

import zoo
from zoo.activations import ACTIVATIONS, activation_gain


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
    "scaled_tanh": lambda x: 1.7159 * np.tanh(2 / 3 * x),
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": _selu,
    "gelu": lambda x: x * stats.norm.cdf(x),
    "gelu_tanh": lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
    "silu": lambda x: x * special.expit(x),
    "mish": lambda x: x * np.tanh(special.log1p(np.exp(x))),
    "softplus": lambda x: np.logaddexp(0, x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}
INPUTS = np.concatenate([np.linspace(-6, 6, 97), [-40.0, 40.0]])


def test_every_activation_has_a_formula_here():
    """A new row of the table needs its formula in this file."""
    assert set(FORMULAS) == set(ACTIVATIONS)


def computed(inputs=INPUTS, **settings):
    """Apply the activation as a network of identity matrices does."""
    model = zoo.build_model(zoo.MLPConfig(depth=1, width=1, **settings), (1,), 1, seed=0)
    for layer in ("hidden_1_dense", "head"):
        model.get_layer(layer).set_weights([np.ones((1, 1)), np.zeros(1)])
    return np.asarray(model(inputs[:, None]))[:, 0]


def second_moment(function):
    """Integrate f(z)^2 over the normal distribution, in two parts where f may have a kink."""
    parts = [(-30, -3), (-3, 0), (0, 3), (3, 30)]
    return sum(integrate.quad(lambda z: function(z) ** 2 * stats.norm.pdf(z), *part, epsabs=1e-13)[0] for part in parts)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_output_follows_the_formula(name):
    """A network of identity matrices puts out the activation's formula."""
    np.testing.assert_allclose(computed(activation=name), FORMULAS[name](INPUTS), rtol=2e-6, atol=2e-6)


def test_formulas_tell_activations_apart():
    """On these inputs no two formulas agree within a hundred times the tolerance of the test above."""
    values = np.array([formula(INPUTS) for formula in FORMULAS.values()])
    distances = np.abs(values[:, None] - values).max(axis=2) + np.eye(len(values))
    assert distances.min() > 2e-4


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        ({"activation": "leaky_relu", "leaky_relu_slope": 0.3}, lambda x: np.where(x > 0, x, 0.3 * x)),
        ({"activation": "leaky_relu", "leaky_relu_slope": 0.0}, lambda x: np.maximum(x, 0)),
        ({"activation": "elu", "elu_alpha": 2.5}, lambda x: np.where(x > 0, x, 2.5 * np.expm1(np.minimum(x, 0)))),
    ],
)
def test_parameters(settings, formula):
    """The slope of leaky_relu and the alpha of elu are the config's, and the gain that keeps variance is theirs."""
    np.testing.assert_allclose(computed(**settings), formula(INPUTS), rtol=2e-6, atol=2e-6)
    config = zoo.MLPConfig(**settings)
    gain = activation_gain(config.activation, leaky_relu_slope=config.leaky_relu_slope, elu_alpha=config.elu_alpha)
    assert gain**-2 == pytest.approx(second_moment(formula), rel=1e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_moment(name):
    """The mean of f(z)^2 in the table is the integral of the formula, and the gain is one by its root."""
    expected = second_moment(FORMULAS[name])
    assert ACTIVATIONS[name].second_moment == pytest.approx(expected, rel=1e-8)
    assert activation_gain(name, leaky_relu_slope=0.01, elu_alpha=1.0) == pytest.approx(expected**-0.5, rel=1e-8)


@pytest.mark.parametrize("name", ["relu", "scaled_tanh", "selu", "tanh", "prelu", "mish"])
def test_gain_keeps_the_variance(name):
    """With weights of that gain, a wide layer's output has variance one again on standard normal inputs."""
    gain = activation_gain(name, leaky_relu_slope=0.01, elu_alpha=1.0)
    generator = np.random.default_rng(0)
    hidden = FORMULAS[name](generator.normal(size=(200, 4000)))
    outputs = hidden @ generator.normal(scale=gain / np.sqrt(4000), size=(4000, 300))
    assert np.mean(outputs**2) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(("shape", "slopes"), [((7,), (7,)), ((4, 3, 5), (1, 1, 5))])
def test_prelu_learns_one_slope_a_channel(shape, slopes):
    """PReLU's slopes are one a unit or a channel, whatever the position; each acts on its own channel below zero."""
    from zoo.layers import LayerMaker

    inputs = keras.Input(shape)
    model = keras.Model(inputs, LayerMaker(zoo.MLPConfig(activation="prelu"), 0).activate(inputs, "a"))
    layer = model.get_layer("a_activation")
    assert [tuple(variable.shape) for variable in model.trainable_variables] == [slopes]
    np.testing.assert_array_equal(layer.alpha, np.full(slopes, 0.25))
    layer.alpha.assign(np.arange(1.0, slopes[-1] + 1).reshape(slopes))
    values = np.random.default_rng(0).normal(size=(6, *shape)).astype("float32")
    expected = np.where(values > 0, values, values * np.arange(1, shape[-1] + 1))
    np.testing.assert_allclose(model(values), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_row_is_complete(name):
    """Each row gives a formula and a source for people."""
    assert ACTIVATIONS[name].formula.strip()
    assert ACTIVATIONS[name].source.strip()
