"""Each initializer: the variance and the distribution of the weights that a built model starts from."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from scipy import stats

import zoo
from tools.fidelity.initializers import DRAWN, variance
from zoo.activations import activation_gain
from zoo.custom import CentredIdentity, DeltaOrthogonal
from zoo.initializers import INITIALIZER_GAINS, INITIALIZERS

OTHERS = {"zeros", "constant", "orthogonal", "delta_orthogonal", "identity"}
"""Those that are no draws of independent weights; each has a test of its own."""
WITH_FACTOR = [name for name in DRAWN if name != "small_normal"]


def built_kernels(name, **settings):
    """Give family -> (a large kernel, inputs of a unit, outputs of a unit) of built models."""
    mlp = zoo.build_model(zoo.MLPConfig(depth=2, width=500, initializer=name, **settings), (200,), 2, seed=1)
    config = zoo.ResNetConfig(depth=6, stages=2, width=72, initializer=name, **settings)
    resnet = zoo.build_model(config, (4, 4, 3), 2, seed=1)
    dense, convolution = mlp.get_layer("hidden_1_dense"), resnet.get_layer("stage_2_block_1_convolution_1")
    hidden = mlp.get_layer("hidden_2_dense")
    return {
        "mlp": (np.asarray(dense.kernel, "float64"), 200, 500),
        "mlp_hidden": (np.asarray(hidden.kernel, "float64"), 500, 500),
        "resnet": (np.asarray(convolution.kernel, "float64"), 9 * 72, 9 * 144),
    }


@pytest.fixture(scope="module")
def kernels():
    """Give initializer -> the kernels that it gives, built once each."""
    return {name: built_kernels(name) for name in DRAWN}


def test_every_initializer_is_tested_here():
    """A new row of the table needs its variance or its own test in this file."""
    assert set(DRAWN) | OTHERS == set(INITIALIZERS)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("family", ["mlp", "resnet"])
def test_mean_and_variance(kernels, name, family):
    """About 100,000 weights have mean zero and the paper's variance, of dense and of convolutional layers."""
    kernel, n_in, n_out = kernels[name][family]
    expected = variance(name, n_in, n_out)
    assert kernel.size >= 90_000
    assert abs(kernel.mean()) < 4 * np.sqrt(expected / kernel.size)
    assert kernel.var() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("name", WITH_FACTOR)
def test_table_prints_the_variance_that_is_drawn(kernels, name):
    """The formula of the table, evaluated, is the variance of the weights."""
    kernel, n_in, n_out = kernels[name]["mlp"]
    (value,) = re.match(r"(?:normal|uniform).*?, variance ([\d. /()+n_iout^]+)", INITIALIZERS[name].formula).groups()
    printed = eval(value.replace("3 n_in", "3 * n_in").replace("^", "**"), {"n_in": n_in, "n_out": n_out})
    assert kernel.var() == pytest.approx(printed, rel=0.02)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("family", ["mlp", "resnet"])
def test_distribution(kernels, name, family):
    """Weights are uniform or normal as the name says; Keras cuts the scaled normals off at two deviations."""
    kernel, n_in, n_out = kernels[name][family]
    deviation = np.sqrt(variance(name, n_in, n_out))
    distribution = {
        "uniform": stats.uniform(-np.sqrt(3) * deviation, 2 * np.sqrt(3) * deviation),
        "normal": stats.norm(scale=deviation),
        "cut": stats.truncnorm(-2, 2, scale=deviation / stats.truncnorm(-2, 2).std()),
    }[DRAWN[name].distribution]
    # 1.95 / sqrt(n) is passed by chance once in a thousand times; a normal instead of the truncated one gives 0.02.
    assert stats.kstest(kernel.ravel(), distribution.cdf).statistic < 1.95 / np.sqrt(kernel.size)


@pytest.mark.parametrize("family", ["mlp", "resnet"])
def test_bound_of_pytorch(kernels, family):
    """PyTorch's weights lie within 1 / sqrt(n_in), and reach there: kaiming_uniform_ with a = sqrt(5)."""
    kernel, n_in, _ = kernels["pytorch_default"][family]
    assert 0.999 / np.sqrt(n_in) < np.abs(kernel).max() <= 1 / np.sqrt(n_in)


@pytest.mark.parametrize("family", ["mlp", "resnet"])
def test_zeros(family):
    """Every weight is zero, the head's too."""
    config = {"mlp": zoo.MLPConfig, "resnet": zoo.ResNetConfig}[family](depth=8, width=2, initializer="zeros")
    model = zoo.build_model(config, (4, 4, 3), 2, seed=0)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            np.testing.assert_array_equal(layer.kernel, 0)


@pytest.mark.parametrize("scale", [0.01, 0.5])
def test_constant(scale):
    """Every weight is initializer_scale, whatever the layer's size."""
    config = zoo.ResNetConfig(depth=8, width=2, initializer="constant", initializer_scale=scale)
    model = zoo.build_model(config, (4, 4, 3), 2, seed=0)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            np.testing.assert_array_equal(layer.kernel, np.float32(scale))


@pytest.mark.parametrize(("initializer", "alike"), [("constant", True), ("he_normal", False)])
def test_constant_weights_keep_units_alike(initializer, alike):
    """From constant weights, a layer's units have equal outputs and, under a loss that sees them alike, stay so."""
    model = zoo.build_model(zoo.MLPConfig(depth=2, width=5, initializer=initializer), (6,), 3, seed=0)
    model.compile(keras.optimizers.SGD(0.1), "mean_squared_error")
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(32, 6)).astype("float32")
    model.train_on_batch(inputs, generator.normal(size=(32, 3)).astype("float32"))
    for name in ("hidden_1_dense", "hidden_2_dense"):
        kernel = np.asarray(model.get_layer(name).kernel)
        assert np.allclose(kernel, kernel[:, :1], atol=1e-6) == alike
    assert not np.allclose(np.asarray(model.get_layer("hidden_1_dense").kernel), 0.01, atol=1e-5)


@pytest.mark.parametrize("scale", [0.002, 0.3])
def test_scale_of_small_normal(scale):
    """The standard deviation of small_normal is initializer_scale."""
    for kernel, _, _ in built_kernels("small_normal", initializer_scale=scale).values():
        assert kernel.std() == pytest.approx(scale, rel=0.02)


@pytest.mark.parametrize("name", ["orthogonal", "delta_orthogonal"])
@pytest.mark.parametrize(("features", "units"), [(7, 4), (4, 7), (5, 5)])
def test_orthogonal_dense_weights(name, features, units):
    """Columns are orthonormal, or rows where there are fewer of them."""
    config = zoo.MLPConfig(depth=1, width=units, initializer=name)
    kernel = np.asarray(zoo.build_model(config, (features,), 2, seed=0).get_layer("hidden_1_dense").kernel)
    product = kernel.T @ kernel if units <= features else kernel @ kernel.T
    np.testing.assert_allclose(product, np.eye(min(units, features)), atol=1e-5)


def test_orthogonal_convolutions():
    """A convolution's kernel, as a matrix from all inputs of a unit to the channels, has orthonormal columns."""
    config = zoo.ResNetConfig(depth=8, width=4, initializer="orthogonal")
    kernel = np.asarray(zoo.build_model(config, (4, 4, 3), 2, seed=0).get_layer("stem").kernel).reshape(27, 4)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(4), atol=1e-5)


def convolved(initializer, image, channels, size=3):
    layer = keras.layers.Conv2D(channels, size, padding="same", use_bias=False, kernel_initializer=initializer)
    return np.asarray(layer(image)), np.asarray(layer.kernel)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_delta_orthogonal_convolutions_are_isometries(size, gain):
    """With at least as many outputs as inputs, each pixel keeps its length times the gain (Xiao et al. 2018)."""
    image = np.random.default_rng(0).normal(size=(2, 6, 7, 4)).astype("float32")
    outputs, kernel = convolved(DeltaOrthogonal(gain=gain, seed=1), image, 6, size)
    np.testing.assert_allclose(np.square(outputs).sum(-1), gain**2 * np.square(image).sum(-1), rtol=1e-4)
    assert (kernel != 0).any(axis=(2, 3)).sum() == 1
    assert (kernel[size // 2, size // 2] != 0).all()


@pytest.mark.parametrize("channels", [3, 4, 6])
@pytest.mark.parametrize("size", [1, 3])
def test_identity_convolutions(channels, size):
    """Each output is the input of its number; outputs beyond the inputs are zero."""
    image = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype("float32")
    outputs, _ = convolved(CentredIdentity(2.0), image, channels, size)
    expected = 2 * np.pad(image, ((0, 0), (0, 0), (0, 0), (0, 2)))[..., :channels]
    np.testing.assert_array_equal(outputs, expected)


def test_models_use_these_initializers():
    """A built network's strided and unstrided convolutions and its dense layers hold identities and isometries."""
    built = {
        name: zoo.build_model(zoo.ResNetConfig(depth=8, width=4, initializer=name), (8, 8, 4), 4, seed=0)
        for name in ("identity", "delta_orthogonal")
    }
    for layer in ("stem", "stage_1_block_1_convolution_2", "stage_2_block_1_convolution_1"):
        for name, model in built.items():
            kernel = np.asarray(model.get_layer(layer).kernel)
            centre = kernel[1, 1]
            assert np.abs(kernel).sum() == pytest.approx(np.abs(centre).sum())
            if name == "identity":
                np.testing.assert_array_equal(centre, np.eye(*centre.shape))
            np.testing.assert_allclose(centre @ centre.T, np.eye(len(centre)), atol=1e-5)
    np.testing.assert_array_equal(built["identity"].get_layer("head").kernel, np.eye(16, 4))


@pytest.mark.parametrize("activation", ["relu", "tanh", "selu", "leaky_relu", "elu"])
@pytest.mark.parametrize("name", ["he_normal", "he_average_uniform", "he_normal_fan_out"])
def test_gain_of_the_activation(name, activation):
    """The factor 2 gives way to 1 / E[f(z)^2], but to 1 in the first layer."""
    settings = {"leaky_relu": {"leaky_relu_slope": 0.5}, "elu": {"elu_alpha": 2.0}}.get(activation, {})
    kernels = built_kernels(name, activation=activation, initializer_gain="activation", **settings)
    parameters = {"leaky_relu_slope": 0.01, "elu_alpha": 1.0} | settings
    factor = activation_gain(activation, **parameters) ** 2
    for family, gain in (("mlp", 1), ("mlp_hidden", factor), ("resnet", factor)):
        kernel, n_in, n_out = kernels[family]
        fan = {"he_normal": n_in, "he_average_uniform": (n_in + n_out) / 2, "he_normal_fan_out": n_out}[name]
        assert kernel.var() == pytest.approx(gain / fan, rel=0.02)


@pytest.mark.parametrize("name", ["orthogonal", "delta_orthogonal"])
def test_gain_of_the_activation_on_orthogonal_weights(name):
    """Orthogonal weights are multiplied with 1 / sqrt(E[f(z)^2]): sqrt(2) for ReLU; 1 at first."""
    config = zoo.MLPConfig(depth=2, width=6, initializer=name, initializer_gain="activation")
    model = zoo.build_model(config, (6,), 6, seed=0)
    for layer, gain in (("hidden_1_dense", 1), ("hidden_2_dense", 2), ("head", 2)):
        kernel = np.asarray(model.get_layer(layer).kernel)
        np.testing.assert_allclose(kernel.T @ kernel, gain * np.eye(6), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "first", "others"),
    [
        (zoo.MLPConfig(depth=0), ["head"], []),
        (zoo.MLPConfig(depth=2, width=300), ["hidden_1_dense"], ["hidden_2_dense", "head"]),
        (
            zoo.MLPConfig(depth=2, width=[300, 200], skip_connections="projection"),
            ["hidden_1_dense", "hidden_1_projection"],
            ["hidden_2_dense", "hidden_2_projection", "head"],
        ),
        (zoo.LeNetConfig(activation="relu"), ["c1"], ["c5", "f6"]),
        (zoo.ResNetConfig(depth=8, width=40), ["stem"], ["stage_1_block_1_convolution_1", "head"]),
    ],
)
def test_first_layers_of_each_family_have_gain_1(config, first, others):
    """The layers that see the inputs, and they alone, have variance 1 / n_in under the gain of the activation.

    Where no activation was applied to the inputs, n_in times the variance has to be 1 (He et al. 2015, section 2.2).
    """
    config = config.changed(initializer="he_uniform", initializer_gain="activation")
    model = zoo.build_model(config, (32, 32, 3), 10, seed=0)
    for name, factor in (dict.fromkeys(first, 1) | dict.fromkeys(others, 2)).items():
        kernel = np.asarray(model.get_layer(name).kernel)
        bound = np.sqrt(3 * factor / np.prod(kernel.shape[:-1]))
        assert 0.95 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("he_normal", "lecun_normal"),
        ("he_uniform", "lecun_uniform"),
        ("he_average_normal", "glorot_normal"),
        ("he_average_uniform", "glorot_uniform"),
    ],
)
def test_names_that_the_gain_makes_one(one, other):
    """Initializers that differ in the factor alone give the same bits under the activation's, as its row says."""
    assert f"{one} and {other}" in INITIALIZER_GAINS["activation"]
    first, second = (
        zoo.build_model(zoo.MLPConfig(initializer=name, initializer_gain="activation"), (6,), 2, seed=0)
        for name in (one, other)
    )
    for mine, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (zoo.MLPConfig(depth=2, width=300), ["hidden_1_dense", "hidden_2_dense", "head"]),
        (zoo.MLPConfig(depth=0), ["head"]),
        (zoo.LeNetConfig(), ["c1", "c5", "f6", "head"]),
        (
            zoo.ResNetConfig(depth=8, width=40, normalization="none", squeeze_excitation=2),
            ["stem", "stage_2_block_1_convolution_1", "stage_2_block_1_excitation", "head"],
        ),
    ],
)
def test_biases_of_pytorch(config, names):
    """Biases are uniform within 1 / sqrt(n_in) of their own layer, as nn.Linear and nn.Conv2d start them."""
    model = zoo.build_model(config.changed(initializer="pytorch_default"), (32, 32, 3), 200, seed=0)
    for name in names:
        kernel, bias = model.get_layer(name).get_weights()
        limit = np.prod(kernel.shape[:-1]) ** -0.5
        assert np.abs(bias).max() <= limit * (1 + 1e-6)
        # By chance one of 1,000 such biases is passed over.
        uniform = stats.uniform(-limit, 2 * limit)
        assert stats.kstest(bias, uniform.cdf).pvalue > 1e-3, name
    assert len({float(model.get_layer(name).bias[0]) for name in names}) == len(names)


@pytest.mark.parametrize("start", ["fixup", "zero_gamma"])
def test_biases_of_what_starts_at_zero_are_zero(start):
    """Where weights start at zero, the biases beside them do too, which torch's start would draw."""
    config = zoo.ResNetConfig(
        depth=8, width=4, normalization="none", initializer="pytorch_default", residual_start=start
    )
    model = zoo.build_model(config, (8, 8, 3), 2, seed=0)
    for layer in model.layers:
        if hasattr(layer, "kernel_initializer") and layer.bias is not None:
            assert np.any(layer.kernel) == np.any(layer.bias), layer.name


@pytest.mark.parametrize("family", ["mlp", "resnet"])
@pytest.mark.parametrize("name", [name for name, row in INITIALIZERS.items() if not row.draws_biases])
def test_biases_offsets_and_gains(name, family):
    """But for torch's start, biases and offsets start at zero, gains and moving variances at one."""
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
    """Each row gives a formula and a source for people."""
    assert INITIALIZERS[name].formula.strip()
    assert INITIALIZERS[name].source.strip()
