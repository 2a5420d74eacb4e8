"""LeNet-5 against an independent forward pass in NumPy, and against the paper's tables."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import zoo

# Table I of LeCun et al. 1998, as it is printed: a row for each map of S2, a column for each map of C3.
TABLE_I = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""
CONNECTED = np.array([[mark == "X" for mark in row] for row in TABLE_I.split()])


def arbitrary(model, seed=0):
    """Give every variable an arbitrary value, kernels one that keeps the variance of signals."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        is_kernel = variable.path.endswith("kernel") and len(shape) > 1 and shape[:2] != (1, 1)
        scale = 1.5 / np.sqrt(np.prod(shape[:-1])) if is_kernel else 1.0
        variable.assign(generator.normal(scale=scale, size=shape))
    return model


def weights_of(model, name):
    return [value.astype("float64") for value in model.get_layer(name).get_weights()]


def convolve(images, kernel, bias):
    """Correlate inside the image with a 5x5 kernel."""
    height, width = images.shape[1] - 4, images.shape[2] - 4
    return bias + sum(
        images[:, row : row + height, column : column + width] @ kernel[row, column]
        for row in range(5)
        for column in range(5)
    )


def squash(values):
    return 1.7159 * np.tanh(2 / 3 * values)


def subsample(images, weights):
    """Sum 2x2 pixels, times a quarter of the coefficient, as the paper's is a quarter of one on the mean."""
    coefficient, offset = (value.reshape(-1) for value in weights)
    images = images[:, : images.shape[1] // 2 * 2, : images.shape[2] // 2 * 2]
    total = images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]
    return squash(coefficient / 4 * total + offset)


def reference(model, images):
    """Compute the logits in float64 from the model's weights, after section II.B, from images of 32x32 or more."""
    features = squash(convolve(images.astype("float64"), *weights_of(model, "c1")))
    features = subsample(features, weights_of(model, "s2"))
    maps = []
    for number in range(16):
        kernel, bias = weights_of(model, f"c3_{number + 1}")
        # The order of a part's inputs is our own: as the indices run on from the first, round the six.
        seen = np.flatnonzero(CONNECTED[:, number])
        if number < 12:
            seen = [index % 6 for index in range(number % 6, number % 6 + len(seen))]
        assert sorted(seen) == np.flatnonzero(CONNECTED[:, number]).tolist()
        maps.append(convolve(features[..., seen], kernel, bias))
    features = subsample(squash(np.concatenate(maps, axis=-1)), weights_of(model, "s4"))
    features = squash(convolve(features, *weights_of(model, "c5"))).reshape(len(images), -1)
    kernel, bias = weights_of(model, "f6")
    features = squash(features @ kernel + bias)
    kernel, bias = weights_of(model, "head")
    return features @ kernel + bias


@pytest.mark.parametrize("shape", [(32, 32, 1), (37, 34, 2), (28, 28, 1), (27, 40, 1)])
def test_forward_pass(shape):
    """Logits agree with the reference; what is smaller than 32x32 stands in the middle of such a field of zeros."""
    model = arbitrary(zoo.create_model("lenet5", input_shape=shape))
    images = np.random.default_rng(1).normal(size=(3, *shape))
    padding = {(28, 28, 1): ((2, 2), (2, 2)), (27, 40, 1): ((2, 3), (0, 0))}.get(shape, ((0, 0), (0, 0)))
    expected = reference(model, np.pad(images, ((0, 0), *padding, (0, 0))))
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
    assert problem.allowed == "(height, width, channels)"
