"""Losses against Keras's own and against their formulas in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.metrics import objective
from benchmarks.settings.training import LOSSES, TrainConfig
from benchmarks.training.losses import Loss

CLASSES, BATCH = 5, 64
GENERATOR = np.random.default_rng(3)
LOGITS = GENERATOR.normal(0, 3, (BATCH, CLASSES)).astype(np.float32)
LABELS = GENERATOR.integers(0, CLASSES, BATCH).astype(np.int32)
LOGIT = GENERATOR.normal(0, 3, (BATCH, 1)).astype(np.float32)
BITS = GENERATOR.integers(0, 2, BATCH).astype(np.int32)
PREDICTIONS = GENERATOR.normal(0, 2, (BATCH, 1)).astype(np.float32)
NUMBERS = GENERATOR.normal(0, 2, BATCH).astype(np.float32)
SHARES = GENERATOR.dirichlet(np.ones(CLASSES), BATCH).astype(np.float32)
WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0, 0.1], np.float32)

GIVEN = {
    "classification": (LOGITS, LABELS, CLASSES),
    "binary": (LOGIT, BITS, 2),
    "regression": (PREDICTIONS, NUMBERS, 1),
}


def value_of(task, *, soft_targets=False, weights=None, **settings):
    outputs, labels, classes = GIVEN[task]
    if weights is not None:
        settings["class_weights"] = "balanced"
    loss = Loss(TrainConfig(**settings), task, classes, soft_targets=soft_targets)
    weights = np.ones(classes, np.float32) if weights is None else weights
    return float(loss.mean(tf.constant(outputs), loss.targets(tf.constant(labels)), tf.constant(weights)))


def one_hot(labels, classes=CLASSES):
    return np.eye(classes, dtype=np.float32)[labels]


def log_softmax(logits):
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


KERAS = {
    "softmax": (
        lambda: value_of("classification"),
        lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)(LABELS, LOGITS),
    ),
    "softmax by name": (
        lambda: value_of("classification", loss="cross_entropy"),
        lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)(LABELS, LOGITS),
    ),
    "softmax, targets that can be mixed": (
        lambda: value_of("classification", soft_targets=True),
        lambda: keras.losses.CategoricalCrossentropy(from_logits=True)(one_hot(LABELS), LOGITS),
    ),
    "softmax, smoothed": (
        lambda: value_of("classification", label_smoothing=0.3),
        lambda: keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)(one_hot(LABELS), LOGITS),
    ),
    "softmax, weighted": (
        lambda: value_of("classification", weights=WEIGHTS),
        lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            LABELS, LOGITS, sample_weight=WEIGHTS[LABELS]
        ),
    ),
    "softmax, smoothed and weighted": (
        lambda: value_of("classification", weights=WEIGHTS, label_smoothing=0.3),
        lambda: keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)(
            one_hot(LABELS), LOGITS, sample_weight=WEIGHTS[LABELS]
        ),
    ),
    "sigmoid": (
        lambda: value_of("binary"),
        lambda: keras.losses.BinaryCrossentropy(from_logits=True)(BITS[:, None], LOGIT),
    ),
    "sigmoid, smoothed": (
        lambda: value_of("binary", label_smoothing=0.3),
        lambda: keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.3)(BITS[:, None], LOGIT),
    ),
    "sigmoid, weighted": (
        lambda: value_of("binary", weights=np.array([0.5, 2.0], np.float32)),
        lambda: keras.losses.BinaryCrossentropy(from_logits=True)(
            BITS[:, None], LOGIT, sample_weight=np.where(BITS, 2.0, 0.5)
        ),
    ),
    "squared": (
        lambda: value_of("regression"),
        lambda: keras.losses.MeanSquaredError()(NUMBERS[:, None], PREDICTIONS),
    ),
    "squared by name": (
        lambda: value_of("regression", loss="squared"),
        lambda: keras.losses.MeanSquaredError()(NUMBERS[:, None], PREDICTIONS),
    ),
    "huber": (
        lambda: value_of("regression", loss="huber"),
        lambda: keras.losses.Huber()(NUMBERS[:, None], PREDICTIONS),
    ),
    "huber of another delta": (
        lambda: value_of("regression", loss="huber", huber_delta=0.3),
        lambda: keras.losses.Huber(0.3)(NUMBERS[:, None], PREDICTIONS),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), KERAS.values(), ids=KERAS)
def test_keras_has_the_same_loss(ours, theirs):
    """Every loss with every setting of it is the one that Keras has."""
    assert ours() == pytest.approx(float(theirs()), rel=1e-6)


def test_the_cases_above_differ():
    """No setting is without effect on these numbers: losses that should differ do."""
    values = [ours() for name, (ours, _) in KERAS.items() if "by name" not in name and "can be" not in name]
    assert len({round(value, 4) for value in values}) == len(values)


def test_every_loss_is_compared():
    """A loss that is added without a comparison fails here."""
    assert set(LOSSES) == {"cross_entropy", "squared", "huber"}


def mixed_value(task, targets, weights, **settings):
    outputs, _, classes = GIVEN[task]
    loss = Loss(TrainConfig(class_weights="balanced", **settings), task, classes, soft_targets=True)
    return float(loss.mean(tf.constant(outputs), tf.constant(targets), tf.constant(weights)))


def test_mixed_targets():
    """Of targets that are shares of classes, the loss is their cross-entropy, and they weigh as their classes do."""
    smoothed = SHARES.astype(np.float64) * 0.8 + 0.2 / CLASSES
    each = -(smoothed * log_softmax(LOGITS)).sum(1)
    expected = (each * (SHARES @ WEIGHTS)).mean()
    assert mixed_value("classification", SHARES, WEIGHTS, label_smoothing=0.2) == pytest.approx(expected, rel=1e-6)


def test_mixed_targets_of_two_classes():
    """Of a sigmoid, a share of the second class is a target between 0 and 1, and weighs between the two weights."""
    share = SHARES[:, :1]
    weights = np.array([0.5, 2.0], np.float32)
    logit = LOGIT.astype(np.float64)
    smoothed = share * 0.8 + 0.1
    each = smoothed * np.log1p(np.exp(-logit)) + (1 - smoothed) * np.log1p(np.exp(logit))
    expected = (each * (0.5 * (1 - share) + 2.0 * share)).mean()
    assert mixed_value("binary", share, weights, label_smoothing=0.2) == pytest.approx(expected, rel=1e-6)


def test_weights_need_their_setting():
    """Weights that are handed in count only where the settings ask for them."""
    loss = Loss(TrainConfig(), "classification", CLASSES, soft_targets=False)
    plain = float(loss.mean(tf.constant(LOGITS), tf.constant(LABELS), tf.constant(WEIGHTS)))
    assert plain == pytest.approx(value_of("classification"), rel=1e-7)


@pytest.mark.parametrize("offset", [-1e-3, 0.0, 1e-3])
def test_huber_at_its_bend(offset):
    """About delta the Huber loss goes from half the square to a line without a step."""
    delta, error = 0.5, np.array([[0.5 + offset]], np.float32)
    loss = Loss(TrainConfig(loss="huber", huber_delta=delta), "regression", 1, soft_targets=False)
    found = float(loss.mean(tf.constant(error), tf.zeros([1, 1]), tf.ones([1])))
    exact = delta + offset
    assert found == pytest.approx(exact**2 / 2 if offset <= 0 else delta * (exact - delta / 2), rel=1e-5)


@pytest.mark.parametrize(
    ("task", "logits", "label"),
    [("classification", [[1e4, 0.0, 0.0, 0.0, 0.0]], 1), ("binary", [[1e4]], 0)],
)
def test_certain_and_wrong(task, logits, label):
    """The loss of an example that is certain and wrong is the distance of the logits, and no infinity."""
    loss = Loss(TrainConfig(), task, GIVEN[task][2], soft_targets=False)
    found = loss.mean(tf.constant(logits), loss.targets(tf.constant([label])), tf.ones([GIVEN[task][2]]))
    assert float(found) == pytest.approx(1e4)


@pytest.mark.parametrize("loss", ["by_task", *LOSSES])
@pytest.mark.parametrize("task", GIVEN)
def test_reported_loss_is_what_is_trained(task, loss):
    """What is reported of validation and test is the loss of training, where nothing is smoothed or weighted."""
    config = TrainConfig(loss=loss, **({"huber_delta": 0.7} if loss == "huber" else {}))
    name = config.loss_for(task)
    if (name == "cross_entropy") == (task == "regression"):
        return
    outputs, labels, _ = GIVEN[task]
    trained = value_of(task, loss=loss, **({"huber_delta": 0.7} if loss == "huber" else {}))
    # Targets and outputs in a unit of their own: the loss counts in deviations.
    scale = 7.0 if task == "regression" else 1.0
    labels = labels * scale if task == "regression" else labels
    assert objective(name, task, outputs * scale, labels, scale, config.huber_delta) == pytest.approx(trained, rel=1e-5)
