"""One contract for every variant at every level of every setting, on whichever backend Keras runs.

Variants are taken at their least: two or three hidden layers of 16 units; one block in each of two stages, the first
of 4 channels; images of 8x8 pixels, or 16x16 for the stem of ImageNet. Those that become the same network are taken
once. What a model computes, what reaches its weights and what it holds is checked on all of them. Saving, loading and
mixed precision, which cost more, are checked on each of these layouts as it is, and at every level on one perceptron
and one residual network; there, of initializers of one Keras class, on one. On JAX, which compiles each operation anew
for each shape, the first is checked on these, and the rest on each layout as it is.

All of this is the night's. By day, the first is checked on every layout as it is and at every level once, each level on
another family or layout; the rest on one layout of each kind, and on networks that bring together as many levels as
go together; on JAX, all is checked on one layout of each kind.

All but the last test use Keras alone, so that they run on JAX too; the last one does run them there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from examples import each_once

import zoo
from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZER_GAINS, INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATION_VARIANCES, NORMALIZATIONS
from zoo.settings import OneOf
from zoo.topology import (
    ACTIVATED_SHORTCUTS,
    BLOCK_ORDERS,
    BLOCKS,
    DOWNSAMPLING_BLOCKS,
    DROPOUT_KINDS,
    MLP_SKIP_CONNECTIONS,
    POOLINGS,
    RESNET_SKIP_CONNECTIONS,
    STEM_PADDINGS,
    STEMS,
    STRIDED_CONVOLUTIONS,
    WIDTH_PROFILES,
)
from zoo.variants import VARIANTS

CLASSES = 3
EXAMPLES = 8
OF_OTHER_FANS = {name for name, row in INITIALIZERS.items() if row.arguments.get("mode") in ("fan_avg", "fan_out")}
"""Initializers whose factor is another where units see some of the inputs."""
WITHOUT_DENSE = {"instance"}
"""Normalizations that networks with hidden dense layers refuse."""
OF_LINEAR_MODELS = {"depth", "initializer", "initializer_gain", "initializer_scale", "input_dropout", "l1", "l2"}
"""What a network without hidden layers takes."""


def levels(setting, values, **companions):
    """Give each value of a setting, with the settings without which it would have no effect."""
    return [companions | {setting: value} for value in values]


def common(normalizations):
    """Give the levels of the settings that every family has."""
    return {
        "activation": levels("activation", ACTIVATIONS),
        "leaky_relu_slope": levels("leaky_relu_slope", [0.3], activation="leaky_relu"),
        "elu_alpha": levels("elu_alpha", [0.5], activation="elu"),
        "initializer": levels("initializer", INITIALIZERS),
        "initializer_gain": levels("initializer_gain", INITIALIZER_GAINS, initializer="he_normal"),
        "initializer_scale": levels("initializer_scale", [0.2], initializer="small_normal"),
        "normalization_variance": levels("normalization_variance", NORMALIZATION_VARIANCES, normalization="batch"),
        "initial_bias": levels("initial_bias", [0.3], normalization="none"),
        "normalization": levels("normalization", normalizations),
        "normalization_momentum": levels("normalization_momentum", [0.5], normalization="batch"),
        "normalization_epsilon": levels("normalization_epsilon", [0.1], normalization="batch"),
        "normalization_group_size": levels("normalization_group_size", [4], normalization="group"),
        "normalization_place": levels("normalization_place", NORMALIZATION_PLACES, normalization="batch"),
        "weight_standardization": levels("weight_standardization", [False, True]),
        "input_dropout": levels("input_dropout", [0.0, 0.3]),
        "dropout": levels("dropout", [0.0, 0.3]),
        "drop_connect": levels("drop_connect", [0.3]),
        "max_norm": levels("max_norm", [0.0, 1.0]),
        "l1": levels("l1", [1e-3]),
        "l2": levels("l2", [1e-3]),
    }


FOR_DENSE = [name for name in NORMALIZATIONS if name not in WITHOUT_DENSE]
BASIC = {"block": "basic", "strided_convolution": "1x1"}
LEVELS = {
    "mlp": common(FOR_DENSE)
    | {
        # After so many inputs a single layer, or each of a pyramid, has no shortcut but a projection.
        "depth": levels("depth", [1], width_profile="constant", skip_connections="projection") + levels("depth", [2]),
        "width": [{"width": 12}, {"width": (8, 6, 9), "depth": 3, "width_profile": "constant"}],
        "width_profile": levels("width_profile", WIDTH_PROFILES, width=16, skip_connections="projection"),
        "skip_connections": levels("skip_connections", MLP_SKIP_CONNECTIONS, width_profile="constant"),
        "stochastic_depth": levels("stochastic_depth", [0.5], skip_connections="projection"),
    },
    "lenet": common(FOR_DENSE),
    "resnet": common(NORMALIZATIONS)
    | {
        "depth": levels("depth", [10], **BASIC),
        "stages": levels("stages", [1], depth=4, downsampling_block="first", **BASIC)
        + levels("stages", [3], depth=8, **BASIC),
        "blocks_per_stage": levels("blocks_per_stage", [(2, 1)], depth=8, **BASIC),
        "block": [BASIC | {"depth": 6}, {"block": "bottleneck", "depth": 8}],
        "block_order": levels("block_order", BLOCK_ORDERS),
        "width": levels("width", [5]),
        "widening_factor": levels("widening_factor", [1, 2]),
        "stem": levels("stem", STEMS, stem_padding="minus_infinity"),
        "stem_padding": levels("stem_padding", STEM_PADDINGS, stem="imagenet"),
        "activated_shortcuts": levels(
            "activated_shortcuts", ACTIVATED_SHORTCUTS, block_order="pre_activation", skip_connections="identity"
        ),
        "downsampling_block": levels("downsampling_block", DOWNSAMPLING_BLOCKS),
        "strided_convolution": levels("strided_convolution", STRIDED_CONVOLUTIONS, block="bottleneck", depth=8),
        "skip_connections": levels("skip_connections", RESNET_SKIP_CONNECTIONS),
        "residual_start": levels("residual_start", ["as_others", "zero_gamma"], skip_connections="projection")
        + levels("residual_start", ["fixup"], skip_connections="projection", normalization="none"),
        "squeeze_excitation": levels("squeeze_excitation", [0, 1]),
        "dropout_kind": levels("dropout_kind", DROPOUT_KINDS, dropout=0.3),
        "stochastic_depth": levels("stochastic_depth", [0.5], skip_connections="identity"),
        "pooling": levels("pooling", POOLINGS),
    },
}
KIND = ("block", "block_order")
NORMALIZATION_CLASSES = {
    "none": set(),
    "batch": {"BatchNormalization"},
    "layer": {"LayerNormalization"},
    "group": {"GroupNormalization"},
    "instance": {"GroupNormalization"},
    "rms": {"RMSNormalization"},
}


def tiny(config):
    """Give the same network at its least."""
    if config.family == "mlp" and config.depth:
        return config.changed(depth=min(config.depth, 3), width=16)
    if config.family == "resnet":
        return config.changed(
            depth=2 + 2 * BLOCKS[config.block].convolutions,
            stages=2,
            width=4,
            widening_factor=min(config.widening_factor, 2),
            squeeze_excitation=min(config.squeeze_excitation, 1),
        )
    return config


def layouts():
    """Give each tiny variant once, by the name of the first one that has it."""
    found = {}
    for name, variant in VARIANTS.items():
        found.setdefault(tiny(variant.config), name)
    return {name: config for config, name in found.items()}


def parameters(configs, unmarked, mark):
    """Give configs with their labels, and a mark where they are not among others."""
    return [
        pytest.param(config, id=label, marks=() if config in unmarked else mark) for config, label in configs.items()
    ]


def spanning_configs():
    """Give every layout as it is, and every level once, the next level on the next family or layout that has it."""
    if keras.backend.backend() == "jax":
        return one_of_each_kind()
    turns = {
        family: itertools.cycle([config for config in layouts().values() if has_hidden(config, family)])
        for family in LEVELS
    }
    rows = [
        (family, change)
        for family, levels_of_setting in LEVELS.items()
        for change in itertools.chain.from_iterable(levels_of_setting.values())
    ]
    return {*layouts().values(), *(next(turns[family]).changed(**change) for family, change in each_once(rows))}


def has_hidden(config, family):
    """Tell whether a config is one of a family, with hidden layers."""
    return config.family == family and getattr(config, "depth", 1) > 0


def one_of_each_kind():
    """Give a layout of every family, and of every block in every order."""
    of_kind = {}
    for config in layouts().values():
        kind = (config.family, getattr(config, "depth", 1) > 0, *(getattr(config, name, None) for name in KIND))
        of_kind.setdefault(kind, config)
    return set(of_kind.values())


def every_config():
    """Give every layout at every level of every setting, each network once; on JAX, some of them."""
    if keras.backend.backend() == "jax":
        return some_configs()
    configs = {}
    for variant, config in layouts().items():
        for change in itertools.chain.from_iterable(LEVELS[config.family].values()):
            if getattr(config, "depth", 1) == 0 and not OF_LINEAR_MODELS.issuperset(change):
                continue
            label = "-".join([variant, *(f"{name}={value}" for name, value in change.items())])
            configs.setdefault(config.changed(**change), label)
    return configs


def parameters_of_costly_tests():
    """Give the configs of which saving and mixed precision are tested."""
    as_they_are = {config: variant for variant, config in layouts().items()}
    if keras.backend.backend() == "jax":
        return parameters(as_they_are, one_of_each_kind(), pytest.mark.night)
    return parameters(
        some_configs() | combined_configs(), one_of_each_kind() | set(combined_configs()), pytest.mark.night
    )


LEVELS_SINGLY = ("mlp_residual", "resnet18")
"""The layouts whose levels are tested also where a test costs much."""


def some_configs():
    """Give every layout as it is, and a perceptron and a residual network at the levels that bring other parts."""
    configs = {config: variant for variant, config in layouts().items()}
    for variant in LEVELS_SINGLY:
        config = layouts()[variant]
        for setting, change in levels_of_other_parts(config.family):
            configs.setdefault(config.changed(**change), f"{variant}-{setting}={change[setting]}")
    return configs


def combined_configs():
    """Give few networks that have all these levels: each level in the first that it goes together with."""
    configs = {}
    for variant in LEVELS_SINGLY:
        config, combined = layouts()[variant], []
        for _, change in levels_of_other_parts(config.family):
            place_with = next((each for each in combined if go_together(config, each, change)), {})
            if not place_with:
                combined.append(place_with)
            place_with.update(change)
        configs |= {config.changed(**change): f"{variant}-{number}" for number, change in enumerate(combined)}
    return configs


def go_together(config, *changes):
    """Tell whether a config takes several changes at once."""
    merged = {}
    for change in changes:
        if any(merged.get(name, value) != value for name, value in change.items()):
            return False
        merged |= change
    try:
        config.changed(**merged)
    except zoo.SettingError:
        return False
    return True


def levels_of_other_parts(family):
    """Give the levels of a family that bring other parts, with their settings: of initializers of one class, one."""
    seen = set()
    for setting, changes in LEVELS[family].items():
        for change in changes:
            level = change[setting]
            part = INITIALIZERS[level].keras_class if setting == "initializer" else level
            if (setting, part) not in seen:
                seen.add((setting, part))
                yield setting, change


def shape_of(config):
    return (16, 16, 3) if getattr(config, "stem", None) == "imagenet" else (8, 8, 3)


def examples(config):
    return np.random.default_rng(0).normal(size=(EXAMPLES, *shape_of(config))).astype("float32")


def outputs_and_gradients(model, inputs):
    """Give the outputs in training and the gradient of their mean squared distance from arbitrary targets."""
    targets = np.random.default_rng(1).normal(size=(EXAMPLES, CLASSES)).astype("float32")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = keras.ops.mean((outputs - targets) ** 2)
        return outputs, tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    import jax

    def loss_and_outputs(weights, others):
        outputs, _ = model.stateless_call(weights, others, inputs, training=True)
        return keras.ops.mean((outputs - targets) ** 2), outputs

    weights, others = (
        [variable.value for variable in group] for group in (model.trainable_variables, model.non_trainable_variables)
    )
    gradients, outputs = jax.grad(loss_and_outputs, has_aux=True)(weights, others)
    return outputs, gradients


def is_reached(config, path):
    """Tell whether theory lets the gradient reach a weight before the first step; None where it does not say."""
    layer = path.split("/")[0]
    if path == "head/bias":
        return True
    if layer == "head":
        # Where all weights are zero, the head sees f(0), which is another number than zero for these two alone.
        at_zero = config.activation in ("sigmoid", "softplus")
        return config.initializer != "zeros" or getattr(config, "depth", None) == 0 or at_zero
    if config.initializer == "zeros" or getattr(config, "residual_start", None) == "fixup":
        return False  # the gradient has to come through the head's kernel, and that is zero
    if config.initializer == "identity" and re.fullmatch(r"c3_\d+", layer):
        return int(layer[3:]) <= CLASSES  # all behind this layer hands on the input of its own number, as does the head
    if config.normalization == "instance" and layer.endswith("_squeeze"):
        return None  # it sees the means of channels, which are zero but for rounding
    if path == "stem_activation/alpha" and config.stem == "imagenet":
        return None  # max pooling hands on a negative number only where all it sees are negative
    if config.initializer == "constant":
        return None  # alike units can cancel out, as in a 1x1 convolution before batch normalization
    if getattr(config, "residual_start", None) == "zero_gamma":
        in_branch = re.fullmatch(r"stage_\d+_block_\d+_(convolution_(\d)(_normalization)?|squeeze|excitation)", layer)
        if in_branch:
            number, normalizes = int(in_branch[2] or 0), bool(in_branch[3])
            is_last = number == BLOCKS[config.block].convolutions
            if config.block_order == "pre_activation":
                # The first normalization of a stage's first block is seen by the shortcut too.
                return (is_last and not normalizes) or (number == 1 and normalizes)
            return is_last and normalizes
    return True


@contextlib.contextmanager
def policy(name):
    """Build under another dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("family", zoo.FAMILIES, ids=lambda family: family.family)
def test_levels_cover_every_setting_and_every_row(family):
    """A new family, setting or row of a table needs its level in this file."""
    table = LEVELS[family.family]
    assert set(table) == set(family.model_fields)
    for name, field in family.model_fields.items():
        given = {change[name] for change in table[name]}
        assert given - {field.default}, f"{name} is never changed"
        for choice in (mark for mark in field.metadata if isinstance(mark, OneOf)):
            refused = WITHOUT_DENSE if name == "normalization" and family.has_dense_hidden_layers else set()
            assert given == set(choice.table) - refused, name


def test_every_variant_has_its_layout():
    """No variant is left out, and layouts of all families are among them."""
    found = set(layouts().values())
    assert all(tiny(variant.config) in found for variant in VARIANTS.values())
    assert {config.family for config in found} == {family.family for family in zoo.FAMILIES}


@pytest.mark.parametrize("config", parameters(every_config(), spanning_configs(), pytest.mark.night))
def test_contract(config):
    """A model computes finite numbers, holds what was asked for and nothing else, and learns in every weight."""
    # Under seed 0 all four rectifiers between squeeze and excitation happen to be dead.
    seed = 2 if getattr(config, "squeeze_excitation", 0) else 0
    model = zoo.build_model(config, shape_of(config), CLASSES, seed)
    inputs = examples(config)
    assert model.name == config.family
    assert model.output_shape == (None, CLASSES)
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in model.layers)

    outputs, gradients = outputs_and_gradients(model, inputs)
    for values in (outputs, model(inputs, training=False)):
        values = keras.ops.convert_to_numpy(values)
        assert values.shape == (EXAMPLES, CLASSES)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()

    audit = zoo.audit_model(model)
    hidden = getattr(config, "depth", 1) > 0
    activation = {"scaled_tanh": "tanh"}.get(config.activation, config.activation)
    classes = NORMALIZATION_CLASSES[config.normalization]
    if config.normalization == "layer" and config.family == "resnet":
        classes = {"GroupNormalization"}
    if config.normalization == "layer" and config.family == "lenet":
        classes = {"GroupNormalization", "LayerNormalization"}
    assert audit.activations == ({activation} - {"linear"} if hidden else set())
    assert audit.gates == ({"sigmoid"} if getattr(config, "squeeze_excitation", 0) else set())
    assert audit.head_activation == "linear"
    assert audit.normalizations == (classes if hidden else set())
    assert audit.dropout_rates == {config.input_dropout, config.dropout if hidden else 0.0} - {0.0}
    start = getattr(config, "residual_start", "as_others")
    in_parts = config.family == "lenet" and config.initializer in OF_OTHER_FANS
    if config.initializer_gain == "fixed" and start != "fixup" and not in_parts:
        begins_at_zero = start == "zero_gamma" and config.block_order == "pre_activation"
        has_empty_maps = config.family == "lenet" and config.initializer == "identity"
        zeros = {"zeros"} if begins_at_zero or has_empty_maps else set()
        assert audit.initializers == {config.initializer} | zeros

    weights = {variable.path: variable.shape for variable in model.trainable_variables}
    is_matrix = [len(shape) == 2 for path, shape in weights.items() if path != "head/kernel"]
    assert any(is_matrix) == config.has_hidden_matrices

    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        gradient = keras.ops.convert_to_numpy(gradient)
        assert np.isfinite(gradient).all(), variable.path
        expected = is_reached(config, variable.path)
        assert expected is None or np.any(gradient) == expected, variable.path


@pytest.mark.parametrize("config", parameters_of_costly_tests())
def test_save_and_load(config, tmp_path, randomize):
    """A model comes back from a .keras file in safe mode with equal outputs, equal variables and an equal audit."""
    model = randomize(zoo.build_model(config, shape_of(config), CLASSES, seed=0))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    inputs = examples(config)
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(each(inputs)) for each in (loaded, model)))
    for one, other in zip(loaded.variables, model.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    assert zoo.audit_model(loaded) == zoo.audit_model(model)


@pytest.mark.parametrize("config", parameters_of_costly_tests())
def test_mixed_precision(config):
    """Under mixed precision hidden layers compute in bfloat16; weights and outputs stay float32, and finite."""
    with policy("mixed_bfloat16"):
        model = zoo.build_model(config, shape_of(config), CLASSES, seed=0)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    computed = {layer.compute_dtype for layer in model.layers if hasattr(layer, "kernel") and layer.name != "head"}
    assert computed == ({"bfloat16"} if len(model.layers) > 3 else set())
    for training in (False, True):
        outputs = keras.ops.convert_to_numpy(model(examples(config), training=training))
        assert outputs.dtype == np.float32
        assert np.isfinite(outputs).all()


@pytest.mark.night
def test_contract_on_jax():
    """The same tests pass where Keras runs on JAX."""
    if keras.backend.backend() == "jax":
        pytest.skip("they are running on JAX")
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    command = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", __file__]
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
