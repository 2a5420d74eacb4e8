"""Gradient checks, the flow of signals and idle units against what is known of small networks; and the command."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from benchmarks.models.diagnosis.cells import diagnose, diagnose_cell
from benchmarks.models.diagnosis.gradients import check_gradients
from benchmarks.models.diagnosis.networks import in_double_precision, loss_after
from benchmarks.models.diagnosis.signals import measure_signal
from benchmarks.plan.expansion import expand_cells
from benchmarks.suite.suite import Suite

BATCHES = {"train.batch_size": [32, 64]}
GENERATOR = np.random.default_rng(5)
INPUTS = GENERATOR.normal(size=(16, 6))
LABELS = GENERATOR.integers(0, 3, 16)


def cross_entropy(outputs):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS[: outputs.shape[0]], outputs))


def perceptron(**settings):
    return in_double_precision(zoo.create_model("mlp_small", input_shape=(6,), num_classes=3, seed=1, **settings))


def cells_of(dataset="digits", **tables):
    suite = {"name": "seen", "datasets": [dataset], "seeds": 3, "model": {"variant": "mlp_small"}} | tables
    return expand_cells(Suite.model_validate(suite))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mlp_small", {"activation": "gelu", "normalization": "layer", "dropout": 0.3}),
        ("resnet8", {"dropout": 0.2, "squeeze_excitation": 4}),
        ("resnet8", {"residual_start": "fixup", "normalization": "none", "stochastic_depth": 0.5}),
        ("lenet5", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_double_precision_is_the_same_network(name, settings):
    """Its variables are double, and it gives what the network gives, to single precision."""
    shape = (6,) if name == "mlp_small" else (32, 32, 3 if name == "resnet8" else 1)
    model = zoo.create_model(name, input_shape=shape, num_classes=3, seed=1, **settings)
    doubled = in_double_precision(model)
    inputs = GENERATOR.normal(size=(4, *shape)).astype(np.float32)
    assert {each.dtype for each in doubled.trainable_variables} == {"float64"}
    np.testing.assert_allclose(doubled(inputs), model(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "tanh", "normalization": "batch", "dropout": 0.4},
        {"activation": "relu", "normalization": "layer", "depth": 6},
        {"activation": "selu", "weight_standardization": True},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_gradients_of_the_zoo_are_right(settings):
    """Each tensor of weights has a gradient that its difference quotient agrees with."""
    model = perceptron(**settings)
    checks = check_gradients(model, INPUTS, cross_entropy, seed=0)
    assert [check.path for check in checks] == [each.path for each in model.trainable_variables]
    assert all(check.is_right and check.relative_error < 1e-6 for check in checks), checks
    assert max(abs(check.derivative) for check in checks) > 1e-2


def off(factor):
    """Make a layer whose backward pass is off by a factor."""

    @tf.custom_gradient
    def passed(values):
        return tf.identity(values), lambda upstream: factor * upstream

    class Off(keras.layers.Layer):
        def call(self, inputs):
            return passed(inputs)

    return Off()


@pytest.mark.parametrize(("factor", "is_right"), [(1.0, True), (1.001, False), (0.0, False)])
def test_a_wrong_gradient_is_found(factor, is_right):
    """A layer whose backward pass is off by a thousandth is found, in that layer and those before it alone."""
    inputs = keras.Input((6,))
    hidden = off(factor)(keras.layers.Dense(5, activation="tanh", name="before")(inputs))
    model = in_double_precision(keras.Model(inputs, keras.layers.Dense(3, name="after")(hidden)))
    found = {check.path: check.is_right for check in check_gradients(model, INPUTS, cross_entropy, seed=0)}
    assert found == {"before/kernel": is_right, "before/bias": is_right, "after/kernel": True, "after/bias": True}


def at_corners(factor):
    """Make a network of ReLUs that all stand at their corner where the inputs are zero, as biases begin at zero."""
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(20, activation="relu", name="first")(inputs)
    hidden = off(factor)(keras.layers.Dense(20, activation="relu", name="second")(hidden))
    return keras.Model(inputs, keras.layers.Dense(3, name="last")(hidden))


@pytest.mark.parametrize(("factor", "is_right"), [(1.0, True), (1.001, False)])
def test_kinks_are_told_from_faults(factor, is_right):
    """A quotient across the corner of a ReLU is no derivative; a wrong gradient is found all the same, beside it."""
    keras.utils.set_random_seed(1)
    model = at_corners(factor)
    before = model.get_weights()
    blank = np.where(np.arange(16)[:, None] < 12, 0.0, INPUTS)
    found = {check.path: check for check in check_gradients(model, blank, cross_entropy, seed=0)}
    assert {path for path, check in found.items() if check.kinks} >= {"first/bias", "second/bias"}
    assert found["last/kernel"].kinks == found["last/bias"].kinks == 0
    assert {path: check.is_right for path, check in found.items()} == {
        path: is_right or path.startswith("last") for path in found
    }
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    # Away from corners nothing is told of any.
    assert not any(check.kinks for check in check_gradients(model, INPUTS, cross_entropy, seed=0) if check.is_right)


def test_curvature_is_no_kink():
    """The slopes to both sides differ on a smooth loss too, less at a shorter step: its wrong gradient is no kink's."""
    inputs = keras.Input((6,))
    outputs = keras.ops.sin(30 * off(0.5)(keras.layers.Dense(3)(inputs)))
    for check in check_gradients(keras.Model(inputs, outputs), INPUTS, cross_entropy, seed=0):
        assert (check.is_right, check.kinks) == (False, 0.0)


def test_gradients_that_are_no_numbers_are_wrong():
    """A root of zero has no gradient, and it is no excuse that beside it there is one."""
    inputs = keras.Input((6,))
    outputs = keras.layers.Dense(3, kernel_initializer="zeros")(inputs)
    model = keras.Model(inputs, keras.ops.sqrt(keras.ops.square(outputs)))
    assert not any(check.is_right for check in check_gradients(model, INPUTS, cross_entropy, seed=0))


class OwnCall(keras.Model):
    """Two hidden layers, one of which is used twice, and one of which lies in a model; its call may be compiled."""

    def __init__(self, compiled=False, **keywords):
        super().__init__(**keywords)
        self.first = keras.layers.Dense(6, activation="tanh", name="first")
        self.inner = keras.Sequential([keras.layers.Dense(6, name="inner"), keras.layers.BatchNormalization()])
        self.last = keras.layers.Dense(3, name="last")
        self.used = tf.function(self.pass_on) if compiled else self.pass_on

    def pass_on(self, inputs):
        return self.last(self.inner(self.first(self.first(inputs))))

    def call(self, inputs):
        return self.used(inputs)


def as_functional(model):
    inputs = keras.Input((6,))
    return keras.Model(inputs, model.last(model.inner(model.first(model.first(inputs)))))


def test_models_with_a_call_of_their_own():
    """They are measured as functional models of the same layers are, and stay as they are; gradients need double."""
    model = OwnCall()
    model(INPUTS)
    before = model.get_weights()
    signal = measure_signal(model, INPUTS.astype(np.float32), cross_entropy)
    assert [layer.name for layer in signal.layers] == ["first", "inner", "last"]
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert measure_signal(as_functional(model), INPUTS.astype(np.float32), cross_entropy) == signal
    assert vars(model.first).get("call") is None
    assert all(check.is_right for check in check_gradients(as_functional(model), INPUTS, cross_entropy, seed=0))
    with pytest.raises(zoo.SettingError, match="a functional or a sequential model"):
        check_gradients(model, INPUTS, cross_entropy, seed=0)
    keras.config.set_dtype_policy("float64")
    try:
        double = OwnCall()
        double(INPUTS)
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(check.is_right for check in check_gradients(double, INPUTS, cross_entropy, seed=0))


def test_signal_of_any_zoo_model_among_others():
    """Put into another model, and with raw inputs, a network passes the same; its idle units are found there too."""
    model = zoo.create_model(
        "resnet8",
        input_shape=(8, 8, 3),
        num_classes=3,
        squeeze_excitation=4,
        residual_start="fixup",
        normalization="none",
    )
    images = GENERATOR.normal(size=(16, 8, 8, 3)).astype(np.float32)
    signal = measure_signal(model, images, cross_entropy)
    assert measure_signal(zoo.with_standardization(model, 0, 1), images, cross_entropy) == signal
    assert 0 <= signal.idle_units < 0.5
    inputs = keras.Input((8, 8, 3))
    assert measure_signal(keras.Model(inputs, model(inputs)), images, cross_entropy) == signal


def test_what_cannot_be_measured():
    """What is not built, has no kernel, is compiled, or has no loss is refused with what can be done."""
    model, inputs = perceptron(), keras.Input((6,))
    compiled = OwnCall(compiled=True)
    compiled(INPUTS)
    single = lambda outputs: tf.cast(cross_entropy(outputs), tf.float32)  # noqa: E731 - a loss in a word
    for call, told in (
        (lambda: measure_signal(keras.Sequential([keras.layers.Dense(3)]), INPUTS, cross_entropy), "no weights yet"),
        (lambda: measure_signal("mlp_small", INPUTS, cross_entropy), "a keras.Model"),
        (
            lambda: measure_signal(keras.Model(inputs, keras.ops.relu(inputs)), INPUTS, tf.reduce_mean),
            "no call of a layer",
        ),
        (lambda: measure_signal(compiled, INPUTS, cross_entropy), "run_functions_eagerly"),
        (lambda: measure_signal(model, INPUTS, "cross_entropy"), "a function of the model's outputs"),
        (lambda: measure_signal(model, INPUTS, lambda outputs: outputs[:, 0]), "the mean over the batch"),
        (lambda: check_gradients(model, INPUTS, lambda outputs: outputs[:, 0], seed=0), "the mean over the batch"),
        (lambda: check_gradients(model, INPUTS, lambda outputs: float(outputs[0, 0]), seed=0), "operations on tensors"),
        (lambda: check_gradients(model, INPUTS, lambda _: tf.constant(1.0, "float64"), seed=0), "does not follow"),
        (lambda: measure_signal(model, INPUTS, np.mean), "does not follow"),
        (lambda: measure_signal(model, INPUTS, lambda _: None), "operations on tensors"),
        (lambda: check_gradients(model, INPUTS, cross_entropy, seed=0.5), "a whole number, 0 or more"),
        (lambda: check_gradients(model, INPUTS, single, seed=0), 'made with dtype="float64"'),
        (lambda: check_gradients(keras.layers.Dense(3), INPUTS, cross_entropy, seed=0), "a keras.Model"),
    ):
        with pytest.raises(zoo.SettingError, match=told):
            call()


def test_signal_of_a_linear_network():
    """Deviations and gradients of each layer are those of the chain rule, by hand."""
    model = perceptron(activation="linear", depth=3, width=5)
    weights = [np.asarray(each) for each in model.trainable_variables]
    outputs, flowing = [], INPUTS
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        flowing = flowing @ kernel + bias
        outputs.append(flowing)
    shares = np.exp(flowing) / np.exp(flowing).sum(axis=1, keepdims=True)
    gradients = [(shares - np.eye(3)[LABELS]) / len(LABELS)]
    for kernel in weights[-2:0:-2]:
        gradients.insert(0, gradients[0] @ kernel.T)
    signal = measure_signal(model, INPUTS, cross_entropy)
    assert signal.loss == pytest.approx(-np.log(shares[np.arange(16), LABELS]).mean())
    assert [layer.output_deviation for layer in signal.layers] == pytest.approx([each.std() for each in outputs])
    assert [layer.gradient_norm for layer in signal.layers] == pytest.approx([np.linalg.norm(g) for g in gradients])
    assert signal.gradient_ratio == pytest.approx(np.linalg.norm(gradients[0]) / np.linalg.norm(gradients[-1]))


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "gelu"])
def test_idle_units(activation):
    """Units that nothing reaches, by a bias far below zero, are the share that is idle."""
    model = perceptron(activation=activation, depth=2, width=8)
    assert measure_signal(model, INPUTS, cross_entropy).idle_units == 0
    bias = next(each for each in model.trainable_variables if each.path == "hidden_2_dense/bias")
    bias.assign([-1e4] * 6 + [0] * 2)
    assert measure_signal(model, INPUTS, cross_entropy).idle_units == 6 / 16


@pytest.mark.parametrize(
    ("activation", "initializer", "finding"),
    [
        ("sigmoid", "glorot_uniform", "vanishes"),
        ("tanh", "glorot_uniform", "arrives"),
        ("relu", "he_normal", "arrives"),
    ],
)
def test_gradients_through_twenty_layers(activation, initializer, finding):
    """Sigmoids lose the gradient; tanh by Glorot's and ReLU by He's initialization do not (Glorot and Bengio 2010)."""
    model = perceptron(activation=activation, initializer=initializer, depth=20, width=64)
    assert measure_signal(model, INPUTS, cross_entropy).finding == finding


def test_large_weights_explode():
    """Linear layers that each double the signal pass a gradient a million times larger back."""
    model = perceptron(activation="linear", depth=20, width=6)
    for each in model.trainable_variables:
        if each.path.endswith("kernel") and each.shape == (6, 6):
            each.assign(2 * np.eye(6))
    signal = measure_signal(model, INPUTS, cross_entropy)
    assert signal.finding == "explodes"
    assert signal.layers[0].gradient_norm == pytest.approx(2**19 * signal.layers[19].gradient_norm)


def test_learning_a_batch_by_heart():
    """A network that can learn does; one whose gradient vanishes does not."""
    inputs = INPUTS.astype(np.float32)
    for settings, learns in ({"activation": "relu"}, True), ({"activation": "sigmoid", "depth": 20}, False):
        model = zoo.create_model("mlp_small", input_shape=(6,), num_classes=3, seed=1, **settings)
        assert (loss_after(model, inputs, cross_entropy, 200) < 0.05) is learns


def test_loss_after_one_step():
    """The loss is that after the last step: Adam's first one moves each weight by its rate, against its gradient."""
    inputs = INPUTS.astype(np.float32)
    model, by_hand = (zoo.create_model("linear", input_shape=(6,), num_classes=3, seed=1) for _ in range(2))
    with tf.GradientTape() as tape:
        loss = cross_entropy(by_hand(inputs))
    weights = [each.value for each in by_hand.trainable_variables]
    for variable, gradient in zip(by_hand.trainable_variables, tape.gradient(loss, weights), strict=True):
        variable.assign_sub(1e-3 * tf.sign(gradient))
    assert loss_after(model, inputs, cross_entropy, 1) == pytest.approx(float(cross_entropy(by_hand(inputs))), abs=1e-6)


def test_diagnosis_of_classes(embedded):
    """The loss of zeros is log 10 for ten classes, smoothed labels or not; the loss is that of the run's own recipe."""
    plain, smoothed = cells_of(factors={"train.label_smoothing": [0, 0.2]})
    seen = [diagnose_cell(cell, embedded("digits"), seed=0) for cell in (plain, smoothed)]
    assert [each.loss_of_zeros for each in seen] == pytest.approx([np.log(10)] * 2)
    assert seen[0].signal.loss != pytest.approx(seen[1].signal.loss)
    assert all(each.is_sound and each.loss_after_steps is None for each in seen)


def test_diagnosis_of_numbers_and_two_classes(embedded):
    """Standardized numbers cost their variance, 1 up to the batch; two classes log 2; both are learnt by heart."""
    numbers = cells_of("diabetes", data={"standardize": "per_feature"}, factors=BATCHES)[0]
    classes = cells_of("breast_cancer", factors=BATCHES)[0]
    told = diagnose_cell(numbers, embedded("diabetes"), seed=0, steps=200)
    assert told.loss_of_zeros == pytest.approx(1, abs=0.5)
    assert told.is_sound
    assert told.loss_after_steps < told.loss_of_zeros
    assert diagnose_cell(classes, embedded("breast_cancer"), seed=0).loss_of_zeros == pytest.approx(np.log(2))


@pytest.mark.slow
def test_findings(embedded):
    """What stands out is said in sentences, and nothing is said of a network that is as it should be."""
    cells = cells_of(
        model={"variant": "mlp_small", "depth": 12, "normalization": "none"},
        data={"standardize": "per_feature"},
        factors={"model.activation": ["tanh", "sigmoid"]},
    )
    good, bad = diagnose(cells, {"digits": embedded("digits")}, seed=0, steps=60)
    assert good.findings == []
    assert len(bad.findings) == 2
    assert "the gradient vanishes: at hidden_1_dense" in bad.findings[0]
    assert "60 steps on one batch do not learn it" in bad.findings[1]


SUITE = """
name = "seen"
datasets = ["digits"]
seeds = 2
[model]
variant = "mlp_small"
[factors]
"model.activation" = ["relu", "tanh"]
"model.normalization" = ["none", "batch"]
"""


def test_command(ablate, tmp_path):
    """A table for people, JSON for programs, a picture; nothing is stored."""
    (tmp_path / "seen.toml").write_text(SUITE)
    code, out, err = ablate("diagnose", "seen.toml", "--where", "model.activation=tanh", "--json", "--show", "flow.svg")
    assert code == 0, err
    told = json.loads(out)
    assert [each["levels"]["model.normalization"] for each in told] == ["none", "batch"]
    assert all(check["is_right"] for each in told for check in each["gradient_checks"])
    drawn = (tmp_path / "flow.svg").read_text()
    assert drawn.startswith("<?xml")
    assert not (tmp_path / "runs" / "store.sqlite").exists()


def test_a_picture_that_cannot_be_written(ablate, tmp_path):
    """On a full disk the table is there all the same, and one message."""
    (tmp_path / "seen.toml").write_text(SUITE)
    (tmp_path / "full.png").symlink_to("/dev/full")
    where = ["--where", "model.activation=tanh", "--where", "model.normalization=none"]
    code, out, err = ablate("diagnose", "seen.toml", *where, "--show", "full.png")
    assert (code, "gradient check" in out) == (2, True)
    assert "error: full.png: cannot be written: No space left on device" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--where", "model.activation=tnah"], "nearest: tanh"),
        (["--where", "model.activaton=tanh"], "nearest: model.activation"),
        (["--where", "tanh"], "FACTOR=LEVEL"),
        (["--show", "flow.gif"], ".png, .svg, .pdf"),
        (["--show", "none/flow.png"], "existing folder"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_wrong_calls(arguments, told, ablate, tmp_path):
    """What cannot be shown is refused before TensorFlow is imported, with what can be."""
    (tmp_path / "seen.toml").write_text(SUITE)
    code, _, err = ablate("diagnose", "seen.toml", *arguments)
    assert code == 2
    assert told in err
