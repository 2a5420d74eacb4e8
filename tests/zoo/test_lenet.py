"""LeNet-5 against an independent forward pass in NumPy, and against the paper's tables."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import stats

import zoo
from tools.fidelity.net_references import CONNECTED, LeNet


def arbitrary(model, seed=0):
    """Give every variable an arbitrary value, kernels one that keeps the variance of signals."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        is_kernel = variable.path.endswith("kernel") and len(shape) > 1 and shape[:2] != (1, 1)
        scale = 1.5 / np.sqrt(np.prod(shape[:-1])) if is_kernel else 1.0
        variable.assign(generator.normal(scale=scale, size=shape))
    return model


@pytest.mark.parametrize("shape", [(32, 32, 1), (37, 34, 2), (28, 28, 1), (27, 40, 1)])
def test_forward_pass(shape):
    """Logits agree with the reference; what is smaller than 32x32 stands in the middle of such a field of zeros."""
    model = arbitrary(zoo.create_model("lenet5", input_shape=shape))
    images = np.random.default_rng(1).normal(size=(3, *shape))
    padding = {(28, 28, 1): ((2, 2), (2, 2)), (27, 40, 1): ((2, 3), (0, 0))}.get(shape, ((0, 0), (0, 0)))
    expected = LeNet(model, zoo.LeNetConfig()).logits(np.pad(images, ((0, 0), *padding, (0, 0))))
    found = np.asarray(model(images.astype("float32")))
    assert np.abs(expected - expected[0]).max() > 0.01 * np.abs(expected).max()
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_table_of_connections():
    """The table as printed here is the paper's: columns of 3 and 4 neighbours, 4 apart, and all 6; 60 in all."""
    for number in range(6):
        assert {(number + step) % 6 for step in range(3)} == set(np.flatnonzero(CONNECTED[:, number]))
        assert {(number + step) % 6 for step in range(4)} == set(np.flatnonzero(CONNECTED[:, number + 6]))
    neighbours = [{(first + step) % 6 for step in range(4)} for first in range(6)]
    apart = [set(np.flatnonzero(CONNECTED[:, number]).tolist()) for number in (12, 13, 14)]
    assert all(len(each) == 4 and each not in neighbours for each in apart)
    assert len({tuple(sorted(each)) for each in apart}) == 3
    assert CONNECTED[:, 15].all()
    # Every map of S2 is seen by ten: the table has 60 marks in six rows.
    assert CONNECTED.sum(axis=1).tolist() == [10] * 6


def test_connections_of_c3():
    """A change of one map of S2 changes just those maps of C3 that table I marks."""
    model = arbitrary(zoo.create_model("lenet5"))
    tail = keras.Model(model.get_layer("s2_activation_output").output, model.get_layer("c3").output)
    maps = np.random.default_rng(1).normal(size=(1, 14, 14, 6)).astype("float32")
    before = np.asarray(tail(maps))
    found = np.zeros((6, 16), bool)
    for index in range(6):
        changed = maps.copy()
        changed[..., index] += 1
        found[index] = (np.asarray(tail(changed)) != before).any(axis=(0, 1, 2))
    np.testing.assert_array_equal(found, CONNECTED)


# Trainable parameters and connections of each layer, section II.B of the paper.
OF_THE_PAPER = {
    "c1": (156, 122_304),
    "s2": (12, 5_880),
    "c3": (1_516, 151_600),
    "s4": (32, 2_000),
    "c5": (48_120, 48_120),
    "f6": (10_164, 10_164),
}


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_parameters_and_connections_of_the_paper(name):
    """Each layer has the printed numbers of parameters and of connections, those of biases and of all pixels too."""
    model = zoo.create_model("lenet5")
    parts = [layer for layer in model.layers if layer.weights and layer.name.split("_")[0] == name]
    assert len(parts) == (16 if name == "c3" else 1)
    parameters = sum(weight.numpy().size for layer in parts for weight in layer.trainable_weights)
    connections = 0
    for layer in parts:
        *positions, units = layer.output.shape[1:]
        # A unit of S2 or S4 sees 2x2 pixels, whose sum the paper multiplies with one weight.
        seen = 4 if name in ("s2", "s4") else np.prod(layer.kernel.shape[:-1])
        connections += int(np.prod(positions)) * units * (int(seen) + 1)
    assert (parameters, connections) == OF_THE_PAPER[name]


FANS_IN = {"c1": 25, "c5": 400, "f6": 120, "head": 84}
FANS_IN |= {f"c3_{number + 1}": 25 * int(seen) for number, seen in enumerate(CONNECTED.sum(0))}


def test_weights_start_as_the_paper_says():
    """Uniform within 2.4 / F, F the inputs of the unit: 25 maps of 5x5 pixels for C1, 3, 4 or 6 of them for C3."""
    model = zoo.create_model("lenet5")
    assert sorted(FANS_IN.values()) == [25, *[75] * 6, *[84], *[100] * 9, *[120], *[150], *[400]]
    scaled = [np.ravel(model.get_layer(name).kernel) * fan / 2.4 for name, fan in FANS_IN.items()]
    assert max(np.abs(each).max() for each in scaled) <= 1 + 1e-6
    assert stats.kstest(np.concatenate(scaled), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    for name in FANS_IN:
        np.testing.assert_array_equal(model.get_layer(name).bias, 0)


def whole_c3(values):
    """The kernel of C3 from its maps': (5, 5, maps of S2, maps of C3), zero where nothing is connected."""
    kernel = np.zeros((5, 5, 6, 16))
    for number in range(16):
        seen = np.flatnonzero(CONNECTED[:, number])
        if number < 12:
            seen = [index % 6 for index in range(number % 6, number % 6 + len(seen))]
        kernel[:, :, seen, number] = values[f"c3_{number + 1}/kernel"][..., 0]
    return kernel


def start_of_c3(initializer, seed=0, **settings):
    config = zoo.LeNetConfig(initializer=initializer, **settings)
    model = zoo.build_model(config, (32, 32, 1), 10, seed)
    return whole_c3({variable.path: np.asarray(variable) for variable in model.variables})


@pytest.mark.parametrize("gain", ["fixed", "activation"])
def test_c3_starts_orthogonal(gain):
    """The 150 x 16 matrix from all pixels of all maps has orthonormal columns, times the gain where asked."""
    matrix = start_of_c3("orthogonal", initializer_gain=gain).reshape(150, 16)
    squared = 1 if gain == "fixed" else 1 / 0.7504302763
    np.testing.assert_allclose(matrix.T @ matrix, squared * np.eye(16), atol=1e-6)
    np.testing.assert_array_equal((matrix.reshape(25, 6, 16) != 0).any(0), CONNECTED)


def test_c3_starts_delta_orthogonal():
    """The middle of the kernel, 6 x 16, has orthonormal rows, and all around it is zero."""
    kernel = start_of_c3("delta_orthogonal")
    np.testing.assert_allclose(kernel[2, 2] @ kernel[2, 2].T, np.eye(6), atol=1e-6)
    np.testing.assert_array_equal(kernel[2, 2] != 0, CONNECTED)
    assert np.count_nonzero(kernel) == np.count_nonzero(kernel[2, 2])


def test_c3_starts_as_the_identity():
    """Map i of C3 is map i of S2, and zero where there is none."""
    kernel = start_of_c3("identity")
    np.testing.assert_array_equal(kernel[2, 2], np.eye(6, 16))
    assert kernel.sum() == 6


def test_orthogonal_c3_follows_the_seed():
    """Another seed gives another kernel, and the same one the same."""
    first, again, other = (start_of_c3("orthogonal", seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        ("he_normal", lambda n_in: 2 / n_in),
        ("lecun_uniform", lambda n_in: 1 / n_in),
        ("glorot_uniform", lambda n_in: 2 / (n_in + 250)),
        ("he_average_normal", lambda n_in: 4 / (n_in + 250)),
        ("he_normal_fan_out", lambda n_in: 2 / (250 + 0 * n_in)),
    ],
)
def test_variance_of_c3(initializer, variance):
    """n_in counts what a map sees, n_out the 25 weights of each of the ten maps that see a map of S2."""
    config = zoo.LeNetConfig(initializer=initializer)
    model = zoo.build_model(config, (32, 32, 1), 10, seed=0)
    scaled = []
    for seed in range(10):
        values = zoo.initial_values(model, config, seed)
        kernel = whole_c3({each.path: value for each, value in zip(model.variables, values, strict=True)})
        for number, n_in in enumerate(25 * CONNECTED.sum(0)):
            part = kernel[..., number][:, :, CONNECTED[:, number]]
            scaled.append(part.ravel() / np.sqrt(variance(n_in)))
    assert np.concatenate(scaled).var() == pytest.approx(1, rel=0.05)


def test_sizes_of_the_layers():
    """Maps are 28, 14, 10, 5 and 1 pixels wide, as figure 2 of the paper has them, for 32x32 and for 28x28 images."""
    for shape in ((32, 32, 1), (28, 28, 1)):
        model = zoo.create_model("lenet5", input_shape=shape)
        sizes = [model.get_layer(name).output.shape[1:] for name in ("c1", "s2", "c3", "s4", "c5", "f6")]
        assert sizes == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (1, 1, 120), (84,)]


def test_image_stands_in_the_middle_of_the_field():
    """A pixel (i, j) of a 28x28 image is at (i + 2, j + 2) of the field, and the rest of the field is zero."""
    model = zoo.create_model("lenet5", input_shape=(28, 28, 1))
    field = keras.Model(model.input, model.get_layer("c1").input)
    image = np.random.default_rng(1).normal(size=(1, 28, 28, 1)).astype("float32")
    found = np.asarray(field(image))
    np.testing.assert_array_equal(found[:, 2:30, 2:30], image)
    assert np.count_nonzero(found) == 28 * 28


def test_every_hidden_layer_is_activated():
    """C1, S2, C3, S4, C5 and F6 have the config's activation each, once; the head has none."""
    model = zoo.create_model("lenet5", activation="relu")
    found = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    assert found == [f"{name}_activation" for name in ("c1", "s2", "c3", "s4", "c5", "f6")]
    assert zoo.audit_model(model).activations == {"relu"}
    assert model.get_layer("head").activation is keras.activations.linear


@pytest.mark.parametrize(("normalization", "offsets"), [("batch", 1), ("layer", 1)])
def test_normalized(normalization, offsets):
    """C1, C3, C5 and F6 are normalized, lose their biases to it, and the subsampling keeps its own."""
    model = zoo.create_model("lenet5", normalization=normalization)
    found = [layer.name for layer in model.layers if layer.name.endswith("_normalization")]
    assert found == [f"{name}_normalization" for name in ("c1", "c3", "c5", "f6")]
    with_bias = [layer.name for layer in model.layers if getattr(layer, "bias", None) is not None]
    assert with_bias == ["s2", "s4", "head"]
    units = 6 + 16 + 120 + 84
    assert zoo.count_parameters(model) == 60_850 - units + (1 + offsets) * units


@pytest.mark.parametrize("shape", [(784,), (28, 28)])
def test_inputs_must_be_images(shape):
    """Inputs that are no images stop with an error that shows what was given and what is allowed."""
    with pytest.raises(zoo.SettingError) as caught:
        zoo.create_model("lenet5", input_shape=shape)
    (problem,) = caught.value.problems
    assert (problem.path, problem.given) == ("input_shape", str(shape))
    assert problem.allowed == "(height, width, channels), without the batch axis"
