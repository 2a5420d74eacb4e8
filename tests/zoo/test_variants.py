"""The named models: their sizes against the publications, and how they are found by name."""

from __future__ import annotations

import itertools
import re

import pytest

import zoo
from zoo.variants import VARIANTS


@pytest.fixture(scope="module")
def models():
    """Build each variant once, as published."""
    return {name: zoo.create_model(name) for name in VARIANTS}


def size(model):
    """Count parameters without the zoo's help."""
    return sum(weight.numpy().size for weight in model.trainable_weights)


def weight_layers(model):
    """Count weights with at least two axes, as akamaster/pytorch_resnet_cifar10 counts layers."""
    return sum(weight.numpy().ndim >= 2 for weight in model.trainable_weights)


def mlp_size(depth, width, features, classes):
    """Count weights and biases, layer by layer."""
    sizes = [features, *[width] * depth, classes]
    return sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(sizes))


def resnet_size(depth, width, channels, classes, per_channel=2):
    """Count 3x3 convolutions without bias, `per_channel` numbers (gain, offset, bias) for each of their outputs."""
    n = (depth - 2) // 6
    w = width
    maps = [(channels, w), *[(w, w)] * (2 * n), (w, 2 * w), *[(2 * w, 2 * w)] * (2 * n - 1)]
    maps += [(2 * w, 4 * w), *[(4 * w, 4 * w)] * (2 * n - 1)]
    assert len(maps) == depth - 1
    return sum((9 * inputs + per_channel) * outputs for inputs, outputs in maps) + (4 * w + 1) * classes


def agrees(published, count):
    """Tell whether a count, rounded as the publication rounds, is the published one: "7,850" or "0.27 M"."""
    if match := re.fullmatch(r"\d+(?:\.(\d+))? M", published):
        return f"{count / 1e6:.{len(match[1] or '')}f} M" == published
    return f"{count:,}" == published


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # LeCun et al. 1998, section III.C.1, for the linear classifier on 28x28 pixels; by hand (784 + 1) 10.
        ("linear", 7_850),
        # Keras example mnist_mlp: 784-512-512-10.
        ("mlp_512", 669_706),
        # akamaster/pytorch_resnet_cifar10 prints it for its resnet20, which is the paper's.
        ("resnet20", 269_722),
        ("plain20", 269_722),
        # By hand: (64 + 1) 64 + (64 + 1) 64 + (64 + 1) 10.
        ("mlp_small", 8_970),
    ],
)
def test_known_numbers_of_parameters(models, name, parameters):
    """Each variant has the exact number of parameters known from elsewhere."""
    assert size(models[name]) == parameters
    assert zoo.count_parameters(models[name]) == parameters
    assert zoo.audit_model(models[name]).parameters == parameters


@pytest.mark.parametrize("name", [name for name, row in VARIANTS.items() if row.published_parameters])
def test_table_agrees_with_the_built_model(models, name):
    """The published number in the table is the built model's, rounded as it is printed; a twentieth more is not."""
    published = VARIANTS[name].published_parameters
    assert agrees(published, size(models[name]))
    assert not agrees(published, round(size(models[name]) * 1.05))


@pytest.mark.parametrize(
    ("depth", "published"), [(20, "0.27 M"), (32, "0.46 M"), (44, "0.66 M"), (56, "0.85 M"), (110, "1.7 M")]
)
def test_sizes_of_the_paper(depth, published):
    """Every depth of He et al. 2016, table 6, has the printed number of parameters and exactly the formula's."""
    model = zoo.create_model("resnet20", depth=depth)
    assert size(model) == resnet_size(depth, 16, 3, 10)
    assert weight_layers(model) == depth
    assert agrees(published, size(model))


@pytest.mark.parametrize(
    ("depth", "width", "channels", "classes"), [(8, 1, 1, 2), (8, 5, 3, 100), (14, 3, 4, 7), (26, 2, 3, 10)]
)
@pytest.mark.parametrize("skip_connections", [True, False])
def test_size_of_other_residual_networks(depth, width, channels, classes, skip_connections):
    """The formula holds for other depths, widths, channels and classes, with and without skip connections."""
    config = zoo.ResNetConfig(depth=depth, width=width, skip_connections=skip_connections)
    model = zoo.build_model(config, (8, 8, channels), classes, seed=0)
    assert size(model) == zoo.count_parameters(model) == resnet_size(depth, width, channels, classes)
    assert weight_layers(model) == zoo.audit_model(model).weight_layers == depth


@pytest.mark.parametrize(
    ("normalization", "place", "per_channel"),
    [
        ("none", "before_activation", 1),
        ("batch", "before_activation", 2),
        ("layer", "before_activation", 2),
        ("none", "after_activation", 1),
        ("batch", "after_activation", 3),
        ("layer", "after_activation", 3),
    ],
)
def test_size_under_each_normalization(normalization, place, per_channel):
    """A channel has a gain and an offset where normalized, and a bias where no normalization follows at once."""
    config = zoo.ResNetConfig(depth=8, width=2, normalization=normalization, normalization_place=place)
    model = zoo.build_model(config, (8, 8, 3), 4, seed=0)
    assert size(model) == zoo.count_parameters(model) == resnet_size(8, 2, 3, 4, per_channel)


@pytest.mark.parametrize(
    ("depth", "width", "shape", "classes"), [(0, 7, (9,), 4), (1, 7, (3, 2, 4), 3), (5, 3, (4, 4, 1), 2)]
)
@pytest.mark.parametrize("skip_connections", [True, False])
def test_size_of_other_perceptrons(depth, width, shape, classes, skip_connections):
    """The formula holds for other depths, widths, shapes and classes; skip connections add nothing."""
    config = zoo.MLPConfig(depth=depth, width=width, skip_connections=skip_connections)
    model = zoo.build_model(config, shape, classes, seed=0)
    features = {(9,): 9, (3, 2, 4): 24, (4, 4, 1): 16}[shape]
    assert size(model) == zoo.count_parameters(model) == mlp_size(depth, width, features, classes)
    assert weight_layers(model) == zoo.audit_model(model).weight_layers == depth + 1


@pytest.mark.parametrize("name", VARIANTS)
def test_depth_is_the_number_of_weight_layers(models, name):
    """A residual network's depth counts all its weight layers, a perceptron's its hidden ones."""
    config = VARIANTS[name].config
    expected = config.depth if config.family == "resnet" else config.depth + 1
    assert weight_layers(models[name]) == expected
    assert zoo.audit_model(models[name]).weight_layers == expected


@pytest.mark.parametrize("name", VARIANTS)
def test_default_shapes_are_the_publication_s(models, name):
    """Built with its name alone, a variant takes the publication's examples and gives its classes."""
    row = VARIANTS[name]
    assert models[name].input_shape == (None, *row.input_shape)
    assert models[name].output_shape == (None, row.num_classes)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("resnet*", ["resnet8", "resnet20"]),
        ("*20", ["resnet20", "plain20"]),
        ("mlp_512", ["mlp_512"]),
        ("mlp_?????", ["mlp_small"]),
        ("[lp]*", ["linear", "plain20"]),
        ("RESNET*", []),
        ("resnet", []),
        ("", []),
    ],
)
def test_list_models(pattern, expected):
    """A shell pattern must match the whole name, in the case as written, and the table's order is kept."""
    assert zoo.list_models(pattern) == expected


def test_list_models_lists_all():
    """Without a pattern, every variant is listed."""
    assert zoo.list_models() == list(VARIANTS)
    assert set(zoo.list_models()) >= {"linear", "mlp_small", "mlp_512", "resnet8", "resnet20", "plain20"}


@pytest.mark.parametrize("name", VARIANTS)
def test_model_config(name):
    """A name alone gives the row's own config; settings replace only themselves."""
    config = VARIANTS[name].config
    assert zoo.model_config(name) == config
    changed = zoo.model_config(name, activation="selu", dropout=0.25)
    assert changed.model_dump() == config.model_dump() | {"activation": "selu", "dropout": 0.25}


@pytest.mark.parametrize(
    ("name", "expected"), [("resnet2", "resnet20"), ("mlp512", "mlp_512"), ("lineer", "linear"), ("vgg", None)]
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
        with pytest.raises(zoo.SettingError, match="nearest: width"):
            ask(name, widht=3)


@pytest.mark.parametrize("name", VARIANTS)
def test_row_is_complete(name):
    """Each row explains itself to people and names its source."""
    assert VARIANTS[name].summary.strip()
    assert VARIANTS[name].source.strip()
