"""The named models: their sizes against the publications and other people's code, and how they are found by name."""

from __future__ import annotations

import itertools
import re

import keras
import numpy as np
import pytest

import zoo
from tools.fidelity.nets import PARAMETERS, printed
from zoo.variants import VARIANTS

DEEPEST = {
    *("plain110", "resnet110", "resnet1202", "preact_resnet110", "preact_resnet1202"),
    *("resnet101", "resnet152", "resnet101_v2", "resnet152_v2"),
}
"""By day, only shallower ones of their families are built."""
LONG_TO_BUILD = {"preact_resnet164", "wrn_28_10", "se_resnet50"}


def slow_where_long(names):
    marks = dict.fromkeys(DEEPEST, pytest.mark.night) | dict.fromkeys(LONG_TO_BUILD, pytest.mark.slow)
    return [pytest.param(name, marks=marks.get(name, ())) for name in names]


def size(model):
    """Count parameters without the zoo's help."""
    return sum(weight.numpy().size for weight in model.trainable_weights)


def weight_layers(model):
    """Count kernels off the shortcuts and off squeeze-and-excitation, which the papers' depths leave out."""
    left_out = ("projection", "squeeze", "excitation")
    return sum(
        weight.path.endswith("/kernel") and not any(word in weight.path for word in left_out)
        for weight in model.trainable_weights
    )


def mlp_cost(widths, features, classes):
    """Count weights and biases, and weights alone, layer by layer."""
    sizes = [features, *widths, classes]
    weights = sum(inputs * outputs for inputs, outputs in itertools.pairwise(sizes))
    return weights + sum(sizes[1:]), weights


def resnet_size(depth, width, channels, classes, per_channel=2):
    """Count 3x3 convolutions without bias, `per_channel` numbers (gain, offset, bias) for each of their outputs."""
    n = (depth - 2) // 6
    w = width
    maps = [(channels, w), *[(w, w)] * (2 * n), (w, 2 * w), *[(2 * w, 2 * w)] * (2 * n - 1)]
    maps += [(2 * w, 4 * w), *[(4 * w, 4 * w)] * (2 * n - 1)]
    assert len(maps) == depth - 1
    return sum((9 * inputs + per_channel) * outputs for inputs, outputs in maps) + (4 * w + 1) * classes


def basic_cost(n, factor=1, *, projections=False):
    """Parameters and multiply-adds of 2n layers each of 16k, 32k, 64k channels on 32x32, 16x16, 8x8 pixels.

    In closed form, after section 4.2 of He et al. 2016 and table 1 of Zagoruyko & Komodakis 2016.
    """
    a, b, c = 16 * factor, 32 * factor, 64 * factor
    weights = {
        1024: 9 * (3 * 16 + 16 * a + (2 * n - 1) * a * a),
        256: 9 * (a * b + (2 * n - 1) * b * b),
        64: 9 * (b * c + (2 * n - 1) * c * c),
    }
    if projections:
        weights = {1024: weights[1024] + 16 * a, 256: weights[256] + a * b, 64: weights[64] + b * c}
    gains_and_offsets = 2 * (16 + 2 * n * (a + b + c))
    macs = sum(pixels * count for pixels, count in weights.items()) + 10 * c
    return sum(weights.values()) + gains_and_offsets + 10 * c + 10, macs


def stages_cost(blocks, widths, side, *, bottleneck, pre=False, last=False, excitation=False, imagenet=True):
    """Parameters and multiply-adds of a network with projections, convolution by convolution as its table lists them.

    `side` is the height of the images that the first stage sees; `last`: it halves at the end of a stage.
    """
    stem = (7, 3, 64, 112**2) if imagenet else (3, 3, 16, 32**2)
    convolutions, offsets, other = [stem], 0 if pre else stem[2], 0
    inputs = stem[2]
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
        outputs = 4 * width if bottleneck else width
        for block in range(count):
            at_start = block == 0 and stage > 0 and not last
            at_end = block == count - 1 and stage < len(blocks) - 1 and last
            before, side = side, side // 2 if at_start or at_end else side
            if bottleneck:
                # v2 strides in the 3x3 convolution, v1 in the first.
                first = before if last else side
                made = [(1, inputs, width, first**2), (3, width, width, side**2), (1, width, outputs, side**2)]
            else:
                made = [(3, inputs, width, side**2), (3, width, width, side**2)]
            # Before each convolution stands a normalization of its inputs, or after each one of its outputs.
            offsets += sum(each[1] if pre else each[2] for each in made)
            if inputs != outputs:
                made.append((1, inputs, outputs, side**2))
                offsets += 0 if pre else outputs
            if excitation:
                other += 2 * outputs * (outputs // 16)
                offsets += (outputs // 16 + outputs) / 2  # biases, not pairs of gain and offset
            convolutions += made
            inputs = outputs
    offsets += inputs if pre else 0
    classes = 1000 if imagenet else 10
    weights = sum(kernel**2 * i * o for kernel, i, o, _ in convolutions)
    macs = sum(kernel**2 * i * o * pixels for kernel, i, o, pixels in convolutions)
    return int(weights + other + 2 * offsets + (inputs + 1) * classes), macs + other + inputs * classes


LARGE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def cost_by_formula(name):
    """Parameters and multiply-adds of a variant, from what its paper says of it."""
    widths = (64, 128, 256, 512)
    perceptrons = {
        "linear": ([], 784),
        "mlp_small": ([64] * 2, 64),
        "mlp_512": ([512] * 2, 784),
        "mlp_pyramid": ([512, 256, 128], 784),
        "mlp_deep": ([128] * 20, 784),
        "mlp_dropout": ([800] * 2, 784),
    }
    if name in perceptrons:
        return mlp_cost(*perceptrons[name], 10)
    if name == "mlp_residual":
        parameters, macs = mlp_cost([128] * 20, 784, 10)
        return parameters + 20 * 128, macs  # a gain and an offset in place of each bias
    if name == "lenet5":
        # Table of section II.B, layer by layer, and a linear layer of 84 to 10; S2 and S4 have one weight a map.
        trained = 156 + 12 + 1_516 + 32 + 48_120 + 10_164 + 850
        return trained, 784 * 6 * 25 + 196 * 6 + 100 * 60 * 25 + 25 * 16 + 120 * 400 + 84 * 120 + 840
    if name == "se_resnet20":
        parameters, macs = basic_cost(3)
        gates = [(16, 1), (32, 2), (64, 4)]
        weights = 3 * sum(2 * channels * units for channels, units in gates)
        return parameters + weights + 3 * sum(channels + units for channels, units in gates), macs + weights
    if name == "se_resnet50":
        return stages_cost(LARGE[50], widths, 56, bottleneck=True, excitation=True)
    if match := re.fullmatch(r"wrn_(\d+)_(\d+)", name):
        return basic_cost((int(match[1]) - 4) // 6, int(match[2]), projections=True)
    match = re.fullmatch(r"(plain|resnet|preact_resnet)(\d+)(_v2)?", name)
    kind, depth, second = match[1], int(match[2]), bool(match[3])
    if kind == "resnet" and depth in LARGE:
        return stages_cost(LARGE[depth], widths, 56, bottleneck=depth >= 50, pre=second, last=second)
    if kind == "preact_resnet" and depth in (164, 1001):
        n = (depth - 2) // 9
        return stages_cost((n,) * 3, (16, 32, 64), 32, bottleneck=True, pre=True, imagenet=False)
    return basic_cost((depth - 2) // 6)


@pytest.mark.parametrize("name", VARIANTS)
def test_table_agrees_with_the_papers_formulas(name):
    """Parameters and multiply-adds in the table are those that follow from the paper's description by arithmetic."""
    assert (VARIANTS[name].parameters, VARIANTS[name].macs) == cost_by_formula(name)


@pytest.mark.parametrize("name", PARAMETERS)
def test_known_numbers_of_parameters(name):
    """The table has the exact number of parameters that is known from independent code."""
    assert VARIANTS[name].parameters == PARAMETERS[name][0]


@pytest.mark.parametrize("depth", LARGE)
def test_layouts_for_imagenet(depth):
    """The numbers of blocks in each stage are those of He et al. 2016, table 1."""
    assert zoo.model_config(f"resnet{depth}").layout == LARGE[depth]


PRINTED_OTHERWISE = {
    # 3.858 G, as everybody counts it, is cut and not rounded.
    "resnet50": (3.8e9, 3_857_973_248),
    # 3.664 G; figure 3 counts the network with option A, without the three projections: 3.644 G.
    "resnet34": (3.6e9, 3_663_761_408),
    # 3.8605 G; the paper also counts the means and the scaling of the maps: see the test of that.
    "se_resnet50": (3.87e9, 3_860_488_192),
    # 10.33 M; pytorchcv, too, has 10,327,706.
    "preact_resnet1001": (10.2e6, 10_327_706),
    # Without the output layer, which has nothing to train there: see the test of LeNet-5's layers.
    "lenet5": (60_000, 60_850),
}


@pytest.mark.parametrize("name", [name for name, row in VARIANTS.items() if row.published])
def test_table_agrees_with_what_the_paper_prints(name):
    """The exact count rounds to the printed figure; the exceptions are listed with their reason, and near to it."""
    row = VARIANTS[name]
    figure, step, what = printed(row.published)
    count = row.parameters if what == "parameters" else row.macs
    if name in PRINTED_OTHERWISE:
        assert (figure, count) == PRINTED_OTHERWISE[name]
        assert abs(count / figure - 1) < 0.02
        assert abs(count - figure) > step / 2, "no exception is needed"
    else:
        assert abs(count - figure) <= step / 2
        assert abs(count * 1.1 - figure) > step / 2


def test_printed_multiply_adds_of_exceptions():
    """What the papers print for resnet34 and se_resnet50 follows once their way of counting is taken."""
    projections = 28**2 * 64 * 128 + 14**2 * 128 * 256 + 7**2 * 256 * 512
    assert f"{(VARIANTS['resnet34'].macs - projections) / 1e9:.1f}" == "3.6"
    maps = 3 * 56**2 * 256 + 4 * 28**2 * 512 + 6 * 14**2 * 1024 + 3 * 7**2 * 2048
    assert f"{(VARIANTS['se_resnet50'].macs + 2 * maps) / 1e9:.2f}" == "3.87"


# The network of 1001 layers is built, and held against the table, where it is saved and loaded: test_fidelity.py.
@pytest.mark.parametrize("name", slow_where_long(name for name in VARIANTS if name != "preact_resnet1001"))
def test_built_model_agrees_with_the_table(name):
    """Built by its name alone, a variant has the table's size, its name's depth, and the publication's shapes."""
    row, model = VARIANTS[name], zoo.create_model(name)
    audit = zoo.audit_model(model)
    assert size(model) == audit.parameters == zoo.count_parameters(model) == row.parameters
    assert audit.macs == row.macs
    assert model.input_shape == (None, *row.input_shape)
    assert model.output_shape == (None, row.num_classes)
    convolutions = sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers)
    depth_in_name = re.search(r"(?:resnet|plain|wrn_)(\d+)", name)
    if name.startswith("wrn"):
        # "n" is there the number of convolutions, the three projections counted and the head not.
        assert convolutions == int(depth_in_name[1])
        assert weight_layers(model) == int(depth_in_name[1]) - 2
    elif depth_in_name:
        assert weight_layers(model) == int(depth_in_name[1])
    elif name == "lenet5":
        # C1, 16 parts of C3, C5, F6 and the head, and the one weight a map of S2 and S4
        assert audit.weight_layers == 1 + 16 + 1 + 1 + 1
    else:
        assert weight_layers(model) == audit.weight_layers == row.config.depth + 1


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("resnet50", "ResNet50"),
        ("resnet50_v2", "ResNet50V2"),
        pytest.param("resnet101", "ResNet101", marks=pytest.mark.night),
        pytest.param("resnet101_v2", "ResNet101V2", marks=pytest.mark.night),
        pytest.param("resnet152", "ResNet152", marks=pytest.mark.night),
        pytest.param("resnet152_v2", "ResNet152V2", marks=pytest.mark.night),
    ],
)
def test_sizes_of_keras_applications(name, theirs):
    """The table has as many parameters as keras.applications, whose convolutions have superfluous biases."""
    model = getattr(keras.applications, theirs)(weights=None)
    biases = sum(
        layer.bias.shape[0]
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.bias is not None
    )
    moving = sum(2 * layer.gamma.shape[0] for layer in model.layers if hasattr(layer, "moving_mean"))
    assert biases > 0
    assert VARIANTS[name].parameters == model.count_params() - biases - moving


@pytest.mark.parametrize(
    ("depth", "published"), [(20, "0.27 M"), (32, "0.46 M"), (44, "0.66 M"), (56, "0.85 M"), (110, "1.7 M")]
)
def test_sizes_of_the_paper(depth, published):
    """Every depth of He et al. 2016, table 6, reached from another's row, has the printed number of parameters."""
    model = zoo.create_model("resnet8", depth=depth)
    digits = len(published.partition(".")[2]) - 2
    assert size(model) == resnet_size(depth, 16, 3, 10)
    assert weight_layers(model) == depth
    assert f"{size(model) / 1e6:.{digits}f} M" == published


@pytest.mark.parametrize(
    ("depth", "width", "channels", "classes"), [(8, 1, 1, 2), (8, 5, 3, 100), (14, 3, 4, 7), (26, 2, 3, 10)]
)
@pytest.mark.parametrize("skip_connections", ["none", "identity"])
@pytest.mark.parametrize("block_order", ["post_activation", "pre_activation"])
def test_size_of_other_residual_networks(depth, width, channels, classes, skip_connections, block_order):
    """The formula holds for other depths, widths, channels and classes, plain, residual and in either order."""
    config = zoo.ResNetConfig(depth=depth, width=width, skip_connections=skip_connections, block_order=block_order)
    model = zoo.build_model(config, (8, 8, channels), classes, seed=0)
    assert size(model) == zoo.count_parameters(model) == resnet_size(depth, width, channels, classes)
    assert weight_layers(model) == zoo.audit_model(model).weight_layers == depth


@pytest.mark.parametrize(
    ("normalization", "place", "per_channel"),
    [
        ("none", "before_activation", 1),
        ("batch", "before_activation", 2),
        ("layer", "before_activation", 2),
        ("group", "before_activation", 2),
        ("instance", "before_activation", 2),
        ("rms", "before_activation", 2),
        ("batch", "after_activation", 3),
        ("layer", "after_activation", 3),
        ("rms", "after_activation", 2),
    ],
)
def test_size_under_each_normalization(normalization, place, per_channel):
    """A channel has a gain and, but for rms, an offset where normalized, and a bias where no offset follows at once."""
    config = zoo.ResNetConfig(depth=8, width=2, normalization=normalization, normalization_place=place)
    model = zoo.build_model(config, (8, 8, 3), 4, seed=0)
    assert size(model) == zoo.count_parameters(model) == resnet_size(8, 2, 3, 4, per_channel)


@pytest.mark.parametrize(
    ("depth", "width", "shape", "classes"), [(4, 9, (9,), 4), (2, 7, (3, 2, 4), 3), (5, 3, (4, 4, 1), 2)]
)
@pytest.mark.parametrize("skip_connections", ["none", "identity"])
def test_size_of_other_perceptrons(depth, width, shape, classes, skip_connections):
    """The formula holds for other depths, widths, shapes and classes; identity skip connections add nothing."""
    config = zoo.MLPConfig(depth=depth, width=width, skip_connections=skip_connections)
    model = zoo.build_model(config, shape, classes, seed=0)
    features = {(9,): 9, (3, 2, 4): 24, (4, 4, 1): 16}[shape]
    parameters, macs = mlp_cost([width] * depth, features, classes)
    assert size(model) == zoo.count_parameters(model) == parameters
    assert zoo.audit_model(model).macs == macs
    assert weight_layers(model) == zoo.audit_model(model).weight_layers == depth + 1


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("resnet*0", ["resnet20", "resnet110", "resnet50"]),
        ("*20", ["plain20", "resnet20", "preact_resnet20", "se_resnet20"]),
        ("mlp_512", ["mlp_512"]),
        ("mlp_?????", ["mlp_small"]),
        ("[lw]*[tr05]", ["linear", "lenet5", "wrn_28_10"]),
        ("RESNET*", []),
        ("resnet", []),
        ("", []),
    ],
)
def test_list_models(pattern, expected):
    """A shell pattern must match the whole name, in the case as written, and the table's order is kept."""
    assert zoo.list_models(pattern) == expected


def test_list_models_lists_all():
    """Without a pattern, every variant is listed, and no name of a published network went missing."""
    assert zoo.list_models() == list(VARIANTS)
    assert set(zoo.list_models()) >= set(PARAMETERS)


def another_value(name):
    """Settings with values that the row does not have; the linear model has no hidden layer for most of them."""
    return {"activation": "selu", "dropout": 0.25} if name != "linear" else {"initializer": "zeros", "l2": 0.5}


@pytest.mark.parametrize("name", VARIANTS)
def test_model_config(name):
    """A name alone gives the row's own config; settings replace only themselves."""
    config = VARIANTS[name].config
    assert zoo.model_config(name) == config
    settings = another_value(name)
    changed = zoo.model_config(name, **settings)
    assert changed != config
    assert changed.model_dump() == config.model_dump() | settings


@pytest.mark.parametrize(
    ("name", "expected"), [("resnet_20", "resnet20"), ("mlp512", "mlp_512"), ("lineer", "linear"), ("vgg", None)]
)
def test_unknown_model(name, expected):
    """An unknown name stops with every name there is and the nearest, whichever function is asked."""
    for ask in (zoo.model_config, zoo.create_model):
        with pytest.raises(zoo.SettingError) as caught:
            ask(name)
        (problem,) = caught.value.problems
        assert (problem.given, problem.nearest) == (name, expected)
        assert problem.allowed == ", ".join(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_unusable_setting(name):
    """A wrong setting of a named model stops before anything is built."""
    for ask in (zoo.model_config, zoo.create_model):
        with pytest.raises(zoo.SettingError, match="nearest: relu"):
            ask(name, activation="rellu")
        with pytest.raises(zoo.SettingError, match="nearest: dropout"):
            ask(name, droput=0.1)


@pytest.mark.parametrize("name", VARIANTS)
def test_row_is_complete(name):
    """Each row explains itself to people and names its source."""
    assert VARIANTS[name].summary.strip()
    assert VARIANTS[name].source.strip()


def test_no_two_rows_mean_the_same_network():
    """Each name stands for a network of its own."""
    told = [(row.config.family, row.config.model_dump_json()) for row in VARIANTS.values()]
    assert len(set(told)) == len(told)
    assert np.all([row.num_classes in (10, 1000) for row in VARIANTS.values()])
