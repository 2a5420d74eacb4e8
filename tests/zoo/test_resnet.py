"""The residual network against an independent forward pass in NumPy, and against the paper's table of layers."""

from __future__ import annotations

from collections import Counter

import keras
import numpy as np
import pytest

import zoo


def convolve(images, kernel, strides):
    """Sum over the nine offsets of a 3x3 kernel, one pixel of zeros on each side, for every `strides`-th pixel."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(
        padded[:, row : row + height : strides, column : column + width : strides] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    )


def shortcut(images, channels, strides):
    """Take every `strides`-th pixel and put zero channels around those that are there: option A of the paper."""
    outputs = np.zeros((*images[:, ::strides, ::strides].shape[:3], channels))
    start = (channels - images.shape[3]) // 2
    outputs[..., start : start + images.shape[3]] = images[:, ::strides, ::strides]
    return outputs


def reference(model, config, inputs):
    """Compute the logits in float64 from the model's weights, after section 4.2 and figure 2 of the paper."""

    def weights(name):
        return [value.astype("float64") for value in model.get_layer(name).get_weights()]

    def convolved(images, name, strides=1):
        kernel, *bias = weights(name)
        return convolve(images, kernel, strides) + (bias[0] if bias else 0)

    def normalized(images, name):
        if config.normalization == "none":
            return images
        if config.normalization == "batch":
            gain, offset, mean, variance = weights(f"{name}_normalization")
        else:
            gain, offset = weights(f"{name}_normalization")
            mean, variance = images.mean((1, 2, 3), keepdims=True), images.var((1, 2, 3), keepdims=True)
        return gain * (images - mean) / np.sqrt(variance + 1e-5) + offset

    def activated(images):
        return np.where(images > 0, images, np.expm1(np.minimum(images, 0)))

    before = config.normalization_place == "before_activation"
    features = convolved(inputs.astype("float64"), "stem")
    features = activated(normalized(features, "stem")) if before else normalized(activated(features), "stem")
    for stage in (1, 2, 3):
        for block in range(1, (config.depth - 2) // 6 + 1):
            name = f"stage_{stage}_block_{block}"
            strides = 2 if (stage, block) in ((2, 1), (3, 1)) else 1
            hidden = convolved(features, f"{name}_1", strides)
            hidden = normalized(hidden, f"{name}_1") if before else hidden
            hidden = activated(hidden)
            hidden = hidden if before else normalized(hidden, f"{name}_1")
            hidden = convolved(hidden, f"{name}_2")
            hidden = normalized(hidden, f"{name}_2") if before else hidden
            if config.skip_connections:
                hidden = hidden + shortcut(features, hidden.shape[3], strides)
            hidden = activated(hidden)
            features = hidden if before else normalized(hidden, f"{name}_2")
    kernel, bias = weights("logits")
    return features.mean((1, 2)) @ kernel + bias


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("place", ["before_activation", "after_activation"])
@pytest.mark.parametrize("skip", [False, True])
def test_forward_pass(normalization, place, skip, randomize):
    """Logits agree with the reference, with even and odd heights and with an odd number of added channels."""
    config = zoo.ResNetConfig(
        depth=14,
        width=3,
        activation="elu",
        normalization=normalization,
        normalization_place=place,
        skip_connections=skip,
        dropout=0.5,
    )
    model = randomize(zoo.build_model(config, (8, 6, 2), 4, seed=0))
    inputs = np.random.default_rng(1).normal(size=(3, 8, 6, 2)).astype("float32")
    np.testing.assert_allclose(model(inputs), reference(model, config, inputs), rtol=1e-3, atol=1e-4)


def test_shortcuts_hold_nothing_to_train():
    """Skip connections add no variable of any kind: option A has no parameters."""
    with_skip, without = (
        zoo.build_model(zoo.ResNetConfig(depth=8, width=2, skip_connections=skip), (8, 8, 3), 2, seed=0)
        for skip in (True, False)
    )
    assert [v.path for v in with_skip.variables] == [v.path for v in without.variables]
    assert not [layer for layer in without.layers if isinstance(layer, keras.layers.Add)]
    assert len([layer for layer in with_skip.layers if isinstance(layer, keras.layers.Add)]) == 3


def test_signal_passes_through_the_shortcuts_alone():
    """With the last normalization of each block at zero, a positive stem arrives at the pooling, only subsampled."""
    model = zoo.build_model(zoo.ResNetConfig(depth=8, width=4), (8, 8, 3), 2, seed=0)
    for stage in (1, 2, 3):
        layer = model.get_layer(f"stage_{stage}_block_1_2_normalization")
        layer.gamma.assign(np.zeros(layer.gamma.shape))
    probe = keras.Model(model.input, [model.get_layer("stem_activation").output, model.layers[-2].input])
    inputs = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    stem, last = (np.asarray(value) for value in probe(inputs))
    assert stem.max() > 0
    np.testing.assert_array_equal(last[..., 6:10], stem[:, ::4, ::4])
    np.testing.assert_array_equal(last[..., :6], 0)
    np.testing.assert_array_equal(last[..., 10:], 0)


@pytest.mark.parametrize("depth", [8, 20, 32])
def test_table_of_layers(depth):
    """32x32, 16x16, 8x8 maps come from 1 + 2n, 2n, 2n layers with 16, 32, 64 filters: the table in section 4.2."""
    model = zoo.build_model(zoo.ResNetConfig(depth=depth), (32, 32, 3), 10, seed=0)
    found = Counter(layer.output.shape[1:] for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    n = (depth - 2) // 6
    assert found == {(32, 32, 16): 1 + 2 * n, (16, 16, 32): 2 * n, (8, 8, 64): 2 * n}
    assert model.get_layer("logits").input.shape == (None, 64)


def test_dropout_stands_between_the_convolutions_of_a_block():
    """Each block has one dropout, fed by the first activation, feeding the second convolution."""
    model = zoo.build_model(zoo.ResNetConfig(depth=14, width=2, dropout=0.3), (8, 8, 3), 2, seed=0)
    blocks = [f"stage_{stage}_block_{block}" for stage in (1, 2, 3) for block in (1, 2)]
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.name for layer in found] == [f"{block}_1_dropout" for block in blocks]
    for block, dropout in zip(blocks, found, strict=True):
        assert dropout.rate == 0.3
        assert dropout.input is model.get_layer(f"{block}_1_activation").output
        assert model.get_layer(f"{block}_2").input is dropout.output


@pytest.mark.parametrize("shape", [(8,), (8, 8), (2, 8, 8, 3)])
def test_inputs_must_be_images(shape):
    """Inputs that are no images stop with an error that shows what was given and what is allowed."""
    with pytest.raises(zoo.SettingError) as caught:
        zoo.build_model(zoo.ResNetConfig(depth=8, width=2), shape, 2, seed=0)
    (problem,) = caught.value.problems
    assert problem.path == "input_shape"
    assert problem.given == str(shape)
    assert problem.allowed == "(height, width, channels)"


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 1), (3, 3, 40)])
def test_small_images_and_many_channels(shape):
    """Images down to one pixel, and inputs with more channels than the stem, give logits."""
    model = zoo.build_model(zoo.ResNetConfig(depth=8, width=2), shape, 3, seed=0)
    outputs = np.asarray(model(np.ones((2, *shape), "float32")))
    assert outputs.shape == (2, 3)
    assert np.isfinite(outputs).all()
