"""From config to model: one contract for every variant and every setting, and where the initial values come from."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS
from zoo.variants import VARIANTS

SHAPE, CLASSES = (8, 8, 3), 3
LEVELS = {
    "activation": list(ACTIVATIONS),
    "initializer": list(INITIALIZERS),
    "normalization": list(NORMALIZATIONS),
    "normalization_place": list(NORMALIZATION_PLACES),
    "dropout": [0.0, 0.5],
    "skip_connections": [False, True],
}
INITIALIZER_CLASSES = {
    "lecun_normal": "LecunNormal",
    "lecun_uniform": "LecunUniform",
    "glorot_normal": "GlorotNormal",
    "glorot_uniform": "GlorotUniform",
    "he_normal": "HeNormal",
    "he_uniform": "HeUniform",
    "small_normal": "RandomNormal",
}
NORMALIZATION_CLASSES = {
    ("mlp", "none"): set(),
    ("mlp", "batch"): {"BatchNormalization"},
    ("mlp", "layer"): {"LayerNormalization"},
    ("resnet", "none"): set(),
    ("resnet", "batch"): {"BatchNormalization"},
    ("resnet", "layer"): {"GroupNormalization"},
}
TINY = {
    "mlp": zoo.MLPConfig(depth=3, width=5, dropout=0.5, normalization="batch"),
    "resnet": zoo.ResNetConfig(depth=8, width=4, dropout=0.5),
}


def tiny(config):
    """Give the same network at a size that is built in a moment."""
    return config.changed(depth=8, width=4) if config.family == "resnet" else config.changed(width=5)


def contract_configs():
    """Give every variant at every level of every setting, one at a time, and every normalization at every place.

    Variants that are the same network once they are tiny are taken once.
    """
    changes = [{name: level} for name, levels in LEVELS.items() for level in levels]
    changes += [
        {"normalization": normalization, "normalization_place": place}
        for normalization, place in itertools.product(NORMALIZATIONS, NORMALIZATION_PLACES)
    ]
    configs = {}
    for variant, change in itertools.product(VARIANTS, changes):
        config = tiny(VARIANTS[variant].config).changed(**change)
        configs.setdefault(config, f"{variant}-{'-'.join(map(str, change.values()))}")
    return [pytest.param(config, id=label) for config, label in configs.items()]


def values_of(model):
    """Copy the values of all variables."""
    return [np.array(variable) for variable in model.variables]


def kernels_of(model):
    """Copy the kernels by the names of their layers."""
    return {layer.name: np.array(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")}


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, strict=True)


def examples(number=16):
    return np.random.default_rng(0).normal(size=(number, *SHAPE)).astype("float32")


def test_contract_covers_every_setting():
    """A new setting needs its levels in this file."""
    for family in (zoo.MLPConfig, zoo.ResNetConfig):
        assert set(family.model_fields) == {*LEVELS, "depth", "width"}


@pytest.mark.parametrize("config", contract_configs())
def test_contract(config):
    """A model gives finite logits, holds what was asked for and nothing else, and can be trained in every weight."""
    model = zoo.build_model(config, SHAPE, CLASSES, seed=0)

    assert model.input_shape == (None, *SHAPE)
    assert model.name == config.family
    with tf.GradientTape() as tape:
        logits = model(examples(), training=True)
        labels = tf.one_hot(np.arange(16) % CLASSES, CLASSES)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
    assert logits.shape == (16, CLASSES)
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()
    assert np.isfinite(model(examples(), training=False)).all()

    is_resnet = config.family == "resnet"
    hidden = config.depth - 1 if is_resnet else config.depth
    audit = zoo.audit_model(model)
    assert audit.weight_layers == hidden + 1
    assert audit.initializers == {INITIALIZER_CLASSES[config.initializer]}
    assert audit.activations == ({config.activation} - {"linear"} if hidden else set())
    assert audit.normalizations == (NORMALIZATION_CLASSES[config.family, config.normalization] if hidden else set())
    assert audit.dropout_rates == ({config.dropout} - {0.0} if hidden else set())

    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Activation") == hidden
    assert sum("Normalization" in kind for kind in kinds) == (hidden if config.normalization != "none" else 0)
    assert kinds.count("Dropout") == ((3 if is_resnet else hidden) if config.dropout else 0)
    # The first hidden layer of a perceptron is 192 units into 5: nothing to skip.
    assert kinds.count("Add") == ((3 if is_resnet else max(hidden - 1, 0)) if config.skip_connections else 0)

    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_save_and_load(family, normalization, tmp_path, randomize):
    """A model comes back from a .keras file with equal outputs and equal variables, no unsafe parts in it."""
    config = TINY[family].changed(normalization=normalization, skip_connections=True)
    model = randomize(zoo.build_model(config, SHAPE, CLASSES, seed=0))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(examples()), model(examples()))
    assert_same(values_of(loaded), values_of(model))
    assert zoo.audit_model(loaded) == zoo.audit_model(model)


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
    assert len(states[0]) == len(states[1]) == 3
    assert not states[0] & states[1]


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("initializer", INITIALIZERS)
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


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize(
    ("setting", "level"),
    [
        (name, level)
        for name in ("activation", "normalization", "normalization_place", "dropout", "skip_connections")
        for level in LEVELS[name]
    ],
)
def test_kernels_do_not_depend_on_other_settings(family, setting, level):
    """A setting that leaves a layer's shape alone leaves its initial kernel alone."""
    base = kernels_of(zoo.build_model(TINY[family], SHAPE, CLASSES, seed=0))
    changed = kernels_of(zoo.build_model(TINY[family].changed(**{setting: level}), SHAPE, CLASSES, seed=0))
    assert list(base) == list(changed)
    assert_same(list(base.values()), list(changed.values()))


@pytest.mark.parametrize(("family", "depth"), [("mlp", 4), ("resnet", 14)])
def test_kernels_do_not_depend_on_depth(family, depth):
    """A deeper network starts with the same kernels in those layers that the shallower one has too."""
    base = kernels_of(zoo.build_model(TINY[family], SHAPE, CLASSES, seed=0))
    deeper = kernels_of(zoo.build_model(TINY[family].changed(depth=depth), SHAPE, CLASSES, seed=0))
    assert set(base) < set(deeper)
    assert_same(list(base.values()), [deeper[name] for name in base])


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("initializer", INITIALIZERS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_initial_values(family, initializer, normalization):
    """Values drawn anew, for another seed and another initializer, are to the last bit those of a model built so."""
    config = TINY[family].changed(normalization=normalization)
    model = zoo.build_model(config, SHAPE, CLASSES, seed=0)
    before = values_of(model)
    asked = config.changed(initializer=initializer)
    assert_same(zoo.initial_values(model, asked, seed=5), values_of(zoo.build_model(asked, SHAPE, CLASSES, seed=5)))
    assert_same(values_of(model), before)
    assert_same(zoo.initial_values(model, config, seed=0), before)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**40), depth=st.integers(0, 3), dropout=st.sampled_from([0.0, 0.3]))
def test_initial_values_of_any_seed(seed, depth, dropout):
    """The same holds for large seeds, for no hidden layer at all and with no dropout."""
    config = zoo.MLPConfig(depth=depth, width=3, dropout=dropout, normalization="layer")
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
    assert model.get_layer("hidden_1_dense" if family == "mlp" else "stem").compute_dtype == "bfloat16"
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
