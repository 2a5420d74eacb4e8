"""Models among others: several in one, cloned, from a config, in a file, and in double precision."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import zoo

SHAPE = (8, 8, 3)
SMALL = zoo.ResNetConfig(depth=6, stages=2, width=4)
CONFIGS = {
    "mlp": zoo.MLPConfig(width=5, dropout=0.5, normalization="batch", skip_connections="projection"),
    "padded": zoo.MLPConfig(width=200, activation="gelu_tanh", skip_connections="identity", normalization="rms"),
    "lenet": zoo.LeNetConfig(dropout=0.5),
    "resnet": SMALL.changed(activation="gelu_tanh", stochastic_depth=0.5, pooling="max"),
    "gains": SMALL.changed(residual_start="zero_gamma"),
    "rms gains": SMALL.changed(residual_start="zero_gamma", normalization="rms"),
    "group gains": SMALL.changed(residual_start="zero_gamma", normalization="group", activation="prelu"),
    "weights": SMALL.changed(residual_start="zero_gamma", block_order="pre_activation"),
    "fixup": SMALL.changed(residual_start="fixup", normalization="none", squeeze_excitation=2),
    "own": SMALL.changed(weight_standardization=True, drop_connect=0.2, initializer="delta_orthogonal", max_norm=1.0),
}
STARTING_AT_ZERO = {"gains": "gamma", "rms gains": "scale", "group gains": "gamma", "weights": "kernel"}

BY_DAY = ("mlp", "padded", "resnet", "rms gains", "own")
of_every_kind = pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, id=name, marks=[] if name in BY_DAY else pytest.mark.night)
        for name, config in CONFIGS.items()
    ],
)


def built(config, seed=4, **arguments):
    return zoo.build_model(config, SHAPE, 3, seed, **arguments)


def as_json(model):
    return json.loads(model.to_json())


def images():
    return np.random.default_rng(0).normal(1 / 3, size=(2, *SHAPE))


def assert_same_values(one, other):
    for first, second in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(first, second, strict=True)


@of_every_kind
def test_equal_builds_and_clones(config):
    """Equal builds have one config, whatever was built before; from it and as a clone, all weights come again."""
    model = built(config)
    keras.ops.gelu(keras.ops.pad(keras.Input((3,)), ((0, 0), (1, 1))))
    assert built(config).get_config() == model.get_config()
    assert_same_values(keras.models.clone_model(model), model)
    assert_same_values(keras.Model.from_config(model.get_config()), model)


@pytest.mark.parametrize(("name", "kind"), STARTING_AT_ZERO.items())
def test_clones_keep_what_begins_at_zero(name, kind):
    """In a clone, each branch begins at zero, through the gain or the weights that end it."""
    clone = keras.models.clone_model(built(CONFIGS[name]))
    zeros = [each.path for each in clone.trainable_variables if not np.any(each)]
    ends = [f"stage_{stage}_block_1_convolution_2" for stage in (1, 2)]
    ends = [end if kind == "kernel" else f"{end}_normalization" for end in ends]
    assert [path for path in zeros if path.endswith(("gamma", "scale", "kernel"))] == [f"{end}/{kind}" for end in ends]


@of_every_kind
def test_two_in_one(config):
    """Models with names are joined by their tensors or by calls; a name changes no weights, and goes through a file."""
    teacher, student = built(config, name="teacher"), built(config, seed=5, name="student")
    assert (teacher.name, student.name) == ("teacher", "student")
    assert [layer.name for layer in teacher.layers] == [f"teacher_{layer.name}" for layer in built(config).layers]
    assert_same_values(teacher, built(config))
    for drawn, value in zip(zoo.initial_values(teacher, config, 5), student.variables, strict=True):
        np.testing.assert_array_equal(drawn, value, strict=True)
    joined = keras.Model([teacher.input, student.input], [teacher.output, student.output])
    assert len({variable.path for variable in joined.variables}) == len(joined.variables)
    inputs = keras.Input(SHAPE)
    called = keras.Model(inputs, keras.layers.Add()([teacher(inputs), student(inputs)]))
    one, other = joined([images(), images()])
    np.testing.assert_allclose(called(images()), one + other, rtol=1e-5, atol=1e-6)


@of_every_kind
def test_double_precision_in_a_file(config, tmp_path):
    """Under Keras's policy float64 all is double, inputs and outputs too, and comes back from a file as it is."""
    single, before = built(config, name="kept"), keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model = built(config, name="kept")
        whole = zoo.with_standardization(model, [1.0, 2.0, 3.0], 1 / 3, target_shift=0.1, target_scale=1 / 7)
    finally:
        keras.config.set_dtype_policy(before)
    assert {each.dtype for each in model.trainable_variables} == {"float64"}
    model.set_weights(single.get_weights())
    expected = np.asarray(single(images().astype(np.float32)))
    np.testing.assert_allclose(model(images()), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    exact = np.asarray(model((images() - [1.0, 2.0, 3.0]) / 3)) / 7 + 0.1
    np.testing.assert_allclose(whole(images()), exact, rtol=1e-11, atol=1e-12 * np.abs(exact).max())
    whole.save(tmp_path / "model.keras")
    loaded = zoo.load_model(tmp_path / "model.keras")
    assert as_json(loaded.get_layer("kept")) == as_json(model)
    np.testing.assert_array_equal(loaded(images()), whole(images()))


@pytest.mark.parametrize("given", ["", "a/b", 3, True, ["teacher"]])
def test_wrong_names(given):
    """A name is text that can stand in a variable's path."""
    with pytest.raises(zoo.SettingError, match="a model cannot be called so"):
        zoo.create_model("linear", name=given)


def test_names_that_are_no_prefix():
    """A name that a layer's own name begins with takes nothing from it."""
    config = zoo.MLPConfig(width=3)
    model = zoo.build_model(config, (2,), 2, 0, name="hidden_1")
    assert [layer.name for layer in model.layers][1] == "hidden_1_hidden_1_dense"
    for drawn, value in zip(zoo.initial_values(model, config, 0), model.get_weights(), strict=True):
        np.testing.assert_array_equal(drawn, value)
