"""What a profile says of a model: sizes, memory and paces."""

from __future__ import annotations

import csv
import math
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

import zoo
from benchmarks.errors import UserError
from benchmarks.models.profiling import (
    Pace,
    Profile,
    as_csv,
    as_json,
    find_subjects,
    measure,
    parse_changes,
    parse_sizes,
    training_step,
)


@pytest.fixture
def profile():
    """One row, with paces that tell median, mean and kinds of quartiles apart."""
    return Profile(
        model="mlp_small",
        changes={"width": [300, 100]},
        input_shape=(8, 8, 1),
        batch_size=32,
        parameters=8_970,
        macs=8_832,
        activation_bytes=1_000,
        build_seconds=0.5,
        training=Pace(9.0, (16.0, 1.0, 8.0, 2.0, 4.0)),
        inference=Pace(7.0, (0.25,)),
    )


def test_pace(profile):
    """The middle is the median, and the spread are the quartiles of the calls as they are, the first call apart."""
    assert profile.training.median == 4
    assert profile.training.quartiles == (2, 8)
    assert profile.inference.median == 0.25
    assert profile.inference.quartiles == (0.25, 0.25)


def test_flat_row(profile):
    """A row holds plain values, images a second by the median, and changed settings by their path."""
    row = profile.flat()
    assert row["training_images_per_second"] == 8
    assert row["inference_images_per_second"] == 128
    assert row["training_first_call_seconds"] == 9
    assert (row["training_lower_quartile_seconds"], row["training_upper_quartile_seconds"]) == (2, 8)
    assert row["input_shape"] == [8, 8, 1]
    assert row["model.width"] == [300, 100]


def test_csv_and_json_hold_the_same(profile):
    """What CSV gives back as text is what JSON holds, with the machine in columns of its own."""
    facts = {"device": "CPU", "processor": "one, with a comma"}
    plain = as_json([profile, profile], 5, facts)
    assert plain["machine"] == facts
    assert plain["repeats"] == 5
    rows = list(csv.DictReader(as_csv([profile, profile], 5, facts).splitlines()))
    assert len(rows) == 2
    expected = plain["profiles"][0] | {"input_shape": "8x8x1", "repeats": 5}
    expected |= {f"machine.{name}": value for name, value in facts.items()}
    assert rows[0] == {name: str(value) for name, value in expected.items()}


@pytest.mark.parametrize(("text", "sizes"), [("1", (1,)), ("1,128", (1, 128)), (" 32, 32,3 ", (32, 32, 3))])
def test_sizes(text, sizes):
    """Whole numbers stand between commas."""
    assert parse_sizes("--batch-sizes", text) == sizes


@pytest.mark.parametrize("text", ["", ",", "1,", "0", "-1", "1.5", "a", "65537", "\N{SUPERSCRIPT TWO}", "9" * 5000])
def test_sizes_that_are_none(text):
    """Anything else is refused with the option, what was given and what is allowed."""
    with pytest.raises(zoo.SettingError) as caught:
        parse_sizes("--batch-sizes", text)
    assert "--batch-sizes" in str(caught.value)
    assert "allowed: whole numbers from 1 to 65,536" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("activation=gelu", "activation", "gelu"),
        ('activation = "gelu"', "activation", "gelu"),
        ("model.activation=gelu", "activation", "gelu"),
        ("dropout=0.5", "dropout", 0.5),
        ("depth=3", "depth", 3),
        ("weight_standardization=true", "weight_standardization", True),
        ("width=[300, 100]", "width", [300, 100]),
        ("strided_convolution=3x3", "strided_convolution", "3x3"),
        ("activation=a=b", "activation", "a=b"),
        ("activation=1\nother=2", "activation", "1\nother=2"),
        ("activation=", "activation", ""),
    ],
)
def test_changes(text, name, value):
    """A value is TOML where it can be, and else the text itself."""
    assert parse_changes([text]) == {name: value}


def test_subjects():
    """Patterns give each model once, with its own input and classes, and its settings replaced."""
    subjects = find_subjects(["resnet20", "resnet?0", "mlp_512"], {"activation": "gelu"}, None)
    assert [subject.name for subject in subjects] == ["resnet20", "resnet50", "mlp_512"]
    assert [subject.input_shape for subject in subjects] == [(32, 32, 3), (224, 224, 3), (28, 28, 1)]
    assert [subject.num_classes for subject in subjects] == [10, 1000, 10]
    assert {subject.config.activation for subject in subjects} == {"gelu"}


@pytest.mark.parametrize("name", ["name", "self", "activaton", ""])
def test_subjects_with_settings_that_nothing_has(name):
    """A setting that no model has is refused, also where it is named like an argument of a function here."""
    with pytest.raises(zoo.SettingError, match="no such setting of a model"):
        find_subjects(["resnet20"], {name: "gelu"}, None)


def test_subjects_name_the_model_that_refuses():
    """Of several models, the one that cannot have a setting is named."""
    with pytest.raises(zoo.SettingError, match=r"^linear:\nstages: no such key"):
        find_subjects(["resnet20", "linear"], {"stages": 3}, None)


def test_measured_row():
    """A measured row has the size at the shape asked for, memory that grows with the batch, and a time a call."""
    (subject,) = find_subjects(["lenet5"], {}, (28, 28, 1))
    one, four = measure(subject, (1, 4), 3)
    assert (one.batch_size, four.batch_size) == (1, 4)
    assert one.parameters == four.parameters == 60_850
    assert one.activation_bytes == zoo.audit_model(zoo.create_model("lenet5", input_shape=(28, 28, 1))).activation_bytes
    assert four.activation_bytes == 4 * one.activation_bytes
    for pace in (one.training, one.inference, four.training, four.inference):
        assert len(pace.seconds) == 3
        assert all(seconds > 0 for seconds in (pace.first_call_seconds, *pace.seconds))
    assert one.build_seconds > 0


def test_too_large_for_the_memory(monkeypatch):
    """A batch whose activations alone exceed the memory is refused before it is tried."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=100_000))
    (subject,) = find_subjects(["mlp_small"], {}, None)
    rows = measure(subject, (1, 4096), 1)
    assert next(rows).batch_size == 1
    with pytest.raises(UserError, match=r"mlp_small does not fit.*\n +given: +inputs of 8x8x1 in batches of 4096, "):
        next(rows)


def test_model_too_large_for_the_memory():
    """A model whose weights alone do not fit is one message and no traceback."""
    (subject,) = find_subjects(["linear"], {}, (60_000, 60_000, 60_000))
    with pytest.raises(UserError, match=r"linear does not fit.*\n +given: +inputs of 60000x60000x60000\n"):
        next(measure(subject, (1,), 1))


def test_training_step():
    """A step gives the mean loss with its penalties in training mode, and runs backward pass and update."""
    model = zoo.create_model("mlp_small", input_shape=(5,), normalization="batch", l2=0.5, initializer="zeros")
    step = training_step(model)
    inputs, labels = np.ones((4, 5), np.float32), np.array([0, 1, 2, 3], np.int32)
    before = [np.array(weight) for weight in model.trainable_variables]
    # All logits are equal, so the loss is that of guessing; all weights are zero, so is the penalty.
    assert step(inputs, labels).numpy() == pytest.approx(math.log(10), rel=1e-6)
    after = [np.array(weight) for weight in model.trainable_variables]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    # Moving variances go from 1 towards the batch's 0 only in training.
    assert np.allclose(model.get_layer("hidden_1_normalization").moving_variance, 0.9)
    model.get_layer("head").kernel.assign(np.full((64, 10), 0.1, np.float32))
    assert step(inputs, labels).numpy() == pytest.approx(math.log(10) + 0.5 * 640 * 0.01, rel=1e-6)


def test_training_step_goes_backward_and_updates():
    """The compiled step of a linear model multiplies matrices forward and backward, and assigns its velocities."""
    step = training_step(zoo.create_model("linear", input_shape=(5,)))
    graph = step.get_concrete_function(np.ones((4, 5), np.float32), np.zeros(4, np.int32)).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("MatMul") == 2
    assert any(kind.startswith(("Assign", "ResourceApply")) for kind in kinds)
