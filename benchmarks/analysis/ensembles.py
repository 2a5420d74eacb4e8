"""What runs of one cell are worth together: the mean of their probabilities, or of their predictions for a regression.

Made from what each run gave for the test examples, so nothing is trained.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from benchmarks.analysis.estimates import estimate
from benchmarks.arrays import Array
from benchmarks.metrics import METRICS, Metric, calibration_error, log_softmax
from benchmarks.tasks import Task

SQUARED_ERROR = "test_mse"

ENSEMBLE_METRICS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("test_accuracy", "test_nll", "test_brier", "test_ece"),
    "binary": ("test_accuracy", "test_nll", "test_brier", "test_ece"),
    "regression": ("test_rmse", SQUARED_ERROR),
}
"""Task -> what is told of an ensemble."""

SIZED_METRICS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("test_accuracy", "test_nll"),
    "binary": ("test_accuracy", "test_nll"),
    "regression": ("test_rmse",),
}
"""Task -> what is told of ensembles of each size."""

AMBIGUITY_METRICS = ("test_brier", SQUARED_ERROR)
"""Those that are squared errors: their gain is the ambiguity."""

LEAST_MEMBERS = 2

LEAST_DIFFERENT = 10
"""Fewest test examples that must tell the ensemble from its members for an interval: McNemar's rule of thumb."""

MOST_SUBSETS = 20
"""Subsets of one size that are averaged; where there are more, so many are drawn."""

MOST_SIZES = 10
"""Sizes beyond which some are left out."""

_ROUNDING = 1e-12

_SQUARED_ERROR = Metric(
    "mean squared test error",
    "mean of the squared errors on the test examples, in the square of the target's unit",
    "lower",
    ("regression",),
    unit="number",
)


@dataclass(frozen=True)
class Score:
    """A metric of the members and of their ensemble."""

    member: float
    """The mean of the members' own."""
    ensemble: float
    gain: float
    """How much better the ensemble is; positive means better, whichever way the metric goes."""
    ci_low: float
    """Of the 95 % interval of the gain, for these members and other test examples of their kind; NaN without one."""
    ci_high: float


@dataclass(frozen=True)
class Ensemble:
    """Runs with the same settings and different seeds, and what they are together."""

    n_members: int
    n_examples: int
    """Of the test split."""
    scores: Mapping[str, Score]
    """By metric, in the order of `ENSEMBLE_METRICS`."""
    by_size: Mapping[str, tuple[tuple[int, float], ...]]
    """Metric -> number of members and mean over the subsets of that size, from 1 to all."""
    has_all_subsets: bool
    """Whether these means are over every subset of each size that is told."""
    ambiguity: float
    """The mean squared distance of the members from their mean: of their predictions, or of their probabilities, summed
    over the classes. No label goes into it."""
    disagreement: float
    """Share of the test examples on which two members name different classes, the mean over all pairs; NaN for a
    regression."""


def metric_of(name: str) -> Metric:
    """The metric of this name, the squared error of a regression among them."""
    return _SQUARED_ERROR if name == SQUARED_ERROR else METRICS[name]


def ensemble(task: Task, outputs: Sequence[ArrayLike], labels: ArrayLike, random: np.random.Generator) -> Ensemble:
    """Compare the ensemble of some runs with the runs themselves.

    Args:
        task: what they were trained for.
        outputs: of each run for the test examples, as `kept_predictions` made them, (n, outputs), all finite.
        labels: (n,).
        random: draws the subsets of sizes that have more than `MOST_SUBSETS`.

    Raises:
        ValueError: there are fewer than two runs, or the numbers of examples disagree.
    """
    truth = np.asarray(labels).reshape(-1)
    arrays = [np.asarray(each, dtype=np.float64) for each in outputs]
    fits = all(each.ndim == 2 and each.shape == arrays[0].shape and len(each) == len(truth) for each in arrays)
    if len(arrays) < LEAST_MEMBERS or not len(truth) or not fits:
        shapes = " and ".join(str(each.shape) for each in arrays) or "none"
        raise ValueError(f"outputs of shapes {shapes} for {len(truth)} labels: two of (n, outputs) are needed at least")
    members = (_Predictions if task == "regression" else _Probabilities)(arrays, truth)
    number = len(arrays)
    subsets = {size: subsets_of(number, size, max(MOST_SUBSETS, number), random) for size in sizes_of(number)}
    found = {size: [members.sized(subset) for subset in each] for size, each in subsets.items()}
    return Ensemble(
        n_members=number,
        n_examples=len(truth),
        scores=members.scores(),
        by_size={
            name: tuple((size, float(np.mean([each[name] for each in own]))) for size, own in found.items())
            for name in SIZED_METRICS[task]
        },
        has_all_subsets=all(len(each) == math.comb(number, size) for size, each in subsets.items()),
        ambiguity=members.ambiguity(),
        disagreement=members.disagreement(),
    )


def sizes_of(n_members: int) -> list[int]:
    """The sizes of ensembles that are told: all, or about `MOST_SIZES` of them, closest where they are small."""
    if n_members <= MOST_SIZES:
        return list(range(1, n_members + 1))
    return sorted({round(size) for size in np.geomspace(1, n_members, MOST_SIZES)})


def subsets_of(n_members: int, size: int, most: int, random: np.random.Generator) -> list[tuple[int, ...]]:
    """All subsets of so many members, in order; where they are more than `most`, so many different ones by chance."""
    if math.comb(n_members, size) <= most:
        return list(itertools.combinations(range(n_members), size))
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < most:
        drawn.add(tuple(sorted(random.choice(n_members, size, replace=False).tolist())))
    return sorted(drawn)


class _Probabilities:
    """Members that give the probabilities of classes."""

    def __init__(self, outputs: Sequence[Array], truth: Array) -> None:
        self._truth = truth.astype(np.int64)
        self._examples = np.arange(len(truth))
        self._probabilities = np.empty((len(outputs), len(truth), max(2, outputs[0].shape[1])))
        self._logs_of_truth = np.empty((len(outputs), len(truth)))
        for member, given in enumerate(outputs):
            # Half a logit to each side makes two classes of one logit.
            logs = log_softmax(np.concatenate([-given / 2, given / 2], axis=1) if given.shape[1] == 1 else given)
            self._logs_of_truth[member] = logs[self._examples, self._truth]
            self._probabilities[member] = np.exp(logs)

    def sized(self, subset: Sequence[int]) -> dict[str, float]:
        """The metrics of `SIZED_METRICS` for an ensemble of some of the members."""
        together = self._mean(subset)
        return {
            "test_accuracy": float(self._right(together).mean()),
            "test_nll": float(self._negative_logs(subset).mean()),
        }

    def scores(self) -> dict[str, Score]:
        everyone = range(len(self._probabilities))
        together = self._mean(everyone)
        members = list(self._probabilities)
        right, rights = self._right(together), [self._right(each) for each in members]
        errors = [calibration_error(*pair) for pair in zip([each.max(axis=1) for each in members], rights, strict=True)]
        error = calibration_error(together.max(axis=1), right)
        return {
            "test_accuracy": _score("test_accuracy", np.mean(rights, axis=0), right.astype(float)),
            "test_nll": _score("test_nll", np.abs(self._logs_of_truth).mean(axis=0), self._negative_logs(everyone)),
            "test_brier": _score(
                "test_brier", np.mean([self._squares(each) for each in members], axis=0), self._squares(together)
            ),
            # No mean over examples, so nothing to pair.
            "test_ece": Score(float(np.mean(errors)), error, float(np.mean(errors)) - error, math.nan, math.nan),
        }

    def ambiguity(self) -> float:
        together = self._mean(range(len(self._probabilities)))
        return float(np.mean([np.square(each - together).sum(axis=1).mean() for each in self._probabilities]))

    def disagreement(self) -> float:
        n_members = len(self._probabilities)
        votes = np.zeros(self._probabilities.shape[1:])
        for each in self._probabilities:
            votes[self._examples, each.argmax(axis=1)] += 1
        agreeing_pairs = (votes * (votes - 1)).sum(axis=1) / (n_members * (n_members - 1))
        return float(1 - agreeing_pairs.mean())

    def _mean(self, subset: Sequence[int]) -> Array:
        total = self._probabilities[subset[0]].copy()
        for member in subset[1:]:
            total += self._probabilities[member]
        return np.asarray(total / len(subset))

    def _right(self, probabilities: Array) -> Array:
        return np.asarray(probabilities.argmax(axis=1) == self._truth)

    def _negative_logs(self, subset: Sequence[int]) -> Array:
        """Of the mean probability of the true class, exact also where that is too small for a number."""
        mean = logsumexp(self._logs_of_truth[list(subset)], axis=0) - math.log(len(subset))
        return np.asarray(np.maximum(0.0, -mean))

    def _squares(self, probabilities: Array) -> Array:
        """The Brier score of each example."""
        own = probabilities[self._examples, self._truth]
        return np.asarray(np.square(probabilities).sum(axis=1) - 2 * own + 1)


class _Predictions:
    """Members that predict a number."""

    def __init__(self, outputs: Sequence[Array], truth: Array) -> None:
        self._predictions = np.stack([each[:, 0] for each in outputs])
        self._truth = truth.astype(np.float64)

    def sized(self, subset: Sequence[int]) -> dict[str, float]:
        """As for probabilities."""
        return {"test_rmse": math.sqrt(float(self._squares(subset).mean()))}

    def scores(self) -> dict[str, Score]:
        together = self._squares(range(len(self._predictions)))
        members = np.square(self._predictions - self._truth)
        return {
            "test_rmse": _score_of_roots(members, together),
            SQUARED_ERROR: _score(SQUARED_ERROR, members.mean(axis=0), together),
        }

    def ambiguity(self) -> float:
        return float(np.square(self._predictions - self._predictions.mean(axis=0)).mean())

    def disagreement(self) -> float:
        return math.nan

    def _squares(self, subset: Sequence[int]) -> Array:
        return np.asarray(np.square(self._predictions[list(subset)].mean(axis=0) - self._truth))


def _score(metric: str, members: Array, together: Array) -> Score:
    """Of a metric that is a mean over the test examples.

    Args:
        metric: its name.
        members: what it is the mean of, the mean over the members, example by example.
        together: the same of the ensemble.
    """
    gains = metric_of(metric).sign * (together - members)
    return Score(float(members.mean()), float(together.mean()), float(gains.mean()), *_interval(gains))


def _score_of_roots(members: Array, together: Array) -> Score:
    """Of the root of the mean squared error.

    Args:
        members: squared errors (members, n).
        together: those of the ensemble, (n,).
    """
    roots, root = np.sqrt(members.mean(axis=1)), math.sqrt(float(together.mean()))
    gain = float(roots.mean()) - root
    if not root or not roots.all():
        return Score(float(roots.mean()), root, gain, math.nan, math.nan)
    # How far one example moves a root, to first order: half its square over the root.
    moves = (members / roots[:, None] / 2).mean(axis=0) - together / root / 2
    shift = gain - float(moves.mean())
    low, high = _interval(moves)
    return Score(float(roots.mean()), root, gain, low + shift, high + shift)


def _interval(gains: Array) -> tuple[float, float]:
    """The t interval over the test examples; NaN where too few of them tell the ensemble from its members."""
    if (np.abs(gains) > _ROUNDING * max(1.0, float(np.abs(gains).max()))).sum() < LEAST_DIFFERENT:
        return math.nan, math.nan
    found = estimate(gains)
    return found.ci_low, found.ci_high
