"""Each initializer: the variance and the distribution of the weights that a built model starts from."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

import zoo
from zoo.initializers import INITIALIZERS

# Numerators and what stands below them, from the papers that the table names.
VARIANCES = {
    "lecun_normal": (1, "n_in"),
    "lecun_uniform": (1, "n_in"),
    "glorot_normal": (2, "n_in + n_out"),
    "glorot_uniform": (2, "n_in + n_out"),
    "he_normal": (2, "n_in"),
    "he_uniform": (2, "n_in"),
    "small_normal": (0.01**2, "1"),
}


def expected_variance(name, n_in, n_out):
    numerator, below = VARIANCES[name]
    return numerator / {"n_in": n_in, "n_in + n_out": n_in + n_out, "1": 1}[below]


@pytest.fixture(scope="module")
def kernels():
    """Give (initializer, family) -> (a large kernel, inputs of a unit, outputs of a unit), built once each."""
    built = {}
    for name in INITIALIZERS:
        mlp = zoo.build_model(zoo.MLPConfig(depth=1, width=600, initializer=name), (200,), 2, seed=1)
        dense = mlp.get_layer("hidden_1_dense").kernel
        built[name, "mlp"] = (np.asarray(dense, "float64"), 200, 600)
        resnet = zoo.build_model(zoo.ResNetConfig(depth=8, width=36, initializer=name), (4, 4, 3), 2, seed=1)
        convolution = resnet.get_layer("stage_3_block_1_1").kernel
        built[name, "resnet"] = (np.asarray(convolution, "float64"), 9 * 72, 9 * 144)
    return built


def test_every_initializer_has_a_variance_here():
    """A new row of the table needs its variance in this file."""
    assert set(VARIANCES) == set(INITIALIZERS)


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("family", ["mlp", "resnet"])
def test_mean_and_variance(kernels, name, family):
    """About 100,000 weights have mean zero and the paper's variance, of dense and of convolutional layers."""
    kernel, n_in, n_out = kernels[name, family]
    variance = expected_variance(name, n_in, n_out)
    assert kernel.size >= 90_000
    assert abs(kernel.mean()) < 4 * np.sqrt(variance / kernel.size)
    assert kernel.var() == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_table_prints_the_variance_that_is_drawn(kernels, name):
    """The formula of the table, evaluated, is the variance of the weights."""
    kernel, n_in, n_out = kernels[name, "mlp"]
    quantity, value = re.fullmatch(
        r"(?:normal|normal, cut off at two deviations|uniform), (variance|standard deviation) ([\d. /()+n_iout]+)",
        INITIALIZERS[name].formula,
    ).groups()
    printed = eval(value, {"n_in": n_in, "n_out": n_out})
    assert kernel.var() == pytest.approx(printed if quantity == "variance" else printed**2, rel=0.02)


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("family", ["mlp", "resnet"])
def test_distribution(kernels, name, family):
    """Weights are uniform or normal as the name says; Keras cuts the scaled normals off at two deviations."""
    kernel, n_in, n_out = kernels[name, family]
    deviation = np.sqrt(expected_variance(name, n_in, n_out))
    if name.endswith("_uniform"):
        distribution = stats.uniform(-np.sqrt(3) * deviation, 2 * np.sqrt(3) * deviation)
    elif name == "small_normal":
        distribution = stats.norm(scale=deviation)
    else:
        distribution = stats.truncnorm(-2, 2, scale=deviation / stats.truncnorm(-2, 2).std())
    # 1.95 / sqrt(n) is passed by chance once in a thousand times; a normal instead of the truncated one gives 0.02.
    assert stats.kstest(kernel.ravel(), distribution.cdf).statistic < 1.95 / np.sqrt(kernel.size)


@pytest.mark.parametrize("family", ["mlp", "resnet"])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_biases_offsets_and_gains(name, family):
    """Whatever the initializer, biases and offsets start at zero, gains and moving variances at one."""
    config = {"mlp": zoo.MLPConfig, "resnet": zoo.ResNetConfig}[family](
        depth=8, width=2, initializer=name, normalization="batch", normalization_place="after_activation"
    )
    model = zoo.build_model(config, (4, 4, 3), 2, seed=0)
    starts = {"bias": 0, "beta": 0, "moving_mean": 0, "gamma": 1, "moving_variance": 1}
    found = set()
    for variable in model.variables:
        kind = variable.path.rsplit("/", 1)[-1]
        if kind != "kernel":
            found.add(kind)
            np.testing.assert_array_equal(np.asarray(variable), starts[kind])
    assert found == set(starts)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_row_is_complete(name):
    """Each row gives a source for people."""
    assert INITIALIZERS[name].source.strip()
