"""The metrics of a run: what each is called, means and is good for, and how those of the test split are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.arrays import Array
from benchmarks.tasks import Task

Better = Literal["higher", "lower"]

Unit = Literal["share", "nats", "number", "target"]
"""What a metric is counted in: a share of 1, shown in per cent; nats; a pure number; the unit of the target."""

CLASS_TASKS: tuple[Task, ...] = ("classification", "binary")
REGRESSION: tuple[Task, ...] = ("regression",)
ALL_TASKS: tuple[Task, ...] = (*CLASS_TASKS, *REGRESSION)

CALIBRATION_BINS = 15

LEAST_CLASSES_FOR_TOP5 = 5


@dataclass(frozen=True)
class Metric:
    """A metric."""

    title: str
    """Its name in a sentence."""
    explanation: str
    better: Better
    tasks: tuple[Task, ...]
    unit: Unit

    @property
    def sign(self) -> int:
        """1 where higher is better, and -1 where lower is: times it, higher is better."""
        return 1 if self.better == "higher" else -1


METRICS: dict[str, Metric] = {
    "test_accuracy": Metric(
        "test accuracy", "share of test examples classified right", "higher", CLASS_TASKS, unit="share"
    ),
    "test_top5_accuracy": Metric(
        "test top-5 accuracy",
        "share of test examples whose class is among the five most probable; from five classes on",
        "higher",
        ("classification",),
        unit="share",
    ),
    "test_nll": Metric(
        "test NLL",
        "mean negative log-likelihood of the test labels in nats, whatever was trained on",
        "lower",
        CLASS_TASKS,
        unit="nats",
    ),
    "test_brier": Metric(
        "test Brier score",
        "mean over the test examples of the squared differences between the probabilities and the truth, summed over "
        "all classes (Brier 1950): 0 to 2, also for two classes",
        "lower",
        CLASS_TASKS,
        unit="number",
    ),
    "test_ece": Metric(
        "test ECE",
        f"expected calibration error of the most probable class over {CALIBRATION_BINS} bins of equal width (Guo et "
        "al. 2017); small test splits show more than there is",
        "lower",
        CLASS_TASKS,
        unit="share",
    ),
    "test_rmse": Metric(
        "test RMSE", "root of the mean squared error on the test examples", "lower", REGRESSION, unit="target"
    ),
    "test_mae": Metric("test MAE", "mean absolute error on the test examples", "lower", REGRESSION, unit="target"),
    "test_r2": Metric(
        "test R²",
        "share of the variance of the test targets that is explained; not defined where they are all equal",
        "higher",
        REGRESSION,
        unit="number",
    ),
    "test_loss": Metric(
        "test loss", "what was trained on, without penalties, on the test examples", "lower", ALL_TASKS, unit="number"
    ),
    "val_accuracy": Metric(
        "validation accuracy", "share of validation examples classified right", "higher", CLASS_TASKS, unit="share"
    ),
    "val_rmse": Metric(
        "validation RMSE",
        "root of the mean squared error on the validation examples",
        "lower",
        REGRESSION,
        unit="target",
    ),
    "val_loss": Metric(
        "validation loss",
        "what was trained on, without penalties, on the validation examples",
        "lower",
        ALL_TASKS,
        unit="number",
    ),
    "train_loss": Metric(
        "training loss",
        "mean of what was trained on over the batches of the last epoch, dropout and the like on",
        "lower",
        ALL_TASKS,
        unit="number",
    ),
}
"""Every metric that a finished run can have, one number each, after the last epoch."""

OUTCOME_METRICS: Mapping[Task, str] = {
    "classification": "test_accuracy",
    "binary": "test_accuracy",
    "regression": "test_rmse",
}
"""Task -> the metric that summaries and contrasts are made of."""

CURVE_METRICS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("val_accuracy", "train_loss"),
    "binary": ("val_accuracy", "train_loss"),
    "regression": ("val_rmse", "train_loss"),
}
"""Task -> the metrics that are followed over the epochs."""

FURTHER_METRICS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("test_top5_accuracy", "test_nll", "test_brier", "test_ece"),
    "binary": ("test_nll", "test_brier", "test_ece"),
    "regression": ("test_mae", "test_r2"),
}
"""Task -> what is told of the test split beside the outcome."""


def test_metrics(task: Task, outputs: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Every metric of the test split but the loss, in double precision.

    An output that is NaN makes every metric NaN, and one that is infinite is taken for the limit: a class with an
    infinite logit is certain.

    Args:
        task: what the model was trained for.
        outputs: logits (n, classes) for a classification, the logit of class 1, (n,) or (n, 1), for a binary one,
            predictions (n,) or (n, 1) in the target's own unit for a regression.
        labels: classes from 0, or targets in their own unit; (n,) or (n, 1).

    Raises:
        ValueError: there are no examples, the shapes disagree, or a label is no class.
    """
    if task == "regression":
        return _regression_metrics(_column(outputs, "outputs"), _column(labels, "labels"))
    return _class_metrics(_logits(task, outputs), labels)


def headline(task: Task, outputs: Array, labels: Array) -> tuple[str, float]:
    """The one value that tells how good outputs are, and its name: accuracy, or the RMSE of a regression."""
    if task == "regression":
        return "rmse", float(np.sqrt(np.square(_column(outputs, "outputs") - labels).mean()))
    found = outputs[:, 0] > 0 if task == "binary" else outputs.argmax(axis=1)
    return "accuracy", float((found == labels).mean())


def objective(loss: str, task: Task, outputs: Array, labels: Array, target_scale: float, huber_delta: float) -> float:
    """What training makes small, on outputs without dropout: no penalties, label smoothing or class weights in it.

    The loss is "cross_entropy", "squared" or "huber", which becomes linear at its delta. Outputs and labels are as for
    `test_metrics`; the errors of a regression count in the deviation of the targets, `target_scale`.
    """
    if loss == "cross_entropy":
        return float(np.abs(log_softmax(_logits(task, outputs))[np.arange(len(labels)), labels]).mean())
    errors = np.abs(_column(outputs, "outputs") - labels) / target_scale
    if loss == "squared":
        return float(np.square(errors).mean())
    return float(np.where(errors <= huber_delta, errors**2 / 2, huber_delta * (errors - huber_delta / 2)).mean())


def rmse_of_the_mean(train_targets: ArrayLike, test_targets: ArrayLike) -> float:
    """The test RMSE of who always predicts the mean of the training targets."""
    mean = float(np.mean(np.asarray(train_targets, dtype=np.float64)))
    targets = _column(test_targets, "test targets")
    return _regression_metrics(np.full(len(targets), mean), targets)["test_rmse"]


def log_softmax(logits: Array) -> Array:
    """Logarithms of the probabilities (n, classes), exact also for logits of any size.

    Infinite logits are taken for the limit, equal ones sharing evenly; an example with a NaN is NaN throughout.
    """
    top = logits.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):
        shifted = np.where(logits == top, 0.0, logits - top)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def calibration_bins(confidence: Array) -> Array:
    """The bin of each example, (n,), by the probability of its most probable class; a bin holds its upper edge."""
    return np.searchsorted(np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS, confidence, side="left")


def calibration_error(confidence: Array, right: Array) -> float:
    """Gap between confidence and accuracy, bin by bin, each weighted by its examples.

    Args:
        confidence: probability of the most probable class of each example, (n,).
        right: whether that is the true one, (n,).
    """
    gaps = np.bincount(calibration_bins(confidence), weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(right))


def _logits(task: Task, outputs: ArrayLike) -> Array:
    """Logits (n, classes), also of the two classes of a binary task."""
    if task == "binary":
        # Half to each side leaves the softmax as it is and keeps infinities apart.
        half = _column(outputs, "outputs") / 2
        return np.stack([-half, half], axis=1)
    return np.asarray(outputs, dtype=np.float64)


def _class_metrics(logits: Array, labels: ArrayLike) -> dict[str, float]:
    truth = _classes(logits, labels)
    log_probabilities = log_softmax(logits)
    probabilities = np.exp(log_probabilities)
    examples = np.arange(len(truth))
    errors = probabilities.copy()
    errors[examples, truth] -= 1
    right = logits.argmax(axis=1) == truth
    found = {
        "test_accuracy": right.mean(),
        "test_top5_accuracy": _is_among_first(5, logits, truth).mean(),
        # Minus a logarithm of 1 is 0, not minus 0.
        "test_nll": np.abs(log_probabilities[examples, truth]).mean(),
        "test_brier": np.square(errors).sum(axis=1).mean(),
        "test_ece": calibration_error(probabilities.max(axis=1), right),
    }
    if logits.shape[1] < LEAST_CLASSES_FOR_TOP5:
        del found["test_top5_accuracy"]
    is_known = not np.isnan(logits).any()
    return {name: float(value) if is_known else float("nan") for name, value in found.items()}


def _is_among_first(number: int, logits: Array, truth: Array) -> Array:
    """Whether the true class is among the most probable; among equal logits the first comes first, as with argmax."""
    own = logits[np.arange(len(truth)), truth][:, None]
    before = (logits > own) | ((logits == own) & (np.arange(logits.shape[1]) < truth[:, None]))
    return np.asarray(before.sum(axis=1) < number)


def _regression_metrics(predictions: Array, targets: Array) -> dict[str, float]:
    if len(predictions) != len(targets):
        raise ValueError(f"{len(predictions)} outputs for {len(targets)} labels")
    with np.errstate(over="ignore"):
        errors = predictions - targets
        squares = float(np.square(errors).mean())
        spread = float(np.square(targets - targets.mean()).mean())
    return {
        "test_rmse": float(np.sqrt(squares)),
        "test_mae": float(np.abs(errors).mean()),
        "test_r2": 1 - squares / spread if np.ptp(targets) > 0 and spread > 0 else float("nan"),
    }


def _column(values: ArrayLike, name: str) -> Array:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or not len(found):
        raise ValueError(f"{name} of shape {found.shape}: (n,) or (n, 1) is needed, with n of at least 1")
    return found


def _classes(logits: Array, labels: ArrayLike) -> Array:
    if logits.ndim != 2 or not len(logits) or logits.shape[1] < 2:
        raise ValueError(f"logits of shape {logits.shape}: (n, classes) is needed, with two classes or more")
    given = _column(labels, "labels")
    no_class = given[~np.isfinite(given) | (given != np.floor(given))]
    if len(no_class):
        raise ValueError(f"label {no_class[0]} is no class: whole numbers from 0 to {logits.shape[1] - 1} are")
    truth = given.astype(np.int64)
    if len(truth) != len(logits):
        raise ValueError(f"{len(logits)} outputs for {len(truth)} labels")
    if truth.min() < 0 or truth.max() >= logits.shape[1]:
        raise ValueError(f"labels from {truth.min()} to {truth.max()} with {logits.shape[1]} classes")
    return truth
