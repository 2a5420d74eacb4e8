"""Arguments of public functions: what NumPy and TensorFlow count is taken, the rest refused in the zoo's words."""

from __future__ import annotations

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import zoo
from zoo.arguments import MOST_SIZE, checked_seed, checked_shape, whole_number

ONE_OF_EACH = {"mlp_small": (8, 8, 1), "lenet5": (32, 32, 1), "resnet8": (32, 32, 3)}
OPEN = (None, None, 3)


def problem_of(call, *arguments, **keywords):
    """The one problem that a call is refused for."""
    with pytest.raises(zoo.SettingError) as refused:
        call(*arguments, **keywords)
    (problem,) = refused.value.problems
    return problem


@pytest.mark.parametrize(
    "shape", [30, np.int64(30), [30], (np.int32(30),), np.array([30]), np.array(30), tf.TensorShape(30)]
)
def test_shapes_of_features(shape):
    """One number counts features, whoever has counted."""
    assert zoo.create_model("linear", input_shape=shape).input_shape == (None, 30)


@pytest.mark.parametrize(
    "classes", [3, np.int64(3), np.array([0, 1, 2]).max() + 1, np.uint8(3), np.array(3), tf.constant(3)]
)
def test_numbers_of_classes(classes):
    """Labels are counted with NumPy: `labels.max() + 1`."""
    model = zoo.create_model("linear", num_classes=classes)
    assert model.output_shape == (None, 3)
    assert model.get_layer("head").units == 3


@pytest.mark.parametrize(
    ("name", "given", "plain"),
    [
        ("width", np.int64(32), 32),
        ("width", [np.int64(3), 4], (3, 4)),
        ("width", np.array([3, 4]), (3, 4)),
        ("depth", np.int8(2), 2),
        ("weight_standardization", np.True_, True),
        ("dropout", np.float32(0.5), 0.5),
        ("l2", np.int64(1), 1.0),
        ("initial_bias", np.float64(-0.0), 0.0),
        ("activation", np.str_("tanh"), "tanh"),
    ],
)
def test_settings_from_numpy(name, given, plain):
    """NumPy's numbers, truth values, arrays and texts are settings as Python's are, and are told alike."""
    numpy, own = zoo.model_config("mlp_small", **{name: given}), zoo.model_config("mlp_small", **{name: plain})
    assert numpy == own
    assert repr(numpy) == repr(own)
    assert numpy.differing_from_default() == own.differing_from_default()


def test_blocks_from_numpy():
    """So are lists of blocks."""
    assert zoo.model_config("resnet8", blocks_per_stage=np.array([1, 1, 1])).layout == (1, 1, 1)


def test_equal_seeds():
    """A seed from NumPy is the same seed."""
    one, other = (zoo.create_model("linear", seed=seed).get_weights() for seed in (3, np.int64(3)))
    np.testing.assert_array_equal(one[0], other[0])


def test_no_seed_is_a_random_one():
    """None gives other weights each time; Python's and NumPy's own generators are left alone."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - it is the one that has to stay
    kernels = [zoo.create_model("linear", seed=None).get_weights()[0] for _ in range(2)]
    assert not np.isclose(*kernels, rtol=1e-3).any(axis=1).all()
    model = zoo.create_model("linear", seed=None)
    drawn = [zoo.initial_values(model, zoo.model_config("linear"), None)[0] for _ in range(2)]
    assert not np.array_equal(*drawn)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002 - as above


WRONG_SHAPES = {
    "text": ("30", "wrong type"),
    "real": (30.0, "wrong type"),
    "truth": ((True,), "wrong type"),
    "numpy truth": ((np.True_, 3), "wrong type"),
    "real in it": ([30.0], "wrong type"),
    "nested": ((3, (2,)), "wrong type"),
    "matrix": (np.ones((2, 2), int), "wrong type"),
    "set": ({30}, "wrong type"),
    "table": ({"features": 30}, "wrong type"),
    "nothing": ((), "an example needs at least one axis"),
    "zero": ((0, 32, 3), "out of range"),
    "negative": ((-1,), "out of range"),
    "huge": ((MOST_SIZE + 1,), "out of range"),
}


@pytest.mark.parametrize(("shape", "message"), WRONG_SHAPES.values(), ids=WRONG_SHAPES)
@pytest.mark.parametrize("variant", ONE_OF_EACH)
def test_wrong_shapes(variant, shape, message):
    """Each family says what was given and what a shape is."""
    problem = problem_of(zoo.create_model, variant, input_shape=shape)
    assert (problem.path, problem.message) == ("input_shape", message)
    assert str(shape).replace("\n", "")[:5] in problem.given
    assert "(features,) or (height, width, channels)" in problem.allowed


@pytest.mark.parametrize(
    ("variant", "shape", "settings", "what"),
    [
        ("mlp_small", (None,), {}, "a multilayer perceptron"),
        ("mlp_small", (None, 8, 1), {}, "a multilayer perceptron"),
        ("lenet5", (None, None, 1), {}, "LeNet-5"),
        ("lenet5", (32, 32, None), {}, "LeNet-5"),
        ("resnet8", OPEN, {"pooling": "flatten"}, 'a head after pooling = "flatten"'),
        ("resnet8", (32, 32, None), {}, "the first convolution"),
    ],
)
def test_open_sizes_that_weights_depend_on(variant, shape, settings, what):
    """Where there is a weight for each position, its size cannot be left open."""
    problem = problem_of(zoo.create_model, variant, input_shape=shape, **settings)
    assert problem.message == f"{what} has weights for every size, and none can be open"
    assert problem.given == str(shape)
    assert "before global pooling" in problem.allowed


@pytest.mark.parametrize("shape", [(None, 28, 28, 1), (28, 28)])
@pytest.mark.parametrize("variant", ["lenet5", "resnet8"])
def test_shapes_of_no_image(variant, shape):
    """The batch axis is none of an example's."""
    problem = problem_of(zoo.create_model, variant, input_shape=shape)
    assert (problem.given, problem.allowed) == (str(shape), "(height, width, channels), without the batch axis")


@pytest.mark.parametrize(
    "changed",
    [
        {"normalization": "layer", "pooling": "max"},
        {"normalization": "group", "normalization_group_size": 4, "squeeze_excitation": 2},
        {"normalization": "instance", "stem": "imagenet", "activation": "prelu"},
        {"normalization": "rms", "block_order": "pre_activation", "skip_connections": "projection"},
    ],
    ids=lambda changed: changed["normalization"],
)
def test_open_sizes_before_global_pooling(changed):
    """A residual network takes images of any size, and gives what one that is built for their size gives."""
    config = zoo.ResNetConfig(depth=6, stages=2, width=8, **changed)
    free = zoo.build_model(config, OPEN, 3, seed=2)
    assert free.input_shape == (None, *OPEN)
    for shape in ((16, 16, 3), (13, 20, 3)):
        images = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
        fixed = zoo.build_model(config, shape, 3, seed=2)
        np.testing.assert_allclose(free(images), fixed(images), rtol=1e-5, atol=1e-6)


def test_multiplications_of_open_sizes():
    """They cannot be counted, and that is said."""
    model = zoo.create_model("resnet8", input_shape=OPEN)
    for count in (zoo.count_macs, zoo.audit_model):
        assert problem_of(count, model).given == "inputs of shape (None, None, 3)"


@pytest.mark.parametrize("given", [True, np.True_, 3.0, np.float32(3), "3", [3], 0, -1, 10**12, MOST_SIZE + 1])
def test_wrong_numbers_of_classes(given):
    """What is no number of classes is refused with the numbers that are."""
    problem = problem_of(zoo.create_model, "linear", num_classes=given)
    assert (problem.path, problem.allowed) == ("num_classes", f"a whole number from 1 to {MOST_SIZE}")


@pytest.mark.parametrize("given", [True, 1.0, "1", -1, [1], np.array([1, 2])])
def test_wrong_seeds(given):
    """Seeds are whole numbers: 1.0 and True would be other seeds than 1."""
    model = zoo.create_model("linear")
    for call in (
        lambda: zoo.create_model("linear", seed=given),
        lambda: zoo.initial_values(model, zoo.model_config("linear"), given),
    ):
        problem = problem_of(call)
        assert (problem.path, problem.allowed) == ("seed", "a whole number, 0 or more")


@pytest.mark.parametrize("given", [3, None, [], ["logits"], "Logits"])
def test_wrong_names(given):
    """What is no name in a table is refused with the names that are."""
    assert problem_of(zoo.create_model, "linear", head=given).message == "no such head"
    assert problem_of(zoo.create_model, given).message == "no such model"
    assert problem_of(zoo.model_config, given).message == "no such model"


def test_wrong_patterns():
    """A pattern is text."""
    for given in (3, None, ["linear"]):
        assert problem_of(zoo.list_models, given).allowed == "text, such as resnet*"


@pytest.mark.parametrize("given", ["linear", None, zoo.MLPConfig, {"depth": 2}])
def test_wrong_configs(given):
    """A name is no config, nor is a class."""
    model = zoo.create_model("linear")
    for call in (lambda: zoo.build_model(given, (3,), 2, 0), lambda: zoo.initial_values(model, given, 0)):
        assert problem_of(call).allowed == 'a config, such as model_config("resnet20")'


OF_MODELS = {
    "audit_model": zoo.audit_model,
    "count_macs": zoo.count_macs,
    "count_parameters": zoo.count_parameters,
    "initial_values": lambda model: zoo.initial_values(model, zoo.MLPConfig(), 0),
    "with_standardization": lambda model: zoo.with_standardization(model, 0, 1),
}


class OwnCall(keras.Model):
    """A model whose layers are known to its call alone."""

    def __init__(self):
        super().__init__()
        self.only = keras.layers.Dense(2)

    def call(self, inputs):
        return self.only(inputs)


@pytest.mark.parametrize("call", OF_MODELS.values(), ids=OF_MODELS)
def test_wrong_models(call):
    """What is no model is refused, and what has no weights yet, whose parameters would be counted as none."""
    for given in (3, "resnet20", None, keras.layers.Dense(2)):
        assert problem_of(call, given).allowed == "a keras.Model"
    assert problem_of(call, keras.Sequential([keras.layers.Dense(2)])).message == "it has no weights yet"


def test_models_with_a_call_of_their_own():
    """Their parameters can be counted; what is read off a graph cannot."""
    model = OwnCall()
    model(np.ones((1, 3), np.float32))
    assert zoo.count_parameters(model) == 8
    for name in OF_MODELS.keys() - {"count_parameters"}:
        assert problem_of(OF_MODELS[name], model).given == "OwnCall"


WRONG_VALUES = [np.ones(5), [1, 2], np.ones((8, 8, 2)), "a", None, np.nan, np.inf, [[1], [np.nan]], 1j, True]


@pytest.mark.parametrize("given", WRONG_VALUES, ids=str)
def test_wrong_standardization(given):
    """Shift and scale are finite numbers that broadcast to an example."""
    model = zoo.create_model("mlp_small")
    for path in ("shift", "scale"):
        problem = problem_of(zoo.with_standardization, model, **({"shift": 0, "scale": 1} | {path: given}))
        assert (problem.path, problem.message) == (path, "wrong value")
        assert problem.allowed.endswith("that broadcasts to the shape (8, 8, 1) of an example")
    if np.ndim(given) == 0:
        for path in ("target_shift", "target_scale"):
            assert problem_of(zoo.with_standardization, model, 0, 1, **{path: given}).allowed == "a finite number"


def test_standardization_of_open_sizes():
    """One value a channel serves images of any size."""
    model = zoo.create_model("resnet8", input_shape=OPEN, num_classes=2)
    images = np.random.default_rng(0).normal(size=(2, 9, 12, 3)).astype(np.float32)
    found = zoo.with_standardization(model, [1, 2, 3], [4, 5, 6])(images)
    np.testing.assert_allclose(found, model((images - [1, 2, 3]) * [4, 5, 6]), rtol=1e-4, atol=1e-5)


def test_standardization_by_bytes():
    """A shift in unsigned bytes is taken away, not added as 256 minus it."""
    model = zoo.build_model(zoo.MLPConfig(depth=0, initializer="identity"), (2,), 2, seed=0)
    found = zoo.with_standardization(model, np.array([5, 7], np.uint8), np.uint8(2))(np.array([[6.0, 8.0]]))
    np.testing.assert_array_equal(found, [[2.0, 2.0]])


def test_standardization_of_two_inputs():
    """It would not be known which input is meant."""
    inputs = [keras.Input((2,)), keras.Input((2,))]
    model = keras.Model(inputs, keras.layers.Add()(inputs))
    assert problem_of(zoo.with_standardization, model, 0, 1).given == "2 inputs"


def test_wrong_files(tmp_path):
    """What is no file with a model is refused by its name."""
    (tmp_path / "text.keras").write_text("no model")
    for given in (tmp_path / "missing.keras", tmp_path / "text.keras", tmp_path, "", 3, None, b"model.keras"):
        problem = problem_of(zoo.load_model, given)
        assert (problem.path, problem.message) == ("path", "no saved model")
        assert problem.given in (repr(given), repr(given)[:77] + "...")


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(sizes=st.lists(st.none() | st.integers(1, 1000), min_size=1, max_size=5))
def test_shapes_as_they_are_written(sizes):
    """A list and a tuple of sizes are one shape; a checked shape stays."""
    assert checked_shape(sizes) == checked_shape(tuple(sizes)) == tuple(sizes) == checked_shape(checked_shape(sizes))


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(number=st.integers(0, 2**62), kind=st.sampled_from([int, np.int64, np.uint64]))
def test_whole_numbers(number, kind):
    """A whole number comes back as Python's own, whoever has it."""
    found = whole_number("it", kind(number), 0)
    assert (found, type(found)) == (number, int)
    assert checked_seed(kind(number)) == number
