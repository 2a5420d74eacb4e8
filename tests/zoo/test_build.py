"""From config to model: where the initial values come from, and models in files and for raw inputs."""

from __future__ import annotations

import functools
import itertools

import keras
import numpy as np
import pytest
from examples import spanning
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS

SHAPE, CLASSES = (8, 8, 3), 3
TINY = {
    "mlp": zoo.MLPConfig(depth=3, width=5, dropout=0.5, normalization="batch"),
    "lenet": zoo.LeNetConfig(dropout=0.5, normalization="batch"),
    "resnet": zoo.ResNetConfig(depth=8, width=4, dropout=0.5),
}
RANDOM = [name for name, row in INITIALIZERS.items() if row.is_random]
KEEPING_SHAPES = [
    *({"activation": name} for name in ACTIVATIONS),
    *({"normalization": name} for name in NORMALIZATIONS if name != "instance"),
    *({"normalization_place": name} for name in NORMALIZATION_PLACES),
    {"dropout": 0.0},
    {"input_dropout": 0.3},
    {"drop_connect": 0.3},
    {"weight_standardization": True},
    {"max_norm": 1.0},
    {"l1": 0.1, "l2": 0.1},
    {"initial_bias": 0.5, "normalization": "none"},
    {"normalization_variance": "biased"},
]
OF_FAMILY = {
    "mlp": [
        {"skip_connections": "identity"},
        {"skip_connections": "identity", "stochastic_depth": 0.5},
        {"skip_connections": "projection"},
    ],
    "lenet": [],
    "resnet": [
        *({"skip_connections": name} for name in ("none", "projection", "projection_everywhere")),
        {"block_order": "pre_activation"},
        {"residual_start": "zero_gamma"},
        {"squeeze_excitation": 2},
        {"stochastic_depth": 0.5},
        {"dropout_kind": "channels"},
        {"pooling": "max"},
        {"downsampling_block": "last"},
        {"block_order": "pre_activation", "activated_shortcuts": "every_stage"},
    ],
}
"""Changes that leave the shapes of the layers that there were alone."""


@functools.cache
def tiny_model(family):
    """Build the model of a family with seed 0, once for all that do not change it."""
    return zoo.build_model(TINY[family], SHAPE, CLASSES, seed=0)


def values_of(model):
    """Copy the values of all variables."""
    return [np.array(variable) for variable in model.variables]


def kernels_of(model):
    """Copy the kernels that an initializer of the table draws, by the names of their layers."""
    return {layer.name: np.array(layer.kernel) for layer in model.layers if hasattr(layer, "kernel_initializer")}


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, strict=True)


def examples(number=16):
    return np.random.default_rng(0).normal(size=(number, *SHAPE)).astype("float32")


@pytest.mark.parametrize("family", TINY)
def test_same_seed_same_weights_whatever_was_built_before(family):
    """All variables are equal again, dropout states too, after other models were built and Keras was reseeded."""
    first = values_of(zoo.build_model(TINY[family], SHAPE, CLASSES, seed=3))
    keras.utils.set_random_seed(99)
    for other in TINY.values():
        zoo.build_model(other, SHAPE, CLASSES, seed=3)
    assert_same(values_of(zoo.build_model(TINY[family], SHAPE, CLASSES, seed=3)), first)


@pytest.mark.parametrize("family", TINY)
def test_different_seeds_differ(family):
    """Another seed gives other numbers in every kernel and in every dropout state."""
    first, second = (zoo.build_model(TINY[family], SHAPE, CLASSES, seed=seed) for seed in (0, 1))
    for one, other in zip(kernels_of(first).values(), kernels_of(second).values(), strict=True):
        assert not np.isclose(one, other, rtol=1e-4, atol=0).all()
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.9
    states = [{str(v.numpy()) for v in model.variables if "seed_generator" in v.path} for model in (first, second)]
    assert len(states[0]) == len(states[1]) == (2 if family == "lenet" else 3)
    assert not states[0] & states[1]


@pytest.mark.parametrize(
    ("family", "initializer"), spanning([(family, name) for family in ("mlp", "resnet") for name in RANDOM])
)
def test_layers_of_one_shape_start_differently(family, initializer):
    """No two layers of a model share their initial weights, which one seed for all layers would bring about."""
    config = TINY[family].changed(depth=14, initializer=initializer)
    kernels = kernels_of(zoo.build_model(config, SHAPE, CLASSES, seed=0)).values()
    pairs = [(a, b) for a, b in itertools.combinations(kernels, 2) if a.shape == b.shape]
    assert len(pairs) >= 6
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.9


def test_dropout_masks_follow_the_seed():
    """In training, the same seed drops the same units and another seed others."""
    config = TINY["mlp"].changed(width=200)
    outputs = [
        np.asarray(
            zoo.build_model(config, SHAPE, CLASSES, seed=seed).get_layer("hidden_1_dropout")(ones, training=True)
        )
        for seed, ones in ((0, np.ones((4, 200))), (0, np.ones((4, 200))), (1, np.ones((4, 200))))
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0] != outputs[2]).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("family", "change"),
    spanning([(family, change) for family in TINY for change in KEEPING_SHAPES + OF_FAMILY[family]]),
)
def test_kernels_do_not_depend_on_other_settings(family, change):
    """A setting that leaves a layer's shape alone leaves its initial kernel alone."""
    base = kernels_of(tiny_model(family))
    changed = kernels_of(zoo.build_model(TINY[family].changed(**change), SHAPE, CLASSES, seed=0))
    assert set(base) <= set(changed)
    for name, kernel in base.items():
        np.testing.assert_array_equal(changed[name], kernel, strict=True)


@pytest.mark.parametrize(("family", "depth"), [("mlp", 4), ("resnet", 14)])
def test_kernels_do_not_depend_on_depth(family, depth):
    """A deeper network starts with the same kernels in those layers that the shallower one has too."""
    base = kernels_of(tiny_model(family))
    deeper = kernels_of(zoo.build_model(TINY[family].changed(depth=depth), SHAPE, CLASSES, seed=0))
    assert set(base) < set(deeper)
    assert_same(list(base.values()), [deeper[name] for name in base])


NOT_SHAPING = [
    *({"initializer": name} for name in INITIALIZERS),
    {"initializer": "constant", "initializer_scale": 0.5},
    {"initializer": "small_normal", "initializer_scale": 0.5},
    *({"initializer": name, "initializer_gain": "activation"} for name in ("he_normal", "delta_orthogonal")),
]
"""Changes that leave a program as it is."""


@pytest.mark.parametrize(
    ("family", "change"), spanning([(family, change) for family in TINY for change in NOT_SHAPING])
)
def test_initial_values(family, change):
    """Values drawn anew, for another seed and initializer, are to the last bit those of a model built so."""
    config, model = TINY[family], tiny_model(family)
    before = values_of(model)
    asked = config.changed(**change)
    assert_same(zoo.initial_values(model, asked, seed=5), values_of(zoo.build_model(asked, SHAPE, CLASSES, seed=5)))
    assert_same(values_of(model), before)
    assert_same(zoo.initial_values(model, config, seed=0), before)


SHAPING = {
    "mlp": [{"skip_connections": "projection", "stochastic_depth": 0.5}],
    "lenet": [],
    "resnet": [
        *({"residual_start": "zero_gamma", "block_order": order} for order in ("post_activation", "pre_activation")),
        {"residual_start": "zero_gamma", "normalization": "none"},
        {"residual_start": "zero_gamma", "normalization": "rms"},
        {"residual_start": "fixup", "normalization": "none"},
        {"residual_start": "fixup", "normalization": "none", "initializer": "orthogonal"},
        {
            "residual_start": "fixup",
            "normalization": "none",
            "block": "bottleneck",
            "depth": 11,
            "skip_connections": "projection_everywhere",
        },
        {"normalization": "none", "initializer": "pytorch_default", "squeeze_excitation": 2},
        {"squeeze_excitation": 2, "stochastic_depth": 0.5, "dropout_kind": "channels"},
    ],
}


@pytest.mark.parametrize(
    ("family", "change"),
    spanning(
        [
            (family, change)
            for family in TINY
            for change in [
                *({"normalization": name} for name in NORMALIZATIONS if name != "instance"),
                {"activation": "prelu"},
                {"drop_connect": 0.3, "input_dropout": 0.2},
                {"weight_standardization": True, "max_norm": 1.0, "l2": 0.1},
                {"normalization": "none", "initial_bias": 0.5},
                *SHAPING[family],
            ]
        ]
    ),
)
def test_initial_values_of_every_part(family, change):
    """The same holds with each part that has variables of its own, and for another initial bias."""
    config = TINY[family].changed(**change)
    model = zoo.build_model(config, SHAPE, CLASSES, seed=0)
    asked = config.changed(initializer="small_normal", initial_bias=-0.25) if config.initial_bias else config
    assert_same(zoo.initial_values(model, asked, seed=5), values_of(zoo.build_model(asked, SHAPE, CLASSES, seed=5)))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**40), depth=st.integers(0, 3), dropout=st.sampled_from([0.0, 0.3]))
def test_initial_values_of_any_seed(seed, depth, dropout):
    """The same holds for large seeds, for no hidden layer at all and with no dropout."""
    hidden = {"width": 3, "dropout": dropout, "normalization": "layer"} if depth else {}
    config = zoo.MLPConfig(depth=depth, input_dropout=dropout, **hidden)
    model = zoo.build_model(config, (4,), 2, seed=1)
    assert_same(zoo.initial_values(model, config, seed), values_of(zoo.build_model(config, (4,), 2, seed=seed)))


@pytest.mark.parametrize("family", TINY)
def test_initial_values_of_a_loaded_model(family, tmp_path):
    """A model that went through a file can be given the values of another seed too."""
    config = TINY[family]
    model = zoo.build_model(config, SHAPE, CLASSES, seed=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(zoo.initial_values(loaded, config, 5), values_of(zoo.build_model(config, SHAPE, CLASSES, seed=5)))


@pytest.mark.parametrize("family", TINY)
def test_initial_values_restart_a_model(family):
    """Assigned to a model, drawn values make it act as one built with the seed, random dropout masks included."""
    model, other = (zoo.build_model(TINY[family], SHAPE, CLASSES, seed=seed) for seed in (0, 5))
    for variable, value in zip(model.variables, zoo.initial_values(model, TINY[family], 5), strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(model(examples(), training=True), other(examples(), training=True))


@pytest.mark.parametrize("family", TINY)
def test_initial_values_in_mixed_precision(family):
    """Under a mixed policy weights stay float32, are the same as without it, and are drawn anew as such."""
    plain = values_of(zoo.build_model(TINY[family], SHAPE, CLASSES, seed=5))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = zoo.build_model(TINY[family], SHAPE, CLASSES, seed=0)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer(TINY[family].first_layers[0]).compute_dtype == "bfloat16"
    assert np.isfinite(np.asarray(model(examples()), "float32")).all()
    assert_same(zoo.initial_values(model, TINY[family], 5), plain)


def test_create_model():
    """A name, a shape, classes, a seed and settings give what `build_model` gives of the config they describe."""
    model = zoo.create_model("resnet20", input_shape=SHAPE, num_classes=4, seed=7, depth=8, width=2, activation="silu")
    config = zoo.ResNetConfig(depth=8, width=2, activation="silu")
    expected = zoo.build_model(config, SHAPE, 4, seed=7)
    assert model.output_shape == (None, 4)
    assert zoo.audit_model(model) == zoo.audit_model(expected)
    assert_same(values_of(model), values_of(expected))


def test_create_model_has_seed_0():
    """Without a seed, the same weights come every time: those of seed 0."""
    assert_same(values_of(zoo.create_model("mlp_small")), values_of(zoo.create_model("mlp_small", seed=0)))


def test_shapes_may_be_lists():
    """A shape read from a file, a list, is as good as a tuple."""
    for family, config in TINY.items():
        assert zoo.build_model(config, list(SHAPE), CLASSES, seed=0).output_shape == (None, CLASSES), family


def test_first_layers_are_those_that_see_the_inputs():
    """The layers that a config calls its first are the weight layers whose inputs no other weight layer gave."""
    for config in (*TINY.values(), zoo.MLPConfig(depth=0), zoo.MLPConfig(skip_connections="projection")):
        model = zoo.build_model(config, SHAPE, CLASSES, seed=0)
        raw, first = {id(model.input)}, set()
        for each in model.operations[1:]:
            sees_inputs = any(id(tensor) in raw for tensor in keras.tree.flatten(each.input))
            if sees_inputs and hasattr(each, "kernel"):
                first.add(each.name)
            elif sees_inputs:
                raw.add(id(each.output))
        assert first == {name for name in config.first_layers if name in {each.name for each in model.layers}}


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize(("shift", "scale"), [(2.0, 0.5), ([1.0, 2.0, 3.0], [0.5, 1.0, 4.0])])
def test_with_standardization(family, shift, scale, tmp_path, randomize):
    """The model for raw inputs computes (inputs - shift) * scale first, shares the weights, and goes through a file."""
    model = randomize(zoo.build_model(TINY[family], SHAPE, CLASSES, seed=0))
    raw = examples() * 3 + 1
    expected = np.asarray(model(((raw - shift) * scale).astype("float32")))
    standardized = zoo.with_standardization(model, shift, scale)
    assert standardized.input_shape == (None, *SHAPE)
    np.testing.assert_allclose(standardized(raw), expected, rtol=1e-3, atol=1e-4)
    standardized.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(zoo.load_model(tmp_path / "model.keras")(raw), standardized(raw))
    model.get_layer("head").bias.assign_add(np.ones(CLASSES))
    np.testing.assert_allclose(standardized(raw), expected + 1, rtol=1e-3, atol=1e-4)


def test_standardization_of_single_features():
    """Shift and scale may be arrays of the whole example's shape, each feature with its own."""
    model = zoo.build_model(zoo.MLPConfig(depth=0), (3,), 2, seed=0)
    shift, scale = np.array([1.0, 0.0, -2.0]), np.array([2.0, 3.0, 0.5])
    raw = np.random.default_rng(0).normal(size=(4, 3))
    expected = np.asarray(model((raw - shift) * scale))
    np.testing.assert_allclose(zoo.with_standardization(model, shift, scale)(raw), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.night
def test_load_model_takes_deep_networks(tmp_path):
    """A network of hundreds of layers, too deep for Python's usual limit on calls, is built, saved and loaded."""
    import sys

    before = sys.getrecursionlimit()
    config = zoo.MLPConfig(depth=700, width=2, activation="linear")
    model = zoo.build_model(config, (2,), 2, seed=0)
    model.save(tmp_path / "model.keras")
    loaded = zoo.load_model(tmp_path / "model.keras")
    assert_same(values_of(loaded), values_of(model))
    assert sys.getrecursionlimit() == before


def test_images_have_their_channels_last():
    """Where Keras is set to channels first, building stops instead of mistaking axes."""
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(zoo.SettingError, match="image_data_format"):
            zoo.build_model(TINY["resnet"], SHAPE, CLASSES, seed=0)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_with_standardization_keeps_digits_of_far_inputs():
    """Inputs that are large beside their spread, such as years, are shifted before they are scaled."""
    model = zoo.build_model(zoo.MLPConfig(depth=0, initializer="identity"), (2,), 2, seed=0)
    raw = np.array([[1_000_001.0, 1_000_003.0]], np.float32)
    found = zoo.with_standardization(model, 1e6, 1e3)(raw)
    np.testing.assert_array_equal(found, [[1000.0, 3000.0]])


def test_with_standardization_gives_targets_in_their_unit():
    """A regression's outputs come in the unit of the target."""
    model = zoo.build_model(zoo.MLPConfig(depth=0, initializer="identity"), (1,), 1, seed=0, head="regression")
    found = zoo.with_standardization(model, 0.0, 1.0, target_shift=150.0, target_scale=10.0)(np.array([[2.0]]))
    np.testing.assert_array_equal(found, [[170.0]])
