"""Whether probabilities can be believed: how often the most probable class is right, by how sure the model was."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.analysis.example_noise import right_answers
from benchmarks.metrics import CALIBRATION_BINS, calibration_bins, calibration_error, log_softmax
from benchmarks.tasks import Task


@dataclass(frozen=True)
class Bin:
    """The examples whose most probable class has a probability in one range."""

    low: float
    high: float
    """It belongs to the bin."""
    n: int
    confidence: float
    """Mean probability; NaN in an empty bin."""
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How probabilities and truth agree, over the runs of a cell."""

    bins: tuple[Bin, ...]
    """Over all runs together."""
    n_examples: int
    """Of the test split."""
    n_runs: int
    eces: tuple[float, ...]
    """The runs' own expected calibration errors."""
    ece_by_chance: float
    """About what a run with these probabilities would show if each of them were true."""

    @property
    def ece(self) -> float:
        """The mean of the runs' own."""
        return float(np.mean(self.eces))


def reliability(task: Task, outputs: Iterable[ArrayLike], labels: ArrayLike) -> Reliability:
    """Compare how sure runs are with how often they are right, in bins of equal width.

    Args:
        task: a classification or a binary one.
        outputs: of each run for the test examples, as `kept_predictions` made them, (n, outputs); read one by one.
        labels: (n,).

    Raises:
        ValueError: the task has no probabilities, or the numbers of examples disagree.
    """
    if task == "regression":
        raise ValueError("a regression has no probabilities")
    truth = np.asarray(labels).reshape(-1)
    # Of each run two numbers an example are kept, and not all of its outputs.
    found = [_sure_and_right(task, each, truth) for each in outputs]
    if not found:
        raise ValueError("no outputs: those of one run at least are needed")
    sure, right = zip(*found, strict=True)
    errors = [calibration_error(one, other) for one, other in found]
    chances = [_error_by_chance(each) for each in sure]
    all_sure, all_right = np.concatenate(sure), np.concatenate(right)
    places = calibration_bins(all_sure)
    inside = [places == place for place in range(CALIBRATION_BINS)]
    bins = tuple(_bin(place, all_sure[own], all_right[own]) for place, own in enumerate(inside))
    return Reliability(bins, len(truth), len(found), tuple(errors), float(np.mean(chances)))


def _sure_and_right(task: Task, outputs: ArrayLike, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each example the probability of its most probable class, and whether that is the true one."""
    right, logits = right_answers(task, outputs, truth), np.asarray(outputs, dtype=np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([-logits / 2, logits / 2], axis=1)
    return np.exp(log_softmax(logits).max(axis=1)), right


def _bin(place: int, sure: np.ndarray, right: np.ndarray) -> Bin:
    low, high = place / CALIBRATION_BINS, (place + 1) / CALIBRATION_BINS
    if not len(sure):
        return Bin(low, high, 0, math.nan, math.nan)
    return Bin(low, high, len(sure), float(sure.mean()), float(right.mean()))


def _error_by_chance(sure: np.ndarray) -> float:
    """The mean of the error if each example were right with the probability given: half-normal gaps in every bin."""
    variances = np.bincount(calibration_bins(sure), weights=sure * (1 - sure), minlength=CALIBRATION_BINS)
    return float(np.sqrt(2 / math.pi * variances).sum() / len(sure))
