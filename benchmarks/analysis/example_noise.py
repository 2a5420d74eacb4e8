"""How far a difference of two accuracies may be off because the test set is only a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.tasks import Task


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


def right_answers(task: Task, outputs: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Whether a run has each test example right, (n,).

    Args:
        task: a classification or a binary one.
        outputs: of the run, as `kept_predictions` made them, (n, outputs).
        labels: (n,).

    Raises:
        ValueError: the task has no accuracy, or the numbers of examples disagree.
    """
    if task == "regression":
        raise ValueError("a regression has no accuracy")
    truth, found = np.asarray(labels).reshape(-1), np.asarray(outputs)
    if not len(truth) or found.ndim != 2 or len(found) != len(truth):
        given = f"outputs of shape {found.shape} for {len(truth)} labels"
        raise ValueError(f"{given}: (n, outputs) is needed, n at least 1")
    # The class of the largest logit, or whether the only one is above zero.
    return np.asarray((found[:, 0] > 0 if found.shape[1] == 1 else found.argmax(axis=1)) == truth)


def pair_noise(first_right: ArrayLike, second_right: ArrayLike) -> PairNoise:
    """The noise of a difference of accuracies, from which examples each run has right."""
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    n = len(first)
    only_first, only_second = float((first & ~second).mean()), float((second & ~first).mean())
    difference = only_first - only_second
    variance = max(0.0, only_first + only_second - difference**2)
    return PairNoise(n, only_first, only_second, difference, math.sqrt(variance / n))
