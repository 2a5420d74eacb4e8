"""What a run gives."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.arrays import Array
from benchmarks.tasks import Task

Status = Literal["done", "diverged", "failed", "out_of_memory", "timed_out"]

OUTCOMES: tuple[Status, ...] = ("done", "diverged")
"""Statuses of runs that were trained: nothing replaces them."""

FAILURES: tuple[Status, ...] = ("failed", "out_of_memory", "timed_out")
"""Statuses of runs without an outcome; they stand until `ablate run --retry` asks for another attempt."""

FINAL: tuple[Status, ...] = (*OUTCOMES, *FAILURES)
"""Statuses that stand: the next `ablate run` does not train such a run."""

_OUT_OF_MEMORY = ("MemoryError", "_ArrayMemoryError", "ResourceExhaustedError")
"""Names of the exceptions of Python, NumPy and TensorFlow that say so; they are told by name, since not every process
has TensorFlow."""

MOST_PREDICTION_BYTES = 4 * 1024**2
"""Predictions of one run that take more than this are not kept."""


@dataclass(frozen=True)
class RunResult:
    """The outcome of one run."""

    status: Status
    metrics: dict[str, float] = field(default_factory=dict)
    """Of `benchmarks.metrics`; empty unless the status is "done"."""
    history: dict[str, list[float]] = field(default_factory=dict)
    """One value an epoch; a diverged run has the epochs before it diverged."""
    parameters: int | None = None
    seconds: float = 0.0
    """Training and evaluation, the tracing of the program left out; runs of a stack share its time evenly."""
    message: str | None = None
    """Why a run failed, where it diverged, or why the predictions of one that is done were not kept."""
    traceback: str | None = None
    predictions: Array | None = field(default=None, compare=False, repr=False)
    """What `kept_predictions` gave for the test examples; None unless the status is "done"."""
    macs: int | None = None
    """Multiply-accumulates of the weight layers for one example."""


def failure_of(error: BaseException) -> RunResult:
    """What an exception makes of the runs that were under way."""
    (first, *_) = str(error).strip().splitlines() or [""]
    is_memory = any(kind.__name__ in _OUT_OF_MEMORY for kind in type(error).__mro__)
    return RunResult(
        "out_of_memory" if is_memory else "failed",
        message=f"{type(error).__name__}: {first}",
        traceback="".join(traceback.format_exception(error)),
    )


def keeps_predictions(task: Task, number: int) -> bool:
    """Whether so many outputs of a run are kept."""
    return number * _precision(task).itemsize <= MOST_PREDICTION_BYTES


def _precision(task: Task) -> np.dtype[Any]:
    return np.dtype("<f8" if task == "regression" else "<f2")


def kept_predictions(task: Task, outputs: ArrayLike) -> tuple[Array | None, str | None]:
    """What is stored of a run's outputs for the test split, (n, outputs), and a note where that is nothing.

    Logits are kept in half precision, those of several classes less the largest of their example: that changes no
    probability, and no rounding makes another class the most probable. Values of a regression are kept in double
    precision, since targets can be far from zero. What is out of a precision's range is kept as its largest number.

    The outputs are as for `test_metrics`, of any shape that begins with the examples.
    """
    values = np.asarray(outputs)
    values = values.reshape(len(values), -1)
    dtype = _precision(task)
    if not keeps_predictions(task, values.size):
        size = values.size * dtype.itemsize
        return None, f"the predictions were not kept: their {size} bytes are more than {MOST_PREDICTION_BYTES}"
    values = values.astype(np.float64)
    if values.shape[1] > 1 and task != "regression":
        values = np.clip(values, -1e300, 1e300)
        values -= values.max(axis=1, keepdims=True)
    most = float(np.finfo(dtype).max)
    return np.clip(values, -most, most).astype(dtype), None
