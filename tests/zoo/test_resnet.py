"""The residual network against an independent forward pass in NumPy, and against the papers' tables of layers."""

from __future__ import annotations

from collections import Counter

import keras
import numpy as np
import pytest

import zoo
from tools.fidelity.net_references import ResidualNetwork
from zoo.topology import BLOCK_ORDERS, STEM_PADDINGS

TINY = {"width": 3, "activation": "elu"}
BOTTLENECK = TINY | {"depth": 11, "block": "bottleneck", "skip_connections": "projection"}


def assert_agrees(settings, layout, randomize, shape=(8, 6, 2)):
    config = zoo.ResNetConfig(**settings)
    model = randomize(zoo.build_model(config, shape, 4, seed=0))
    inputs = np.random.default_rng(1).normal(size=(3, *shape)).astype("float32")
    expected = ResidualNetwork(model, config, layout).logits(inputs)
    found = np.asarray(model(inputs))
    assert np.abs(expected).max() > 0.1
    assert np.abs(expected - expected[0]).max() > 0.005 * np.abs(expected).max(), "all inputs give the same logits"
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("block_order", ["post_activation", "pre_activation"])
@pytest.mark.parametrize(
    ("normalization", "normalization_place"),
    [
        ("none", "before_activation"),
        ("batch", "before_activation"),
        ("batch", "after_activation"),
        ("layer", "before_activation"),
        ("layer", "after_activation"),
    ],
)
@pytest.mark.parametrize("skip_connections", ["none", "identity", "projection", "projection_everywhere"])
def test_forward_pass_of_basic_blocks(block_order, normalization, normalization_place, skip_connections, randomize):
    """Logits agree with the reference for options A, B and C, even and odd heights, an odd number of new channels."""
    settings = {
        "block_order": block_order,
        "normalization": normalization,
        "normalization_place": normalization_place,
        "skip_connections": skip_connections,
    }
    # Two blocks a stage are needed once: what follows a stage's first block, with dropout that must not act.
    if (normalization, normalization_place) == ("batch", "before_activation"):
        assert_agrees(TINY | settings | {"depth": 14, "dropout": 0.5}, (2, 2, 2), randomize)
    else:
        assert_agrees(TINY | settings | {"depth": 8}, (1, 1, 1), randomize)


@pytest.mark.parametrize("block_order", ["post_activation", "pre_activation"])
@pytest.mark.parametrize("downsampling_block", ["first", "last"])
@pytest.mark.parametrize("strided_convolution", ["1x1", "3x3"])
def test_forward_pass_of_bottleneck_blocks(block_order, downsampling_block, strided_convolution, randomize):
    """Logits agree with the reference for bottleneck blocks of both orders, wherever they halve the image."""
    settings = BOTTLENECK | {"depth": 17, "stages": 2, "blocks_per_stage": (2, 3), "normalization": "batch"}
    settings |= {"block_order": block_order, "downsampling_block": downsampling_block}
    assert_agrees(settings | {"strided_convolution": strided_convolution}, (2, 3), randomize, (9, 6, 2))


@pytest.mark.parametrize(
    ("settings", "layout"),
    [
        pytest.param(TINY | {"depth": 8, "squeeze_excitation": 2}, (1, 1, 1), id="squeeze-excitation"),
        pytest.param(
            TINY | {"depth": 8, "squeeze_excitation": 99, "block_order": "pre_activation"},
            (1, 1, 1),
            id="squeeze-excitation-of-one-unit",
        ),
        pytest.param(BOTTLENECK | {"squeeze_excitation": 4}, (1, 1, 1), id="squeeze-excitation-of-bottlenecks"),
        pytest.param(
            TINY | {"depth": 8, "squeeze_excitation": 2, "skip_connections": "none"},
            (1, 1, 1),
            id="squeeze-excitation-without-skip-connections",
        ),
        pytest.param(TINY | {"depth": 8, "pooling": "max"}, (1, 1, 1), id="max-pooling"),
        pytest.param(TINY | {"depth": 8, "pooling": "flatten"}, (1, 1, 1), id="no-pooling"),
        pytest.param(
            TINY | {"depth": 8, "widening_factor": 3, "skip_connections": "projection"}, (1, 1, 1), id="widened"
        ),
        pytest.param(TINY | {"depth": 8, "widening_factor": 2}, (1, 1, 1), id="widened-with-zeros"),
        pytest.param(BOTTLENECK | {"widening_factor": 2}, (1, 1, 1), id="widened-bottlenecks"),
        pytest.param(
            TINY | {"depth": 14, "block_order": "pre_activation", "activated_shortcuts": "every_stage"},
            (2, 2, 2),
            id="activated-shortcuts-in-every-stage",
        ),
        *(
            pytest.param(
                TINY | {"depth": 6, "stages": 2, "stem": "imagenet", "block_order": order, "stem_padding": padding},
                (1, 1),
                id=f"imagenet-stem-of-{order}-padded-with-{padding}",
            )
            for order in BLOCK_ORDERS
            for padding in STEM_PADDINGS
        ),
    ],
)
def test_forward_pass_of_other_parts(settings, layout, randomize):
    """Logits agree with the reference with squeeze-excitation, each pooling, widening, and the large stem."""
    assert_agrees(settings, layout, randomize, (24, 13, 2))


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("height", [6, 7])
def test_strided_convolutions_pad_symmetrically(size, height):
    """With a kernel that copies one position, output i is the pixel 2 i + offset, zero outside, for every offset."""
    from zoo.layers import LayerMaker

    inputs = keras.Input((height, height, 1))
    maker = LayerMaker(zoo.ResNetConfig(depth=8), 0)
    model = keras.Model(inputs, maker.convolution(inputs, 1, "made", size=size, strides=2))
    image = np.arange(1.0, 1 + height**2).reshape(1, height, height, 1).astype("float32")
    for row in range(size):
        for column in range(size):
            kernel = np.zeros((size, size, 1, 1))
            kernel[row, column] = 1
            model.get_layer("made").set_weights([kernel])
            found = np.asarray(model(image))[0, :, :, 0]
            expected = np.zeros(((height + 1) // 2,) * 2)
            for i in range(len(expected)):
                for j in range(len(expected)):
                    y, x = 2 * i + row - size // 2, 2 * j + column - size // 2
                    if 0 <= y < height and 0 <= x < height:
                        expected[i, j] = image[0, y, x, 0]
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["resnet8", "preact_resnet8"])
def test_strided_convolutions_of_networks_stand_on_padded_inputs(name):
    """Every strided 3x3 convolution of a network follows one pixel of padding on each side, and adds none itself."""
    model = zoo.create_model(name)
    strided = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.strides == (2, 2) and layer.kernel_size == (3, 3)
    ]
    paddings = {id(layer.output): layer for layer in model.layers if isinstance(layer, keras.layers.ZeroPadding2D)}
    assert len(strided) == 2
    for layer in strided:
        assert layer.padding == "valid"
        assert paddings[id(layer.input)].padding == ((1, 1), (1, 1))


def test_identity_shortcuts_hold_nothing_to_train():
    """Skip connections add no variable of any kind: option A has no parameters."""
    with_skip, without = (
        zoo.build_model(zoo.ResNetConfig(depth=8, width=2, skip_connections=skip), (8, 8, 3), 2, seed=0)
        for skip in ("identity", "none")
    )
    assert [v.path for v in with_skip.variables] == [v.path for v in without.variables]
    assert not [layer for layer in without.layers if isinstance(layer, keras.layers.Add)]
    assert len([layer for layer in with_skip.layers if isinstance(layer, keras.layers.Add)]) == 3


@pytest.mark.parametrize(
    ("skip_connections", "expected"),
    [
        ("identity", []),
        ("projection", ["stage_2_block_1_projection", "stage_3_block_1_projection"]),
        (
            "projection_everywhere",
            [f"stage_{stage}_block_{block}_projection" for stage in (1, 2, 3) for block in (1, 2)],
        ),
    ],
)
def test_which_blocks_have_projections(skip_connections, expected):
    """Option B projects where the channels change, option C everywhere, with 1x1 kernels, strided as the block."""
    config = zoo.ResNetConfig(depth=14, width=2, skip_connections=skip_connections)
    model = zoo.build_model(config, (8, 8, 3), 2, seed=0)
    found = [layer for layer in model.layers if layer.name.endswith("_projection")]
    assert sorted(layer.name for layer in found) == expected
    for layer in found:
        assert layer.kernel_size == (1, 1)
        strided = layer.name in ("stage_2_block_1_projection", "stage_3_block_1_projection")
        assert layer.strides == ((2, 2) if strided else (1, 1))


def test_signal_passes_through_the_shortcuts_alone():
    """With the last normalization of each block at zero, a positive stem arrives at the pooling, only subsampled."""
    model = zoo.build_model(zoo.ResNetConfig(depth=8, width=4), (8, 8, 3), 2, seed=0)
    for stage in (1, 2, 3):
        layer = model.get_layer(f"stage_{stage}_block_1_convolution_2_normalization")
        layer.gamma.assign(np.zeros(layer.gamma.shape))
    probe = keras.Model(model.input, [model.get_layer("stem_activation").output, model.get_layer("pooling").input])
    inputs = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    stem, last = (np.asarray(value) for value in probe(inputs))
    assert stem.max() > 0
    np.testing.assert_array_equal(last[..., 6:10], stem[:, ::4, ::4])
    np.testing.assert_array_equal(last[..., :6], 0)
    np.testing.assert_array_equal(last[..., 10:], 0)


@pytest.mark.parametrize("depth", [8, 20, 32])
@pytest.mark.parametrize("block_order", ["post_activation", "pre_activation"])
def test_table_of_layers(depth, block_order):
    """32x32, 16x16, 8x8 maps come from 1 + 2n, 2n, 2n layers with 16, 32, 64 filters: the table in section 4.2."""
    model = zoo.build_model(zoo.ResNetConfig(depth=depth, block_order=block_order), (32, 32, 3), 10, seed=0)
    found = Counter(layer.output.shape[1:] for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    n = (depth - 2) // 6
    assert found == {(32, 32, 16): 1 + 2 * n, (16, 16, 32): 2 * n, (8, 8, 64): 2 * n}
    assert model.get_layer("head").input.shape == (None, 64)


@pytest.mark.parametrize(
    ("name", "sizes", "channels"),
    [
        ("resnet18", (56, 28, 14, 7), (64, 128, 256, 512)),
        ("resnet50", (56, 28, 14, 7), (256, 512, 1024, 2048)),
        # Halves at the end of a stage instead; the last stage has nothing after it to be halved for.
        ("resnet50_v2", (28, 14, 7, 7), (256, 512, 1024, 2048)),
    ],
)
def test_sizes_of_the_stages_for_imagenet(name, sizes, channels):
    """Each stage ends with the size and channels of table 1: 56, 28, 14, 7 pixels from 224."""
    model = zoo.create_model(name)
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    ends = {}
    for layer in adds:
        ends[layer.name.split("_block_")[0]] = layer.output.shape[1:]
    expected = [(size, size, count) for size, count in zip(sizes, channels, strict=True)]
    assert [ends[f"stage_{stage}"] for stage in (1, 2, 3, 4)] == expected
    assert model.get_layer("stem").output.shape == (None, 112, 112, 64)
    assert model.get_layer("stem_pooling").output.shape == (None, 56, 56, 64)


def test_dropout_stands_between_the_convolutions_of_a_block():
    """Each block has one dropout, fed by the first activation, feeding the second convolution."""
    model = zoo.build_model(zoo.ResNetConfig(depth=14, width=2, dropout=0.3), (8, 8, 3), 2, seed=0)
    blocks = [f"stage_{stage}_block_{block}" for stage in (1, 2, 3) for block in (1, 2)]
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.name for layer in found] == [f"{block}_convolution_1_dropout" for block in blocks]
    for block, dropout in zip(blocks, found, strict=True):
        assert dropout.rate == 0.3
        assert dropout.input is model.get_layer(f"{block}_convolution_1_activation").output
        assert model.get_layer(f"{block}_convolution_2").input is dropout.output


def test_dropout_of_pre_activation_stands_between_the_convolutions():
    """In a wide network's block, dropout is fed by the second activation and feeds the second convolution."""
    config = zoo.ResNetConfig(depth=8, width=2, dropout=0.3, block_order="pre_activation")
    model = zoo.build_model(config, (8, 8, 3), 2, seed=0)
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(found) == 3
    for stage, dropout in enumerate(found, start=1):
        second = f"stage_{stage}_block_1_convolution_2"
        assert dropout.input is model.get_layer(f"{second}_activation").output
        assert model.get_layer(second).input is dropout.output


def test_chance_of_skipping_grows_linearly():
    """Block l of L is skipped with chance l / L times the last one's: Huang et al. 2016, equation 4."""
    config = zoo.ResNetConfig(depth=14, width=2, stochastic_depth=0.5)
    model = zoo.build_model(config, (8, 8, 3), 2, seed=0)
    found = [layer.rate for layer in model.layers if layer.name.endswith("_stochastic_depth")]
    np.testing.assert_allclose(found, [0.5 * number / 6 for number in range(1, 7)])


@pytest.mark.parametrize("shape", [(8,), (8, 8), (2, 8, 8, 3)])
def test_inputs_must_be_images(shape):
    """Inputs that are no images stop with an error that shows what was given and what is allowed."""
    with pytest.raises(zoo.SettingError) as caught:
        zoo.build_model(zoo.ResNetConfig(depth=8, width=2), shape, 2, seed=0)
    (problem,) = caught.value.problems
    assert problem.path == "input_shape"
    assert problem.given == str(shape)
    assert problem.allowed == "(height, width, channels), without the batch axis"


@pytest.mark.parametrize("stem", ["small_image", "imagenet"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 1), (3, 3, 40)])
def test_small_images_and_many_channels(shape, stem):
    """Images down to one pixel, and inputs with more channels than the stem, give logits."""
    model = zoo.build_model(zoo.ResNetConfig(depth=8, width=2, stem=stem), shape, 3, seed=0)
    outputs = np.asarray(model(np.ones((2, *shape), "float32")))
    assert outputs.shape == (2, 3)
    assert np.isfinite(outputs).all()
