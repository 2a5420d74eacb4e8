"""How far a difference of two accuracies may be off because the test set is only a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.data.tasks import Task


@dataclass(frozen=True)
class PairNoise:
    """Two runs on the same test examples."""

    n: int
    """Number of test examples."""
    only_first: float
    """Share of the examples that the first run alone has right."""
    only_second: float
    difference: float
    """Accuracy of the first minus that of the second."""
    error: float
    """Standard error of the difference over test sets of this size; the spread over seeds is another matter."""


def pair_noise(task: Task, first: ArrayLike, second: ArrayLike, labels: ArrayLike) -> PairNoise:
    """The noise of a difference of accuracies, from what each run gave for each test example.

    Args:
        task: a classification or a binary one.
        first: outputs of a run as `kept_predictions` made them, (n, outputs).
        second: those of the other run, for the same examples.
        labels: (n,).

    Raises:
        ValueError: the task has no accuracy, or the numbers of examples disagree.
    """
    if task == "regression":
        raise ValueError("a regression has no accuracy")
    truth = np.asarray(labels).reshape(-1)
    outputs = [np.asarray(each) for each in (first, second)]
    if not len(truth) or any(each.ndim != 2 or len(each) != len(truth) for each in outputs):
        shapes = " and ".join(str(each.shape) for each in outputs)
        raise ValueError(f"outputs of shapes {shapes} for {len(truth)} labels: (n, outputs) is needed, n at least 1")
    return paired_noise(*(_predicted(each) == truth for each in outputs))


def paired_noise(first_right: ArrayLike, second_right: ArrayLike) -> PairNoise:
    """The same, from which examples each run has right."""
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    n = len(first)
    only_first, only_second = float((first & ~second).mean()), float((second & ~first).mean())
    difference = only_first - only_second
    variance = max(0.0, only_first + only_second - difference**2)
    return PairNoise(n, only_first, only_second, difference, math.sqrt(variance / n))


def _predicted(outputs: np.ndarray) -> np.ndarray:
    """The class of each example: of the largest logit, or whether the only one is above zero."""
    return np.asarray(outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(axis=1))
